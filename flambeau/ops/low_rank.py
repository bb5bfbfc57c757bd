"""Decompositions of low rank by random projections (Halko, Martinsson and Tropp, 2009)."""

from __future__ import annotations

from typing import Any

from flambeau.errors import DTypeError
from flambeau.ops.arguments import check_tensor, integer, shape_error
from flambeau.ops.linalg import _mH
from flambeau.ops.random import randn

__all__ = ["pca_lowrank", "svd_lowrank"]

METHODS: dict[str, Any] = {}


def _basis(A: Any, q: int, niter: int) -> Any:
    """Orthonormal columns (*, m, q) whose span nearly holds that of A's largest singular vectors."""
    from flambeau.ops.decompositions import qr

    Q = qr(A @ randn(A.shape[-1], q, dtype=A.dtype)).Q
    for _ in range(niter):
        Q = qr(A @ qr(_mH(A) @ Q).Q).Q
    return Q


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> tuple[Any, Any, Any]:
    """(U, S, V) with A nearly equal to U diag(S) V^H, of rank at most `q`, from the default generator's numbers.

    Arguments: `A` (*, m, n), floating or complex; `q`, a little more than the rank that is wanted; `niter`, power
    iterations; `M`, broadcast to A, is subtracted from A first. Returns U (*, m, q), S (*, q), V (*, n, q). Errors:
    ValueError for q outside 0, ..., min(m, n).

    >>> U, S, V = fl.svd_lowrank(fl.ones(3, 2), q=1)
    >>> S
    tensor([2.4495])
    """
    check_tensor("svd_lowrank", A, "A")
    if A.ndim < 2:
        raise shape_error("svd_lowrank", "A must have at least 2 dimensions", A=A)
    if not (A.dtype.is_floating_point or A.is_complex()):
        raise DTypeError(f"svd_lowrank: A must have a floating dtype, got {A.dtype}; convert it with A.float()")
    rank = 6 if q is None else integer("svd_lowrank", q, "q")
    m, n = A.shape[-2:]
    if not 0 <= rank <= min(m, n):
        raise ValueError(f"svd_lowrank: q(={rank}) must be a non-negative integer and not greater than min(m, n)="
                         f"{min(m, n)} of A {tuple(A.shape)}")  # fmt: skip
    if M is not None:
        A = A - check_tensor("svd_lowrank", M, "M").expand(A.shape)
    if m < n:  # the smaller side gives the smaller basis
        A = _mH(A)
    Q = _basis(A, rank, 2 if niter is None else niter)
    from flambeau.ops.decompositions import svd

    U, S, Vh = svd(_mH(Q) @ A, full_matrices=False)
    U, V = Q @ U, _mH(Vh)
    return (V, S, U) if m < n else (U, S, V)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """(U, S, V): the principal components of the rows of `A` are the columns of V; see `svd_lowrank`.

    Arguments: `A` (*, m, n), m samples of n features; `q`, how many components at most (min(6, m, n) by default);
    `center`, whether the mean of every column is subtracted first. Returns U (*, m, q), S (*, q), V (*, n, q).

    >>> fl.pca_lowrank(fl.tensor([[1.0, 0.0], [3.0, 0.0]]), q=1)[1]
    tensor([1.4142])
    """
    check_tensor("pca_lowrank", A, "A")
    if A.ndim < 2:
        raise shape_error("pca_lowrank", "A must have at least 2 dimensions", A=A)
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"pca_lowrank: q(={q}) must be a non-negative integer and not greater than min(m, n)="
                         f"{min(m, n)} of A {tuple(A.shape)}")  # fmt: skip
    if niter < 0:
        raise ValueError(f"pca_lowrank: niter(={niter}) must be a non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
