"""`flambeau.profiler`: where a program spends its time, measured by `flambeau.autograd.profiler`.

What does not live here: the measuring, and traces of hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from flambeau.autograd.profiler import EventList, FunctionEvent, record_function
from flambeau.autograd.profiler import profile as _profile

__all__ = [
    "EventList", "FunctionEvent", "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
    "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(Enum):
    """What can be measured; there is only the CPU's time."""

    CPU = 0
    CUDA = 1


class ProfilerAction(Enum):
    """What a profile does during a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are measured: after `skip_first`, cycles of `wait` and `warmup` steps that are not, then `active`.

    Arguments: `repeat`, the number of cycles, 0 for as many as there are; `skip_first_wait`, not 0: the first cycle
    has no `wait`. Errors: ValueError.

    >>> steps = fl.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [steps(number).name for number in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError(
            f"schedule: wait, warmup, repeat and skip_first must be at least 0 and active at least 1, got {wait}, "
            f"{warmup}, {repeat}, {skip_first} and {active}"
        )

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if repeat and step >= repeat * length:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable:
    """A function for `on_trace_ready` that writes each trace to a file of its own in a folder.

    Arguments: `worker_name`, the beginning of the file's name, by default the machine's and the process's;
    `use_gzip`, the file is compressed.
    """
    import os
    import socket
    import time

    def handler(found: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        path = os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json")
        found.export_chrome_trace(path)
        if use_gzip:
            import gzip

            with open(path, "rb") as plain, gzip.open(path + ".gz", "wb") as packed:
                packed.write(plain.read())
            os.remove(path)

    return handler


class profile(_profile):  # noqa: N801
    """A block that is timed, as `flambeau.autograd.profiler.profile`.

    Arguments: `schedule`, a function from the number of a step (`step()` begins the next) to what is done in it;
    `on_trace_ready`, called with the profile when a part of the schedule, or the block, ends; `activities`,
    `record_shapes` and the like are accepted.

    >>> with fl.profiler.profile() as found:
    ...     _ = fl.ones(3) + 1
    >>> "add" in found.key_averages().table()
    True
    """

    def __init__(
        self, *, activities: Any = None, schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.on_trace_ready, self._schedule = on_trace_ready, schedule
        self.step_num = 0
        self._action = ProfilerAction.NONE

    def __enter__(self) -> profile:
        self._turn(ProfilerAction.RECORD if self._schedule is None else self._schedule(0))
        return self

    start = __enter__

    def __exit__(self, *exception: Any) -> None:
        recorded = self._action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        self._turn(ProfilerAction.NONE)
        if recorded and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step of the schedule begins."""
        if self._schedule is None:
            return
        if self._action is ProfilerAction.RECORD_AND_SAVE:
            self._turn(ProfilerAction.NONE)
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self.step_num += 1
        self._turn(self._schedule(self.step_num))

    def _turn(self, action: ProfilerAction) -> None:
        """Begin or end measuring; a new part of the schedule begins with nothing measured."""
        wanted = action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        measuring = self._action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        self._action = action
        if wanted and not measuring:
            self._events, self._spans = {}, []
            super().__enter__()
        elif measuring and not wanted:
            super().__exit__()
