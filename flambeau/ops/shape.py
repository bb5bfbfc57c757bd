"""Rearranging tensors: joining, splitting, repeating, turning, and the function forms of the views.

Views themselves are native; here are the functions that PyTorch builds on them. Picking by index is in `index`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flambeau import _core, recording
from flambeau.dtypes import promote_types
from flambeau.errors import ShapeError
from flambeau.ops.arguments import (
    Tensor,
    as_shape,
    check_tensor,
    check_tensors,
    constant,
    deliver,
    integer,
    integers,
    not_tensor,
    shape_error,
    wrap_dim,
    wrap_dims,
)
from flambeau.ops.constructors import broadcast_shapes

__all__ = [
    "as_strided", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_tensors",
    "broadcast_to", "cartesian_prod", "cat", "chunk", "column_stack", "combinations", "concat", "concatenate", "diag",
    "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "dsplit", "dstack", "expand_copy", "flatten", "flip",
    "fliplr", "flipud", "hsplit", "hstack", "moveaxis", "movedim", "narrow", "narrow_copy", "permute", "ravel",
    "repeat_interleave", "reshape", "roll", "rot90", "row_stack", "select", "select_scatter", "slice_scatter", "split",
    "split_with_sizes", "squeeze", "stack", "swapaxes", "swapdims", "t", "tensor_split", "tile", "transpose", "unbind",
    "unflatten", "unsafe_chunk", "unsafe_split", "unsqueeze", "view_copy", "vsplit", "vstack",
]  # fmt: skip

_Tensors = Sequence[Any]


def _tensors(name: str, tensors: Any) -> list[Any]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}: needs a tuple or list of tensors, got one Tensor; write {name}([a, b])")
    found = list(check_tensors(name, tensors))
    if not found:
        raise RuntimeError(f"{name}: expected a non-empty list of tensors")
    return found


def _same_dtype(tensors: list[Any]) -> list[Any]:
    first = tensors[0].dtype
    if all(t.dtype is first for t in tensors):
        return tensors
    for each in tensors[1:]:
        first = promote_types(first, each.dtype)
    return [t.to(first) for t in tensors]


# ---------------------------------------------------------------------------------------------------------- joining


def cat(tensors: _Tensors, dim: int = 0, *, out: Any = None, axis: int | None = None) -> Any:
    """The tensors joined along an existing dimension; all other sizes must agree. 1-D tensors of size 0 are skipped.

    Raises ShapeError where other sizes differ, IndexError for a `dim` out of range.

    >>> fl.cat([fl.zeros(1), fl.ones(2)])
    tensor([0., 1., 1.])
    """
    if isinstance(tensors, Tensor):
        raise TypeError("cat: needs a tuple or list of tensors, got one Tensor; write cat([a, b])")
    result = _core.cat(tensors, dim if axis is None else axis)
    return result if out is None else deliver(result, out)


concat = concatenate = cat


def stack(tensors: _Tensors, dim: int = 0, *, out: Any = None) -> Any:
    """The tensors, all of one shape, joined along a new dimension.

    >>> fl.stack([fl.zeros(2), fl.ones(2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    parts = _tensors("stack", tensors)
    first = parts[0]
    dim = wrap_dim("stack", dim, first.ndim + 1)
    try:
        result = _core.cat([each.unsqueeze(dim) for each in parts], dim)
    except (ShapeError, IndexError):
        for position, each in enumerate(parts):
            if each.shape != first.shape:
                raise ShapeError(
                    f"stack: stack expects each tensor to be equal size: tensor 0 is {tuple(first.shape)}, tensor "
                    f"{position} is {tuple(each.shape)}"
                ) from None
        raise
    return result if out is None else deliver(result, out)


def hstack(tensors: _Tensors, *, out: Any = None) -> Any:
    """The tensors side by side: along dimension 1, or 0 for 1-D tensors."""
    parts = atleast_1d(_tensors("hstack", tensors))
    return cat(parts, 0 if parts[0].ndim == 1 else 1, out=out)


def vstack(tensors: _Tensors, *, out: Any = None) -> Any:
    """The tensors below each other: along dimension 0, 1-D tensors as rows."""
    return cat(atleast_2d(_tensors("vstack", tensors)), 0, out=out)


row_stack = vstack


def dstack(tensors: _Tensors, *, out: Any = None) -> Any:
    """The tensors behind each other: along dimension 2."""
    return cat(atleast_3d(_tensors("dstack", tensors)), 2, out=out)


def column_stack(tensors: _Tensors, *, out: Any = None) -> Any:
    """The tensors side by side, 0-dim and 1-D tensors as columns."""
    parts = [t.reshape((t.numel(), 1)) if t.ndim < 2 else t for t in _tensors("column_stack", tensors)]
    return cat(parts, 1, out=out)


def _atleast(name: str, tensors: tuple[Any, ...], raise_one: Any) -> Any:
    if len(tensors) == 1:
        if isinstance(tensors[0], Tensor):
            return raise_one(tensors[0])
        tensors = check_tensors(name, tensors[0])
    return tuple([raise_one(check_tensor(name, each)) for each in tensors])


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension."""
    return _atleast("atleast_1d", tensors, lambda x: x.reshape((1,)) if x.ndim == 0 else x)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions: vectors become rows."""
    return _atleast("atleast_2d", tensors, lambda x: x if x.ndim > 1 else x.reshape((1, x.numel())))


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions: vectors become (1, n, 1), matrices (m, n, 1)."""

    def raise_one(x: Any) -> Any:
        if x.ndim < 2:
            return x.reshape((1, x.numel(), 1))
        return x.unsqueeze(2) if x.ndim == 2 else x

    return _atleast("atleast_3d", tensors, raise_one)


def block_diag(*tensors: Any) -> Any:
    """A matrix with the given matrices (or rows, or numbers) along its diagonal and zeros elsewhere."""
    check_tensors("block_diag", tensors)
    parts = _same_dtype([atleast_2d(each) for each in tensors]) if tensors else [_core.full((1, 0), 0.0, _f32())]
    for position, each in enumerate(parts):
        if each.ndim != 2:
            raise ShapeError(
                f"block_diag: needs at most 2 dimensions: tensor {position} is {tuple(tensors[position].shape)}"
            )
    width = sum(t.shape[1] for t in parts)
    rows, before = [], 0
    for each in parts:
        height, own = each.shape
        left = _core.full((height, before), 0, each.dtype)
        right = _core.full((height, width - before - own), 0, each.dtype)
        rows.append(_core.cat([left, each, right], 1))
        before += own
    return _core.cat(rows, 0)


def _f32() -> Any:
    from flambeau.dtypes import get_default_dtype

    return get_default_dtype()


# -------------------------------------------------------------------------------------------------------- splitting


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along a dimension: pieces of one size (the last may be smaller), or of given sizes.

    >>> [tuple(p.shape) for p in fl.zeros(5).split(2)]
    [(2,), (2,), (1,)]
    """
    check_tensor("split", tensor, "tensor")
    if tensor.ndim == 0:
        raise RuntimeError("split: expects at least a 1-dimensional tensor, got a 0-dim one")
    dim = wrap_dim("split", dim, tensor.ndim)
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    size = integer("split", split_size_or_sections, "split_size_or_sections")
    length = tensor.shape[dim]
    if size < 0 or (size == 0 and length):
        raise RuntimeError(f"split: expects split_size be non-negative and not 0, got split_size={size}")
    if length == 0:
        return (tensor.narrow(dim, 0, 0),)
    return tuple([tensor.narrow(dim, start, min(size, length - start)) for start in range(0, length, size)])


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces of the given sizes, which must add up to the size of the dimension."""
    check_tensor("split_with_sizes", input)
    dim = wrap_dim("split", dim, input.ndim)
    sizes = integers("split_with_sizes", split_sizes, "split_sizes")
    if sum(sizes) != input.shape[dim] or min(sizes, default=0) < 0:
        raise RuntimeError(
            f"split: expects split_sizes to sum exactly to {input.shape[dim]} (input's size in dimension {dim}), got "
            f"split_sizes={list(sizes)}"
        )
    parts, start = [], 0
    for size in sizes:
        parts.append(input.narrow(dim, start, size))
        start += size
    return tuple(parts)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size along a dimension (the last may be smaller)."""
    if not isinstance(input, Tensor):
        raise not_tensor("chunk", input)
    chunks = integer("chunk", chunks, "chunks")
    if chunks <= 0:
        raise RuntimeError(f"chunk: expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap_dim("chunk", dim, input.ndim)
    if input.ndim == 0:
        raise RuntimeError("chunk: expects at least a 1-dimensional tensor, got a 0-dim one")
    length = input.shape[dim]
    if length == 0:
        return tuple([input.narrow(dim, 0, 0) for _ in range(chunks)])
    return split(input, -(-length // chunks), dim)


def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None
) -> Any:
    """Views of pieces along a dimension: a number of nearly equal pieces, or pieces between the given positions."""
    check_tensor("tensor_split", input)
    if indices is not None:
        indices_or_sections = indices
    if sections is not None:
        indices_or_sections = sections
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if input.ndim == 0:
        raise RuntimeError("tensor_split: expected at least a 1-dimensional tensor, got a 0-dim one")
    dim = wrap_dim("tensor_split", dim, input.ndim)
    length = input.shape[dim]
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {count}")
        small, larger = divmod(length, count)
        sizes = [small + 1] * larger + [small] * (count - larger)
        return split_with_sizes(input, sizes, dim)
    edges = [0, *indices_or_sections, length]
    edges = [slice(edge, None).indices(length)[0] for edge in edges[:-1]] + [length]
    return tuple([input.narrow(dim, min(a, length), max(b - a, 0)) for a, b in pairwise(edges)])


def _split_along(name: str, input: Any, sections: Any, dim: int, least: int) -> Any:
    if input.ndim < least:
        raise RuntimeError(f"{name}: requires a tensor with at least {least} dimension(s), got {tuple(input.shape)}")
    if isinstance(sections, int) and (sections <= 0 or input.shape[dim] % sections):
        raise RuntimeError(
            f"{name}: attempted to split along dimension {dim}, but its size {input.shape[dim]} is not "
            f"divisible by the split_size {sections}; use tensor_split"
        )
    return tensor_split(input, sections, dim)


def hsplit(input: Any, indices_or_sections: Any) -> Any:
    """`tensor_split` along dimension 1 (0 for 1-D tensors) into equal pieces or at positions."""
    check_tensor("hsplit", input)
    return _split_along("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


def vsplit(input: Any, indices_or_sections: Any) -> Any:
    """`tensor_split` along dimension 0 into equal pieces or at positions."""
    check_tensor("vsplit", input)
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Any, indices_or_sections: Any) -> Any:
    """`tensor_split` along dimension 2 into equal pieces or at positions."""
    check_tensor("dsplit", input)
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of all slices along a dimension, which disappears."""
    if not isinstance(input, Tensor):
        raise not_tensor("unbind", input)
    if input.ndim == 0:
        raise IndexError("unbind: dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim("unbind", dim, input.ndim)
    return tuple([input.select(dim, i) for i in range(input.shape[dim])])


# -------------------------------------------------------------------------------------------------------- repeating


def repeat(input: Any, *sizes: Any, repeats: Any = None) -> Any:
    """The tensor repeated `sizes[d]` times along each dimension d; more counts than dimensions add leading ones."""
    check_tensor("repeat", input)
    counts = integers("repeat", as_shape(sizes) if repeats is None else repeats, "repeats")
    if len(counts) < input.ndim:
        raise RuntimeError(
            f"repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"repeats {counts}, input is {tuple(input.shape)}"
        )
    if min(counts, default=0) < 0:
        raise RuntimeError(f"repeat: repeats must not be negative, got {counts}")
    shape = (1,) * (len(counts) - input.ndim) + tuple(input.shape)
    split_shape: list[int] = []
    wide: list[int] = []
    for count, size in zip(counts, shape, strict=True):
        split_shape += [1, size]
        wide += [count, size]
    final = [count * size for count, size in zip(counts, shape, strict=True)]
    return input.reshape(split_shape).expand(wide).clone().reshape(final)


def tile(input: Any, *repeats: Any, dims: Any = None) -> Any:
    """Like `repeat`; fewer repeats than dimensions leave the leading dimensions as they are."""
    check_tensor("tile", input)
    counts = tuple(as_shape(repeats) if dims is None else dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element repeated, `repeats` times or its own number of times from a tensor, along `dim` or flattened.

    >>> fl.repeat_interleave(fl.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    check_tensor("repeat_interleave", input)
    axis = 0
    if repeats is None:
        repeats, counts_only = input, True
        if repeats.ndim != 1:
            raise shape_error("repeat_interleave", "repeats must be 1-D", repeats=repeats)
    else:
        counts_only = False
        if dim is None:
            input, dim = input.reshape((-1,)), 0
        axis = wrap_dim("repeat_interleave", dim, input.ndim)
        if input.ndim == 0:
            input = input.reshape((1,))
    if isinstance(repeats, Tensor) and repeats.numel() == 1 and not counts_only:
        repeats = int(recording.values("repeats", repeats.reshape((-1,)))[0])
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError(f"repeat_interleave: repeats must not be negative, got {repeats}")
        shape = tuple(input.shape)
        wide = input.unsqueeze(axis + 1).expand(shape[: axis + 1] + (repeats,) + shape[axis + 1 :])
        return wide.clone().reshape(shape[:axis] + (shape[axis] * repeats,) + shape[axis + 1 :])
    counts = recording.values("repeats", repeats) if isinstance(repeats, Tensor) else list(repeats)
    if not counts_only and len(counts) != input.shape[axis]:
        raise RuntimeError(
            f"repeat_interleave: repeats must have the same size as input along dim {axis}: repeats has {len(counts)}, "
            f"input is {tuple(input.shape)}"
        )
    if min(counts, default=0) < 0:
        raise RuntimeError("repeat_interleave: repeats must not be negative")
    import numpy

    index = constant(numpy.repeat(numpy.arange(len(counts)), counts))
    return index if counts_only else _core.index_select(input, axis, index)


# ---------------------------------------------------------------------------------------------------------- turning


def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """A copy with the order of the elements reversed along the given dimensions."""
    check_tensor("flip", input)
    for dim in wrap_dims("flip", as_shape(axes) if dims is None else as_shape((dims,)), input.ndim):
        size = input.shape[dim] if input.ndim else 1
        if size > 1:
            input = _core.index_select(input, dim, _core.arange(size - 1, -1, -1, _int64()))
    return input.clone()


def _int64() -> Any:
    from flambeau.dtypes import int64

    return int64


def fliplr(input: Any) -> Any:
    """A copy reversed along dimension 1."""
    check_tensor("fliplr", input)
    if input.ndim < 2:
        raise RuntimeError(f"fliplr: input must be >= 2-d, got shape {tuple(input.shape)}")
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """A copy reversed along dimension 0."""
    check_tensor("flipud", input)
    if input.ndim < 1:
        raise RuntimeError("flipud: input must be >= 1-d, got a 0-dim tensor")
    return flip(input, 0)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """A copy shifted along the given dimensions; what leaves at the end comes in at the front.

    >>> fl.roll(fl.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    check_tensor("roll", input)
    shifts = integers("roll", shifts, "shifts")
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise RuntimeError(f"roll: shifts and dimensions must align: {len(shifts)} shifts, no dims")
        return roll(input.reshape((-1,)), shifts, 0).reshape(input.shape)
    if not shifts:
        raise RuntimeError("roll: `shifts` required, got none")
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(shifts) != len(dims):
        raise RuntimeError(f"roll: shifts and dimensions must align: {len(shifts)} shifts, {len(dims)} dims")
    result = input
    for shift, dim in zip(shifts, dims, strict=True):
        if input.ndim == 0:
            raise IndexError(f"roll: dimension specified as {dim} but tensor has no dimensions; leave dims out")
        dim = wrap_dim("roll", dim, input.ndim)
        size = input.shape[dim]
        shift = shift % size if size else 0
        if shift:
            result = _core.cat([result.narrow(dim, size - shift, shift), result.narrow(dim, 0, size - shift)], dim)
    return result.clone() if result is input else result


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """A copy turned `k` times by 90 degrees in the plane of two dimensions, from the first toward the second."""
    check_tensor("rot90", input)
    k = integer("rot90", k, "k")
    dims = integers("rot90", dims, "dims")
    if len(dims) != 2:
        raise RuntimeError(f"rot90: expected total rotation dims == 2, but got dims = {tuple(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"rot90: expected total dims >= 2, but got shape {tuple(input.shape)}")
    a, b = (wrap_dim("rot90", dim, input.ndim) for dim in dims)
    if a == b:
        raise RuntimeError(f"rot90: needs two different dimensions, got {tuple(dims)} for shape {tuple(input.shape)}")
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return flip(input, (a, b))
    return flip(input, b).transpose(a, b) if k == 1 else flip(input.transpose(a, b), b)


# ------------------------------------------------------------------------------------------- function forms of views


def reshape(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """`input` in another shape with the same number of elements; a view where the layout allows, else a copy."""
    if not isinstance(input, Tensor):
        raise not_tensor("reshape", input)
    return input.reshape(*sizes) if shape is None else input.reshape(shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """`input` with the dimensions from `start_dim` to `end_dim` merged into one."""
    if not isinstance(input, Tensor):
        raise not_tensor("flatten", input)
    shape = tuple(input.shape)
    if not shape:
        return input.reshape((1,))
    start, end = wrap_dim("flatten", start_dim, len(shape)), wrap_dim("flatten", end_dim, len(shape))
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for shape {shape}")
    if start == end:
        return input
    count = 1
    for size in shape[start : end + 1]:
        count *= size
    return input.reshape((*shape[:start], count, *shape[end + 1 :]))


def ravel(input: Any) -> Any:
    """`input` with one dimension."""
    if not isinstance(input, Tensor):
        raise not_tensor("ravel", input)
    return input.reshape((-1,))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """`input` with dimension `dim` split into the given sizes, one of which may be -1."""
    check_tensor("unflatten", input)
    sizes = integers("unflatten", sizes, "sizes")
    dim = wrap_dim("unflatten", dim, input.ndim)
    shape = tuple(input.shape)
    known = 1
    for size in sizes:
        known *= size if size != -1 else 1
    wild = sum(size == -1 for size in sizes)
    if not len(sizes) or wild > 1 or (known != shape[dim] if not wild else (known == 0 or shape[dim] % known)):
        raise RuntimeError(
            f"unflatten: provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[dim]}) in the "
            f"input tensor of shape {shape}"
        )
    sizes = [shape[dim] // known if size == -1 else size for size in sizes]
    return input.reshape(shape[:dim] + tuple(sizes) + shape[dim + 1 :])


def squeeze(input: Any, dim: Any = None) -> Any:
    """`input` without its dimensions of size 1: all of them, or those of the given ones."""
    if not isinstance(input, Tensor):
        raise not_tensor("squeeze", input)
    if dim is None:
        return input.squeeze()
    if isinstance(dim, int):
        return input.squeeze(dim)
    keep = input
    for d in sorted(wrap_dims("squeeze", dim, input.ndim), reverse=True):
        if input.ndim:
            keep = keep.squeeze(d)
    return keep if keep is not input else input.view(input.shape)


def unsqueeze(input: Any, dim: int) -> Any:
    """`input` with a new dimension of size 1 at position `dim`."""
    if not isinstance(input, Tensor):
        raise not_tensor("unsqueeze", input)
    return input.unsqueeze(dim)


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """`input` with its dimensions in another order."""
    if not isinstance(input, Tensor):
        raise not_tensor("permute", input)
    return input.permute(tuple(as_shape(order) if dims is None else dims))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """`input` with two dimensions exchanged."""
    if not isinstance(input, Tensor):
        raise not_tensor("transpose", input)
    return input.transpose(dim0, dim1)


swapaxes = swapdims = transpose


def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and 0-dim tensors stay as they are."""
    if not isinstance(input, Tensor):
        raise not_tensor("t", input)
    return input.t()


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """`input` with the dimensions `source` moved to the positions `destination`; the others keep their order."""
    if not isinstance(input, Tensor):
        raise not_tensor("movedim", input)
    sources = wrap_dims("movedim", source if isinstance(source, (tuple, list)) else (source,), input.ndim)
    destination = destination if isinstance(destination, (tuple, list)) else (destination,)
    targets = wrap_dims("movedim", destination, input.ndim)
    if len(sources) != len(targets):
        raise RuntimeError(f"movedim: source has {len(sources)} dims but destination has {len(targets)}")
    if input.ndim == 0:
        return input.view(input.shape)
    rest = iter([d for d in range(input.ndim) if d not in sources])
    places = dict(zip(targets, sources, strict=True))
    return input.permute([places[d] if d in places else next(rest) for d in range(input.ndim)])


moveaxis = movedim


def select(input: Any, dim: int, index: int) -> Any:
    """The slice number `index` along `dim`, which disappears."""
    if not isinstance(input, Tensor):
        raise not_tensor("select", input)
    return input.select(dim, index)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """The `length` slices from `start` on along `dim`."""
    if not isinstance(input, Tensor):
        raise not_tensor("narrow", input)
    if isinstance(start, Tensor):
        if start.ndim or start.dtype.category != 1:
            raise RuntimeError(f"narrow: start must be an int or a 0-dim integer tensor, got {start.dtype}")
        start = int(start)
    return input.narrow(dim, start, length)


def narrow_copy(input: Any, dim: int, start: int, length: int) -> Any:
    """A copy of `narrow`."""
    check_tensor("narrow_copy", input)
    return input.narrow(dim, start, length).clone()


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view of the storage of `input` with the given shape, strides and offset."""
    check_tensor("as_strided", input)
    size = integers("as_strided", size, "size")
    stride = integers("as_strided", stride, "stride")
    if storage_offset is None:
        return input.as_strided(tuple(size), tuple(stride))
    return input.as_strided(tuple(size), tuple(stride), storage_offset)


def broadcast_to(input: Any, size: Any) -> Any:
    """A view of `input` broadcast to the shape `size`."""
    check_tensor("broadcast_to", input)
    size = integers("broadcast_to", size, "size")
    return input.expand(tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of the tensors broadcast to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[each.shape for each in check_tensors("broadcast_tensors", tensors)])
    return tuple([each.expand(shape) for each in tensors])


def expand_copy(input: Any, size: Any) -> Any:
    """A copy of `input` broadcast to `size`."""
    check_tensor("expand_copy", input)
    size = integers("expand_copy", size, "size")
    return input.expand(tuple(size)).clone()


def view_copy(input: Any, size: Any) -> Any:
    """A copy of `input` in the shape `size` (or dtype)."""
    check_tensor("view_copy", input)
    return input.view(size).clone()


# -------------------------------------------------------------------------------------------------------- diagonals


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A view of the diagonal of the planes of two dimensions, as the last dimension."""
    if not isinstance(input, Tensor):
        raise not_tensor("diagonal", input)
    return input.diagonal(offset, dim1, dim2)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in the planes of the two new dimensions, whose diagonal number `offset` is the last dimension."""
    check_tensor("diag_embed", input)
    offset = integer("diag_embed", offset, "offset")
    ndim = input.ndim + 1
    first, second = wrap_dim("diag_embed", dim1, ndim), wrap_dim("diag_embed", dim2, ndim)
    if first == second:
        raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    if input.ndim == 0:
        raise IndexError("diag_embed: needs at least 1 dimension, got a 0-dim tensor")
    n = input.shape[-1]
    side = n + abs(offset)
    # A row of n entries followed by `side` zeros, read as a square matrix, walks down the diagonal.
    zeros = _core.full((*input.shape, side), 0, input.dtype)
    flat = flatten(_core.cat([input.unsqueeze(-1), zeros], -1 % ndim), -2, -1)
    square = flat.narrow(-1, 0, n * side) if n else flat
    shape = (*input.shape[:-1], n, side)
    square = square.reshape(shape)
    batch = tuple(input.shape[:-1])
    if offset > 0:
        blank = _core.full((*batch, n, offset), 0, input.dtype)
        square = _core.cat([blank, square.narrow(-1, 0, n)], ndim - 1)
        square = _core.cat([square, _core.full((*batch, offset, side), 0, input.dtype)], ndim - 2)
    elif offset < 0:
        square = _core.cat([_core.full((*batch, -offset, side), 0, input.dtype), square], ndim - 2)
    return movedim(square, (-2, -1), (first, second))


def diag(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The matrix with the given diagonal for a vector; a copy of the diagonal for a matrix."""
    check_tensor("diag", input)
    if input.ndim == 1:
        return deliver(diag_embed(input, diagonal), out)
    if input.ndim != 2:
        raise shape_error("diag", "supports 1D or 2D tensors", input=input)
    return deliver(input.diagonal(diagonal).clone(), out)


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix whose diagonal is the flattened `input`."""
    check_tensor("diagflat", input)
    return diag_embed(input.reshape((-1,)), offset)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of `input` with `src` written on its diagonal."""
    check_tensor("diagonal_scatter", input)
    check_tensor("diagonal_scatter", src, "src")
    return _written("diagonal_scatter", input, src, lambda x: x.diagonal(offset, dim1, dim2))


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of `input` with `src` written on the slice `index` of `dim`."""
    check_tensor("select_scatter", input)
    return _written("select_scatter", input, src, lambda x: x.select(dim, index))


def slice_scatter(input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """A copy of `input` with `src` written on the slice start:end:step of `dim`."""
    check_tensor("slice_scatter", input)
    check_tensor("slice_scatter", src, "src")
    size = input.shape[wrap_dim("slice_scatter", dim, input.ndim)]
    first, last, _ = slice(start, end, step).indices(size)
    return _written("slice_scatter", input, src, lambda x: x.slice(dim, first, max(first, last), step))


def _written(name: str, input: Any, src: Any, view: Any) -> Any:
    result = input.clone()
    target = view(result)
    if target.shape != src.shape:
        raise shape_error(name, "src must have the shape of the part it replaces", src=src, part=target)
    target.copy_(src)
    return result


# ----------------------------------------------------------------------------------------------------- combinations


def cartesian_prod(*tensors: Any) -> Any:
    """All choices of one element from each 1-D tensor, as rows in lexicographic order."""
    from flambeau.ops.create import meshgrid

    check_tensors("cartesian_prod", tensors)
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.reshape((-1,)) for grid in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of `r` elements of a vector, as rows in the order of the vector."""
    import itertools

    check_tensor("combinations", input)
    r = integer("combinations", r, "r")
    if input.ndim != 1:
        raise shape_error("combinations", "expects a 1-D vector", input=input)
    if r < 0:
        raise RuntimeError(f"combinations: expects a non-negative number, but got {r}")
    if r == 0:
        return _core.empty((0,), input.dtype)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input.shape[0]), r))
    if not rows:
        return _core.empty((0, r), input.dtype)
    import numpy

    index = constant(numpy.array(rows, "int64").reshape(-1))
    return _core.index_select(input, 0, index).reshape((len(rows), r))


unsafe_chunk, unsafe_split = chunk, split

METHODS = {
    "broadcast_to": lambda self, *size: check_tensor("broadcast_to", self).expand(*size),
    "chunk": chunk,
    "diag": diag,
    "diag_embed": diag_embed,
    "diagflat": diagflat,
    "diagonal_scatter": diagonal_scatter,
    "dsplit": dsplit,
    "expand_as": lambda self, other: self.expand(check_tensor("expand_as", other, "other").shape),
    "flatten": flatten,
    "flip": flip,
    "fliplr": fliplr,
    "flipud": flipud,
    "hsplit": hsplit,
    "moveaxis": movedim,
    "movedim": movedim,
    "narrow_copy": narrow_copy,
    "ravel": ravel,
    "repeat": repeat,
    "repeat_interleave": repeat_interleave,
    "reshape_as": lambda self, other: self.reshape(check_tensor("reshape_as", other, "other").shape),
    "roll": roll,
    "rot90": rot90,
    "select_scatter": select_scatter,
    "slice_scatter": slice_scatter,
    "split": split,
    "split_with_sizes": split_with_sizes,
    "swapaxes": transpose,
    "swapdims": transpose,
    "tensor_split": tensor_split,
    "tile": tile,
    "unbind": unbind,
    "unflatten": lambda self, dim, sizes: unflatten(self, dim, sizes),
    "unsafe_chunk": chunk,
    "unsafe_split": split,
    "view_as": lambda self, other: self.view(check_tensor("view_as", other, "other").shape),
    "vsplit": vsplit,
}
