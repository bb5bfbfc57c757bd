"""Rows whose elements lie in several contiguous pieces: reductions and normalisations over the batch and the pixels."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl
from flambeau.nn import functional as F

# Pieces that are long, of the least length, too short to be taken so; one row, many rows, rows of two kept dimensions.
SHAPES = [(4, 9, 8, 8), (3, 5, 32), (3, 70, 4, 4), (6, 1, 40), (2, 300, 64), (3, 4, 5, 33)]


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape: tuple[int, ...]) -> None:
    r = np.random.default_rng(len(shape))
    channels = shape[1]
    dims = tuple(d for d in range(len(shape)) if d != 1)
    x, g, w, b = (r.standard_normal(s) for s in (shape, shape, channels, channels))
    column = (-1,) + (1,) * (len(shape) - 2)
    tensors = [fl.tensor(a, requires_grad=True) for a in (x, w, b)]
    found = []
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        y = F.batch_norm(tensors[0], None, None, tensors[1], tensors[2], True)
        found.append([each.detach().numpy() for each in (y, *fl.autograd.grad(y, tensors, fl.tensor(g)))])
    for other in found[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(found[0], other, strict=True))
    scale = 1 / np.sqrt(x.var(dims, keepdims=True) + 1e-5)
    normal = (x - x.mean(dims, keepdims=True)) * scale
    into = g * w.reshape(column)
    by_x = scale * (into - into.mean(dims, keepdims=True) - normal * (into * normal).mean(dims, keepdims=True))
    expected = [normal * w.reshape(column) + b.reshape(column), by_x, (g * normal).sum(dims), g.sum(dims)]
    for one, two in zip(found[0], expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_reductions_and_their_positions(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).standard_normal((*shape[:-1], shape[-1] + 3)).astype("float32")
    for view in (x, x[..., 2:-1], x[::-1].copy()[1:]):
        t = fl.tensor(x)[..., 2:-1] if view.shape == shape else fl.tensor(view)
        dims = (0, *range(2, len(shape)))
        np.testing.assert_array_equal(t.amax(dims).numpy(), view.max(dims))
        np.testing.assert_allclose(t.sum(dims).numpy(), view.sum(dims, dtype="float64"), rtol=1e-4, atol=1e-4)
        softened = F.softmax(t.transpose(0, 1).flatten(1), 1)
        assert softened.shape == (view.shape[1], view.size // view.shape[1])


def test_compiled_rows_in_pieces() -> None:
    x = fl.randn(4, 6, 8, 8, requires_grad=True)
    weight, bias = fl.randn(6), fl.randn(6)

    def step() -> tuple[fl.Tensor, fl.Tensor]:
        y = F.batch_norm(x, None, None, weight, bias, True)
        return y.detach(), fl.autograd.grad((y * y * y).sum(), x)[0]

    compiled = fl.compile(step)
    for _ in range(3):
        for found, expected in zip(compiled(), step(), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
