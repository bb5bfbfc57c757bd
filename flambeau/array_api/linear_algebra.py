"""Linear algebra: what the namespace and its `linalg` extension have under the standard's names."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import linalg
from flambeau.array_api.common import array, wide
from flambeau.array_api.data_types import result_type
from flambeau.ops import products


def _same(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both tensors in their common dtype."""
    dtype = result_type(array(name, x1, "x1"), array(name, x2, "x2"))
    return x1.to(dtype), x2.to(dtype)


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product of stacks of matrices, of vectors where there is one dimension."""
    first, second = _same("matmul", x1, x2)
    if first.ndim == 0 or second.ndim == 0:
        raise ValueError(f"matmul(): 0-dimensional operand: shapes {tuple(x1.shape)} and {tuple(x2.shape)}")
    return products.matmul(first, second)


def matrix_transpose(x: Any, /) -> Any:
    """The last two dimensions exchanged, a view."""
    if array("matrix_transpose", x).ndim < 2:
        raise ValueError(f"matrix_transpose(): needs at least two dimensions, the shape is {tuple(x.shape)}")
    return x.mT


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Products summed over the last `axes` dimensions of x1 and the first of x2, or over two lists of dimensions."""
    first, second = _same("tensordot", x1, x2)
    dims = axes if isinstance(axes, int) else (list(axes[0]), list(axes[1]))
    return products.tensordot(first, second, dims)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The dot product along `axis` of vectors that broadcast; of complex ones the first is conjugated."""
    first, second = _same("vecdot", x1, x2)
    if not -min(first.ndim, second.ndim) <= axis < 0:
        if axis >= 0 and first.ndim == second.ndim and axis < first.ndim:
            axis -= first.ndim
        else:
            raise IndexError(f"vecdot(): axis {axis} is out of range for {tuple(x1.shape)} and {tuple(x2.shape)}")
    if first.shape[axis] != second.shape[axis]:
        raise ValueError(f"vecdot(): sizes along axis {axis} differ: {tuple(x1.shape)} and {tuple(x2.shape)}")
    return linalg.vecdot(first, second, dim=axis).to(first.dtype)


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular L with x = L @ L.mT, or the upper one."""
    return linalg.cholesky(array("cholesky", x), upper=upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product along `axis`, of size 3."""
    first, second = _same("cross", x1, x2)
    return linalg.cross(first, second, dim=axis)


def det(x: Any, /) -> Any:
    """The determinant."""
    return linalg.det(array("det", x))


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonal of each matrix, `offset` above the main one."""
    return linalg.diagonal(array("diagonal", x), offset=offset)


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues in ascending order and eigenvectors (columns) of symmetric matrices."""
    return EighResult(*linalg.eigh(array("eigh", x)))


def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of symmetric matrices in ascending order."""
    return linalg.eigvalsh(array("eigvalsh", x))


def inv(x: Any, /) -> Any:
    """The inverse."""
    return linalg.inv(array("inv", x))


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of each matrix: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    return linalg.matrix_norm(array("matrix_norm", x), "fro" if ord is None else ord, keepdim=keepdims)


def matrix_power(x: Any, n: int, /) -> Any:
    """The n-th power of square matrices, of the inverse for negative n."""
    return linalg.matrix_power(array("matrix_power", x), n)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values are above `rtol` times the largest."""
    return linalg.matrix_rank(array("matrix_rank", x), rtol=rtol)


def outer(x1: Any, x2: Any, /) -> Any:
    """The products of every element of one vector with every element of the other."""
    first, second = _same("outer", x1, x2)
    return products.outer(first, second)


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverse; singular values below `rtol` times the largest count as zero."""
    return linalg.pinv(array("pinv", x), rtol=rtol)


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Q with orthonormal columns and upper triangular R with x = Q @ R; mode "reduced" or "complete"."""
    return QRResult(*linalg.qr(array("qr", x), mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of the determinant."""
    return SlogdetResult(*linalg.slogdet(array("slogdet", x)))


def solve(x1: Any, x2: Any, /) -> Any:
    """The solution of x1 @ solution = x2; x2 is a vector only if it has one dimension."""
    first, second = _same("solve", x1, x2)
    if second.ndim == 1:
        return linalg.solve(first, second.unsqueeze(-1)).squeeze(-1)
    batch = tuple(first.shape[:-2])
    if second.ndim == first.ndim - 1 and tuple(second.shape) == tuple(first.shape[:-1]):  # no stack of vectors here
        second = second.expand(batch + tuple(second.shape[-2:]))
    return linalg.solve(first, second)


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """U, S and Vh with x = U @ diag(S) @ Vh; S in descending order."""
    return SVDResult(*linalg.svd(array("svd", x), full_matrices))


def svdvals(x: Any, /) -> Any:
    """Singular values in descending order."""
    return linalg.svdvals(array("svdvals", x))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of the diagonal of each matrix."""
    return diagonal(x, offset=offset).sum(-1, dtype=dtype or wide(x.dtype))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """A norm of vectors along `axis`: any number, inf or -inf."""
    array("vector_norm", x)
    if axis == ():
        return x.abs() if ord != 0 else (x != 0).to(x.dtype)
    return linalg.vector_norm(x, ord, axis, keepdims)
