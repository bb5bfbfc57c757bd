"""The profiler: which calls it counts, and that nothing of it stays behind."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.autograd import profiler


def test_operations_and_named_blocks_are_counted():
    x = fl.ones(4, 4)
    with profiler.profile() as found:
        for _ in range(3):
            with profiler.record_function("block"):
                y = fl.mm(x, x) + 1
        y.sin_()

        @profiler.record_function("decorated")
        def inner():
            return fl.relu(x) - x

        inner()
    events = {event.key: event for event in found.key_averages()}
    assert events["block"].count == 3 and events["matmul"].count == 3 and events["add"].count == 3
    assert events["sin_"].count == events["decorated"].count == events["sub"].count == 1
    assert events["block"].cpu_time_total >= events["matmul"].cpu_time_total + events["add"].cpu_time_total
    assert events["block"].self_cpu_time_total <= events["block"].cpu_time_total
    table = found.key_averages().table(sort_by="cpu_time_total", row_limit=2)
    longest = max(events.values(), key=lambda event: event.cpu_time_total)  # which it is depends on the machine's load
    assert f"\n{longest.key} " in table and table.count("\n") == 5


def test_results_do_not_change_and_nothing_stays():
    x = fl.randn(3, requires_grad=True)
    with fl.profiler.profile(activities=[fl.profiler.ProfilerActivity.CPU]) as found:
        y = (x * 2 - x / 3).sum()
        y.backward()
        with fl.autograd.profiler.profile(enabled=False) as off:
            x + 1
    assert fl.allclose(x.grad, fl.full((3,), 2 - 1 / 3)) and not off.key_averages()
    before = sum(event.count for event in found.key_averages())
    x * 2 + fl.sin(x)
    assert sum(event.count for event in found.key_averages()) == before
    with fl.profiler.profile() as again:
        fl.vmap(lambda a: a * 2)(fl.ones(3))
    assert again.key_averages()


def test_a_schedule_says_which_steps_are_measured(tmp_path):
    import gzip
    import json

    seen = []
    save = fl.profiler.tensorboard_trace_handler(str(tmp_path / "traces"), "worker", use_gzip=True)

    def ready(found):
        seen.append((found.step_num, {event.key: event.count for event in found.key_averages()}))
        save(found)

    steps = fl.profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    x = fl.ones(2)
    with fl.profiler.profile(schedule=steps, on_trace_ready=ready) as found:
        for number in range(12):
            x + number
            if number == 3:
                fl.exp(x)
            found.step()
    assert seen == [(4, {"add": 2, "exp": 1}), (8, {"add": 2})]
    first, second = sorted((tmp_path / "traces").iterdir())
    with gzip.open(first) as file:
        events = json.load(file)["traceEvents"]
    assert [event["name"] for event in events] == ["add", "exp", "add"] and second.name.startswith("worker.")
    assert all(event["ph"] == "X" and event["dur"] > 0 for event in events)
    assert events[0]["ts"] + events[0]["dur"] <= events[1]["ts"]


def test_a_block_without_schedule_is_measured_whole():
    seen = []
    with fl.profiler.profile(on_trace_ready=seen.append) as found:
        fl.ones(2) + 1
        found.step()
        fl.ones(2) + 1
    assert seen == [found] and {event.key: event.count for event in found.key_averages()}["add"] == 2
    action = fl.profiler.ProfilerAction
    first = fl.profiler.schedule(wait=2, warmup=0, active=1, skip_first_wait=1)
    assert [first(i) for i in range(4)] == [action.RECORD_AND_SAVE, action.NONE, action.NONE, action.RECORD_AND_SAVE]
    with pytest.raises(ValueError, match="active at least 1"):
        fl.profiler.schedule(wait=0, warmup=0, active=0)
