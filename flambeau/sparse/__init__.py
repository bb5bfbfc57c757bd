"""Sparse tensors: kept as the places and values of the elements that are not zero.

`tensor` holds the class and how one is made, `operations` what can be computed with them, `products` the two kernels
behind the matrix product and its gradients, `printing` their text. Gradients flow to values and dense operands.
"""

from __future__ import annotations

from flambeau.sparse.operations import addmm, log_softmax, mm, sampled_addmm, softmax, spdiags, sum
from flambeau.sparse.tensor import SparseTensor, sparse_coo_tensor, sparse_csr_tensor

__all__ = [
    "SparseTensor", "addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "softmax",
    "sparse_coo_tensor", "sparse_csr_tensor", "spdiags", "sum",
]  # fmt: skip


class check_sparse_tensor_invariants:  # noqa: N801
    """A switch that programs set and a block they enter: indices are always checked, so it changes nothing.

    >>> with fl.sparse.check_sparse_tensor_invariants(): fl.eye(2).to_sparse()._nnz()
    2
    """

    def __init__(self, enable: bool = True) -> None:
        self.state = enable

    @staticmethod
    def is_enabled() -> bool:
        """True."""
        return True

    @staticmethod
    def enable() -> None:
        """Indices are always checked."""

    @staticmethod
    def disable() -> None:
        """Indices are always checked."""

    def __enter__(self) -> check_sparse_tensor_invariants:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
