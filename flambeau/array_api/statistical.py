"""Reductions and running values."""

from __future__ import annotations

from typing import Any

from flambeau.array_api.common import array, axes, wide
from flambeau.ops import create, reduction
from flambeau.ops import sort as sorting


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum along `axis`; integers are added in the widest dtype of their kind unless `dtype` says otherwise."""
    dtype = dtype or wide(array("sum", x).dtype)
    if axis == ():
        return x.to(dtype)
    return reduction.sum(x, axes(x, axis), keepdims, dtype=dtype)


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product along `axis`; integers are multiplied in the widest dtype of their kind unless `dtype` is given."""
    dtype = dtype or wide(array("prod", x).dtype)
    if axis == ():
        return x.to(dtype)
    return _each("prod", lambda part, dim: reduction.prod(part, dim, True).to(dtype), x.to(dtype), axis, keepdims)


def _each(name: str, reduce: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """A reduction of one dimension, applied to each of `axis`."""
    every = tuple(range(x.ndim)) if axis is None else axes(x, axis)
    places = []
    for dim in every or ():
        if not -x.ndim <= dim < x.ndim:
            raise IndexError(f"{name}(): axis {dim} is out of range for shape {tuple(x.shape)}")
        places.append(dim % x.ndim)
    if len(set(places)) != len(places):
        raise ValueError(f"{name}(): axis {axis} names a dimension twice")
    result = x
    for dim in places:
        result = reduce(result, dim)
    return result if keepdims else result.squeeze(tuple(places))


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along `axis`."""
    return array("mean", x).clone() if axis == () else reduction.mean(array("mean", x), axes(x, axis), keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance along `axis`: squared distances from the mean over n - `correction`."""
    array("var", x)
    if axis == ():
        return (x - x) / (1.0 - correction)
    return reduction.var(x, axes(x, axis), correction=correction, keepdim=keepdims)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation along `axis`: the square root of `var`."""
    array("std", x)
    if axis == ():
        return var(x, axis=(), correction=correction).sqrt()
    return reduction.std(x, axes(x, axis), correction=correction, keepdim=keepdims)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element along `axis`; NaN where there is one. RuntimeError for no elements."""
    array("max", x)
    return x.clone() if axis == () or x.ndim == 0 else reduction.amax(x, _every(x, axis), keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element along `axis`; NaN where there is one. RuntimeError for no elements."""
    array("min", x)
    return x.clone() if axis == () or x.ndim == 0 else reduction.amin(x, _every(x, axis), keepdims)


def _every(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether no element along `axis` is zero; true for none."""
    array("all", x)
    return x != 0 if axis == () else reduction.all(x != 0, _every(x, axis), keepdims) if x.ndim else (x != 0)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element along `axis` is not zero; false for none."""
    array("any", x)
    return x != 0 if axis == () else reduction.any(x != 0, _every(x, axis), keepdims) if x.ndim else (x != 0)


def _running(name: str, operation: Any, start: int, x: Any, axis: Any, dtype: Any, include_initial: bool) -> Any:
    if axis is None:
        if array(name, x).ndim != 1:
            raise ValueError(f"{name}(): axis is needed for a tensor of shape {tuple(x.shape)}")
        axis = 0
    dtype = dtype or wide(x.dtype)
    result = operation(x, axis, dtype=dtype)
    if not include_initial:
        return result
    from flambeau.ops.joining import cat

    sizes = list(x.shape)
    sizes[axis] = 1
    return cat([create.full(tuple(sizes), start, dtype=dtype), result], axis)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running sums along `axis`, with a 0 before them if `include_initial`."""
    return _running("cumulative_sum", sorting.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running products along `axis`, with a 1 before them if `include_initial`."""
    return _running("cumulative_prod", sorting.cumprod, 1, x, axis, dtype, include_initial)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `axis`, taken `n` times."""
    return sorting.diff(array("diff", x), n, axis, prepend, append)
