"""LU, LDL and reflector factors against what they must multiply to, their gradients against differences."""

from __future__ import annotations

import numpy
import pytest
import scipy.linalg

import flambeau
from flambeau.autograd import gradcheck, gradgradcheck

SHAPES = ((3, 3), (2, 4), (4, 2), (2, 3, 3), (2, 1, 5, 3), (0, 2, 2))


def matrix(*shape, seed=0, grad=False):
    values = numpy.random.default_rng(seed).normal(size=shape)
    return flambeau.from_numpy(values).requires_grad_(grad)


@pytest.mark.parametrize("shape", SHAPES)
def test_lu_multiplies_back(shape):
    A = matrix(*shape)
    P, L, U = flambeau.linalg.lu(A)
    numpy.testing.assert_allclose((P @ L @ U).numpy(), A.numpy(), atol=1e-12)
    k = min(shape[-2:])
    assert tuple(L.shape) == (*shape[:-1], k) and tuple(U.shape) == (*shape[:-2], k, shape[-1])
    packed, pivots = flambeau.linalg.lu_factor(A)
    assert pivots.dtype is flambeau.int32 and tuple(pivots.shape) == (*shape[:-2], k)
    for found, expected in zip(flambeau.lu_unpack(packed, pivots), (P, L, U), strict=True):
        numpy.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_lu_is_lapacks():
    A = matrix(5, 5)
    packed, pivots = flambeau.lu(A)
    expected, places = scipy.linalg.lu_factor(A.numpy())
    numpy.testing.assert_allclose(packed.numpy(), expected, atol=1e-14)
    numpy.testing.assert_array_equal(pivots.numpy(), places + 1)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 3, 3)])
def test_lu_gradients(shape):
    A = matrix(*shape, grad=True)
    assert gradcheck(lambda x: tuple(flambeau.linalg.lu(x))[1:], (A,))
    assert gradgradcheck(lambda x: flambeau.linalg.lu_factor(x).LU, (A,))


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(left, adjoint):
    A, B = matrix(2, 3, 3, grad=True), matrix(3, 3, seed=1, grad=True)
    packed, pivots = flambeau.linalg.lu_factor(A)
    X = flambeau.linalg.lu_solve(packed, pivots, B, left=left, adjoint=adjoint)
    M = A.mT if adjoint else A
    numpy.testing.assert_allclose((M @ X if left else X @ M).detach().numpy(), B.detach().expand(2, 3, 3), atol=1e-12)

    def solve(x, b):
        return flambeau.linalg.lu_solve(flambeau.linalg.lu_factor(x).LU, pivots, b, left=left, adjoint=adjoint)

    assert gradcheck(solve, (A, B))
    assert gradgradcheck(solve, (A, B))


def test_lu_errors():
    singular = flambeau.zeros(2, 2)
    with pytest.raises(flambeau.linalg.LinAlgError, match="is zero"):
        flambeau.linalg.lu_factor(singular)
    assert flambeau.linalg.lu_factor_ex(singular).info.item() == 1
    with pytest.raises(RuntimeError, match="without pivoting"):
        flambeau.linalg.lu_factor(singular, pivot=False)
    packed, pivots = flambeau.lu(flambeau.eye(2))
    with pytest.raises(flambeau.ShapeError, match="2 rows"):
        flambeau.linalg.lu_solve(packed, pivots, flambeau.ones(3, 1))
    with pytest.raises(flambeau.DTypeError, match="int32"):
        flambeau.lu_unpack(packed, pivots.long())
    with pytest.raises(RuntimeError, match="must lie in"):
        flambeau.lu_unpack(packed, pivots + 5)


def test_lu_out():
    A = matrix(3, 3)
    out = (flambeau.empty(0, dtype=flambeau.float64), flambeau.empty(0, dtype=flambeau.int32))
    packed, pivots = flambeau.linalg.lu_factor(A, out=out)
    assert packed is out[0] and pivots is out[1]
    numpy.testing.assert_array_equal(packed.numpy(), flambeau.linalg.lu_factor(A).LU.numpy())


def test_ldl_solves():
    A = matrix(2, 4, 4)
    A = A + A.mT  # indefinite
    LD, pivots = flambeau.linalg.ldl_factor(A)
    B = matrix(4, 2, seed=1)
    X = flambeau.linalg.ldl_solve(LD, pivots, B)
    numpy.testing.assert_allclose((A @ X).numpy(), B.expand(2, 4, 2).numpy(), atol=1e-11)
    with pytest.raises(flambeau.AutogradError):
        flambeau.linalg.ldl_factor(A.requires_grad_())


@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (2, 5, 2), (3, 0)])
def test_reflectors_are_those_of_qr(shape):
    A = matrix(*shape)
    a, tau = flambeau.geqrf(A)
    Q = flambeau.linalg.householder_product(a, tau)
    R = a.triu()[..., : shape[-1], :]
    numpy.testing.assert_allclose((Q @ R).numpy(), A.numpy(), atol=1e-12)
    unit = numpy.broadcast_to(numpy.eye(shape[-1]), (*shape[:-2], shape[-1], shape[-1]))
    numpy.testing.assert_allclose((Q.mT @ Q).numpy(), unit, atol=1e-12)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_ormqr(left, transpose):
    a, tau = flambeau.geqrf(matrix(4, 2))
    C = matrix(4, 4, seed=2)
    whole = flambeau.ormqr(a, tau, flambeau.eye(4, dtype=flambeau.float64))
    numpy.testing.assert_allclose((whole.mT @ whole).numpy(), numpy.eye(4), atol=1e-12)
    Q = whole.mT if transpose else whole
    found = flambeau.ormqr(a, tau, C, left, transpose)
    numpy.testing.assert_allclose(found.numpy(), (Q @ C if left else C @ Q).numpy(), atol=1e-12)


def test_reflector_gradients():
    a, tau, C = matrix(4, 2, grad=True), matrix(2, seed=1, grad=True), matrix(4, 3, seed=2, grad=True)
    assert gradcheck(flambeau.linalg.householder_product, (a, tau))
    assert gradgradcheck(flambeau.linalg.householder_product, (a, tau))
    assert gradcheck(flambeau.ormqr, (a, tau, C))


def test_reflectors_with_a_zero_factor():
    a, tau = matrix(3, 2), flambeau.zeros(2, dtype=flambeau.float64)
    numpy.testing.assert_array_equal(flambeau.linalg.householder_product(a, tau).numpy(), numpy.eye(3, 2))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 6, 4)])
def test_low_rank(shape):
    flambeau.manual_seed(0)
    A = matrix(*shape[:-1], 2) @ matrix(*shape[:-2], 2, shape[-1], seed=1)
    U, S, V = flambeau.svd_lowrank(A, q=3)
    numpy.testing.assert_allclose((U * S.unsqueeze(-2) @ V.mT).numpy(), A.numpy(), atol=1e-10)
    _, S, V = flambeau.pca_lowrank(A, q=3)
    centred = A - A.mean(-2, keepdim=True)
    exact = numpy.linalg.svd(centred.numpy(), compute_uv=False)[..., :3]
    numpy.testing.assert_allclose(S.numpy(), exact, atol=1e-10)
    with pytest.raises(ValueError, match="q"):
        flambeau.svd_lowrank(A, q=5)
