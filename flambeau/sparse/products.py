"""Products of a sparse matrix and a dense one, differentiable to any order in the values and in the dense matrix.

The two operations are each other's derivative: `product` sums rows of the dense matrix, `sampled` takes dot products at
the places of the sparse one. What does not live here: tensors and layouts (`tensor`), and everything elementwise.
"""

from __future__ import annotations

from typing import Any

from flambeau import _core
from flambeau.errors import DTypeError
from flambeau.ops.arguments import with_gradient

__all__ = ["Pattern", "product", "sampled"]

_COMPUTED = {"float16": "float32", "bfloat16": "float32"}


class Pattern:
    """Where the elements of a sparse matrix stand; sorted by rows when first needed, and by columns for gradients.

    Arguments: `rows` and `columns`, int64 vectors, one entry an element; `size`, (rows, columns) of the matrix;
    `starts`, the first element of each row where the elements are in order of rows already.
    """

    __slots__ = ("_by_rows", "_rows", "_turned", "columns", "size")

    def __init__(self, rows: Any, columns: Any, size: tuple[int, int], starts: Any = None) -> None:
        self._rows, self.columns, self.size = rows, columns, size
        self._by_rows: Any = None if starts is None else (starts, None)
        self._turned: Pattern | None = None

    def parts(self) -> list:
        """The tensors that are known, those of the transposed matrix included."""
        found: list = []
        for each in (self, self._turned):
            if each is not None:
                found += [each._rows, each.columns, *(each._by_rows or ())]
        return [part for part in found if part is not None]

    @property
    def rows(self) -> Any:
        """The row of each element."""
        if self._rows is None:
            from flambeau.ops.create import arange
            from flambeau.ops.shape import repeat_interleave

            starts = self.by_rows[0]
            self._rows = repeat_interleave(arange(self.size[0]), starts[1:] - starts[:-1])
        return self._rows

    @property
    def by_rows(self) -> Any:
        """(starts, order): where each row starts among the elements in `order`."""
        if self._by_rows is None:
            self._by_rows = _core.segments(self._rows, self.size[0])
        return self._by_rows

    @property
    def turned(self) -> Pattern:
        """The pattern of the transposed matrix, with the elements in the same order."""
        if self._turned is None:
            self._turned = Pattern(self.columns, self.rows, (self.size[1], self.size[0]))
            self._turned._turned = self
        return self._turned


def _widened(*tensors: Any) -> tuple[Any, tuple[Any, ...]]:
    """The dtype of the result, and the operands in the dtype that is computed in."""
    import flambeau

    dtype = tensors[0].dtype
    for other in tensors[1:]:
        if other.dtype is not dtype:
            raise DTypeError(
                f"sparse.mm: expected all tensors to have the same dtype: {dtype} and {other.dtype}; convert with "
                ".to(...)"
            )
    if dtype.name in ("float32", "float64"):
        return dtype, tensors
    name = _COMPUTED.get(dtype.name)
    if name is None:
        return dtype, tensors
    return dtype, tuple(t.to(getattr(flambeau, name)) for t in tensors)


def product(pattern: Pattern, values: Any, dense: Any) -> Any:
    """The matrix product (n, k) @ (k, m) of the sparse matrix with these values and a dense one."""
    dtype, (wide, matrix) = _widened(values, dense)
    if not wide.dtype.is_floating_point:
        from flambeau.ops.create import zeros

        rows = matrix.index_select(0, pattern.columns) * wide.unsqueeze(1)
        return zeros((pattern.size[0], dense.shape[1]), dtype=dtype).index_add(0, pattern.rows, rows.to(dtype))
    return _product(pattern, wide, matrix).to(dtype)


def _product(pattern: Pattern, values: Any, dense: Any) -> Any:
    starts, order = pattern.by_rows
    result = _core.segment_product(starts, order, pattern.columns, values, dense)

    def vjp(gradient: Any) -> tuple[Any, Any]:
        to_values = _sampled(pattern, gradient, dense) if values.requires_grad else None
        return to_values, _product(pattern.turned, values, gradient) if dense.requires_grad else None

    return with_gradient(result, (values, dense), vjp, "SparseMmBackward0")


def sampled(pattern: Pattern, a: Any, b: Any) -> Any:
    """The elements of a @ bᵀ at the places of the pattern: a (n, c), b (k, c), a vector."""
    dtype, (left, right) = _widened(a, b)
    if not left.dtype.is_floating_point:
        return (left.index_select(0, pattern.rows) * right.index_select(0, pattern.columns)).sum(1).to(dtype)
    return _sampled(pattern, left, right).to(dtype)


def _sampled(pattern: Pattern, a: Any, b: Any) -> Any:
    result = _core.sampled_product(pattern.rows, pattern.columns, a, b)

    def vjp(gradient: Any) -> tuple[Any, Any]:
        to_a = _product(pattern, gradient, b) if a.requires_grad else None
        return to_a, _product(pattern.turned, gradient, a) if b.requires_grad else None

    return with_gradient(result, (a, b), vjp, "SampledProductBackward0")
