"""Picking and placing elements by mask: masked_*, nonzero, where."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops import elementwise
from flambeau.ops.arguments import (
    Tensor,
    check_tensor,
    deliver,
    integer,
    not_tensor,
    to_numpy,
    to_tensor,
    twin,
    whole_number,
)

__all__ = [
    "argwhere", "masked_fill", "masked_scatter", "masked_select", "nonzero", "nonzero_static", "where",
]  # fmt: skip


def _mask(name: str, mask: Any) -> Any:
    check_tensor(name, mask, "mask")
    if mask.dtype is not dtypes.bool:
        raise DTypeError(f"{name}: mask must have dtype bool, got {mask.dtype}; write mask.bool() or a comparison")
    return mask


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`input` with `value` wherever `mask` is True; the two broadcast.

    >>> fl.masked_fill(fl.zeros(2), fl.tensor([True, False]), 5)
    tensor([5., 0.])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("masked_fill", input)
    _mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"masked_fill: only supports a 0-dimensional value tensor, but got one with {value.ndim} dimension(s)"
            )
        if value.is_complex() and not input.is_complex():
            raise RuntimeError(
                f"masked_fill: value of {value.dtype} cannot be converted to {input.dtype} without overflow"
            )
        return elementwise.masked_fill(input, mask, value.to(input.dtype))
    if isinstance(value, complex) and not input.is_complex():
        raise RuntimeError(f"masked_fill: value {value} cannot be converted to {input.dtype} without overflow")
    if input.dtype.category < 2:
        value = whole_number("masked_fill", value, input.dtype)
    return elementwise.masked_fill(input, mask, value)


def masked_select(input: Any, mask: Any, *, out: Any = None) -> Any:
    """The elements of `input` where `mask` is True, as a vector."""
    check_tensor("masked_select", input)
    _mask("masked_select", mask)
    from flambeau.ops.shape import broadcast_tensors

    wide, places = broadcast_tensors(input, mask)
    return deliver(_core.masked_select(wide, places), out)


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """`input` with the elements of `source`, in order, wherever `mask` is True."""
    check_tensor("masked_scatter", input)
    check_tensor("masked_scatter", source, "source")
    _mask("masked_scatter", mask)
    from flambeau.ops.shape import broadcast_tensors

    if source.dtype is not input.dtype:
        raise DTypeError(f"masked_scatter: source must have the dtype of input: {source.dtype} and {input.dtype}")
    wide, places = broadcast_tensors(input, mask)
    if wide.numel() == 0 or source.numel() == 0:
        if source.numel() == 0:
            _core.refuse_reading("masked_scatter")
        if source.numel() == 0 and to_numpy(places).any():
            raise RuntimeError("masked_scatter: source has no elements but mask asks for some")
        return wide.clone()

    there = source.numel()

    def find(places: Any) -> Any:
        order = to_numpy(places).reshape(-1).astype("int64").cumsum()
        if order.size and order[-1] > there:
            raise RuntimeError(f"masked_scatter: mask has {order[-1]} True elements but source has only {there}")
        return to_tensor((order - 1).clip(0))

    index = recording.host("masked_scatter", find, places)
    values = _core.index_select(source.reshape((-1,)), 0, index).reshape(wide.shape)
    return elementwise.where(places, values, wide)


def nonzero(input: Any, *, as_tuple: bool = False, out: Any = None) -> Any:
    """The positions of all elements that are not zero: (n, ndim), or a tuple of ndim vectors with `as_tuple`.

    >>> fl.nonzero(fl.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    if as_tuple:
        found = _core.nonzero(input.reshape((1,)) if input.ndim == 0 else input)
        return tuple([column.contiguous() for column in found.unbind(1)])
    return deliver(_core.nonzero(input), out)


def nonzero_static(input: Any, *, size: int, fill_value: int = -1, out: Any = None) -> Any:
    """The first `size` positions of elements that are not zero: (size, ndim), filled up with rows of `fill_value`.

    The shape of the result does not depend on the values. Errors: RuntimeError for a negative size.

    >>> fl.nonzero_static(fl.tensor([0, 3, 4]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    check_tensor("nonzero_static", input)
    size = integer("nonzero_static", size, "size")
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = _core.nonzero(input)
    count = min(size, found.shape[0])
    result = _core.full((size, input.ndim), integer("nonzero_static", fill_value, "fill_value"), dtypes.int64)
    if count and input.ndim:
        result.narrow(0, 0, count).copy_(found.narrow(0, 0, count))
    return deliver(result, out)


def argwhere(input: Any) -> Any:
    """The positions of all elements that are not zero, one a row."""
    return _core.nonzero(input)


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where `condition` is True, else `other`; all three broadcast. With one argument: nonzero(as_tuple=True).

    >>> fl.where(fl.tensor([True, False]), 1, 2)
    tensor([1, 2])
    """
    if not isinstance(condition, Tensor):
        raise not_tensor("where", condition, "condition")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if condition.dtype is not dtypes.bool:
        if condition.dtype is not dtypes.uint8:
            raise DTypeError(
                f"where: expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}; "
                "write condition.bool() or a comparison"
            )
        condition = condition.to(dtypes.bool)
    return deliver(elementwise.where(condition, input, other), out)


METHODS = {
    "argwhere": argwhere,
    "masked_fill": masked_fill,
    "masked_fill_": twin(masked_fill),
    "masked_scatter": masked_scatter,
    "masked_scatter_": twin(masked_scatter),
    "masked_select": masked_select,
    "nonzero": nonzero,
    "nonzero_static": nonzero_static,
    "where": lambda self, condition, other: where(condition, self, other),
}
