"""Dual tensors: tangents of operations, modules and in-between values; levels and errors."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau import nn
from flambeau.autograd import forward_ad


def test_tangents_follow_operations():
    x, v = fl.randn(3, dtype=fl.float64), fl.randn(3, dtype=fl.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, v)
        same = forward_ad.unpack_dual(dual)
        assert fl.equal(same.primal, x) and same.tangent is v
        y = dual.sin() * fl.ones(3, dtype=fl.float64).exp()
        middle, last = forward_ad.unpack_dual(y), forward_ad.unpack_dual(y.cumsum(0).softmax(0))
        assert forward_ad.unpack_dual(fl.ones(2)).tangent is None
        assert forward_ad.unpack_dual(x * 2).tangent is None
    scale = fl.ones(3, dtype=fl.float64).exp()
    assert fl.allclose(middle.tangent, x.cos() * v * scale) and not middle.tangent.requires_grad
    wanted = fl.func.jvp(lambda x: (x.sin() * scale).cumsum(0).softmax(0), (x,), (v,))
    assert fl.allclose(last.primal, wanted[0]) and fl.allclose(last.tangent, wanted[1])


def test_two_duals_add_up():
    a, b = fl.randn(2, 3), fl.randn(3)
    with forward_ad.dual_level():
        p, q = forward_ad.make_dual(a, a), forward_ad.make_dual(b, b)
        found = forward_ad.unpack_dual(p @ q)
    assert fl.allclose(found.tangent, 2 * (a @ b))


def test_parameters_as_duals():
    module = nn.Linear(2, 1)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    x = fl.randn(4, 2)
    with fl.no_grad(), forward_ad.dual_level():
        for name, p in parameters.items():
            delattr(module, name)
            setattr(module, name, forward_ad.make_dual(p, fl.ones_like(p)))
        found = forward_ad.unpack_dual(module(x))
    assert fl.allclose(found.tangent, x.sum(1, keepdim=True) + 1)


def test_errors():
    one = fl.ones(1)
    with pytest.raises(RuntimeError, match="no level exists"):
        forward_ad.make_dual(one, one)
    with forward_ad.dual_level():
        with pytest.raises(RuntimeError, match="Nested"):
            forward_ad.enter_dual_level()
        with pytest.raises(RuntimeError, match="shape"):
            forward_ad.make_dual(one, fl.ones(2))
        with pytest.raises(ValueError, match="floating"):
            forward_ad.make_dual(fl.ones(1, dtype=fl.int64), one)
        dual = forward_ad.make_dual(one, one)
    assert forward_ad.unpack_dual(dual).tangent is None
    with pytest.raises(RuntimeError, match="no level is active"):
        forward_ad.exit_dual_level()
