"""The profiler: which calls it counts, and that nothing of it stays behind."""

from __future__ import annotations

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
    assert "block" in table and table.count("\n") == 5


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
