"""`pad`: more elements before and after along the last dimensions, constant or taken from the tensor itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.errors import ShapeError
from flambeau.ops.arguments import check_tensor, integers

__all__ = ["pad"]

_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """The tensor with elements added (or, for negative numbers, cut off) at both ends of its last dimensions.

    Arguments: `pad`, pairs (before, after) from the last dimension backwards: (left, right, top, bottom, ...); `mode`,
    "constant" fills with `value` (0), "reflect" mirrors without repeating the edge, "replicate" repeats the edge,
    "circular" continues at the other end. Errors: ShapeError for an odd number of sizes, more pairs than dimensions,
    a negative result, or more elements than the mode can take from the tensor; NotImplementedError for another mode.

    >>> fl.nn.functional.pad(fl.tensor([1, 2, 3]), (1, 2))
    tensor([0, 1, 2, 3, 0, 0])
    """
    check_tensor("pad", input)
    pad = integers("pad", pad, "pad")
    sizes = [int(size) for size in pad]
    if mode not in _MODES:
        raise NotImplementedError(f"pad: unknown mode {mode!r}; choose one of {', '.join(_MODES)}")
    if len(sizes) % 2:
        raise ShapeError(
            f"pad: Padding length must be divisible by 2, got {len(sizes)} sizes; give (before, after) pairs"
        )
    if len(sizes) // 2 > input.ndim:
        raise ShapeError(
            f"pad: Padding length should be less than or equal to two times the input dimension: {len(sizes)} sizes "
            f"for input of shape {tuple(input.shape)}"
        )
    pairs = [(input.ndim - 1 - i, sizes[2 * i], sizes[2 * i + 1]) for i in range(len(sizes) // 2)]
    for dim, before, after in pairs:
        if input.shape[dim] + min(before, 0) + min(after, 0) < 0 or input.shape[dim] + before + after < 0:
            raise ShapeError(
                f"pad: ({before}, {after}) cuts more than dimension {dim} of input {tuple(input.shape)} has"
            )
    if mode != "constant":
        if value not in (None, 0):
            raise ValueError(f"pad: Padding mode {mode!r} doesn't take in value argument, got {value}; leave it out")
        for dim, before, after in pairs:
            input = _continued(input, dim, before, after, mode)
        return input
    shape, inside, kept = list(input.shape), [slice(None)] * input.ndim, [slice(None)] * input.ndim
    for dim, before, after in pairs:
        size = shape[dim]
        shape[dim] = size + before + after
        inside[dim] = slice(max(before, 0), shape[dim] - max(after, 0))
        kept[dim] = slice(max(-before, 0), size - max(-after, 0))
    result = input.new_full(shape, 0 if value is None else value)
    result[tuple(inside)] = input[tuple(kept)]
    return result


def _continued(input: Any, dim: int, before: int, after: int, mode: str) -> Any:
    """One dimension padded with elements of the tensor: which ones is a vector of indices."""
    if before == 0 and after == 0:
        return input
    size = input.shape[dim]
    most = {"reflect": size - 1, "circular": size}.get(mode)
    if size == 0 or (most is not None and max(before, after) > most):
        raise ShapeError(
            f"pad: Padding size should be less than the corresponding input dimension for mode {mode!r}: ({before}, "
            f"{after}) at dimension {dim} of input {tuple(input.shape)}; at most {max(most or 0, 0)} fits"
        )
    if mode == "circular":  # what is cut off is gone before the rest is continued
        input = input.narrow(dim, max(-before, 0), size + min(before, 0) + min(after, 0))
        before, after, size = max(before, 0), max(after, 0), input.shape[dim]
    index = flambeau.arange(-before, size + after)
    if mode == "replicate":
        index = index.clamp(0, size - 1)
    elif mode == "circular":
        index = index % size
    else:
        index = index.abs()
        index = (size - 1) - (size - 1 - index).abs()
    return input.index_select(dim, index)
