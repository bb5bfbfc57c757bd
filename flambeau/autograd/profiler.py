"""`flambeau.autograd.profiler`: how long parts of a program take, and which functions of the core they call.

It measures time on the clock: blocks named by `record_function`, and every call of an operation or a function of the
core, operators such as `a + b` included. Views, operators in place (`a += b`) and the steps inside of a backward pass
or of a compiled plan have no entry of their own, and calls are slower while it measures.
"""

from __future__ import annotations

import threading
from time import perf_counter_ns
from typing import Any

from flambeau import _core

__all__ = ["EventList", "FunctionEvent", "profile", "record_function"]


class FunctionEvent:
    """One name: how often it was run, and for how long (`cpu_time_total` and `self_cpu_time_total`, microseconds)."""

    __slots__ = ("count", "cpu_time_total", "key", "self_cpu_time_total")

    def __init__(self, key: str) -> None:
        self.key, self.count, self.cpu_time_total, self.self_cpu_time_total = key, 0, 0.0, 0.0

    @property
    def name(self) -> str:
        """The name."""
        return self.key

    @property
    def cpu_time(self) -> float:
        """Microseconds of one run on average."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return f"<FunctionEvent {self.key} count={self.count} cpu_time_total={self.cpu_time_total:.1f}us>"


class EventList(list):
    """Events with a table."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **ignored: Any) -> str:
        """The events as text, sorted by one of their numbers ("cpu_time_total", "self_cpu_time_total", "count")."""
        events = list(self)
        if sort_by is not None:
            events.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        events = events[:row_limit] if row_limit >= 0 else events
        total = sum(event.self_cpu_time_total for event in self) or 1.0
        width = max([len(event.key) for event in events] + [4])
        heads = ("Self CPU %", "Self CPU", "CPU total", "CPU avg", "Calls")
        lines = [f"{'Name':<{width}}" + "".join(f"  {head:>12}" for head in heads)]
        lines.append("-" * len(lines[0]))
        for event in events:
            own, whole = event.self_cpu_time_total, event.cpu_time_total
            cells = (f"{own / total:.2%}", _text(own), _text(whole), _text(event.cpu_time), str(event.count))
            lines.append(f"{event.key:<{width}}" + "".join(f"  {cell:>12}" for cell in cells))
        return "\n".join([*lines, "", f"Self CPU time total: {_text(total)}"])

    def total_average(self) -> FunctionEvent:
        """All events as one."""
        whole = FunctionEvent("Total")
        for event in self:
            whole.count += event.count
            whole.cpu_time_total += event.self_cpu_time_total
            whole.self_cpu_time_total += event.self_cpu_time_total
        return whole


def _text(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    return f"{microseconds / 1e3:.3f}ms" if microseconds >= 1e3 else f"{microseconds:.3f}us"


_running: list[profile] = []


def _watched(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    name, called = (function, getattr(_core, function)) if isinstance(function, str) else (function.name, function)
    taken = list(_running)
    for found in taken:
        found._begin(name)
    try:
        return called(*args, **kwargs)
    finally:
        for found in taken:
            found._end()


class profile:  # noqa: N801
    """A block whose operations and `record_function` blocks are timed.

    >>> with fl.autograd.profiler.profile() as found:
    ...     with fl.autograd.profiler.record_function("product"):
    ...         _ = fl.mm(fl.ones(3, 3), fl.ones(3, 3))
    >>> [event.key for event in found.key_averages() if event.key == "product"]
    ['product']
    """

    def __init__(self, enabled: bool = True, **ignored: Any) -> None:
        self.enabled = enabled
        self._events: dict[str, FunctionEvent] = {}
        self._spans: list[tuple[str, int, int, int]] = []  # name, thread, begin and length in nanoseconds
        self._local = threading.local()
        self._lock = threading.Lock()

    def __enter__(self) -> profile:
        if self.enabled:
            _running.append(self)
            _core.set_watcher(_watched)
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.enabled and self in _running:
            _running.remove(self)
            if not _running:
                _core.set_watcher(None)

    start = __enter__

    def stop(self) -> None:
        """End the block."""
        self.__exit__()

    def step(self) -> None:
        """The next step of a schedule; all steps are measured."""

    def _begin(self, name: str) -> None:
        stack = self._local.__dict__.setdefault("stack", [])
        stack.append([name, perf_counter_ns(), 0])

    def _end(self) -> None:
        now = perf_counter_ns()
        stack = self._local.__dict__.get("stack")
        if not stack:
            return
        name, began, inside = stack.pop()
        spent = now - began
        if stack:
            stack[-1][2] += spent
        with self._lock:
            self._spans.append((name, threading.get_ident(), began, spent))
            event = self._events.setdefault(name, FunctionEvent(name))
            event.count += 1
            event.cpu_time_total += spent / 1e3
            event.self_cpu_time_total += (spent - inside) / 1e3

    def key_averages(self, *ignored: Any, **options: Any) -> EventList:
        """One event for each name, the most expensive first."""
        return EventList(sorted(self._events.values(), key=lambda event: -event.self_cpu_time_total))

    @property
    def function_events(self) -> EventList:
        """The same as `key_averages()`."""
        return self.key_averages()

    def table(self, *args: Any, **options: Any) -> str:
        """The events as text."""
        return self.key_averages().table(*args, **options)

    def total_average(self) -> FunctionEvent:
        """All events as one."""
        return self.key_averages().total_average()

    def export_chrome_trace(self, path: Any) -> None:
        """Write every call with its time to a JSON file, which chrome://tracing and Perfetto show."""
        import json
        import os

        process = os.getpid()
        common = {"ph": "X", "cat": "cpu_op", "pid": process}
        events = [
            {**common, "name": name, "tid": thread, "ts": begin / 1e3, "dur": spent / 1e3}
            for name, thread, begin, spent in self._spans
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class record_function:  # noqa: N801
    """A named block, or the decorator of a function, whose time a surrounding `profile` shows."""

    def __init__(self, name: str, args: Any = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self.taken = list(_running)
        for found in self.taken:
            found._begin(self.name)
        return self

    def __exit__(self, *exception: Any) -> None:
        for found in self.taken:
            found._end()

    def __call__(self, function: Any) -> Any:
        from functools import wraps

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return called
