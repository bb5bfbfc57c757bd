"""no_grad, enable_grad, set_grad_enabled and inference_mode: whether operations are recorded."""

from __future__ import annotations

from typing import Any

from flambeau import _core

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

_set, _enabled = _core.set_grad_enabled, _core.is_grad_enabled
is_grad_enabled = _enabled


class _Mode:
    """A context manager that is a decorator as well (of functions and of generators)."""

    def _again(self) -> Any:
        return self.__class__()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exception: Any) -> None:
        raise NotImplementedError

    def __call__(self, function: Any) -> Any:
        from functools import wraps

        # A generator: the mode holds while it runs.
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x20:

            @wraps(function)
            def steps(*args: Any, **keywords: Any) -> Any:
                with self._again():
                    iterator = function(*args, **keywords)
                step, given = iterator.send, None
                while True:
                    try:
                        with self._again():
                            value = step(given)
                    except StopIteration as stop:
                        return stop.value
                    try:
                        given = yield value
                        step = iterator.send
                    except GeneratorExit:
                        with self._again():
                            iterator.close()
                        raise
                    except BaseException as error:
                        step, given = iterator.throw, error

            return steps

        @wraps(function)
        def wrapped(*args: Any, **keywords: Any) -> Any:
            with self._again():
                return function(*args, **keywords)

        return wrapped


class no_grad(_Mode):  # noqa: N801
    """Operations inside are not recorded; their results do not require grad.

    >>> x = fl.ones(2, requires_grad=True)
    >>> with fl.no_grad():
    ...     print((x * 2).requires_grad)
    False
    """

    def __new__(cls, function: Any = None) -> Any:
        made = object.__new__(cls)
        return made if function is None else made(function)

    def __init__(self, function: Any = None) -> None:
        self.previous = True

    def __enter__(self) -> None:
        self.previous = _set(False)

    def __exit__(self, *exception: Any) -> None:
        _set(self.previous)


class enable_grad(no_grad):  # noqa: N801
    """Operations inside are recorded, also within no_grad."""

    def __enter__(self) -> None:
        self.previous = _set(True)


class set_grad_enabled(_Mode):  # noqa: N801
    """Switch recording on or off: at once, and until the end of a `with` block."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.previous = _set(self.mode)

    def _again(self) -> Any:
        return set_grad_enabled(self.mode)

    def __call__(self, function: Any) -> Any:
        _set(self.previous)
        return super().__call__(function)

    def __enter__(self) -> None:
        _set(self.mode)

    def __exit__(self, *exception: Any) -> None:
        _set(self.previous)


class inference_mode(_Mode):  # noqa: N801
    """Like no_grad, and the results may never take part in a graph."""

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        if isinstance(mode, bool):
            return made
        made.mode = True
        return made(mode)

    def __init__(self, mode: Any = True) -> None:
        self.mode = bool(mode)
        self.previous = (True, False)

    def _again(self) -> Any:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.previous = (_set(not self.mode), _core.set_inference(self.mode))

    def __exit__(self, *exception: Any) -> None:
        _set(self.previous[0])
        _core.set_inference(self.previous[1])
