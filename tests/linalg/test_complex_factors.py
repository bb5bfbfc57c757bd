"""LU, LDL, reflectors and low-rank factors of complex matrices: what they multiply to, and their gradients."""

from __future__ import annotations

import numpy
import pytest

import flambeau as fl
from flambeau.autograd import gradcheck

pytest.importorskip("scipy")


def _random(*shape, seed=0):
    rng = numpy.random.default_rng(seed)
    return fl.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def _close(found, expected):
    numpy.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", [(4, 4), (4, 3), (3, 4), (2, 4, 4)], ids=str)
def test_lu(shape):
    A = _random(*shape)
    P, L, U = fl.linalg.lu(A)
    _close(P @ L @ U, A)
    assert gradcheck(lambda A: fl.linalg.lu_factor(A)[0], (A.clone().requires_grad_(),))


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(left, adjoint):
    A, B = _random(4, 4), _random(4, 4, seed=1)
    LU, pivots = fl.linalg.lu_factor(A)
    X = fl.linalg.lu_solve(LU, pivots, B, left=left, adjoint=adjoint)
    whole = A.mH if adjoint else A
    _close(whole @ X if left else X @ whole, B)
    inputs = (LU.clone().requires_grad_(), B.clone().requires_grad_())
    assert gradcheck(lambda LU, B: fl.linalg.lu_solve(LU, pivots, B, left=left, adjoint=adjoint), inputs)


@pytest.mark.parametrize("hermitian", [True, False])
def test_ldl(hermitian):
    A, B = _random(5, 5), _random(5, 2, seed=1)
    A = A + (A.mH if hermitian else A.mT)
    LD, pivots = fl.linalg.ldl_factor(A, hermitian=hermitian)
    _close(A @ fl.linalg.ldl_solve(LD, pivots, B, hermitian=hermitian), B)


def test_reflectors():
    A, B = _random(4, 4), _random(4, 4, seed=1)
    Q = fl.linalg.qr(A).Q
    a, tau = fl.geqrf(A)
    _close(fl.linalg.householder_product(a, tau), Q)
    _close(fl.ormqr(a, tau, B), Q @ B)
    _close(fl.ormqr(a, tau, B, transpose=True), Q.mH @ B)
    _close(fl.ormqr(a, tau, B, left=False), B @ Q)
    _close(fl.ormqr(a, tau, B, left=False, transpose=True), B @ Q.mH)
    inputs = tuple(t.clone().requires_grad_() for t in (a, tau, B))
    assert gradcheck(lambda a, t, B: fl.ormqr(a, t, B, transpose=True), inputs)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)], ids=str)
def test_low_rank(shape):
    A = _random(*shape)
    U, S, V = fl.svd_lowrank(A, q=3)
    _close(U * S @ V.mH, A)
