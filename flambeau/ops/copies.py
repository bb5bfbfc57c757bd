"""Copies where PyTorch has a view: each is the view of the same name, cloned; and the scatter into a strided view.

The views themselves are in `shape` and in the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.ops import joining, shape
from flambeau.ops.arguments import check_tensor, deliver, integers, shape_error

__all__ = [
    "alias_copy", "as_strided_copy", "as_strided_scatter", "detach_copy", "diagonal_copy", "permute_copy",
    "select_copy", "slice_copy", "split_copy", "split_with_sizes_copy", "squeeze_copy", "t_copy", "transpose_copy",
    "unbind_copy", "unfold_copy", "unsqueeze_copy",
]  # fmt: skip

METHODS: dict[str, Any] = {}


def _copied(name: str, parts: Sequence[Any], out: Any) -> Any:
    """The pieces cloned; written into the tensors of `out`, one for each, where given."""
    if out is None:
        return tuple([part.clone() for part in parts])
    if len(out) != len(parts):
        raise RuntimeError(f"{name}: out must have one tensor for each of {len(parts)} pieces, got {len(out)}")
    for part, target in zip(parts, out, strict=True):
        deliver(part, target)
    return None


def alias_copy(input: Any, *, out: Any = None) -> Any:
    """A copy of `input`.

    >>> fl.alias_copy(fl.tensor([1, 2]))
    tensor([1, 2])
    """
    return deliver(check_tensor("alias_copy", input).clone(), out)


def detach_copy(input: Any, *, out: Any = None) -> Any:
    """A copy of `input` without history.

    >>> fl.detach_copy(fl.ones(1, requires_grad=True)).requires_grad
    False
    """
    return deliver(check_tensor("detach_copy", input).detach().clone(), out)


def diagonal_copy(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1, *, out: Any = None) -> Any:
    """A copy of the diagonal of the planes of two dimensions; see `diagonal`.

    >>> fl.diagonal_copy(fl.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return deliver(shape.diagonal(input, offset, dim1, dim2).clone(), out)


def permute_copy(input: Any, dims: Any, *, out: Any = None) -> Any:
    """A copy of `input` with its dimensions in another order; see `permute`.

    >>> fl.permute_copy(fl.zeros(1, 2, 3), (2, 0, 1)).shape
    flambeau.Size([3, 1, 2])
    """
    return deliver(shape.permute(input, dims=dims).clone(), out)


def select_copy(input: Any, dim: int, index: int, *, out: Any = None) -> Any:
    """A copy of the slice number `index` along `dim`; see `select`.

    >>> fl.select_copy(fl.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([3, 4])
    """
    return deliver(shape.select(input, dim, index).clone(), out)


def slice_copy(
    input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1, *, out: Any = None
) -> Any:
    """A copy of the slice start:end:step along `dim`.

    >>> fl.slice_copy(fl.arange(5), 0, 1, 4, 2)
    tensor([1, 3])
    """
    check_tensor("slice_copy", input)
    first, last, stride = slice(start, end, step).indices(input.shape[dim])
    return deliver(input.slice(dim, first, max(first, last), stride).clone(), out)


def squeeze_copy(input: Any, dim: Any = None, *, out: Any = None) -> Any:
    """A copy of `input` without dimensions of size 1; see `squeeze`.

    >>> fl.squeeze_copy(fl.zeros(1, 2, 1)).shape
    flambeau.Size([2])
    """
    return deliver(shape.squeeze(input, dim).clone(), out)


def unsqueeze_copy(input: Any, dim: int, *, out: Any = None) -> Any:
    """A copy of `input` with a new dimension of size 1; see `unsqueeze`.

    >>> fl.unsqueeze_copy(fl.zeros(2), 0).shape
    flambeau.Size([1, 2])
    """
    return deliver(shape.unsqueeze(input, dim).clone(), out)


def transpose_copy(input: Any, dim0: int, dim1: int, *, out: Any = None) -> Any:
    """A copy of `input` with two dimensions exchanged; see `transpose`.

    >>> fl.transpose_copy(fl.zeros(2, 3), 0, 1).shape
    flambeau.Size([3, 2])
    """
    return deliver(shape.transpose(input, dim0, dim1).clone(), out)


def t_copy(input: Any, *, out: Any = None) -> Any:
    """A copy of the transpose of a matrix; see `t`.

    >>> fl.t_copy(fl.tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    return deliver(shape.t(input).clone(), out)


def unfold_copy(input: Any, dimension: int, size: int, step: int, *, out: Any = None) -> Any:
    """A copy of all slices of `size` elements, `step` apart, along a dimension; see `Tensor.unfold`.

    >>> fl.unfold_copy(fl.arange(4), 0, 2, 1)
    tensor([[0, 1],
            [1, 2],
            [2, 3]])
    """
    return deliver(check_tensor("unfold_copy", input).unfold(dimension, size, step).clone(), out)


def unbind_copy(input: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Copies of all slices along a dimension, which disappears; see `unbind`.

    >>> fl.unbind_copy(fl.tensor([1, 2]))
    (tensor(1), tensor(2))
    """
    return _copied("unbind_copy", joining.unbind(input, dim), out)


def split_copy(input: Any, split_size: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Copies of consecutive pieces along a dimension; see `split`.

    >>> fl.split_copy(fl.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return _copied("split_copy", joining.split(input, split_size, dim), out)


def split_with_sizes_copy(input: Any, split_sizes: Sequence[int], dim: int = 0, *, out: Any = None) -> Any:
    """Copies of consecutive pieces of the given sizes; see `split_with_sizes`.

    >>> fl.split_with_sizes_copy(fl.arange(3), [1, 2])
    (tensor([0]), tensor([1, 2]))
    """
    return _copied("split_with_sizes_copy", joining.split_with_sizes(input, split_sizes, dim), out)


def as_strided_copy(input: Any, size: Any, stride: Any, storage_offset: int | None = None, *, out: Any = None) -> Any:
    """A copy of a view of the storage of `input` with the given shape, strides and offset; see `as_strided`.

    >>> fl.as_strided_copy(fl.arange(4), (2, 2), (1, 2))
    tensor([[0, 2],
            [1, 3]])
    """
    return deliver(shape.as_strided(input, size, stride, storage_offset).clone(), out)


def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None, *, out: Any = None
) -> Any:
    """A copy of `input` with `src` written on the elements that `as_strided(input, size, stride, ...)` shows.

    Arguments: `src` of the shape `size`; `size`, `stride`, `storage_offset` as in `as_strided`. Errors: ShapeError
    where `src` has another shape. Elements that the view shows twice take any one of their values.

    >>> fl.as_strided_scatter(fl.zeros(4), fl.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    check_tensor("as_strided_scatter", input)
    check_tensor("as_strided_scatter", src, "src")
    size = tuple(integers("as_strided_scatter", size, "size"))
    if tuple(src.shape) != size:
        raise shape_error("as_strided_scatter", "src must have the shape `size`", src=src, size=size)
    offset = input.storage_offset() if storage_offset is None else storage_offset
    result = input.clone() if input.is_contiguous() and input.storage_offset() == 0 else _same_layout(input)
    shape.as_strided(result, size, stride, offset).copy_(src)
    return deliver(result, out)


def _same_layout(input: Any) -> Any:
    """A copy whose storage looks like that of `input` (the elements outside it are copied as well)."""
    extent = input.storage_offset() + 1 + sum((n - 1) * s for n, s in zip(input.shape, input.stride(), strict=True))
    storage = input.as_strided((extent if input.numel() else 0,), (1,), 0).clone()
    return storage.as_strided(tuple(input.shape), tuple(input.stride()), input.storage_offset())
