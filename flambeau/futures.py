"""`flambeau.futures`: results that are there later, and lists of them. Who computes them is the program's affair."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Future", "collect_all", "wait_all"]


class Future:
    """A value, or an error, that another thread will set; `devices` is accepted.

    >>> later = fl.futures.Future()
    >>> doubled = later.then(lambda found: found.value() * 2)
    >>> later.set_result(3)
    >>> doubled.wait()
    6
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def done(self) -> bool:
        """Whether there is a value or an error."""
        return self._ready.is_set()

    def wait(self) -> Any:
        """The value, once it is there; raises the error instead where one was set."""
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def value(self) -> Any:
        """The value, which must be there; RuntimeError before."""
        if not self.done():
            raise RuntimeError("Future.value: there is no value yet; call wait()")
        return self.wait()

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self._ready.is_set():
                raise RuntimeError("Future.set_result: Future can be marked completed only once; make another one")
            self._value, self._error = value, error
            self._ready.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def set_result(self, result: Any) -> None:
        """Set the value: `wait` returns, and callbacks run here. RuntimeError the second time."""
        self._finish(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set an error, which `wait` raises."""
        if not isinstance(result, BaseException):
            raise TypeError(f"Future.set_exception: {result!r} is of type {type(result).__name__}, not an Exception")
        self._finish(None, result)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call callback(self) when the value is there, or now."""
        with self._lock:
            if not self._ready.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """A future of what callback(self) returns when the value is there."""
        result = Future()

        def run(found: Future) -> None:
            try:
                value = callback(found)
            except Exception as error:
                result.set_exception(error)
            else:
                result.set_result(value)

        self.add_done_callback(run)
        return result


def collect_all(futures: list[Future]) -> Future:
    """A future of the list itself, done when all of its futures are.

    >>> first, second = fl.futures.Future(), fl.futures.Future()
    >>> both = fl.futures.collect_all([first, second])
    >>> first.set_result(1); second.set_result(2)
    >>> [each.value() for each in both.wait()]
    [1, 2]
    """
    result, lock, left = Future(), threading.Lock(), len(futures)

    def one(_: Future) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            result.set_result(futures)

    if not futures:
        result.set_result(futures)
    for each in futures:
        each.add_done_callback(one)
    return result


def wait_all(futures: list[Future]) -> list[Any]:
    """The values of all futures, once they are there; raises the first error.

    >>> later = fl.futures.Future()
    >>> later.set_result("x")
    >>> fl.futures.wait_all([later])
    ['x']
    """
    return [each.value() for each in collect_all(futures).wait()]
