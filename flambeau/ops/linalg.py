"""Linear algebra on (batches of) matrices: inverses, determinants, solves and powers, through NumPy's LAPACK.

Each has its gradient in terms of flambeau's own operations, so it can be differentiated again. Decompositions are in
`decompositions`, norms in `norms`, products in `products`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import (
    Tensor,
    check_tensor,
    deliver,
    in_float32,
    integer,
    named_result,
    shape_error,
    to_numpy,
    to_tensor,
    with_gradient,
)
from flambeau.ops.complex import complex as complex_of
from flambeau.ops.complex import conj
from flambeau.ops.create import eye, tril, triu
from flambeau.ops.elementwise import where

__all__ = [
    "cholesky_inverse", "cholesky_solve", "det", "inverse", "logdet", "matrix_exp", "matrix_power", "slogdet",
]  # fmt: skip


class LinAlgError(RuntimeError):
    """A matrix does not allow the computation: singular, not positive definite, or an iteration did not converge."""


SlogDet = named_result("slogdet", "sign", "logabsdet")
InvEx = named_result("linalg_inv_ex", "inverse", "info")
SolveEx = named_result("linalg_solve_ex", "result", "info")
LstSq = named_result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def _matrix(name: str, A: Any, square: bool = True) -> Any:
    """`A` after the checks every function here makes."""
    name = "linalg." + name
    check_tensor(name, A, "A")
    if A.ndim < 2:
        raise shape_error(name, "The input tensor A must have at least 2 dimensions", A=A)
    if square and A.shape[-1] != A.shape[-2]:
        raise shape_error(name, "A must be batches of square matrices", A=A)
    if A.dtype not in (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128):
        fix = "low precision dtypes are not supported" if A.dtype.is_floating_point else "needs a floating dtype"
        raise DTypeError(f"{name}: {fix}, got {A.dtype}; convert with A.float()")
    return A


def _mT(A: Any) -> Any:
    return A.transpose(-2, -1)


def _mH(A: Any) -> Any:
    """The conjugate transpose: what stands in a gradient where the function has the matrix itself."""
    return conj(A.transpose(-2, -1))


def _run(name: str, function: Callable[..., Any], *tensors: Any, reason: str = "a matrix is singular") -> Any:
    """What `function` makes of NumPy arrays, an array or a tuple, as tensors of the first one's precision."""

    def compute(*tensors: Any) -> Any:
        import numpy

        arrays = [to_numpy(each) for each in tensors]
        try:
            found = function(*arrays)
        except numpy.linalg.LinAlgError as error:
            raise LinAlgError(f"linalg.{name}: {reason} ({error}); shapes {[a.shape for a in arrays]}") from None
        kind = tensors[0].dtype

        def made(part: Any) -> Any:
            part = numpy.asarray(part)
            return to_tensor(part, kind.to_complex() if part.dtype.kind == "c" else kind.to_real())

        return tuple([made(part) for part in found]) if isinstance(found, tuple) else made(found)

    return recording.host(f"linalg.{name}", compute, *tensors)


def _again() -> bool:
    """Whether a backward pass that is itself recorded is running: then results are recomputed with history."""
    return _core.is_grad_enabled()


# -------------------------------------------------------------------------------------------- inverses and determinants


@in_float32
def inv(A: Any, *, out: Any = None) -> Any:
    """The inverse of each square matrix (*, n, n). LinAlgError when one is singular.

    >>> fl.linalg.inv(fl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    import numpy

    _matrix("inv", A)
    result = _run("inv", numpy.linalg.inv, A)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        inverted = _mH(inv(A) if _again() else fixed)
        return (-(inverted @ gradient @ inverted),)

    return deliver(with_gradient(result, (A,), vjp, "linalg_inv"), out)


def _info(batch: Sequence[int]) -> Any:
    return _core.full(tuple(batch), 0, dtypes.int32)


@in_float32
def inv_ex(A: Any, *, check_errors: bool = False, out: Any = None) -> Any:
    """(inverse, info): `inv` that reports singular matrices in `info` instead of raising, unless `check_errors`."""
    _core.refuse_reading("linalg.inv_ex")  # whether there is an inverse
    try:
        return InvEx(inv(A), _info(A.shape[:-2]))
    except LinAlgError:
        if check_errors:
            raise
        return InvEx(A.detach() * float("nan"), _info(A.shape[:-2]) + 1)


def det(A: Any, *, out: Any = None) -> Any:
    """The determinant of each square matrix.

    >>> fl.linalg.det(fl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """
    import numpy

    _matrix("det", A)
    result = _run("det", numpy.linalg.det, A)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        if (_core.is_recording() or _core.is_batched(fixed)) and not _again():  # what is singular is found at every run
            factor, matrix = _run("det", _determinant_gradient, A.detach(), fixed)
            return ((gradient * factor).unsqueeze(-1).unsqueeze(-1) * matrix,)
        if not _core.is_batched(fixed) and _singular(to_numpy(fixed)):
            return (gradient.unsqueeze(-1).unsqueeze(-1) * to_tensor(_cofactors(to_numpy(A)), A.dtype),)
        whole = det(A) if _again() else fixed
        return ((gradient * conj(whole)).unsqueeze(-1).unsqueeze(-1) * _mH(inv(A)),)

    return deliver(with_gradient(result, (A,), vjp, "linalg_det"), out)


def _singular(determinants: Any) -> bool:
    import numpy

    return bool((determinants == 0).any()) or not numpy.isfinite(determinants).all()


def _determinant_gradient(a: Any, determinants: Any) -> tuple[Any, Any]:
    """The gradient as a factor and a matrix."""
    import numpy

    if _singular(determinants):
        return numpy.ones_like(determinants), _cofactors(a)
    return numpy.conj(determinants), numpy.conj(numpy.swapaxes(numpy.linalg.inv(a), -1, -2))


def _cofactors(a: Any) -> Any:
    """The gradient of the determinant, also of singular matrices, from the singular value decomposition."""
    import numpy

    u, s, vh = numpy.linalg.svd(a)
    n = a.shape[-1]
    others = numpy.stack([numpy.delete(s, i, -1).prod(-1) for i in range(n)], -1) if n else s
    signs = numpy.conj(numpy.linalg.det(u) * numpy.linalg.det(vh))
    return signs[..., None, None] * (u * others[..., None, :]) @ vh


def slogdet(A: Any, *, out: Any = None) -> Any:
    """(sign, logabsdet) of the determinant of each square matrix, without overflow."""
    import numpy

    _matrix("slogdet", A)
    sign, result = _run("slogdet", lambda a: tuple(numpy.linalg.slogdet(a)), A)
    if not A.is_complex():

        def vjp(gradient: Any) -> tuple[Any]:
            return (gradient.unsqueeze(-1).unsqueeze(-1) * _mH(inv(A)),)

        return SlogDet(sign, with_gradient(result, (A,), vjp, "linalg_slogdet"))
    fixed = sign.detach()

    def complex_vjp(turn: Any, growth: Any) -> tuple[Any]:
        # The sign is exp(i angle): the angle changes by Im(trace(inv(A) dA)), the logarithm by the real part.
        scale = _core.full(result.shape, 0.0, result.dtype) if growth is None else growth
        angle = scale * 0.0
        if turn is not None:
            angle = (turn * conj(slogdet(A)[0] if _again() else fixed)).imag
        return (complex_of(scale, angle).unsqueeze(-1).unsqueeze(-1) * _mH(inv(A)),)

    return SlogDet(*with_gradient((sign, result), (A,), complex_vjp, "linalg_slogdet"))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant of each square matrix: NaN where it is negative, -inf where it is zero."""
    sign, size = slogdet(input)
    if sign.is_complex():
        return sign.log() + size
    return where(sign < 0, float("nan"), size)


# ---------------------------------------------------------------------------------------------------------- solving


def _is_vector(A: Any, B: Any) -> bool:
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])


@in_float32
def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Any:
    """X with A X = B (X A = B for `left=False`), for matrices A (*, n, n) and B (*, n, k) or vectors (*, n).

    >>> fl.linalg.solve(fl.tensor([[2.0, 0.0], [0.0, 4.0]]), fl.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    _matrix("solve", A)
    check_tensor("linalg.solve", B, "B")
    if B.dtype is not A.dtype:
        raise DTypeError(f"linalg.solve: A and B must have one dtype, got {A.dtype} and {B.dtype}")
    if not left:
        return deliver(_mT(solve(_mT(A), _mT(B))), out)
    if _is_vector(A, B):
        return deliver(_solve(A, B.unsqueeze(-1)).squeeze(-1), out)
    return deliver(_solve(A, B), out)


def _solve(A: Any, B: Any) -> Any:
    """X with A X = B for matrices whose batches broadcast."""
    import numpy

    from flambeau.ops.constructors import broadcast_shapes

    if B.ndim < 2 or B.shape[-2] != A.shape[-1]:
        raise ShapeError(
            f"linalg.solve: Incompatible shapes of A and B: A is {tuple(A.shape)}, B is {tuple(B.shape)}; B needs "
            f"{A.shape[-1]} rows"
        )
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A, B = A.expand((*batch, *A.shape[-2:])), B.expand((*batch, *B.shape[-2:]))
    result = _run("solve", numpy.linalg.solve, A, B)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any, Any]:
        found = _solve(A, B) if _again() else fixed
        gradient = _solve(_mH(A), gradient)
        return -(gradient @ _mH(found)), gradient

    return with_gradient(result, (A, B), vjp, "linalg_solve")


@in_float32
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """(result, info): `solve` with an all-zero `info` that says no matrix was singular."""
    return SolveEx(solve(A, B, left=left), _info(A.shape[:-2]))


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
) -> Any:
    """X with A X = B (X A = B for `left=False`) where only one triangle of A is read.

    `unitriangular` takes the diagonal of A as ones.
    """
    _matrix("solve_triangular", A)
    if not left:
        swapped = solve_triangular(_mT(A), _mT(B), upper=not upper, unitriangular=unitriangular)
        return deliver(_mT(swapped), out)
    triangle = (triu if upper else tril)(A, (1 if upper else -1) if unitriangular else 0)
    if unitriangular:
        triangle = triangle + eye(A.shape[-1], dtype=A.dtype)
    if B.ndim < 2:
        raise shape_error("linalg.solve_triangular", "B must have at least 2 dimensions", A=A, B=B)
    return deliver(_solve(triangle, B), out)


@recording.by_example
@in_float32
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of the least squares problem: X that minimises |A X - B|."""
    import numpy

    check_tensor("linalg.lstsq", B, "B")
    _matrix("lstsq", A, square=False)
    vector = _is_vector(A, B)
    right = B.unsqueeze(-1) if vector else B
    m, n = A.shape[-2:]
    if right.shape[-2] != m:
        raise shape_error("linalg.lstsq", "A and B need equally many rows", A=A, B=B)
    _core.refuse_reading("linalg.lstsq")  # the rank decides whether there are residuals
    solution = pinv(A, rtol=rcond) @ right
    values = to_numpy(A)
    singular = numpy.linalg.svd(values, compute_uv=False)
    limit = rcond if rcond is not None else numpy.finfo(values.dtype).eps * max(m, n)
    top = singular.max(-1, keepdims=True) if singular.shape[-1] else singular
    rank = (singular > limit * top).sum(-1)
    full = m > n and bool((rank == n).all())
    residuals = _core.empty((0,), A.dtype.to_real())
    if full and driver not in (None, "gelsy"):
        residuals = ((A @ solution - right).abs() ** 2).sum(-2)
    small = driver in ("gelss", "gelsd")
    return LstSq(
        solution.squeeze(-1) if vector else solution,
        residuals,
        to_tensor(numpy.asarray(rank, "int64")) if driver != "gels" else _core.empty((0,), dtypes.int64),
        to_tensor(singular, A.dtype.to_real()) if small else _core.empty((0,), A.dtype.to_real()),
    )


@in_float32
def cholesky_solve(B: Any, L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """X with A X = B, given the Cholesky factor of A."""
    check_tensor("cholesky_solve", B, "B")
    check_tensor("cholesky_solve", L, "L")
    L = _mH(L) if upper else L
    return deliver(solve_triangular(_mH(L), solve_triangular(L, B, upper=False), upper=True), out)


@in_float32
def cholesky_inverse(L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The inverse of A, given its Cholesky factor."""
    L = triu(L) if upper else tril(L)
    return deliver(inv(_mH(L) @ L if upper else L @ _mH(L)), out)


@in_float32
def pinv(
    A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Any:
    """The pseudo-inverse of each matrix (*, m, n): (*, n, m).

    Singular values up to max(atol, rtol * largest) count as 0.
    """
    import numpy

    _matrix("pinv", A, square=hermitian)
    m, n = A.shape[-2:]
    tolerances = _tolerances(A, rtol if rtol is not None else rcond, atol)

    def compute(values: Any, relative: Any, absolute: Any) -> Any:
        if hermitian:
            lower = numpy.tril(values, -1)
            middle = numpy.diagonal(values, 0, -2, -1).real[..., None] * numpy.eye(n, dtype=values.dtype)
            values = lower + numpy.swapaxes(lower, -1, -2).conj() + middle
        u, s, vh = numpy.linalg.svd(values, full_matrices=False)
        top = s[..., :1] if s.shape[-1] else s
        limit = numpy.maximum(absolute[..., None], relative[..., None] * top)
        with numpy.errstate(divide="ignore"):
            inverted = numpy.where(s > limit, 1 / s, 0).astype(s.dtype)
        left, right = numpy.swapaxes(vh, -1, -2).conj(), numpy.swapaxes(u, -1, -2).conj()
        return (left * inverted[..., None, :]) @ right

    result = _run("pinv", compute, A, *tolerances, reason="the SVD failed")
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        P = pinv(A, rcond, hermitian, atol=atol, rtol=rtol) if _again() else fixed
        gT, PT = _mH(gradient), _mH(P)
        if m <= n:
            K = gT @ P
            KPT = K @ PT
            return (-_mH(P @ K) + KPT - (A @ P) @ KPT + (PT @ P) @ (gT - K @ A),)
        K = P @ gT
        PTK = PT @ K
        return (-_mH(K @ P) + (gT - A @ K) @ P @ PT + PTK - (PTK @ P) @ A,)

    return deliver(with_gradient(result, (A,), vjp, "linalg_pinv"), out)


def _tolerances(A: Any, rtol: Any, atol: Any) -> tuple[Any, Any]:
    """The relative and absolute tolerance as tensors, one for each matrix or for all."""

    def tensor(x: Any) -> Any:
        return x.detach() if isinstance(x, Tensor) else _core.full((), float(x), A.dtype.to_real())

    if rtol is None:
        standard = dtypes.finfo(A.dtype).eps * max(A.shape[-2:])
        rtol = standard if atol is None or (isinstance(atol, (int, float)) and atol <= 0) else 0.0
    return tensor(rtol), tensor(0.0 if atol is None else atol)


@in_float32
def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Any:
    """How many singular values of each matrix are larger than max(atol, rtol * largest)."""
    import numpy

    _matrix("matrix_rank", A, square=hermitian)

    def compute(A: Any, relative: Any, absolute: Any) -> Any:
        s = numpy.linalg.svd(to_numpy(A), compute_uv=False)
        top = s[..., :1] if s.shape[-1] else s
        limit = numpy.maximum(to_numpy(absolute)[..., None], to_numpy(relative)[..., None] * top)
        return to_tensor(numpy.asarray((s > limit).sum(-1), "int64"))

    tolerances = _tolerances(A, rtol, tol if tol is not None else atol)
    return deliver(recording.host("linalg.matrix_rank", compute, A, *tolerances), out)


# ------------------------------------------------------------------------------------------------------------ powers


def matrix_power(A: Any, n: int, *, out: Any = None) -> Any:
    """Each square matrix multiplied by itself `n` times; the inverse for negative `n`."""
    check_tensor("linalg.matrix_power", A, "A")
    n = integer("matrix_power", n, "n")
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise shape_error("linalg.matrix_power", "A must be batches of square matrices", A=A)
    if n < 0:
        return deliver(matrix_power(inv(A), -n), out)
    if n == 0:
        return deliver(eye(A.shape[-1], dtype=A.dtype).expand(A.shape).clone(), out)
    result, square = None, A
    while n:
        if n & 1:
            result = square if result is None else result @ square
        n >>= 1
        if n:
            square = square @ square
    return deliver(result.clone() if result is A else result, out)


@recording.by_example
def matrix_exp(A: Any) -> Any:
    """The exponential of each square matrix, by scaling, a Taylor polynomial and squaring."""
    import numpy

    _matrix("matrix_exp", A)
    if A.numel() == 0:
        return A.clone()
    if A.dtype in (dtypes.float32, dtypes.complex64):  # squaring would add up the rounding of every step
        return matrix_exp(A.to(dtypes.complex128 if A.is_complex() else dtypes.float64)).to(A.dtype)
    _core.refuse_reading("linalg.matrix_exp")  # the largest norm decides how often it is squared
    size = float(numpy.abs(to_numpy(A)).sum(-2).max())
    squarings = max(0, int(numpy.ceil(numpy.log2(size / 0.5)))) if numpy.isfinite(size) and size > 0.5 else 0
    scaled = A / float(2**squarings)
    unit = eye(A.shape[-1], dtype=A.dtype).expand(A.shape)
    result = unit
    for k in range(18, 0, -1):  # Horner's rule
        result = unit + scaled @ result / float(k)
    for _ in range(squarings):
        result = result @ result
    return result


inverse = inv


METHODS = {
    "cholesky_inverse": cholesky_inverse,
    "cholesky_solve": cholesky_solve,
    "det": det,
    "inverse": inv,
    "logdet": logdet,
    "matrix_exp": matrix_exp,
    "matrix_power": matrix_power,
    "slogdet": slogdet,
}
