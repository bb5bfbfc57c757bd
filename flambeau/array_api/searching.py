"""Searching, sorting, sets and indexing."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import dtypes
from flambeau.array_api.common import Tensor, array, axes, joint_dtype, number, promoted
from flambeau.ops import elementwise as e
from flambeau.ops import index, masks, reduction, search
from flambeau.ops import sort as sorting


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the largest element along `axis`, the first of equals; in the flattened tensor with None."""
    return reduction.argmax(array("argmax", x), axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the smallest element along `axis`, the first of equals; in the flattened tensor with None."""
    return reduction.argmin(array("argmin", x), axis, keepdims)


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The places of elements that are not zero: one tensor of positions for each dimension, in row-major order."""
    if array("nonzero", x).ndim == 0:
        raise ValueError("nonzero(): needs at least one dimension, got a 0-dimensional tensor")
    return tuple(masks.nonzero(x, as_tuple=True))


def count_nonzero(x: Any, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """How many elements along `axis` are not zero."""
    array("count_nonzero", x)
    if axis == ():
        return (x != 0).to(dtypes.int64)
    return reduction.sum(x != 0, axes(x, axis), keepdims)


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where elements of x2 would be put into the sorted vector x1: before equals with "left", after with "right"."""
    if array("searchsorted", x1, "x1").ndim != 1:
        raise ValueError(f"searchsorted(): x1 must have one dimension, its shape is {tuple(x1.shape)}")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted(): side must be 'left' or 'right', got {side!r}")
    values = x2 if isinstance(x2, Tensor) else number("searchsorted", x2, x1.dtype)
    ordered = x1 if sorter is None else index.take(x1, sorter)
    dtype = joint_dtype(ordered.dtype, values.dtype)
    return search.searchsorted(ordered.to(dtype), values.to(dtype), right=side == "right")


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where `condition` holds, else x2; the three broadcast."""
    if array("where", condition, "condition").dtype is not dtypes.bool:
        raise TypeError(f"where(): condition must be bool, got {condition.dtype!r}")
    return e.where(condition, *promoted("where", x1, x2))


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along `axis`, NaN last in ascending order."""
    return sorting.sort(array("sort", x), dim=axis, descending=descending, stable=stable)[0]


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The places that would put elements in order along `axis`; equal ones keep their order."""
    return sorting.sort(array("argsort", x), dim=axis, descending=descending, stable=stable)[1]


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def unique_all(x: Any, /) -> UniqueAllResult:
    """Distinct values in order, where each first is, where each element is among them, how often; NaN are distinct."""
    flat = array("unique_all", x).reshape(-1)
    order = sorting.sort(flat, dim=0, stable=True)[1]
    ordered = flat[order]
    if flat.shape[0] == 0:
        return UniqueAllResult(ordered, order, order.reshape(x.shape), order)
    from flambeau.array_api.statistical import cumulative_sum
    from flambeau.ops.create import zeros
    from flambeau.ops.from_data import tensor
    from flambeau.ops.joining import cat

    first = cat([tensor([True]), ordered[1:] != ordered[:-1]])
    places = masks.nonzero(first)[:, 0]
    inverse = zeros(flat.shape[0], dtype=dtypes.int64)
    inverse[order] = cumulative_sum(first.to(dtypes.int64)) - 1
    ends = cat([places[1:], tensor([flat.shape[0]])])
    return UniqueAllResult(ordered[places], order[places], inverse.reshape(x.shape), ends - places)


def unique_counts(x: Any, /) -> UniqueCountsResult:
    """Distinct values in order and how often each occurs."""
    found = unique_all(array("unique_counts", x))
    return UniqueCountsResult(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverseResult:
    """Distinct values in order and, in the shape of x, where each element is among them."""
    found = unique_all(array("unique_inverse", x))
    return UniqueInverseResult(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Any:
    """Distinct values in order."""
    return unique_all(array("unique_values", x)).values


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Any:
    """Whether each element of x1 is among those of x2 (is not, with `invert`)."""
    return search.isin(*promoted("isin", x1, x2), invert=invert)


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """The parts of x along `axis` at `indices`; `axis` may be left out for a vector. Negative positions count back."""
    if axis is None:
        if array("take", x).ndim != 1:
            raise ValueError(f"take(): axis is needed for a tensor of shape {tuple(x.shape)}")
        axis = 0
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"take(): axis {axis} is out of range for shape {tuple(x.shape)}")
    places = array("take", indices, "indices")
    size = x.shape[axis]
    places = e.where(places < 0, places + size, places) if places.dtype.is_signed else places
    if places.ndim == 1:
        return index.index_select(x, axis, places.to(dtypes.int64))
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = places
    return x[tuple(key)]


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """Elements of x at the places `indices` along `axis`, matching and broadcasting the other dimensions."""
    size = array("take_along_axis", x).shape[axis]
    places = array("take_along_axis", indices, "indices").to(dtypes.int64)
    return index.take_along_dim(x, e.where(places < 0, places + size, places), axis)
