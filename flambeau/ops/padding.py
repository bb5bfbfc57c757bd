"""Padding: values around a tensor, constant or taken from it. Only moves elements; gradients are those of the moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import ShapeError
from flambeau.ops.arguments import check_tensor, in_float32, integers

__all__ = ["pad"]

METHODS: dict[str, Any] = {}


def _reflect(i: int, size: int) -> int:
    i = -i if i < 0 else i
    return 2 * (size - 1) - i if i >= size else i


_SOURCE = {
    "reflect": _reflect,
    "replicate": lambda i, size: min(max(i, 0), size - 1),
    "circular": lambda i, size: i % size,
}


@in_float32
def _wide(input: Any) -> Any:
    """`input`, which autocast leaves in float32 where the border is copied."""
    return input


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """`input` with values before and after its last dimensions.

    Arguments: `pad`, pairs (before, after) for the last dimension, the one before it, and so on; negative widths cut.
    `mode`, 'constant' (`value`, 0 by default), 'reflect' (mirrored without the border), 'replicate' (the border) or
    'circular' (the other end). Errors: ShapeError when a width does not fit the size.

    >>> fl.nn.functional.pad(fl.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    check_tensor("pad", input)
    widths = [int(w) for w in integers("pad", pad, "pad")]
    if len(widths) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2, but pad is {tuple(widths)}")
    if len(widths) // 2 > input.ndim:
        raise ShapeError(
            f"pad: Padding length should be less than or equal to two times the input dimension, but pad is "
            f"{tuple(widths)} and input is {tuple(input.shape)}"
        )
    if mode == "constant":
        return _constant(input, widths, 0.0 if value is None else value)
    if mode not in _SOURCE:
        raise NotImplementedError(
            f"pad: Unrecognised padding mode {mode!r}; use constant, reflect, replicate, circular"
        )
    if value is not None and value != 0:
        raise ValueError(f"pad: Padding mode {mode!r} doesn't take in value argument")
    dims = len(widths) // 2
    if input.ndim not in (dims + 1, dims + 2) or dims > 3:
        raise NotImplementedError(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dimensions of an input with one or two more, but pad is "
            f"{tuple(widths)} and input is {tuple(input.shape)}"
        )
    source = _SOURCE[mode]
    result = input if mode == "circular" else _wide(input)
    for i in range(dims):
        before, after = widths[2 * i], widths[2 * i + 1]
        if not (before or after):
            continue
        dim = input.ndim - 1 - i
        size = input.shape[dim]
        limit = {"reflect": size - 1, "circular": size}.get(mode)
        if size == 0 or (limit is not None and max(before, after) > limit):
            raise ShapeError(
                f"pad: Padding size should be less than {'or equal to ' * (mode == 'circular')}the corresponding "
                f"input dimension, but got: ({before}, {after}) at dimension {dim} of input {tuple(input.shape)}"
            )
        if before + size + after < 0:
            raise ShapeError(f"pad: the size of dimension {dim} would be negative: input is {tuple(input.shape)}")
        if mode == "circular" and min(before, after) < 0:  # what is cut does not come round again
            size = size + min(before, 0) + min(after, 0)
            result = result.narrow(dim, max(0, -before), size)
            before, after = max(before, 0), max(after, 0)
        places = [source(j, size) for j in range(-before, size + after)]
        result = result.index_select(dim, _core.from_list(places, dtypes.int64))
    return result.clone() if result is input else result


def _constant(input: Any, widths: list[int], value: float) -> Any:
    shape = list(input.shape)
    source, inside = input, []
    for i in range(len(widths) // 2):
        dim = input.ndim - 1 - i
        before, after = widths[2 * i], widths[2 * i + 1]
        shape[dim] += before + after
        if shape[dim] < 0:
            raise ShapeError(
                f"pad: The input size {input.shape[dim]}, plus negative padding {before} and {after}, resulted in a "
                f"negative output size, which is invalid: input is {tuple(input.shape)}"
            )
        cut = max(0, -before)
        length = max(0, input.shape[dim] - cut - max(0, -after))
        if length != input.shape[dim]:
            source = source.narrow(dim, min(cut, input.shape[dim]), length)
        inside.append((dim, max(0, before), length))
    if input.dtype is dtypes.bool:
        value = bool(value)
    elif input.dtype.category < 2:
        value = int(value)
    result = _core.full(tuple(shape), value, input.dtype)
    target = result
    for dim, start, length in inside:
        target = target.narrow(dim, start, length)
    target.copy_(source)
    return result
