"""`flambeau.profiler`: where a program spends its time, measured by `flambeau.autograd.profiler`.

What does not live here: the measuring, and traces of hardware.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from flambeau.autograd.profiler import EventList, FunctionEvent, record_function
from flambeau.autograd.profiler import profile as _profile

__all__ = ["EventList", "FunctionEvent", "ProfilerActivity", "profile", "record_function"]


class ProfilerActivity(Enum):
    """What can be measured; there is only the CPU's time."""

    CPU = 0
    CUDA = 1


class profile(_profile):  # noqa: N801
    """A block that is timed, as `flambeau.autograd.profiler.profile`.

    Arguments: `activities`, `record_shapes` and the like are accepted; `on_trace_ready`, called with the profile at
    the end.

    >>> with fl.profiler.profile() as found:
    ...     _ = fl.ones(3) + 1
    >>> "add" in found.key_averages().table()
    True
    """

    def __init__(self, *, activities: Any = None, on_trace_ready: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.on_trace_ready = on_trace_ready

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)
