"""Checks that programs write into their own functions: `flambeau._check(cond, lambda: message)` and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.ops.arguments import Tensor

__all__ = [
    "_assert", "_check", "_check_index", "_check_is_size", "_check_not_implemented", "_check_tensor_all", "_check_type",
    "_check_value",
]  # fmt: skip


def _assert(condition: Any, message: Any) -> None:
    """AssertionError with the message unless the condition, which may be a tensor of one element, holds."""
    if not condition:
        raise AssertionError(message)


def _raise_unless(error: type[Exception], cond: Any, message: Callable[[], Any] | None) -> None:
    if isinstance(cond, Tensor):
        raise TypeError("cond must be a bool, but got a Tensor; use flambeau._check_tensor_all(cond)")
    if not isinstance(cond, bool):
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if cond:
        return
    if message is None:
        raise error("Expected cond to be True, but got False; pass message=lambda: ... to say what was expected")
    if not callable(message):
        raise TypeError("message must be a callable: write lambda: the message")
    raise error(str(message()))


def _check(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """RuntimeError with the text of `message()` unless `cond`, a bool, is True."""
    _raise_unless(RuntimeError, cond, message)


def _check_index(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """IndexError unless `cond` is True."""
    _raise_unless(IndexError, cond, message)


def _check_value(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """ValueError unless `cond` is True."""
    _raise_unless(ValueError, cond, message)


def _check_type(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """TypeError unless `cond` is True."""
    _raise_unless(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """NotImplementedError unless `cond` is True."""
    _raise_unless(NotImplementedError, cond, message)


def _check_is_size(i: Any, message: Callable[[], Any] | None = None, *, max: int | None = None) -> None:
    """RuntimeError unless i is a size: at least 0 and at most `max`."""
    _raise_unless(RuntimeError, bool(i >= 0 and (max is None or i <= max)), message)


def _check_tensor_all(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """RuntimeError unless every element of the bool tensor `cond` is True."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if cond.dtype.name != "bool":
        raise TypeError(f"cond tensor must have dtype flambeau.bool, but got {cond.dtype}; compare it with something")
    _raise_unless(RuntimeError, bool(cond.all()), message)
