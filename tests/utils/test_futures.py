"""Futures: values, errors, callbacks in order, and lists of futures, across threads."""

from __future__ import annotations

import threading

import pytest

import flambeau as fl
from flambeau.futures import Future, collect_all, wait_all


def test_a_value_arrives_from_another_thread():
    later, seen = Future(), []
    later.add_done_callback(lambda found: seen.append(found.value()))
    doubled = later.then(lambda found: found.value() * 2)
    with pytest.raises(RuntimeError, match="no value yet"):
        later.value()
    assert not later.done() and not doubled.done()
    worker = threading.Timer(0.01, later.set_result, (21,))
    worker.start()
    assert doubled.wait() == 42 and later.wait() == 21 and seen == [21]
    worker.join()
    later.add_done_callback(lambda found: seen.append("now"))
    assert seen == [21, "now"] and fl.Future is Future
    with pytest.raises(RuntimeError, match="only once"):
        later.set_result(1)


def test_errors_travel():
    later = Future()
    after = later.then(lambda found: found.value())
    later.set_exception(KeyError("x"))
    for each in (later, after):
        with pytest.raises(KeyError):
            each.wait()
    with pytest.raises(TypeError, match="not an Exception"):
        Future().set_exception("x")  # type: ignore[arg-type]


def test_lists():
    parts = [Future() for _ in range(3)]
    both = collect_all(parts)
    for i in (2, 0):
        parts[i].set_result(i)
    assert not both.done()
    parts[1].set_result(1)
    assert [each.value() for each in both.wait()] == [0, 1, 2] == wait_all(parts)
    assert collect_all([]).wait() == [] and wait_all([]) == []
    failed = Future()
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        wait_all([parts[0], failed])
