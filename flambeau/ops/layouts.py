"""What an ordinary tensor answers about sparse layouts, and how it becomes a sparse one.

Sparse tensors themselves are in `flambeau.sparse`, which is imported when one is made.
"""

from __future__ import annotations

from typing import Any

from flambeau.ops.arguments import check_tensor

__all__ = ["hspmm", "smm", "spmm", "to_sparse"]


def to_sparse(input: Any, layout: Any = None, *, sparse_dim: int | None = None, **options: Any) -> Any:
    """The elements that are not zero, as a tensor of the layout `sparse_coo` (or `layout`); gradients flow through.

    Arguments: `sparse_dim`, also as the only positional argument: how many leading dimensions are sparse; the others
    stay whole.

    >>> fl.eye(2).to_sparse().indices()
    tensor([[0, 1],
            [0, 1]])
    """
    from flambeau.sparse.tensor import from_dense

    if isinstance(layout, int):
        layout, sparse_dim = None, layout
    result = from_dense(check_tensor("to_sparse", input), sparse_dim)
    return result if layout is None or layout == "sparse_coo" else result.to_sparse(layout)


def to_sparse_coo(input: Any) -> Any:
    """The elements that are not zero, as a tensor of the layout `sparse_coo`."""
    return to_sparse(input)


def to_sparse_csr(input: Any, dense_dim: int | None = None) -> Any:
    """The elements of a matrix that are not zero, as a tensor of the layout `sparse_csr`."""
    return to_sparse(input).to_sparse_csr()


def to_dense(input: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself, which has all its elements, in `dtype` where given."""
    return input if dtype is None else input.to(dtype)


def sparse_mask(input: Any, mask: Any) -> Any:
    """The elements at the places of the sparse tensor `mask`, as a sparse tensor.

    >>> fl.ones(2, 2).sparse_mask(fl.eye(2).to_sparse()).values()
    tensor([1., 1.])
    """
    from flambeau.sparse.operations import mask as at_places

    if not getattr(mask, "is_sparse", False) and getattr(mask, "layout", "strided") == "strided":
        raise TypeError("sparse_mask: the mask must be sparse; use mask.to_sparse()")
    return at_places(input, mask)


def sparse_dim(input: Any) -> int:
    """0: no dimension is sparse."""
    check_tensor("sparse_dim", input)
    return 0


def dense_dim(input: Any) -> int:
    """All dimensions are dense."""
    return check_tensor("dense_dim", input).ndim


def _only_sparse(name: str) -> Any:
    def method(self: Any) -> Any:
        raise RuntimeError(f"{name} expected sparse tensor layout but got Strided; make one with .to_sparse()")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name}` of a sparse tensor; RuntimeError for this one, which is dense."
    return method


def spmm(input: Any, mat2: Any) -> Any:
    """The matrix product of a sparse matrix and a dense one, as `flambeau.sparse.mm`.

    >>> fl.spmm(fl.eye(2).to_sparse(), fl.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [2.]])
    """
    from flambeau.ops.products import mm

    return mm(input, mat2)


hspmm = smm = spmm

METHODS = {
    "to_sparse": to_sparse, "to_sparse_coo": to_sparse_coo, "to_sparse_csr": to_sparse_csr, "to_dense": to_dense,
    "sparse_mask": sparse_mask, "sparse_dim": sparse_dim, "dense_dim": dense_dim, "smm": smm,
} | {
    name: _only_sparse(name)
    for name in ("coalesce", "is_coalesced", "indices", "values", "_indices", "_values", "_nnz", "crow_indices",
                 "col_indices")
}  # fmt: skip
