"""The standard module `multiprocessing`, whose queues and pipes take tensors, and `spawn` for several workers.

Tensors go to other processes by value: what one process writes, another does not see.
"""

from __future__ import annotations

import multiprocessing as _standard
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from typing import Any

__all__ = [  # noqa: PLE0604
    *_standard.__all__, "ProcessContext", "ProcessRaisedException", "get_all_sharing_strategies",
    "get_sharing_strategy", "set_sharing_strategy", "spawn", "start_processes",
]  # fmt: skip


class ProcessRaisedException(Exception):  # noqa: N818
    """An error in a worker that `spawn` started, with its text."""

    def __init__(self, msg: str, error_index: int = 0, error_pid: int = 0) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, error_pid


class ProcessContext:
    """The workers of a `spawn`."""

    def __init__(self, processes: list, errors: list) -> None:
        self.processes, self._errors = processes, errors

    def pids(self) -> list:
        """The numbers of the processes."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for workers to end; True when all have. One that fails ends the others and raises its error here."""
        from multiprocessing.connection import wait

        running = {process.sentinel: i for i, process in enumerate(self.processes) if process.exitcode is None}
        done = wait(list(running), timeout) if running else []
        failed = None
        for i, process in enumerate(self.processes):
            if process.exitcode is not None or process.sentinel in done:
                process.join()
                if process.exitcode and failed is None:
                    failed = i
        if failed is None:
            return all(process.exitcode == 0 for process in self.processes)
        for process in self.processes:
            if process.exitcode is None:
                process.terminate()
        for process in self.processes:
            process.join()
        process = self.processes[failed]
        text = self._errors[failed].recv() if self._errors[failed].poll() else f"exit code {process.exitcode}"
        raise ProcessRaisedException(f"\n\n-- Process {failed} terminated with the following error:\n{text}", failed)


def _run(function: Callable, number: int, args: tuple, errors: Any) -> None:
    try:
        function(number, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        import sys
        import traceback

        errors.send(traceback.format_exc())
        sys.exit(1)


def start_processes(
    fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> Any:  # fmt: skip
    """fn(i, *args) in `nprocs` processes; waits for them (None), or with join=False returns their ProcessContext."""
    context: Any = _standard.get_context(start_method)
    processes, errors = [], []
    for number in range(nprocs):
        reader, writer = context.Pipe(False)
        process = context.Process(target=_run, args=(fn, number, args, writer), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(reader)
    workers = ProcessContext(processes, errors)
    if not join:
        return workers
    while not workers.join():
        pass
    return None


def spawn(
    fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> Any:  # fmt: skip
    """fn(i, *args) in `nprocs` fresh processes, i counted from 0.

    Arguments: `join`, wait for them; without it a ProcessContext is returned, whose `join` does. Errors:
    ProcessRaisedException with the text of the first error in a worker; the others are ended then.
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def get_all_sharing_strategies() -> set[str]:
    """How tensors reach other processes: by value."""
    return {"file_system"}


def get_sharing_strategy() -> str:
    """How tensors reach other processes; a name, they go by value."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted: tensors always go by value."""
    if new_strategy not in ("file_system", "file_descriptor"):
        raise AssertionError(f"unknown sharing strategy {new_strategy!r}")


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
