"""`flambeau.linalg`: linear algebra under the names of `torch.linalg`. The functions live in `flambeau.ops`."""

from __future__ import annotations

from flambeau.ops.arguments import check_tensor
from flambeau.ops.create import vander as _vander
from flambeau.ops.decompositions import cholesky, cholesky_ex, eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from flambeau.ops.factorisations import (
    householder_product,
    ldl_factor,
    ldl_factor_ex,
    ldl_solve,
    lu_factor,
    lu_factor_ex,
)
from flambeau.ops.factorisations import linalg_lu as lu
from flambeau.ops.factorisations import linalg_lu_solve as lu_solve
from flambeau.ops.linalg import (
    LinAlgError,
    det,
    inv,
    inv_ex,
    lstsq,
    matrix_exp,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
)
from flambeau.ops.norms import cond, matrix_norm, vector_norm
from flambeau.ops.norms import linalg_norm as norm
from flambeau.ops.products import linalg_cross as cross
from flambeau.ops.products import matmul, multi_dot, tensorinv, tensorsolve, vecdot
from flambeau.ops.shape import diagonal as _diagonal

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor",
    "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot",
    "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv",
    "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


def vander(x, *, N=None):
    """The Vandermonde matrix: column j holds x to the power j."""
    check_tensor("linalg.vander", x, "x")
    return _vander(x, N, increasing=True)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """A view of the diagonal of each matrix."""
    check_tensor("linalg.diagonal", A, "A")
    return _diagonal(A, offset, dim1, dim2)
