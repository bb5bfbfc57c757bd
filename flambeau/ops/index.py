"""Picking and placing elements by index: gather, scatter, index_*, take, put, embedding. Masks are in `masks`.

Lookups by value (searchsorted, unique, bincount) are in `search`; orders are in `sort`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops import elementwise
from flambeau.ops.arguments import (
    Tensor,
    check_index,
    check_out,
    check_tensor,
    deliver,
    integers,
    not_tensor,
    shape_error,
    to_numpy,
    to_tensor,
    twin,
    with_gradient,
    wrap_dim,
)
from flambeau.ops.masks import masked_fill

__all__ = [
    "embedding", "gather", "index_add", "index_copy", "index_fill", "index_put", "index_reduce", "index_select",
    "one_hot", "put", "scatter", "scatter_add", "scatter_reduce", "take", "take_along_dim", "unravel_index",
]  # fmt: skip


# ----------------------------------------------------------------------------------------------- gather and scatter


def _long(name: str, index: Any) -> Any:
    if isinstance(index, Tensor) and index.numel() == 0:
        return index.to(dtypes.int64)
    return check_index(name, index).to(dtypes.int64)


def _check_range(name: str, index: Any, size: int, dim: int) -> None:
    if index.numel() == 0:
        return

    def check(index: Any) -> None:
        found = to_numpy(index)
        low, high = int(found.min()), int(found.max())
        if low < 0 or high >= size:
            raise IndexError(
                f"{name}: index {low if low < 0 else high} is out of bounds for dimension {dim} with size {size}"
            )

    recording.host(name, check, index)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """The elements at `index` along `dim`: out[i][j] = input[index[i][j]][j] for dim 0. The shape is that of `index`.

    Raises IndexError for an index out of range, ShapeError where index is larger than input in another dimension.

    >>> fl.gather(fl.tensor([[1, 2], [3, 4]]), 1, fl.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("gather", input)
    dim = wrap_dim("gather", dim, input.ndim)
    check_out("gather", out, input.dtype)
    return deliver(_core.gather(input, dim, _long("gather", index)), out)


def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """`gather` where `input` and `indices` broadcast against each other outside `dim`; flattened without `dim`."""
    check_tensor("take_along_dim", input)
    if dim is None:
        return deliver(_core.gather(input.reshape((-1,)), 0, _long("take_along_dim", indices).reshape((-1,))), out)
    check_tensor("take_along_dim", indices, "indices")
    if input.ndim != indices.ndim:
        raise shape_error("take_along_dim", "needs equal numbers of dimensions", input=input, indices=indices)
    from flambeau.ops.constructors import broadcast_shapes

    dim = wrap_dim("take_along_dim", dim, input.ndim)
    own, other = list(input.shape), list(indices.shape)
    length, count = own[dim], other[dim]
    own[dim] = other[dim] = 1
    shape = list(broadcast_shapes(own, other))
    own_shape, other_shape = shape[:], shape[:]
    own_shape[dim], other_shape[dim] = length, count
    index = _long("take_along_dim", indices)
    index = elementwise.where(index < 0, index + length, index).expand(other_shape)
    return deliver(_core.gather(input.expand(own_shape), dim, index), out)


def _source(name: str, input: Any, index: Any, src: Any) -> Any:
    """`src` as a tensor of the dtype of `input` covering `index`."""
    if not isinstance(src, Tensor):
        return _core.full(index.shape, src, input.dtype)
    if src.dtype is not input.dtype:
        raise DTypeError(f"{name}: src must have the dtype of input: src is {src.dtype}, input is {input.dtype}")
    if src.ndim == index.ndim and src.shape != index.shape and all(map(int.__le__, index.shape, src.shape)):
        for d, size in enumerate(index.shape):
            src = src.narrow(d, 0, size)
    return src


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None, out: Any = None
) -> Any:
    """A copy of `input` with out[index[i][j]][j] = src[i][j] for dim 0; `src` is a tensor or a number.

    `reduce` "add" or "multiply" combines instead of replacing.
    """
    if not isinstance(input, Tensor):
        raise not_tensor("scatter", input)
    dim = wrap_dim("scatter", dim, input.ndim)
    index = _long("scatter", index)
    source = _source("scatter", input, index, value if src is None else src)
    if reduce is None:
        return deliver(_core.scatter(input, dim, index, source, "set"), out)
    if reduce == "add":
        return deliver(_core.scatter(input, dim, index, source, "add"), out)
    if reduce != "multiply":
        raise RuntimeError(f"scatter: reduce argument must be either add or multiply, got {reduce!r}")
    return deliver(scatter_reduce(input, dim, index, source, "prod"), out)


def scatter_add(input: Any, dim: int, index: Any, src: Any, *, out: Any = None) -> Any:
    """A copy of `input` with src[i][j] added at out[index[i][j]][j] for dim 0.

    >>> fl.scatter_add(fl.zeros(2), 0, fl.tensor([0, 0, 1]), fl.ones(3))
    tensor([2., 1.])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("scatter_add", input)
    dim = wrap_dim("scatter_add", dim, input.ndim)
    index = _long("scatter_add", index)
    return deliver(_core.scatter(input, dim, index, _source("scatter_add", input, index, src), "add"), out)


_REDUCES = ("sum", "prod", "mean", "amax", "amin")


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True, out: Any = None
) -> Any:
    """A copy of `input` where the elements of `src` that meet at one place are reduced: sum, prod, mean, amax, amin.

    With `include_self=False` the old value takes no part where at least one element arrives.
    """
    check_tensor("scatter_reduce", input)
    if reduce not in _REDUCES:
        raise RuntimeError(f"scatter_reduce: reduce argument must be one of {', '.join(_REDUCES)}, got {reduce!r}")
    dim = wrap_dim("scatter_reduce", dim, input.ndim)
    index = _long("scatter_reduce", index)
    source = _source("scatter_reduce", input, index, src)
    if index.numel() == 0:
        return deliver(input.clone(), out)
    start = input
    if not include_self:
        neutral = _neutral(reduce, input.dtype)
        start = _core.scatter(input, dim, index, _core.full(index.shape, neutral, input.dtype), "set")
    if reduce in ("sum", "mean"):
        result = _core.scatter(start, dim, index, source, "add")
        if reduce == "mean":
            counts = _core.full(input.shape, 1, input.dtype)
            one = _core.full(index.shape, 1, input.dtype)
            if not include_self:
                counts = _core.scatter(counts, dim, index, _core.full(index.shape, 0, input.dtype), "set")
            counts = _core.scatter(counts, dim, index, one, "add")
            result = result / counts if input.dtype.category > 1 else elementwise.floor_divide(result, counts)
        return deliver(result, out)
    return deliver(_extreme_or_product(start, dim, index, source, reduce), out)


def _neutral(reduce: str, dtype: Any) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.is_floating_point:
        return float("-inf") if reduce == "amax" else float("inf")
    if dtype is dtypes.bool:
        return reduce == "amin"
    limits = dtypes.iinfo(dtype)
    return limits.min if reduce == "amax" else limits.max


def _extreme_or_product(start: Any, dim: int, index: Any, source: Any, reduce: str) -> Any:
    def compute(start: Any, index: Any, source: Any) -> Any:
        import numpy

        values = to_numpy(start).copy()
        places = list(numpy.indices(tuple(index.shape), sparse=True))
        if index.ndim:
            places[dim] = to_numpy(index)
        ufunc = {"prod": numpy.multiply, "amax": numpy.maximum, "amin": numpy.minimum}[reduce]
        ufunc.at(values, tuple(places) if index.ndim else (), to_numpy(source))
        return to_tensor(numpy.asarray(values), start.dtype)

    result = recording.host("scatter_reduce", compute, start, index, source)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any, Any]:
        if reduce == "prod":
            return _product_gradients(start, dim, index, source, gradient)
        at_start = (start == fixed).to(gradient.dtype)
        at_source = (source == _core.gather(fixed, dim, index)).to(gradient.dtype)
        share = gradient / _core.scatter(at_start, dim, index, at_source, "add")
        return share * at_start, _core.gather(share, dim, index) * at_source

    return with_gradient(result, (start, source), vjp, "scatter_reduce")


def _product_gradients(start: Any, dim: int, index: Any, source: Any, gradient: Any) -> tuple[Any, Any]:
    """The product of all the *other* factors at a place; exact when one factor, or more, is zero."""
    zero_start, zero_source = start == 0, source == 0
    rest_start = elementwise.where(zero_start, 1.0, start)
    rest_source = elementwise.where(zero_source, 1.0, source)
    rest = _extreme_or_product(rest_start, dim, index, rest_source, "prod")
    kind = gradient.dtype
    zeros = _core.scatter(zero_start.to(kind), dim, index, zero_source.to(kind), "add")

    def others(count: Any, is_zero: Any, whole: Any, own: Any, g: Any) -> Any:
        alone = elementwise.logical_and(is_zero, count == 1)  # this factor is the only zero
        some = elementwise.logical_or(alone, count == 0)
        return elementwise.where(some, g * whole / own, 0.0)

    def at(x: Any) -> Any:
        return _core.gather(x, dim, index)

    return (
        others(zeros, zero_start, rest, rest_start, gradient),
        others(at(zeros), zero_source, at(rest), rest_source, at(gradient)),
    )


# ------------------------------------------------------------------------------------------------------------ index_*


def index_select(input: Any, dim: int, index: Any, *, out: Any = None) -> Any:
    """The slices of `input` along `dim` at the positions in the vector `index`.

    >>> fl.index_select(fl.tensor([10, 20, 30]), 0, fl.tensor([2, 0]))
    tensor([30, 10])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("index_select", input)
    dim = wrap_dim("index_select", dim, input.ndim)
    index = _vector("index_select", index)
    if input.ndim == 0:
        return deliver(_core.index_select(input.reshape((1,)), 0, index).reshape(()), out)
    return deliver(_core.index_select(input, dim, index), out)


def _vector(name: str, index: Any) -> Any:
    index = _long(name, index)
    if index.ndim > 1:
        raise IndexError(f"{name}: Index is supposed to be a vector, got shape {tuple(index.shape)}")
    return index.reshape((-1,))


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """A copy of `input` with alpha * source added to its slices along `dim` at the positions in `index`."""
    check_tensor("index_add", input)
    check_tensor("index_add", source, "source")
    dim = wrap_dim("index_add", dim, input.ndim)
    index = _vector("index_add", index)
    if source.dtype is not input.dtype:
        raise DTypeError(f"index_add: source must have the dtype of input: {source.dtype} and {input.dtype}")
    if alpha != 1:
        source = source * alpha
    if input.ndim == 0:
        flat = _core.index_add(input.reshape((1,)), 0, index, source.reshape((-1,)))
        return deliver(flat.reshape(()), out)
    if source.ndim == 0:
        source = source.reshape((1,))
    return deliver(_core.index_add(input, dim, index, source), out)


def _spread(input: Any, dim: int, index: Any, shape: Sequence[int]) -> Any:
    """A vector of positions along `dim`, expanded to the shape of the slices it addresses."""
    return index.reshape((1,) * dim + (-1,) + (1,) * (input.ndim - dim - 1)).expand(shape)


def index_copy(input: Any, dim: int, index: Any, source: Any, *, out: Any = None) -> Any:
    """A copy of `input` with its slices along `dim` at the positions in `index` replaced by those of `source`."""
    check_tensor("index_copy", input)
    check_tensor("index_copy", source, "source")
    dim = wrap_dim("index_copy", dim, input.ndim)
    index = _vector("index_copy", index)
    if source.dtype is not input.dtype:
        raise DTypeError(f"index_copy: source must have the dtype of input: {source.dtype} and {input.dtype}")
    if input.ndim == 0:
        flat = _core.scatter(input.reshape((1,)), 0, index, source.reshape((-1,)), "set")
        return deliver(flat.reshape(()), out)
    shape = list(input.shape)
    shape[dim] = index.numel()
    if list(source.shape) != shape and not (source.ndim == 0 and input.ndim == 1 and index.numel() == 1):
        raise shape_error("index_copy", "source must have one slice for each index", source=source, needed=tuple(shape))
    _check_range("index_copy", index, input.shape[dim], dim)
    return deliver(_core.scatter(input, dim, _spread(input, dim, index, shape), source.reshape(shape), "set"), out)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with its slices along `dim` at the positions in `index` filled with `value`."""
    check_tensor("index_fill", input)
    dim = wrap_dim("index_fill", dim, input.ndim)
    index = _vector("index_fill", index)
    if input.ndim == 0:
        return index_fill(input.reshape((1,)), 0, index, value).reshape(())
    size = input.shape[dim]
    index = elementwise.where(index < 0, index + size, index)
    _check_range("index_fill", index, size, dim)
    if isinstance(value, Tensor) and value.ndim:
        raise shape_error("index_fill", "value must be a number or a 0-dim tensor", value=value)
    marked = _core.full((size,), False, dtypes.bool)
    marked = _core.scatter(marked, 0, index, _core.full(index.shape, True, dtypes.bool), "set")
    return masked_fill(input, marked.reshape((1,) * dim + (-1,) + (1,) * (input.ndim - dim - 1)), value)


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True, out: Any = None
) -> Any:
    """`scatter_reduce` of whole slices: slice i of `source` meets slice index[i] of the copy of `input`."""
    check_tensor("index_reduce", input)
    check_tensor("index_reduce", source, "source")
    dim = wrap_dim("index_reduce", dim, input.ndim)
    index = _vector("index_reduce", index)
    shape = list(input.shape)
    if shape:
        shape[dim] = index.numel()
    flat_input = input if input.ndim else input.reshape((1,))
    result = scatter_reduce(
        flat_input, dim, _spread(flat_input, dim, index, shape or (index.numel(),)), source.reshape(shape or (-1,)),
        reduce, include_self=include_self,
    )  # fmt: skip
    return deliver(result.reshape(input.shape), out)


def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with input[indices] = values, or += values with `accumulate` (repeated places add up)."""
    check_tensor("index_put", input)
    if not accumulate:
        result = input.clone()
        result[tuple([slice(None) if i is None else i for i in indices])] = values
        return result
    check_tensor("index_put", values, "values")
    places: list[Any] = []
    for index in indices:
        if index is not None:
            check_tensor("index_put", index, "indices")
        if index is not None and index.dtype in (dtypes.bool, dtypes.uint8):
            places.extend(_core.nonzero(index).unbind(1) if index.ndim else [index.to(dtypes.int64)])
        else:
            places.append(index)
    from flambeau.ops.shape import broadcast_tensors

    used = [d for d, place in enumerate(places) if place is not None]
    rest = [d for d in range(input.ndim) if d not in used]
    spread = broadcast_tensors(*[places[d].to(dtypes.int64) for d in used])
    flat: Any = 0
    for d, place in zip(used, spread, strict=True):
        size = input.shape[d]
        _check_range("index_put", elementwise.where(place < 0, place + size, place), size, d)
        flat = flat * size + elementwise.where(place < 0, place + size, place)
    order = used + rest
    front = input.permute(order)
    rows = 1
    for d in used:
        rows *= input.shape[d]
    inner = tuple([input.shape[d] for d in rest])
    together = used == list(range(used[0], used[0] + len(used)))
    block = tuple(spread[0].shape)
    if together and used[0]:  # the block of indices stands where the indexed dimensions stood
        shape = inner[: used[0]] + block + inner[used[0] :]
        values = values.expand(shape)
        first = list(range(used[0], used[0] + len(block)))
        values = values.permute(first + [d for d in range(len(shape)) if d not in first])
    else:
        values = values.expand(block + inner)
    added = _core.index_add(
        front.reshape((rows, *inner)), 0, flat.reshape((-1,)), values.reshape((flat.numel(), *inner))
    )
    back = [0] * len(order)
    for position, d in enumerate(order):
        back[d] = position
    return added.reshape(front.shape).permute(back)


def take(input: Any, index: Any, *, out: Any = None) -> Any:
    """The elements of the flattened `input` at the positions in `index`; negative positions count from the end."""
    if not isinstance(input, Tensor):
        raise not_tensor("take", input)
    flat = input.reshape((-1,))
    return deliver(_core.index_select(flat, 0, _wrapped("take", index, flat)).reshape(index.shape), out)


def _wrapped(name: str, index: Any, flat: Any) -> Any:
    index = _long(name, index).reshape((-1,))
    size = flat.shape[0]
    if size == 0 and index.numel():
        raise IndexError(f"{name}: tried to take from an empty tensor")
    index = elementwise.where(index < 0, index + size, index)
    _check_range(name, index, size, 0)
    return index


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with the elements of `source` at the flat positions in `index`, added with `accumulate`."""
    check_tensor("put", input)
    if not isinstance(index, Tensor):
        raise not_tensor("put", index, "index")
    if not isinstance(source, Tensor):
        raise not_tensor("put", source, "source")
    if index.numel() != source.numel():
        raise shape_error("put", "index and source must have equally many elements", index=index, source=source)
    if source.dtype is not input.dtype:
        raise DTypeError(f"put: source must have the dtype of input: {source.dtype} and {input.dtype}")
    flat = input.reshape((-1,))
    mode = "add" if accumulate else "set"
    result = _core.scatter(flat, 0, _wrapped("put", index, flat), source.reshape((-1,)), mode)
    return result.reshape(input.shape)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The positions along each dimension of `shape` of elements numbered in row order."""
    shape = integers("unravel_index", shape, "shape")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    rest = _long("unravel_index", indices)
    places = []
    for size in reversed(sizes):
        places.append(rest % size)
        rest = elementwise.floor_divide(rest, size)

    def check(rest: Any) -> None:
        if rest.numel() and bool((rest != 0).any()):
            raise ValueError(f"unravel_index: an index is out of range for shape {sizes}")

    recording.host("unravel_index", check, rest)
    return tuple(places[::-1])


# --------------------------------------------------------------------------------------------------------- embedding


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """The rows of `weight` (V, C) at the positions in `input` (any shape): the result has shape input.shape + (C,).

    The row `padding_idx` gets no gradient; `max_norm` first shortens the rows that are used, in place; with `sparse`
    the gradient of `weight`, where it is a leaf, is a sparse tensor of the rows that were used.
    """
    check_tensor("embedding", weight, "weight")
    index = _long("embedding", check_tensor("embedding", input))
    if weight.ndim != 2:
        raise shape_error("embedding", "'weight' must be 2-D", weight=weight)
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise RuntimeError(f"embedding: padding_idx {padding_idx} is not within the {rows} rows of weight")
        padding_idx %= rows
    flat = index.reshape((-1,))
    if max_norm is not None:
        _shorten(weight, flat, float(max_norm), norm_type)
    shape = (*index.shape, weight.shape[1])
    try:
        result = _core.index_select(weight, 0, flat)
    except IndexError as error:
        what = str(error).partition(": ")[2].partition(" with size")[0]
        raise IndexError(
            f"embedding: {what}, but weight {tuple(weight.shape)} has {rows} rows (0 to {rows - 1})"
        ) from None
    if sparse and weight.requires_grad and _core.is_grad_enabled() and recording.active is None:
        return _with_sparse_gradient(result, weight, flat, padding_idx, scale_grad_by_freq).reshape(shape)
    if weight.requires_grad and padding_idx is not None:
        result = elementwise.where((flat == padding_idx).unsqueeze(1), result.detach(), result)
    if weight.requires_grad and scale_grad_by_freq and flat.numel():
        one = _core.full(flat.shape, 1, dtypes.int64)
        counts = _core.scatter(_core.full((rows,), 0, dtypes.int64), 0, flat, one, "add")
        share = (1.0 / _core.gather(counts, 0, flat).to(weight.dtype)).unsqueeze(1)
        result = with_gradient(result.detach().clone(), (result,), lambda g: (g * share,), "embedding")
    return result.reshape(shape)


def _with_sparse_gradient(result: Any, weight: Any, flat: Any, padding_idx: int | None, by_frequency: bool) -> Any:
    """The rows of `weight` at `flat`, whose gradient names those rows instead of filling a whole table."""

    def vjp(gradient: Any) -> tuple[Any]:
        from flambeau.sparse.tensor import SparseTensor, sparse_coo

        places, rows = flat, gradient
        if by_frequency and flat.numel():
            one = _core.full(flat.shape, 1, dtypes.int64)
            counts = _core.scatter(_core.full((weight.shape[0],), 0, dtypes.int64), 0, flat, one, "add")
            rows = rows * (1.0 / _core.gather(counts, 0, flat).to(weight.dtype)).unsqueeze(1)
        if padding_idx is not None:
            kept = _core.nonzero(places != padding_idx).reshape((-1,))
            places, rows = _core.index_select(places, 0, kept), _core.index_select(rows, 0, kept)
        return (SparseTensor(places.unsqueeze(0), rows, weight.shape, sparse_coo, False),)

    return with_gradient(result.detach(), (weight,), vjp, "EmbeddingBackward0")


def _shorten(weight: Any, flat: Any, max_norm: float, norm_type: float) -> None:
    if not flat.numel():
        return

    def compute(weight: Any, flat: Any) -> Any:
        import numpy

        used = to_tensor(numpy.unique(to_numpy(flat)))
        rows = _core.index_select(weight, 0, used)
        values = to_numpy(rows)
        norms = numpy.linalg.norm(values, norm_type, axis=1, keepdims=True)
        scaled = numpy.where(norms > max_norm, values * (max_norm / (norms + 1e-7)), values).astype(values.dtype)
        spread = used.unsqueeze(1).expand(rows.shape)
        return _core.scatter(weight, 0, spread, to_tensor(scaled, weight.dtype), "set")

    weight.detach().copy_(recording.host("embedding", compute, weight.detach(), flat))


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Class numbers as int64 vectors that are 1 at the class and 0 elsewhere, along a new last dimension.

    >>> fl.one_hot(fl.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    check_tensor("one_hot", tensor, "tensor")
    if tensor.dtype is not dtypes.int64:
        raise DTypeError(f"one_hot: is only applicable to index tensor of dtype int64, got {tensor.dtype}; use .long()")
    if not tensor.numel():
        if num_classes <= 0:
            raise RuntimeError("one_hot: Can not infer total number of classes from empty tensor; give num_classes")
        return _core.full((*tensor.shape, num_classes), 0, dtypes.int64)
    if num_classes < 0:
        _core.refuse_reading("one_hot without num_classes")
        num_classes = max(int(to_numpy(tensor).max()) + 1, 0)

    def check(tensor: Any) -> None:
        low, high = to_numpy(tensor).min(), to_numpy(tensor).max()
        if low < 0:
            raise RuntimeError(f"one_hot: Class values must be non-negative, got {low}")
        if high >= num_classes:
            raise RuntimeError(
                f"one_hot: Class values must be smaller than num_classes, got {high} with {num_classes} classes"
            )

    recording.host("one_hot", check, tensor)
    blank = _core.full((*tensor.shape, num_classes), 0, dtypes.int64)
    one = _core.full((*tensor.shape, 1), 1, dtypes.int64)
    return _core.scatter(blank, tensor.ndim, tensor.unsqueeze(-1), one, "set")


METHODS = {
    "gather": gather,
    "index_add": index_add,
    "index_add_": twin(index_add),
    "index_copy": index_copy,
    "index_copy_": twin(index_copy),
    "index_fill": index_fill,
    "index_fill_": twin(index_fill),
    "index_put": index_put,
    "index_put_": twin(index_put),
    "index_reduce": index_reduce,
    "index_reduce_": twin(index_reduce),
    "index_select": index_select,
    "put": put,
    "put_": twin(put),
    "scatter": scatter,
    "scatter_": twin(scatter),
    "scatter_add": scatter_add,
    "scatter_add_": twin(scatter_add),
    "scatter_reduce": scatter_reduce,
    "scatter_reduce_": twin(scatter_reduce),
    "take": take,
    "take_along_dim": take_along_dim,
}
