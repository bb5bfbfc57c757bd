"""Functions that rearrange, join and repeat."""

from __future__ import annotations

from typing import Any

from flambeau.array_api.common import array
from flambeau.array_api.data_types import result_type
from flambeau.ops import constructors, joining, shape


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """The tensors expanded to one shape, as views."""
    return list(shape.broadcast_tensors(*(array("broadcast_arrays", each) for each in arrays)))


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to."""
    return tuple(constructors.broadcast_shapes(*shapes))


def broadcast_to(x: Any, /, shape: tuple[int, ...]) -> Any:
    """x expanded to `shape`, as a view."""
    return array("broadcast_to", x).expand(shape)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    """The tensors one after the other along `axis`; flattened first with `axis=None`."""
    parts = [array("concat", each, "arrays") for each in arrays]
    if not parts:
        raise ValueError("concat(): needs at least one tensor")
    if axis is None:
        parts, axis = [each.reshape(-1) for each in parts], 0
    dtype = result_type(*parts)
    if any(each.ndim != parts[0].ndim for each in parts):
        raise ValueError(f"concat(): the tensors must have as many dimensions, got {[each.ndim for each in parts]}")
    return joining.cat([each.to(dtype) for each in parts], axis)


def expand_dims(x: Any, /, axis: int = 0) -> Any:
    """x with a new dimension of size 1 at `axis`, a view."""
    return array("expand_dims", x).unsqueeze(axis)


def flip(x: Any, /, *, axis: int | tuple[int, ...] | None = None) -> Any:
    """x with the order reversed along `axis`, along all dimensions with None."""
    every = tuple(range(array("flip", x).ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return shape.flip(x, every) if every else x.clone()


def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Any:
    """x with dimensions `source` moved to the places `destination`, a view."""
    return shape.movedim(array("moveaxis", x), source, destination)


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    """x with its dimensions in the order `axes`, a view."""
    return array("permute_dims", x).permute(tuple(axes))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Every element (or every part along `axis`) repeated `repeats` times, next to itself."""
    return shape.repeat_interleave(array("repeat", x), repeats, axis)


def reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """x in another shape: a view where that can be, unless `copy=True`; `copy=False` raises where it cannot."""
    if copy is False:
        try:
            return array("reshape", x).view(tuple(shape))
        except RuntimeError as error:
            raise ValueError(f"reshape(): copy=False was asked for, and a view cannot be had: {error}") from None
    result = array("reshape", x).reshape(tuple(shape))
    return result.clone() if copy and result.data_ptr() == x.data_ptr() else result


def roll(x: Any, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None) -> Any:
    """Elements moved `shift` places along `axis`, those beyond the end to the beginning; flat with `axis=None`."""
    array("roll", x)
    if axis is None:
        return shape.roll(x.reshape(-1), shift).reshape(x.shape)
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return shape.roll(x, shift, axis)


def squeeze(x: Any, /, axis: int | tuple[int, ...]) -> Any:
    """x without the dimensions `axis`; ValueError if one of them is not of size 1."""
    array("squeeze", x)
    every = axis if isinstance(axis, tuple) else (axis,)
    for each in every:
        if not -x.ndim <= each < x.ndim:
            raise IndexError(f"squeeze(): axis {each} is out of range for shape {tuple(x.shape)}")
        if x.shape[each] != 1:
            raise ValueError(
                f"squeeze(): dimension {each} has size {x.shape[each]}, not 1; the shape is {tuple(x.shape)}"
            )
    return x.squeeze(every) if every else x


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """Tensors of one shape along a new dimension `axis`."""
    parts = [array("stack", each, "arrays") for each in arrays]
    if not parts:
        raise ValueError("stack(): needs at least one tensor")
    dtype = result_type(*parts)
    return joining.stack([each.to(dtype) for each in parts], axis)


def tile(x: Any, repetitions: tuple[int, ...], /) -> Any:
    """x laid side by side `repetitions` times along each dimension."""
    return shape.tile(array("tile", x), tuple(repetitions))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The parts of x along `axis`, views."""
    if array("unstack", x).ndim == 0:
        raise ValueError("unstack(): a 0-dimensional tensor has no parts")
    return tuple(x.unbind(axis))
