"""Eight hundred random calls in a child process; with PyTorch installed their results are compared with its own."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

from . import worker
from .__main__ import memory, run, span
from .calls import Call, Data, make

CALLS = 800


def test_random_calls_neither_crash_nor_hang_nor_disagree():
    found = run(0, CALLS)
    assert not found, "\n".join(f"{number}: {text}\n    {verdict}" for number, text, verdict in found[:20])


def test_repeated_calls_keep_no_memory():
    turns = memory(0, 200, 4)  # the first two fill caches
    assert turns[-1][1] <= turns[1][1]
    assert turns[-1][0] < turns[1][0] + 8_000


def test_a_call_is_the_same_each_time():
    for number in range(40):
        assert make(number).text() == make(number).text()
    assert len({make(number).name for number in range(200)}) > 80


def test_a_crash_and_a_hang_cost_one_call(monkeypatch):
    import os
    import time

    # The child is killed by a signal, as by a fault.
    monkeypatch.setattr(
        worker, "judge", lambda call, library, torch: os.kill(os.getpid(), 9) if call.text() == make(3).text() else None
    )
    found, after = span(0, 10, 60)
    assert after == 4 and found[0][0] == 3 and "signal 9" in found[0][2]
    monkeypatch.setattr(
        worker, "judge", lambda call, library, torch: time.sleep(60) if call.text() == make(2).text() else None
    )
    found, after = span(1, 9, 1.0)  # call 0 is run for its memory as well
    assert after == 3 and found[0][0] == 2 and "more than" in found[0][2]


def test_the_judge_sees_what_is_wrong():
    pytest.importorskip("torch")
    import torch

    x = Data(np.array([1.0, -2.0], dtype="float32"), "same")

    class Wrong:
        Tensor, autograd, float64 = fl.Tensor, fl.autograd, fl.float64
        from_numpy = staticmethod(fl.from_numpy)
        abs = staticmethod(lambda x: x)
        neg = staticmethod(lambda x: -x.double())
        sin = staticmethod(lambda x: x.no_such_name)
        add_ = staticmethod(lambda x, y: x)

    assert "elements differ" in worker.judge(Call("abs", [x], {}), Wrong, torch)
    assert "dtype float64" in worker.judge(Call("neg", [x], {}), Wrong, torch)
    assert "internal error" in worker.judge(Call("sin", [x], {}), Wrong, torch)
    assert worker.judge(Call("abs", [x], {}), fl, torch) is None


def test_kept_memory_is_seen():
    kept = []

    class Leaking:
        Tensor, memory_statistics = fl.Tensor, staticmethod(fl.memory_statistics)
        from_numpy = staticmethod(fl.from_numpy)
        autograd = fl.autograd
        abs = staticmethod(lambda x: kept.append(x) or x)

    call = Call("abs", [Data(np.ones(1000, dtype="float32"), "same")], {})
    assert worker._kept(call, Leaking) >= 4 and worker._kept(call, fl) == 0
