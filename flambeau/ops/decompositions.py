"""Decompositions of (batches of) matrices, through NumPy's LAPACK: Cholesky, QR, singular values, eigenvalues.

Each has its gradient in terms of flambeau's own operations, so it can be differentiated again. LU and its relatives are
in `factorisations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _core, dtypes
from flambeau.ops.arguments import (
    deliver,
    in_float32,
    named_result,
    with_gradient,
)
from flambeau.ops.complex import conj
from flambeau.ops.create import eye, tril
from flambeau.ops.linalg import LinAlgError, _again, _info, _matrix, _mH, _run, _solve, solve_triangular
from flambeau.ops.shape import diag_embed

QR = named_result("linalg_qr", "Q", "R")
SVD = named_result("linalg_svd", "U", "S", "Vh")
Eig = named_result("linalg_eig", "eigenvalues", "eigenvectors")
Eigh = named_result("linalg_eigh", "eigenvalues", "eigenvectors")
CholeskyEx = named_result("linalg_cholesky_ex", "L", "info")


@in_float32
def cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Any:
    """The lower triangular L with A = L L^H for each Hermitian positive definite matrix; L^H with `upper`.

    >>> fl.linalg.cholesky(fl.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    import numpy

    _matrix("cholesky", A)
    source = _mH(A) if upper else A
    result = _run("cholesky", numpy.linalg.cholesky, source, reason="the input is not positive-definite")
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        L = cholesky(source) if _again() else fixed
        middle = _mH(L) @ gradient
        middle = (tril(middle) + _mH(tril(middle, -1))) * 0.5
        inner = solve_triangular(_mH(L), middle, upper=True)
        return (solve_triangular(L, inner, upper=False, left=False),)

    # A stands for a Hermitian matrix: it and its conjugate transpose have one gradient.
    result = with_gradient(result, (A,), vjp, "linalg_cholesky")
    return deliver(_mH(result) if upper else result, out)


@in_float32
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """(L, info): `cholesky` that reports failure in `info` instead of raising, unless `check_errors`."""
    _core.refuse_reading("linalg.cholesky_ex")  # whether there is a factor
    try:
        return CholeskyEx(cholesky(A, upper=upper), _info(A.shape[:-2]))
    except LinAlgError:
        if check_errors:
            raise
        return CholeskyEx(A.detach() * float("nan"), _info(A.shape[:-2]) + 1)


@in_float32
def qr(A: Any, mode: str = "reduced", *, out: Any = None) -> Any:
    """(Q, R) with A = Q R: orthonormal columns and an upper triangle. `mode` is "reduced", "complete" or "r"."""
    import numpy

    _matrix("qr", A, square=False)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: mode must be one of 'reduced', 'complete', 'r', got {mode!r}")
    if mode == "r":
        R = _run("qr", lambda a: numpy.linalg.qr(a, "r"), A)
        return QR(_core.empty((0,), A.dtype), with_gradient(R, (A,), _no_gradient("qr with mode='r'"), "linalg_qr"))
    checked: Any = mode
    pair = _run("qr", lambda a: tuple(numpy.linalg.qr(a, checked)), A)
    m, n = A.shape[-2:]
    if mode == "complete" and m > n:
        return QR(*with_gradient(pair, (A,), _no_gradient("qr with mode='complete' of a tall matrix"), "linalg_qr"))
    fixed = (pair[0].detach(), pair[1].detach())

    def vjp(gQ: Any, gR: Any) -> tuple[Any]:
        Q, R = qr(A, mode) if _again() else fixed
        gQ = _core.full(Q.shape, 0, Q.dtype) if gQ is None else gQ
        gR = _core.full(R.shape, 0, R.dtype) if gR is None else gR
        if m >= n:
            return (_qr_gradient(Q, R, gQ, gR),)
        # A wide matrix: the first m columns decompose as above, the rest is Q times the rest of R.
        rest = gR.narrow(-1, m, n - m)
        gQ = gQ + A.narrow(-1, m, n - m) @ _mH(rest)
        square = _qr_gradient(Q, R.narrow(-1, 0, m), gQ, gR.narrow(-1, 0, m))
        return (_core.cat([square, Q @ rest], A.ndim - 1),)

    return QR(*with_gradient(pair, (A,), vjp, "linalg_qr"))


def _qr_gradient(Q: Any, R: Any, gQ: Any, gR: Any) -> Any:
    middle = R @ _mH(gR) - _mH(gQ) @ Q
    lower = tril(middle, -1)
    middle = lower + _mH(lower) + diag_embed(middle.diagonal(0, -2, -1).real)
    return _mH(solve_triangular(R, _mH(gQ + Q @ middle), upper=True))


def _no_gradient(what: str) -> Callable[..., Any]:
    def vjp(*gradients: Any) -> Any:
        from flambeau.errors import AutogradError

        raise AutogradError(f"linalg: {what} has no gradient; use mode='reduced' or call .detach() on the input")

    return vjp


def _svd(name: str, A: Any) -> Any:
    """The thin SVD with gradients of all three factors."""
    import numpy

    three = _run(
        name, lambda a: tuple(numpy.linalg.svd(a, full_matrices=False)), A, reason="the iteration did not converge"
    )
    fixed = tuple([part.detach() for part in three])
    m, n = A.shape[-2:]

    def vjp(gU: Any, gS: Any, gVh: Any) -> tuple[Any]:
        U, S, Vh = _svd(name, A) if _again() else fixed
        inner = None
        if gU is not None or gVh is not None:
            squares = S * S
            gap = squares.unsqueeze(-2) - squares.unsqueeze(-1) + eye(S.shape[-1], dtype=S.dtype)
            if gU is not None:
                X = _mH(U) @ gU
                inner = (X - _mH(X)) / gap * S.unsqueeze(-2)
            if gVh is not None:
                X = gVh @ _mH(Vh)
                X = S.unsqueeze(-1) * ((_mH(X) - X) / gap)
                inner = X if inner is None else inner + X
            if A.is_complex() and gU is not None and gVh is not None:  # the phases, which the two bases share
                turned = (_mH(U) @ gU).diagonal(0, -2, -1)
                inner = inner + diag_embed((turned - conj(turned)) / (2.0 * S))
        if gS is not None:
            spread = diag_embed(gS)
            inner = spread.to(A.dtype) if inner is None else inner + spread
        if inner is None:
            return (None,)
        result = U @ inner @ Vh
        if gU is not None and m > S.shape[-1]:
            X = gU / S.unsqueeze(-2)
            result = result + (X - U @ (_mH(U) @ X)) @ Vh
        if gVh is not None and n > S.shape[-1]:
            X = gVh / S.unsqueeze(-1)
            result = result + U @ (X - (X @ _mH(Vh)) @ Vh)
        return (result,)

    return with_gradient(three, (A,), vjp, "linalg_svd")


@in_float32
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh: orthonormal columns, decreasing singular values, orthonormal rows.

    Gradients need the thin form or square matrices.
    """
    import numpy

    _matrix("svd", A, square=False)
    if not full_matrices or A.shape[-1] == A.shape[-2]:
        return SVD(*_svd("svd", A))
    full = _run("svd", lambda a: tuple(numpy.linalg.svd(a)), A, reason="the iteration did not converge")
    if A.requires_grad:  # S has a gradient, and the full bases where only their thin part is used
        k = min(A.shape[-2:])
        U, S, Vh = _svd("svd", A)
        return SVD(
            _core.cat([U, full[0].narrow(-1, k, A.shape[-2] - k)], A.ndim - 1), S,
            _core.cat([Vh, full[2].narrow(-2, k, A.shape[-1] - k)], A.ndim - 2),
        )  # fmt: skip
    return SVD(*full)


@in_float32
def svdvals(A: Any, *, driver: str | None = None, out: Any = None) -> Any:
    """The singular values of each matrix in decreasing order."""
    return deliver(_svd("svdvals", _matrix("svdvals", A, square=False))[1], out)


@in_float32
def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """(eigenvalues, eigenvectors) of each symmetric matrix, in increasing order; only the triangle `UPLO` is read."""
    import numpy

    _matrix("eigh", A)
    if not isinstance(UPLO, str):
        raise TypeError(f"linalg.eigh(): argument 'UPLO' must be str, not {type(UPLO).__name__}; pass 'L' or 'U'")
    triangle: Any = UPLO.upper()
    if triangle not in ("L", "U"):
        raise RuntimeError(f"linalg.eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
    pair = _run("eigh", lambda a: tuple(numpy.linalg.eigh(a, triangle)), A, reason="the iteration did not converge")
    fixed = (pair[0].detach(), pair[1].detach())

    def vjp(gL: Any, gV: Any) -> tuple[Any]:
        L, V = eigh(A, UPLO) if _again() else fixed
        if gV is None:
            return (None,) if gL is None else (V * gL.unsqueeze(-2) @ _mH(V),)
        unit = eye(L.shape[-1], dtype=L.dtype)
        gap = L.unsqueeze(-2) - L.unsqueeze(-1) + unit
        turned = _mH(V) @ gV
        middle = (turned - _mH(turned)) / (2.0 * gap)
        if A.is_complex():  # the phase of an eigenvector is free
            middle = middle - diag_embed(middle.diagonal(0, -2, -1))
        if gL is not None:
            middle = middle + diag_embed(gL)
        return (V @ middle @ _mH(V),)

    return Eigh(*with_gradient(pair, (A,), vjp, "linalg_eigh"))


@in_float32
def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """The eigenvalues of each symmetric matrix in increasing order."""
    return deliver(eigh(A, UPLO).eigenvalues, out)


def eig(A: Any, *, out: Any = None) -> Any:
    """(eigenvalues, eigenvectors) of each square matrix, both complex: A V = V diag(L), columns of V of length 1.

    The gradient exists where the eigenvalues are distinct, of functions that do not depend on the eigenvectors' phase.

    >>> fl.linalg.eig(fl.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    import numpy

    _matrix("eig", A)
    kind = A.dtype.to_complex()
    precision = "complex64" if kind is dtypes.complex64 else "complex128"

    def compute(a: Any) -> tuple[Any, Any]:  # NumPy gives real results where all are
        values, vectors = numpy.linalg.eig(a)
        return values.astype(precision), vectors.astype(precision)

    pair = _run("eig", compute, A, reason="the iteration did not converge")
    fixed = (pair[0].detach(), pair[1].detach())

    def vjp(gL: Any, gV: Any) -> tuple[Any]:
        L, V = eig(A) if _again() else fixed
        adjoint = _mH(V)
        middle = None
        if gV is not None:
            unit = eye(L.shape[-1], dtype=L.dtype)
            gap = conj(L.unsqueeze(-2) - L.unsqueeze(-1)) + unit
            turned = adjoint @ gV
            middle = turned - (adjoint @ V) * turned.diagonal(0, -2, -1).real.unsqueeze(-2)
            middle = middle / gap
            middle = middle - diag_embed(middle.diagonal(0, -2, -1))
        if gL is not None:
            middle = diag_embed(gL) if middle is None else middle + diag_embed(gL)
        if middle is None:
            return (None,)
        result = _solve(adjoint, middle @ adjoint)
        return (result if A.is_complex() else result.real,)

    found = Eig(*with_gradient(pair, (A,), vjp, "linalg_eig"))
    return found if out is None else Eig(deliver(found[0], out[0]), deliver(found[1], out[1]))


def eigvals(A: Any, *, out: Any = None) -> Any:
    """The eigenvalues of each square matrix, complex, in no particular order."""
    return deliver(eig(A).eigenvalues, out)
