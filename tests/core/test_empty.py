"""Tensors without elements, beside NumPy: identities of reductions, shapes that pass through, what has no answer."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same

SHAPES = [(0,), (0, 3), (3, 0), (2, 0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions_give_their_identity(shape):
    x, a = fl.zeros(shape), np.zeros(shape, dtype=np.float32)
    assert x.sum().item() == 0 and x.prod().item() == 1 and x.mean().isnan().item() and x.norm().item() == 0
    assert (x > 0).any().item() is False and (x > 0).all().item() is True
    for dim in range(len(shape)):
        assert_same(x.sum(dim), a.sum(dim))
        assert_same(x.prod(dim), a.prod(dim))
        assert_same(x.sum(dim, keepdim=True), a.sum(dim, keepdims=True))
        assert_same((x > 0).all(dim), (a > 0).all(dim))
        assert x.cumsum(dim).shape == shape and x.softmax(dim).shape == shape and x.sort(dim).values.shape == shape
        if shape[dim]:
            assert_same(x.amax(dim), a.max(dim))
            assert x.argmax(dim).shape == a.argmax(dim).shape


@pytest.mark.parametrize("name", ["max", "min", "amax", "argmax", "argmin"])
def test_what_has_no_answer_is_an_error(name):
    for shape, dim in (((0,), None), ((0,), 0), ((3, 0), 1)):
        with pytest.raises((RuntimeError, IndexError, ValueError)):
            getattr(fl.zeros(shape), name)(*(() if dim is None else (dim,)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_elementwise_operations_pass_shapes_through(shape):
    x = fl.zeros(shape, requires_grad=True)
    y = ((x + 1).exp() * x.relu() / (x - 2)).clamp(0, 1)
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape
    assert (x + fl.ones(1, 1, 1)).shape == (1,) * (3 - len(shape)) + shape
    assert x.clone().detach().add_(1).shape == shape and fl.zeros_like(x).shape == shape


def test_products_over_nothing_are_zero():
    for a, b in (
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
        ((2, 3), (3, 0)),
        ((4, 2, 0), (0, 3)),
        ((0,), (0,)),
        ((2, 0), (0,)),
    ):
        x, w = fl.ones(a, requires_grad=True), fl.ones(b, requires_grad=True)
        y = x @ w
        assert_same(y, np.ones(a, dtype=np.float32) @ np.ones(b, dtype=np.float32))
        y.sum().backward()
        assert x.grad.shape == a and w.grad.shape == b and x.grad.abs().sum().item() + w.grad.abs().sum().item() == 0
    assert fl.nn.functional.linear(fl.ones(2, 0), fl.ones(3, 0), fl.ones(3)).tolist() == [[1, 1, 1]] * 2


def test_joining_and_indexing():
    x = fl.zeros(0, 3)
    assert fl.cat([x, fl.ones(2, 3)]).shape == (2, 3) and fl.cat([fl.zeros(0), fl.ones(2, 3)]).shape == (2, 3)
    assert fl.stack([x, x]).shape == (2, 0, 3) and [p.shape for p in x.split(2)] == [(0, 3)]
    assert x[[]].shape == (0, 3) and x[:, 1].shape == (0,) and x.nonzero().shape == (0, 2) and x[x > 0].shape == (0,)
    assert x.T.reshape(3, 0).shape == (3, 0) and x.flatten().shape == (0,) and x.unique().shape == (0,)
    with pytest.raises(IndexError):
        x[0]
    with pytest.raises(RuntimeError):
        x.reshape(-1, 0)
    with pytest.raises((RuntimeError, ValueError)):
        fl.cat([])


def test_layers_and_losses_take_an_empty_batch():
    nn = fl.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    x = fl.zeros(0, 3, requires_grad=True)
    y = model(x)
    assert y.shape == (0, 2)
    y.sum().backward()
    assert x.grad.shape == (0, 3) and all(p.grad.abs().sum().item() == 0 for p in model.parameters())
    assert nn.functional.mse_loss(y, fl.zeros(0, 2)).isnan().item()
    assert nn.functional.mse_loss(y, fl.zeros(0, 2), reduction="sum").item() == 0
