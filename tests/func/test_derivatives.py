"""grad, vjp, jvp, linearize, Jacobians and Hessians, in each other and in vmap."""

from __future__ import annotations

import itertools

import pytest

import flambeau as fl
from flambeau.func import derivatives, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap


def _x(*shape, seed=0):
    return fl.randn(*shape, dtype=fl.float64, generator=fl.Generator().manual_seed(seed))


def function(x):
    return (x.sin() * x.cumsum(0)).exp() / (1 + x.square().sum())


def test_jvp_is_a_directional_derivative():
    x, v = _x(5), _x(5, seed=1)
    value, change = jvp(function, (x,), (v,))
    step = 1e-6
    wanted = (function(x + step * v) - function(x - step * v)) / (2 * step)
    assert fl.allclose(change, wanted, rtol=1e-6) and fl.equal(value, function(x))
    assert not value.requires_grad and not change.requires_grad


def test_jvp_of_structures_and_outputs_without_dependence():
    def two(x, tree):
        return {"a": x * tree["y"], "b": fl.ones(2), "c": x > 0}

    x, y = _x(3), _x(3, seed=1)
    _, change = jvp(two, (x, {"y": y}), (y, {"y": x}))
    assert fl.allclose(change["a"], y * y + x * x) and fl.equal(change["b"], fl.zeros(2))
    with pytest.raises(RuntimeError, match="strict"):
        jvp(lambda x: fl.ones(2), (x,), (x,), strict=True)
    with pytest.raises(RuntimeError, match="tuples"):
        jvp(fl.sin, x, x)
    with pytest.raises(RuntimeError, match="shapes"):
        jvp(fl.sin, (x,), (_x(2),))


def test_linearize_can_be_called_again():
    x = _x(4)
    value, push = linearize(function, x)
    for seed in (1, 2):
        v = _x(4, seed=seed)
        assert fl.allclose(push(v), jvp(function, (x,), (v,))[1]) and fl.equal(value, function(x))


def test_vjp_and_jvp_are_transposed():
    x, v, u = _x(4), _x(4, seed=1), _x(4, seed=2)
    _, pull = vjp(function, x)
    assert fl.allclose((pull(u)[0] * v).sum(), (u * jvp(function, (x,), (v,))[1]).sum())
    aux = vjp(lambda x: (x.sin(), x.cos()), x, has_aux=True)[2]
    assert not aux.requires_grad


JACOBIANS = (jacrev, jacfwd)


@pytest.fixture(params=[0, 8], autouse=True)
def few(request, monkeypatch):
    """Small Jacobians both as one batch and row by row."""
    monkeypatch.setattr(derivatives, "_FEW", request.param)


@pytest.mark.parametrize("make", JACOBIANS)
def test_jacobians(make):
    x, y = _x(3), _x(2, seed=1)

    def call(x, y):
        return {"outer": fl.outer(x, y.exp()), "sum": x.sum()}

    found = make(call, argnums=(0, 1))(x, y)
    assert found["outer"][0].shape == (3, 2, 3) and found["outer"][1].shape == (3, 2, 2)
    assert found["sum"][0].shape == (3,)
    wanted = fl.autograd.functional.jacobian(lambda x, y: fl.outer(x, y.exp()), (x, y))
    assert fl.allclose(found["outer"][0], wanted[0]) and fl.allclose(found["outer"][1], wanted[1])
    assert fl.equal(found["sum"][0], fl.ones(3, dtype=fl.float64))
    assert fl.equal(found["sum"][1], fl.zeros(2, dtype=fl.float64))
    assert not found["sum"][0].requires_grad
    jacobian, auxiliary = make(lambda x: (x.sin(), x), has_aux=True)(x)
    assert fl.allclose(jacobian, x.cos().diag()) and fl.equal(auxiliary, x)
    assert fl.allclose(make(function, chunk_size=2)(x), make(function)(x))


@pytest.mark.parametrize("make", JACOBIANS)
def test_a_jacobian_of_what_cannot_be_batched(make):
    def reads(x):
        return x.square() if x.sum().item() > -100 else x

    x = _x(3)
    assert fl.allclose(make(reads)(x), (2 * x).diag())


def test_jacobians_draw_the_same_numbers():
    x = fl.ones(50)
    fl.manual_seed(3)
    by_rows = jacrev(fl.nn.functional.dropout)(x)
    fl.manual_seed(3)
    assert fl.equal(by_rows.diagonal(), fl.nn.functional.dropout(x))


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(JACOBIANS, repeat=2)))
def test_second_derivatives(outer, inner):
    x = _x(3)
    wanted = fl.autograd.functional.hessian(lambda x: function(x).sum(), x)
    assert fl.allclose(outer(inner(lambda x: function(x).sum()))(x), wanted)
    assert fl.allclose(hessian(lambda x: function(x).sum())(x), wanted)


def test_compositions():
    x, v = _x(3), _x(3, seed=1)
    assert fl.allclose(grad(grad(grad(lambda x: x**4)))(x[0]), 24 * x[0])
    assert fl.allclose(jvp(grad(lambda x: (x**3).sum()), (x,), (v,))[1], 6 * x * v)
    found = grad(lambda x: jvp(fl.sin, (x,), (v,))[1].sum())(x)
    assert fl.allclose(found, -x.sin() * v) and not found.requires_grad
    assert fl.allclose(jvp(lambda x: jvp(fl.sin, (x,), (v,))[1], (x,), (v,))[1], -x.sin() * v * v)
    batch = _x(4, 3)
    assert fl.allclose(vmap(hessian(lambda x: (x**3).sum()))(batch), (6 * batch).diag_embed())
    assert fl.allclose(vmap(lambda x: jvp(fl.sin, (x,), (x,))[1])(batch), batch.cos() * batch)
    assert fl.allclose(jvp(vmap(fl.sin), (batch,), (batch,))[1], batch.cos() * batch)
    assert fl.allclose(grad(lambda x: vmap(lambda r: r.square().sum())(x).sum())(batch), 2 * batch)
    assert fl.allclose(vmap(vmap(grad(fl.sin)))(batch), batch.cos())
    assert fl.allclose(vmap(jacrev(fl.sin))(batch), batch.cos().diag_embed())
    assert fl.allclose(vmap(lambda x: vjp(fl.sin, x)[1](x)[0])(batch), batch.cos() * batch)


def test_auxiliary_values_have_no_history():
    gradient, (value, auxiliary) = grad_and_value(lambda x: (x.sum(), x * 2), has_aux=True)(_x(3))
    assert not (gradient.requires_grad or value.requires_grad or auxiliary.requires_grad)


def test_closed_over_tensors_stay_differentiable():
    w = _x(3).requires_grad_()
    grad(lambda x: (x * x * w).sum())(_x(3, seed=1)).sum().backward()
    assert fl.allclose(w.grad, 2 * _x(3, seed=1))


def test_vectorized_functional():
    f = fl.autograd.functional
    x, y = _x(3), _x(3, seed=1)

    def two(x, y):
        return x * y, (x + y).sum()

    plain, fast = f.jacobian(two, (x, y)), f.jacobian(two, (x, y), vectorize=True)
    forward = f.jacobian(two, (x, y), vectorize=True, strategy="forward-mode")
    for a, b, c in zip(plain, fast, forward, strict=True):
        assert all(fl.allclose(p, q) and fl.allclose(p, r) for p, q, r in zip(a, b, c, strict=True))
    assert fl.allclose(
        f.hessian(lambda x: function(x).sum(), x, vectorize=True), f.hessian(lambda x: function(x).sum(), x)
    )
    with pytest.raises(RuntimeError, match="strict"):
        f.jacobian(fl.sin, x, vectorize=True, strict=True)
    with pytest.raises(ValueError, match="strategy"):
        f.jacobian(fl.sin, x, strategy="sideways")
