"""What programs ask of the compiler by PyTorch's names: whether it is recording, and to forget or to leave out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from flambeau import recording

__all__ = [
    "allow_in_graph", "assume_constant_result", "cudagraph_mark_step_begin", "disable", "is_compiling",
    "is_dynamo_compiling", "is_exporting", "reset", "set_stance",
]  # fmt: skip


def is_compiling() -> bool:
    """Whether a function is being recorded by `flambeau.compile`.

    >>> fl.compiler.is_compiling()
    False
    """
    return recording.active is not None


is_dynamo_compiling = is_compiling


def is_exporting() -> bool:
    """False: nothing is exported."""
    return False


def disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """The function itself: inside a compiled function its operations are recorded like all others."""
    return fn if fn is not None else lambda function: function


def allow_in_graph(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def assume_constant_result(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def reset() -> None:
    """Accepted: plans belong to the compiled functions and go with them."""


def cudagraph_mark_step_begin() -> None:
    """Accepted: there are no graphs whose memory is used again."""


@contextmanager
def set_stance(stance: Any = "default", **options: Any) -> Any:
    """A block that changes nothing."""
    yield
