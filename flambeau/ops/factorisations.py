"""Factors of matrices and what is solved and multiplied with them: LU, LDL, and Householder reflectors.

LU and LDL come from SciPy's LAPACK, their gradients are products and triangular solves; reflectors are multiplied in
the compact form I - V T V^H, so they differentiate themselves. Inverses, solves and whole decompositions are in
`linalg`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import AutogradError, DTypeError
from flambeau.ops.arguments import (
    check_tensor,
    deliver,
    named_result,
    scipy_part,
    shape_error,
    to_numpy,
    to_tensor,
    with_gradient,
)
from flambeau.ops.complex import conj
from flambeau.ops.constructors import broadcast_shapes
from flambeau.ops.create import eye, tril, triu
from flambeau.ops.linalg import LinAlgError, _again, _matrix, _mH, solve_triangular

__all__ = ["geqrf", "lu", "lu_solve", "lu_unpack", "orgqr", "ormqr"]

LU = named_result("linalg_lu", "P", "L", "U")
LUFactor = named_result("linalg_lu_factor", "LU", "pivots")
LUFactorEx = named_result("linalg_lu_factor_ex", "LU", "pivots", "info")
LUUnpack = named_result("lu_unpack", "P", "L", "U")
LDLFactor = named_result("linalg_ldl_factor", "LD", "pivots")
LDLFactorEx = named_result("linalg_ldl_factor_ex", "LD", "pivots", "info")
Geqrf = named_result("geqrf", "a", "tau")


def _lapack(name: str, *arrays: Any) -> Callable[..., Any]:
    """The routine for these dtypes."""
    return scipy_part(f"linalg.{name.rsplit(maxsplit=1)[-1]}", "linalg").get_lapack_funcs((_ROUTINES[name],), arrays)[0]


_ROUTINES = {
    "lu_factor": "getrf", "lu_solve": "getrs", "ldl_factor": "sytrf", "ldl_solve": "sytrs",
    "hermitian ldl_factor": "hetrf", "hermitian ldl_solve": "hetrs",
}  # fmt: skip


def _deliver_all(results: tuple[Any, ...], out: Any) -> tuple[Any, ...]:
    if out is None:
        return results
    return tuple([deliver(result, target) for result, target in zip(results, out, strict=True)])


def _same(name: str, **tensors: Any) -> None:
    """DTypeError unless all tensors have one dtype."""
    kinds = {str(t.dtype) for t in tensors.values()}
    if len(kinds) > 1:
        found = " and ".join([f"{key} {t.dtype}" for key, t in tensors.items()])
        raise DTypeError(f"{name}: {found} must have one dtype")


# ------------------------------------------------------------------------------------------------------------------ LU


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """(LU, pivots, info): `lu_factor` that says in `info` which pivot is zero instead of raising.

    Arguments: `A` (*, m, n); `check_errors`, raise LinAlgError after all where a pivot is zero. Returns LU (*, m, n),
    pivots int32 (*, k) counted from 1, info int32 (*), with k = min(m, n).

    >>> fl.linalg.lu_factor_ex(fl.tensor([[0.0, 1.0], [2.0, 0.0]])).pivots
    tensor([2, 2], dtype=flambeau.int32)
    """
    import numpy

    _matrix("lu_factor_ex", A, square=False)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU; leave out pivot=False")
    m, n = A.shape[-2:]
    batch, k = tuple(A.shape[:-2]), min(m, n)
    values = to_numpy(A).reshape(-1, m, n) if A.numel() else numpy.empty((0, m, n), to_numpy(A).dtype)
    count = 1
    for size in batch:
        count *= size
    packed, pivots = numpy.zeros((count, m, n), values.dtype), numpy.zeros((count, k), "int32")
    info = numpy.zeros((count,), "int32")
    if A.numel():
        getrf = _lapack("lu_factor", values)
        for i, matrix in enumerate(values):
            packed[i], pivots[i], info[i] = getrf(matrix)
        pivots += 1
    if check_errors and info.any():
        raise LinAlgError(f"linalg.lu_factor: U[{info.max()},{info.max()}] is zero; the matrix is singular")
    result = to_tensor(packed.reshape((*batch, m, n)), A.dtype)
    places = to_tensor(pivots.reshape((*batch, k)))
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        found = lu_factor_ex(A).LU if _again() else fixed
        return (_lu_gradient(found, places, gradient),)

    result = with_gradient(result, (A,), vjp, "linalg_lu_factor")
    return LUFactorEx(*_deliver_all((result, places, to_tensor(info.reshape(batch))), out))


def _lu_gradient(packed: Any, pivots: Any, gradient: Any) -> Any:
    """The cotangent of A from that of its packed factors.

    With dA = P (dL U + L dU), L^-1 dL is strictly lower and dU U^-1 upper triangular; rows of L below and columns of U
    right of the square part follow from those.
    """
    m, n = packed.shape[-2:]
    k = min(m, n)
    if packed.numel() == 0:
        return gradient
    P, L, U = lu_unpack(packed, pivots)
    gL = tril(gradient.narrow(-1, 0, k), -1)
    gU = triu(gradient.narrow(-2, 0, k))
    L1, U1 = L.narrow(-2, 0, k), U.narrow(-1, 0, k)
    lower = _mH(L1) @ gL.narrow(-2, 0, k)
    upper = gU.narrow(-1, 0, k) @ _mH(U1)
    if n > k:
        lower = lower - gU.narrow(-1, k, n - k) @ _mH(U.narrow(-1, k, n - k))
    if m > k:
        upper = upper - _mH(L.narrow(-2, k, m - k)) @ gL.narrow(-2, k, m - k)
    middle = tril(lower, -1) + triu(upper)
    if n > k:  # L^-T (middle U1^-T, gU2)
        right = solve_triangular(_mH(U1), middle, upper=False, left=False)
        whole = _core.cat([right, gU.narrow(-1, k, n - k)], packed.ndim - 1)
        return P @ solve_triangular(_mH(L1), whole, upper=True, unitriangular=True)
    above = solve_triangular(_mH(L1), middle, upper=True, unitriangular=True)
    if m > k:
        above = _core.cat([above, gL.narrow(-2, k, m - k)], packed.ndim - 2)
    return P @ solve_triangular(_mH(U1), above, upper=False, left=False)


def lu_factor(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """(LU, pivots): A = P L U, both triangles packed in one matrix, with the row exchanges in `pivots`.

    Arguments: `A` (*, m, n). Returns LU (*, m, n), its unit lower triangle L without the ones, its upper triangle U;
    pivots int32 (*, min(m, n)): row i was exchanged with row pivots[i] - 1. Errors: LinAlgError for a zero pivot.

    >>> fl.linalg.lu_factor(fl.tensor([[1.0, 2.0], [2.0, 0.0]])).LU
    tensor([[2.0000, 0.0000],
            [0.5000, 2.0000]])
    """
    packed, pivots, _ = lu_factor_ex(A, pivot=pivot, check_errors=True)
    return LUFactor(*_deliver_all((packed, pivots), out))


def _permutation(pivots: Any, size: int, dtype: Any) -> Any:
    """The matrices P (*, size, size) that stand for the row exchanges."""
    import numpy

    steps = to_numpy(pivots).astype("int64") - 1
    if steps.size and (steps.min() < 0 or steps.max() >= size):
        raise RuntimeError(
            f"lu_unpack: LU_pivots must lie in 1, ..., {size} (rows of LU_data); take those that lu_factor gave"
        )
    rows = numpy.tile(numpy.arange(size), (*steps.shape[:-1], 1))
    for i in range(steps.shape[-1]):
        other = steps[..., i : i + 1]
        taken = numpy.take_along_axis(rows, other, -1)
        numpy.put_along_axis(rows, other, rows[..., i : i + 1].copy(), -1)
        rows[..., i : i + 1] = taken
    return to_tensor((rows[..., None, :] == numpy.arange(size)[:, None]), dtype)


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None
) -> Any:
    """(P, L, U) out of what `lu_factor` gave: a permutation matrix, a unit lower and an upper triangle.

    Arguments: `LU_data` (*, m, n); `LU_pivots` int32 (*, k), k = min(m, n); what is not unpacked is an empty tensor.
    Returns P (*, m, m), L (*, m, k), U (*, k, n) with P L U the matrix that was factored. Errors: DTypeError for
    pivots that are not int32.

    >>> P, L, U = fl.lu_unpack(*fl.linalg.lu_factor(fl.tensor([[1.0, 2.0], [2.0, 0.0]])))
    >>> P @ L @ U
    tensor([[1., 2.],
            [2., 0.]])
    """
    check_tensor("lu_unpack", LU_data, "LU_data")
    check_tensor("lu_unpack", LU_pivots, "LU_pivots")
    if unpack_pivots and LU_pivots.dtype is not dtypes.int32:
        raise DTypeError(
            f"lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, got {LU_pivots.dtype}; "
            "use the pivots of lu_factor"
        )
    if LU_data.ndim < 2:
        raise shape_error("lu_unpack", "LU_data must have at least 2 dimensions", LU_data=LU_data)
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    P = L = U = _core.empty((0,), LU_data.dtype)
    if unpack_pivots:
        P = _permutation(LU_pivots, m, LU_data.dtype)
    if unpack_data:
        L = tril(LU_data.narrow(-1, 0, k), -1) + eye(m, k, dtype=LU_data.dtype)
        U = triu(LU_data.narrow(-2, 0, k))
    return LUUnpack(*_deliver_all((P, L, U), out))


def linalg_lu(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """(P, L, U) with A = P L U: a permutation, a unit lower triangle and an upper one.

    Arguments: `A` (*, m, n), floating. Returns P (*, m, m), L (*, m, k), U (*, k, n), k = min(m, n).

    >>> fl.linalg.lu(fl.tensor([[1.0, 2.0], [2.0, 0.0]])).U
    tensor([[2., 0.],
            [0., 2.]])
    """
    packed, pivots, _ = lu_factor_ex(A, pivot=pivot)
    return LU(*_deliver_all(tuple(lu_unpack(packed, pivots)), out))


def lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> tuple[Any, ...]:
    """(LU, pivots), with `get_infos` also info. Older form of `linalg.lu_factor`; no error for a zero pivot then.

    >>> fl.lu(fl.tensor([[2.0]]))
    (tensor([[2.]]), tensor([1], dtype=flambeau.int32))
    """
    check_tensor("lu", A, "A")
    packed, pivots, info = lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    found = (packed, pivots, info) if get_infos else (packed, pivots)
    return _deliver_all(found, out)


def linalg_lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False, out: Any = None) -> Any:
    """X with A X = B (X A = B for `left=False`), given the factors of A from `lu_factor`.

    Arguments: `LU` (*, n, n), `pivots` int32 (*, n), `B` (*, n, k), or (*, k, n) for `left=False`; batches broadcast.
    `adjoint` solves with the conjugate transpose of A. Returns X of the shape of B. Errors: ShapeError, DTypeError.

    >>> LU, pivots = fl.linalg.lu_factor(fl.tensor([[0.0, 1.0], [2.0, 0.0]]))
    >>> fl.linalg.lu_solve(LU, pivots, fl.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [1.]])
    """
    name = "lu_solve"
    _matrix(name, LU)
    check_tensor(name, pivots, "pivots")
    check_tensor(name, B, "B")
    _same("linalg.lu_solve", LU=LU, B=B)
    if pivots.dtype is not dtypes.int32:
        raise DTypeError(f"linalg.lu_solve: pivots should be a tensor of dtype int32, got {pivots.dtype}")
    if tuple(pivots.shape) != tuple(LU.shape[:-1]):
        raise shape_error("linalg.lu_solve", "pivots must have one value for each row of LU", LU=LU, pivots=pivots)
    n = LU.shape[-1]
    if B.ndim < 2 or B.shape[-2 if left else -1] != n:
        rule = f"Incompatible shapes of A and B: B must have {n} {'rows' if left else 'columns'}"
        raise shape_error("linalg.lu_solve", rule, LU=LU, B=B)
    if not left:
        return deliver(_mH(linalg_lu_solve(LU, pivots, _mH(B), adjoint=not adjoint)), out)
    batch = broadcast_shapes(LU.shape[:-2], B.shape[:-2])
    LU, B = LU.expand((*batch, *LU.shape[-2:])), B.expand((*batch, *B.shape[-2:]))
    pivots = pivots.expand((*batch, n))
    return deliver(_lu_solve(LU, pivots, B, adjoint), out)


def _lu_solve(LU: Any, pivots: Any, B: Any, adjoint: bool) -> Any:
    """`linalg_lu_solve` for equal batches."""
    import numpy

    n, k = LU.shape[-1], B.shape[-1]
    found = numpy.empty(tuple(B.shape), to_numpy(B).dtype)
    if B.numel():
        packed = to_numpy(LU).reshape(-1, n, n)
        getrs = _lapack("lu_solve", packed)
        places = to_numpy(pivots).reshape(-1, n) - 1
        flat = found.reshape(-1, n, k)
        for i, right in enumerate(to_numpy(B).reshape(-1, n, k)):
            flat[i], _ = getrs(packed[i], places[i], right, trans=2 * int(adjoint))
    result = to_tensor(found, B.dtype)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any, Any]:
        X = _lu_solve(LU, pivots, B, adjoint) if _again() else fixed
        gB = _lu_solve(LU, pivots, gradient, not adjoint)
        if not LU.requires_grad:
            return None, gB
        gA = -(X @ _mH(gB) if adjoint else gB @ _mH(X))  # of A = P L U
        P, L, U = lu_unpack(LU, pivots)
        inner = _mH(P) @ gA
        return tril(inner @ _mH(U), -1) + triu(_mH(L) @ inner), gB

    return with_gradient(result, (LU, B), vjp, "linalg_lu_solve")


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any, *, out: Any = None) -> Any:
    """X with A X = b, given the factors of A. Older form of `linalg.lu_solve`.

    >>> fl.lu_solve(fl.tensor([[4.0]]), *fl.lu(fl.tensor([[2.0]])))
    tensor([[2.]])
    """
    return linalg_lu_solve(LU_data, LU_pivots, b, out=out)


# ----------------------------------------------------------------------------------------------------------------- LDL


def _no_gradient(name: str, *tensors: Any) -> None:
    if _core.is_grad_enabled() and any(t.requires_grad for t in tensors):
        raise AutogradError(f"linalg.{name}: has no gradient; call it under no_grad() or on A.detach()")


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """(LD, pivots, info): `ldl_factor` that says in `info` which block of D is singular instead of raising.

    >>> fl.linalg.ldl_factor_ex(fl.tensor([[2.0, 0.0], [0.0, 1.0]])).info
    tensor(0, dtype=flambeau.int32)
    """
    import numpy

    _matrix("ldl_factor_ex", A)
    _no_gradient("ldl_factor", A)
    n, batch = A.shape[-1], tuple(A.shape[:-2])
    values = to_numpy(A)
    packed, pivots = numpy.tril(values), numpy.zeros((*batch, n), "int32")
    info = numpy.zeros(batch, "int32")
    if A.numel():
        sytrf = _lapack("hermitian ldl_factor" if hermitian and A.is_complex() else "ldl_factor", values)
        for place in numpy.ndindex(batch):
            packed[place], pivots[place], info[place] = sytrf(numpy.tril(values[place]), lower=1)
    if check_errors and info.any():
        raise LinAlgError(f"linalg.ldl_factor: D[{info.max()},{info.max()}] is zero; the matrix is singular")
    found = (to_tensor(numpy.tril(packed), A.dtype), to_tensor(pivots), to_tensor(info))
    return LDLFactorEx(*_deliver_all(found, out))


def ldl_factor(A: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """(LD, pivots): A = P L D L^T P^T for symmetric matrices that need not be positive definite; L^H if `hermitian`.

    Arguments: `A` (*, n, n), of which the lower triangle is read; `hermitian` changes nothing for real numbers.
    Returns LD (*, n, n), L and the 1x1 and 2x2 blocks of D packed in a lower triangle, and pivots int32 (*, n), both
    for `ldl_solve`. Errors: LinAlgError for a singular block. It has no gradient.

    >>> fl.linalg.ldl_factor(fl.tensor([[4.0, 2.0], [2.0, 2.0]])).LD
    tensor([[4.0000, 0.0000],
            [0.5000, 1.0000]])
    """
    packed, pivots, _ = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return LDLFactor(*_deliver_all((packed, pivots), out))


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """X with A X = B, given the factors of the symmetric A from `ldl_factor`.

    Arguments: `LD` (*, n, n), `pivots` int32 (*, n), `B` (*, n, k); batches broadcast. It has no gradient.

    >>> LD, pivots = fl.linalg.ldl_factor(fl.tensor([[4.0, 2.0], [2.0, 2.0]]))
    >>> fl.linalg.ldl_solve(LD, pivots, fl.tensor([[6.0], [4.0]]))
    tensor([[1.],
            [1.]])
    """
    import numpy

    _matrix("ldl_solve", LD)
    check_tensor("linalg.ldl_solve", pivots, "pivots")
    check_tensor("linalg.ldl_solve", B, "B")
    _same("linalg.ldl_solve", LD=LD, B=B)
    _no_gradient("ldl_solve", LD, B)
    n = LD.shape[-1]
    if B.ndim < 2 or B.shape[-2] != n:
        raise shape_error("linalg.ldl_solve", f"B must have {n} rows", LD=LD, B=B)
    if tuple(pivots.shape) != tuple(LD.shape[:-1]):
        raise shape_error("linalg.ldl_solve", "pivots must have one value for each row of LD", LD=LD, pivots=pivots)
    batch = broadcast_shapes(LD.shape[:-2], B.shape[:-2])
    packed = numpy.broadcast_to(to_numpy(LD), (*batch, n, n))
    places = numpy.broadcast_to(to_numpy(pivots), (*batch, n))
    right = numpy.broadcast_to(to_numpy(B), (*batch, *B.shape[-2:]))
    found = numpy.empty(right.shape, right.dtype)
    if found.size:
        sytrs = _lapack("hermitian ldl_solve" if hermitian and B.is_complex() else "ldl_solve", packed)
        for place in numpy.ndindex(batch):
            found[place], _ = sytrs(packed[place], places[place], right[place], lower=1)
    return deliver(to_tensor(found, B.dtype), out)


# ---------------------------------------------------------------------------------------------------------- reflectors


def geqrf(input: Any, *, out: Any = None) -> Any:
    """(a, tau): a QR decomposition as LAPACK leaves it: R above, the reflectors of Q below the diagonal.

    Arguments: `input` (*, m, n). Returns a (*, m, n) and tau (*, min(m, n)), for `ormqr` and
    `linalg.householder_product`. It has no gradient; `linalg.qr` has.

    >>> fl.geqrf(fl.tensor([[3.0], [4.0]])).a
    tensor([[-5.0000],
            [ 0.5000]])
    """
    import numpy

    _matrix("geqrf", input, square=False)
    _no_gradient("geqrf", input)
    m, n = input.shape[-2:]
    if input.numel() == 0:
        packed = numpy.zeros((*input.shape[:-2], n, m))
        tau = numpy.zeros((*input.shape[:-2], min(m, n)))
    else:
        packed, tau = numpy.linalg.qr(to_numpy(input), "raw")
    found = (to_tensor(numpy.swapaxes(packed, -1, -2), input.dtype), to_tensor(tau, input.dtype))
    return Geqrf(*_deliver_all(found, out))


def _compact(A: Any, tau: Any) -> tuple[Any, Any, Any]:
    """V and the factors (M, D) of T = M^-1 D in H_1 ... H_k = I - V T V^H.

    H_i = I - tau_i v_i v_i^H, where v_i is 0 above the diagonal of column i of A, 1 on it. Joining reflectors one by
    one gives T^-1 = diag(1 / tau) + striu(V^H V), so T = (I + diag(tau) striu(V^H V))^-1 diag(tau): no tau divides.
    """
    k = tau.shape[-1]
    V = A.narrow(-1, 0, k)
    V = tril(V, -1) + eye(A.shape[-2], k, dtype=A.dtype)
    D = tau.unsqueeze(-1)
    return V, D * triu(_mH(V) @ V, 1), D


def _reflect(A: Any, tau: Any, C: Any, transpose: bool) -> Any:
    """H_1 ... H_k C, or the product's conjugate transpose with C."""
    V, M, D = _compact(A, tau)
    inner = _mH(V) @ C
    if transpose:  # T^H = D^H M^-H
        inner = conj(D) * solve_triangular(_mH(M), inner, upper=False, unitriangular=True)
    else:
        inner = solve_triangular(M, D * inner, upper=True, unitriangular=True)
    return C - V @ inner


def householder_product(A: Any, tau: Any, *, out: Any = None) -> Any:
    """The first n columns of the product H_1 ... H_k of Householder reflectors H_i = I - tau_i v_i v_i^H.

    v_i is column i of `A` with a one on the diagonal and zeros above it.

    Arguments: `A` (*, m, n) with m >= n, `tau` (*, k) with k <= n, as `geqrf` gives them. Returns (*, m, n). Errors:
    ShapeError where the sizes do not fit.

    >>> fl.linalg.householder_product(*fl.geqrf(fl.tensor([[3.0], [4.0]])))
    tensor([[-0.6000],
            [-0.8000]])
    """
    name = "linalg.householder_product"
    _matrix("householder_product", A, square=False)
    check_tensor(name, tau, "tau")
    m, n = A.shape[-2:]
    if m < n:
        raise shape_error(name, "input.shape[-2] must be greater than or equal to input.shape[-1]", input=A)
    if tau.ndim != A.ndim - 1 or tau.shape[-1] > n or tuple(tau.shape[:-1]) != tuple(A.shape[:-2]):
        raise shape_error(name, "tau must be (*, k) with k <= n for input (*, m, n)", input=A, tau=tau)
    _same(name, input=A, tau=tau)
    unit = eye(m, n, dtype=A.dtype).expand(A.shape)
    if A.numel() == 0 or tau.numel() == 0:
        result = unit.clone()
    else:
        result = _reflect(A, tau, unit, False)
    return deliver(result, out)


orgqr = householder_product


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False, *, out: Any = None) -> Any:
    """Q other (other Q for `left=False`), with Q = H_1 ... H_k the (m, m) product of reflectors; see `geqrf`.

    Arguments: `input` (*, m, k), `tau` (*, k), `other` (*, m, n), or (*, n, m) for `left=False`; `transpose`
    multiplies with the conjugate transpose of Q. Returns the shape of `other`. Errors: ShapeError where the sizes do
    not fit.

    >>> a, tau = fl.geqrf(fl.tensor([[3.0], [4.0]]))
    >>> fl.ormqr(a, tau, fl.tensor([[3.0], [4.0]]), transpose=True)[0]
    tensor([-5.])
    """
    _matrix("ormqr", input, square=False)
    check_tensor("ormqr", tau, "tau")
    check_tensor("ormqr", other, "other")
    _same("ormqr", input=input, tau=tau, other=other)
    if other.ndim != input.ndim or other.ndim < 2:
        raise shape_error("ormqr", "input and other must have equally many dimensions, at least 2", input=input,
                          other=other)  # fmt: skip
    if tau.ndim != input.ndim - 1 or tau.shape[-1] > input.shape[-1]:
        raise shape_error("ormqr", "tau must be (*, k) with k <= input.shape[-1]", input=input, tau=tau)
    if other.shape[-2 if left else -1] != input.shape[-2]:
        raise shape_error("ormqr", f"other.shape[{-2 if left else -1}] must be equal to input.shape[-2]",
                          input=input, other=other)  # fmt: skip
    if tau.numel() == 0 or other.numel() == 0 or input.numel() == 0:
        return deliver(other.clone(), out)
    if left:
        return deliver(_reflect(input, tau, other, transpose), out)
    return deliver(_mH(_reflect(input, tau, _mH(other), not transpose)), out)


METHODS = {"geqrf": geqrf, "lu": lu, "lu_solve": lu_solve, "orgqr": orgqr, "ormqr": ormqr}
