"""The backends of attention that PyTorch lets a program choose from; here there is one, which serves for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(IntEnum):
    """The names of PyTorch's backends of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[dict[Any, Any]]:
    """A block in which attention may use the given backends only; accepted, and chooses nothing: there is one.

    Errors: TypeError for anything but a `SDPBackend` or a list of them.

    Example:
        >>> with fl.nn.attention.sdpa_kernel(fl.nn.attention.SDPBackend.MATH):
        ...     fl.nn.functional.scaled_dot_product_attention(*[fl.ones(1, 1)] * 3)
        tensor([[1.]])
    """
    found = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(found, (list, tuple)) or not all(isinstance(backend, SDPBackend) for backend in found):
        raise TypeError(f"sdpa_kernel: backends must be SDPBackend or a list of them, got {backends!r}")
    yield {}
