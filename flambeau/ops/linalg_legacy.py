"""The older top-level forms of linear algebra functions, whose arguments differ from those of `flambeau.linalg`."""

from __future__ import annotations

from typing import Any

from flambeau import _core
from flambeau.ops import linalg
from flambeau.ops.arguments import check_tensor, in_float32, named_result
from flambeau.ops.complex import conj

__all__ = ["cholesky", "pinverse", "qr", "svd", "triangular_solve"]

_SVD = named_result("svd", "U", "S", "V")
_TriangularSolve = named_result("triangular_solve", "solution", "cloned_coefficient")


@in_float32
def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> Any:
    """(solution, A) of A X = b for a triangular A. Older name of `linalg.solve_triangular`."""
    check_tensor("triangular_solve", b, "b")
    check_tensor("triangular_solve", A, "A")
    matrix, above = (A.transpose(-2, -1), not upper) if transpose else (A, upper)
    return _TriangularSolve(linalg.solve_triangular(matrix, b, upper=above, unitriangular=unitriangular), A.clone())


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The pseudo-inverse of each matrix. Older name of `linalg.pinv`."""
    return linalg.pinv(input, rcond)


def svd(input: Any, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """(U, S, V) with input = U diag(S) V^H. Older form of `linalg.svd`: the last factor is not transposed."""
    from flambeau.ops import decompositions

    U, S, Vh = decompositions.svd(input, full_matrices=not some)
    if not compute_uv:
        U, Vh = (_core.full((*input.shape[:-2], k, k), 0, input.dtype) for k in input.shape[-2:])
    return _SVD(U, S, conj(Vh.transpose(-2, -1)))


def qr(input: Any, some: bool = True, *, out: Any = None) -> Any:
    """(Q, R) with input = Q R. Older form of `linalg.qr`."""
    from flambeau.ops import decompositions

    return decompositions.qr(input, "reduced" if some else "complete")


def cholesky(input: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The Cholesky factor of each symmetric positive definite matrix. Older form of `linalg.cholesky`."""
    from flambeau.ops import decompositions

    return decompositions.cholesky(input, upper=upper, out=out)


METHODS = {
    "cholesky": cholesky,
    "pinverse": pinverse,
    "qr": qr,
    "svd": svd,
    "triangular_solve": triangular_solve,
}
