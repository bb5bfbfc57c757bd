"""Lists of tensors as one vector and back: what programs that move many small tensors at once ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau

__all__: list[str] = []


def _flatten_dense_tensors(tensors: Sequence[Any]) -> Any:
    """The elements of all tensors, one after the other, in one vector."""
    if not tensors:
        raise ValueError("_flatten_dense_tensors: there are no tensors")
    return flambeau.cat([tensor.reshape(-1) for tensor in tensors])


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The parts of a vector in the shapes of `tensors`, as views of it."""
    parts, place = [], 0
    for tensor in tensors:
        count = tensor.numel()
        parts.append(flat.narrow(0, place, count).view_as(tensor))
        place += count
    return tuple(parts)
