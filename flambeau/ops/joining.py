"""Joining tensors into one, and splitting one into views of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flambeau import _core
from flambeau.dtypes import promote_types
from flambeau.errors import ShapeError
from flambeau.ops.arguments import (
    Tensor,
    check_tensor,
    check_tensors,
    deliver,
    integer,
    integers,
    not_tensor,
    wrap_dim,
)

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cat", "chunk", "column_stack", "concat", "concatenate",
    "dsplit", "dstack", "hsplit", "hstack", "row_stack", "split", "split_with_sizes", "stack", "tensor_split", "unbind",
    "unsafe_chunk", "unsafe_split", "vsplit", "vstack",
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


unsafe_chunk, unsafe_split = chunk, split


METHODS = {
    "chunk": chunk,
    "dsplit": dsplit,
    "hsplit": hsplit,
    "split": split,
    "split_with_sizes": split_with_sizes,
    "tensor_split": tensor_split,
    "unbind": unbind,
    "unsafe_chunk": chunk,
    "unsafe_split": split,
    "vsplit": vsplit,
}
