"""Lookups and counts by value: searchsorted, bucketize, bincount, histograms, unique, isin, a hash of the elements.

None of them has a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops.arguments import (
    Tensor,
    check_floating,
    check_ordered,
    check_tensor,
    deliver,
    integer,
    named_result,
    not_tensor,
    shape_error,
    to_numpy,
    to_tensor,
    wrap_dim,
    wrap_dims,
)

__all__ = [
    "bincount", "bucketize", "hash_tensor", "histc", "histogram", "histogramdd", "isin", "searchsorted",
    "unique", "unique_consecutive",
]  # fmt: skip


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Any = None, out: Any = None,
) -> Any:  # fmt: skip
    """Where each value of `input` would be inserted into the last dimension of `sorted_sequence` to keep it sorted.

    The sequence is 1-D, or has the leading shape of `input`. `right=True` goes behind equal values.

    >>> fl.searchsorted(fl.tensor([1, 3, 5]), fl.tensor([3, 6]))
    tensor([1, 3])
    """
    import numpy

    check_ordered("searchsorted", check_tensor("searchsorted", sorted_sequence, "sorted_sequence"))
    if sorter is not None:
        check_tensor("searchsorted", sorter, "sorter")
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f"searchsorted: side can only be 'left' or 'right' but got {side!r}")
        if side == "left" and right:
            raise RuntimeError("searchsorted: side and right can't be set to opposites: side='left', right=True")
        right = side == "right"
    if not isinstance(input, Tensor):
        input = _core.full((), input, sorted_sequence.dtype)
    check_ordered("searchsorted", input)
    if sorted_sequence.dtype is not input.dtype and sorted_sequence.dtype.category != input.dtype.category:
        joint = dtypes.promote_types(sorted_sequence.dtype, input.dtype)
        sorted_sequence, input = sorted_sequence.to(joint), input.to(joint)
    if sorter is not None and sorter.shape != sorted_sequence.shape:
        raise shape_error("searchsorted", "sorter must have the shape of the sequence", sorter=sorter)
    if sorted_sequence.ndim != 1 and sorted_sequence.shape[:-1] != input.shape[:-1]:
        raise shape_error(
            "searchsorted", "the sequence must be 1-D or have the leading shape of input",
            sorted_sequence=sorted_sequence, input=input,
        )  # fmt: skip
    where: Literal["left", "right"] = "right" if right else "left"

    def find(*tensors: Any) -> Any:
        sequence, values = to_numpy(tensors[0]), to_numpy(tensors[1])
        if len(tensors) > 2:
            sequence = numpy.take_along_axis(sequence, to_numpy(tensors[2]), -1)
        if sequence.ndim == 1:
            found = numpy.searchsorted(sequence, values, where)
        else:
            found = numpy.empty(values.shape, "int64")
            for place in numpy.ndindex(*values.shape[:-1]):
                found[place] = numpy.searchsorted(sequence[place], values[place], where)
        return to_tensor(numpy.asarray(found, "int32" if out_int32 else "int64"))

    operands = (sorted_sequence, input) if sorter is None else (sorted_sequence, input, sorter)
    return deliver(recording.host("searchsorted", find, *operands), out)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None) -> Any:
    """The number of the bucket of each value, given the sorted 1-D `boundaries`."""
    check_tensor("bucketize", boundaries, "boundaries")
    if boundaries.ndim != 1:
        raise shape_error("bucketize", "boundaries tensor must be 1 dimension", boundaries=boundaries)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


@recording.by_example
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs in a vector, or the sum of the weights of its occurrences.

    >>> fl.bincount(fl.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    import numpy

    check_tensor("bincount", input)
    minlength = integer("bincount", minlength, "minlength")
    if weights is not None:
        check_tensor("bincount", weights, "weights")
    if input.dtype.category != 1:
        raise DTypeError(f"bincount: input must have an integer dtype, got {input.dtype}")
    if input.ndim != 1:
        raise shape_error("bincount", "only supports 1-d non-negative integral inputs", input=input)
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    _core.refuse_reading("bincount")  # the largest value decides how many there are
    values = to_numpy(input)
    if values.size and values.min() < 0:
        raise RuntimeError(f"bincount: only supports 1-d non-negative integral inputs, got {values.min()}")
    if weights is None:
        return to_tensor(numpy.bincount(values, minlength=minlength).astype("int64"))
    if weights.shape != input.shape:
        raise shape_error("bincount", "weights should have the shape of input", input=input, weights=weights)
    counts = numpy.bincount(values, to_numpy(weights), minlength)
    return to_tensor(counts, dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64)


def histc(input: Any, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Any = None) -> Any:
    """How many elements fall into each of `bins` equal ranges from `min` to `max` (both 0: those of the data)."""
    check_ordered("histc", check_tensor("histc", input))
    bins = integer("histc", bins, "bins")
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, but got {bins}")
    return deliver(recording.host("histc", lambda input: _histc(input, bins, float(min), float(max)), input), out)


def _histc(input: Any, bins: int, low: float, high: float) -> Any:
    import numpy

    values = to_numpy(input).reshape(-1)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (numpy.isfinite(low) and numpy.isfinite(high)):
        raise RuntimeError(f"histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"histc: max must be larger than min, got min {low} and max {high}")
    inside = values[(values >= low) & (values <= high)].astype("float64")
    place = numpy.minimum(((inside - low) / (high - low) * bins).astype("int64"), bins - 1)
    return to_tensor(numpy.bincount(place, minlength=bins), input.dtype)


_Histogram = named_result("histogram", "hist", "bin_edges")


@recording.by_example
def histogram(
    input: Any, bins: Any, *, range: Sequence[float] | None = None, weight: Any = None, density: bool = False
) -> Any:
    """Counts (or weights, or densities) of the elements in ranges, and the edges of the ranges: (hist, bin_edges)."""
    import numpy

    check_ordered("histogram", check_tensor("histogram", input))
    if weight is not None:
        check_tensor("histogram", weight, "weight")
    _core.refuse_reading("histogram")
    edges = to_numpy(bins) if isinstance(bins, Tensor) else bins
    heights = None if weight is None else to_numpy(weight).reshape(-1)
    values = to_numpy(input).reshape(-1)
    if range is None and not isinstance(bins, Tensor) and values.size:
        range = (float(values.min()), float(values.max()))
        if range[0] == range[1]:
            range = (range[0] - 0.5, range[1] + 0.5)
    limits: Any = None if range is None else tuple(range)
    count: Any = numpy.histogram  # its overloads know a literal density only
    counts, edges = count(values, edges, limits, density, heights)
    return _Histogram(to_tensor(counts, input.dtype), to_tensor(numpy.asarray(edges), input.dtype))


_HistogramDD = named_result("histogramdd", "hist", "bin_edges")


def histogramdd(
    input: Any, bins: Any, *, range: Sequence[float] | None = None, weight: Any = None, density: bool = False
) -> Any:
    """Counts (or weights, or densities) of points in the cells of a grid, and the edges of the cells.

    Arguments: `input` (..., D), floating, points of D coordinates; `bins`, how many equal bins, one number or one for
    each coordinate, or a list of D increasing vectors of edges; `range`, the smallest and largest edge of each
    coordinate, 2 D numbers (by default those of the points); `weight` (...), one for each point; `density`, divide by
    the total and by each cell's volume. Returns hist with D dimensions and a tuple of D vectors of edges. Errors:
    DTypeError, ShapeError, RuntimeError.

    >>> fl.histogramdd(fl.tensor([[0.0, 0.0], [1.0, 1.0]]), (2, 2)).hist
    tensor([[1., 0.],
            [0., 1.]])
    """
    import numpy

    check_floating("histogramdd", check_tensor("histogramdd", input))
    if input.ndim < 2:
        raise shape_error("histogramdd", "input must be (..., D) with at least 2 dimensions", input=input)
    D = input.shape[-1]
    given = list(bins) if isinstance(bins, (tuple, list)) else [integer("histogramdd", bins, "bins")] * D
    if len(given) != D:
        raise RuntimeError(
            f"histogramdd: expected {D} sequences of bin edges for a {D}-dimensional histogram but got {len(given)}"
        )
    if range is not None and len(range) != 2 * D:
        raise RuntimeError(
            f"histogramdd: for a {D}-dimensional histogram range should have {2 * D} elements, got {len(range)}"
        )
    points = to_numpy(input).reshape(-1, D)
    heights = None
    if weight is not None:
        check_tensor("histogramdd", weight, "weight")
        if tuple(weight.shape) != tuple(input.shape[:-1]) or weight.dtype is not input.dtype:
            raise shape_error("histogramdd", "weight must have one value of the input's dtype for each point",
                              input=input, weight=weight)  # fmt: skip
        heights = to_numpy(weight).reshape(-1)
    edges = []
    for d, each in enumerate(given):
        if isinstance(each, Tensor):
            edges.append(to_numpy(each))
            continue
        count = integer("histogramdd", each, "bins")
        if count <= 0:
            raise RuntimeError(f"histogramdd: bins must be > 0, but got {count} for dimension {d}")
        low, high = (0.0, 1.0) if range is None else (float(range[2 * d]), float(range[2 * d + 1]))
        if range is None and len(points):
            low, high = float(points[:, d].min()), float(points[:, d].max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(numpy.linspace(low, high, count + 1, dtype=points.dtype))
    sizes = tuple([len(each) - 1 for each in edges])
    inside = numpy.ones(len(points), bool)
    places = []
    for d, each in enumerate(edges):
        column = points[:, d]
        inside &= (column >= each[0]) & (column <= each[-1])
        found = numpy.searchsorted(each, column, "right") - 1  # the last bin holds its right edge too
        places.append(numpy.where(column == each[-1], sizes[d] - 1, found).clip(0, max(sizes[d] - 1, 0)))
    chosen: Any = [place[inside] for place in places]
    cells: Any = numpy.ravel_multi_index(chosen, sizes) if len(points) else []
    counts = numpy.bincount(cells, None if heights is None else heights[inside], int(numpy.prod(sizes)))
    hist = counts.astype("float64").reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, each in enumerate(edges):
            hist = hist / numpy.diff(each).reshape((-1,) + (1,) * (D - 1 - d))
    return _HistogramDD(to_tensor(hist, input.dtype), tuple([to_tensor(each, input.dtype) for each in edges]))


def hash_tensor(
    input: Any, dim: int | Sequence[int] = (), *, keepdim: bool = False, mode: int = 0, out: Any = None
) -> Any:
    """A hash of the elements: the exclusive or of their bits, each widened to 64 bits first.

    Floats are widened to float64, integers and bool to int64. The order of the elements does not matter; a change of
    one of them always changes the hash.

    Arguments: `dim`, the dimensions that are hashed (all by default); `keepdim`, whether they stay with size 1;
    `mode`, 0, the only one. Returns uint64. Errors: RuntimeError for a mode, DTypeError for complex numbers.

    >>> fl.hash_tensor(fl.tensor([1, 2, 4]))
    tensor(7, dtype=flambeau.uint64)
    """
    import numpy

    check_tensor("hash_tensor", input)
    if input.is_complex():
        raise DTypeError(f"hash_tensor: does not support complex dtypes, got {input.dtype}; take view_as_real(input)")
    if mode != 0:
        raise RuntimeError(f"hash_tensor: unknown mode {mode}; only 0, the exclusive or, is there")
    dims = wrap_dims("hash_tensor", None if dim == () else dim, input.ndim)
    wide = to_numpy(input.to(dtypes.float64 if input.dtype.is_floating_point else dtypes.int64))
    bits = numpy.ascontiguousarray(wide).view("uint64").reshape(wide.shape)
    axes = tuple([d for d in dims if d < input.ndim])
    mixed: Any = numpy.bitwise_xor  # its overloads know a literal keepdims only
    found = mixed.reduce(bits, axis=axes, keepdims=keepdim) if axes else bits
    return deliver(to_tensor(numpy.asarray(found, "uint64").copy()), out)


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct values in increasing order, or the distinct slices along `dim`.

    With `return_inverse` also where each element went, with `return_counts` also how often each occurs.

    >>> fl.unique(fl.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    import numpy

    check_tensor("unique", input)
    if dim is not None:
        dim = wrap_dim("unique", dim, input.ndim)
        if input.ndim == 0:
            dim = None
    _core.refuse_reading("unique")
    values = to_numpy(input)
    found, inverse, counts = numpy.unique(
        values, return_inverse=True, return_counts=True, axis=dim, equal_nan=False if dim is None else True
    )
    shape = tuple(input.shape) if dim is None else (input.shape[dim],)
    return _with_extras(to_tensor(found, input.dtype), inverse.reshape(shape), counts, return_inverse, return_counts)


def _with_extras(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    if not (return_inverse or return_counts):
        return values
    extras = [values]
    if return_inverse:
        extras.append(to_tensor(inverse.astype("int64")))
    if return_counts:
        extras.append(to_tensor(counts.astype("int64")))
    return tuple(extras)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """`input` flattened, or its slices along `dim`, with only the first of each run of equal ones."""
    import numpy

    check_tensor("unique_consecutive", input)
    _core.refuse_reading("unique_consecutive")
    values = to_numpy(input)
    shape = values.shape
    if dim is None:
        values = values.reshape(-1)
        rows = values
        axis = 0
    else:
        axis = wrap_dim("unique_consecutive", dim, input.ndim)
        shape = (values.shape[axis],)
        rows = numpy.moveaxis(values, axis, 0)
        if rows.shape[0] and not rows.size:
            raise shape_error("unique_consecutive", "there are 0 sized dimensions, and they aren't selected, so unique "
                              "cannot be applied", input=input)  # fmt: skip
        rows = rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))
    length = rows.shape[0]
    starts = numpy.ones(length, bool)
    if length:
        different = rows[1:] != rows[:-1]
        starts[1:] = different if rows.ndim == 1 else different.any(1)
    first = numpy.flatnonzero(starts)
    inverse = (numpy.cumsum(starts) - 1).reshape(shape)
    counts = numpy.diff(numpy.append(first, length))
    return _with_extras(
        to_tensor(numpy.take(values, first, axis), input.dtype), inverse, counts, return_inverse, return_counts
    )


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element is among `test_elements`."""
    tensors = (elements, test_elements)
    for key, each in (("elements", elements), ("test_elements", test_elements)):
        if not isinstance(each, (Tensor, bool, int, float)):
            raise not_tensor("isin", each, key)
    numbers = [None if isinstance(x, Tensor) else x for x in tensors]

    def find(*given: Any) -> Any:
        import numpy

        fresh = iter(given)
        left, right = (to_numpy(next(fresh)) if x is None else numpy.asarray(x) for x in numbers)
        return to_tensor(numpy.asarray(numpy.isin(left, right, assume_unique=assume_unique, invert=invert)))

    return recording.host("isin", find, *(x for x in tensors if isinstance(x, Tensor)))


METHODS = {
    "bincount": bincount,
    "histc": histc,
    "histogram": histogram,
    "hash_tensor": hash_tensor,
    "unique": unique,
    "unique_consecutive": unique_consecutive,
}
