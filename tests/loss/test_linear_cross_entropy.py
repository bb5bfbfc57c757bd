"""`linear_cross_entropy` in pieces against the plain composition of its two functions."""

from __future__ import annotations

import itertools

import numpy
import pytest

import flambeau
import flambeau.nn.functional as F
from flambeau.autograd import gradcheck, gradgradcheck

Options = flambeau.nn.LinearCrossEntropyOptions


def problem(bias=True, dtype=flambeau.float64):
    flambeau.manual_seed(0)
    x, W = flambeau.randn(7, 3, dtype=dtype), flambeau.randn(5, 3, dtype=dtype)
    b = flambeau.randn(5, dtype=dtype) if bias else None
    return [t if t is None else t.requires_grad_() for t in (x, W, b)]


@pytest.mark.parametrize(
    ("bias", "reduction", "weighted", "options"),
    list(
        itertools.product(
            [False, True], ["mean", "sum", "none"], [False, True], [Options(batch_chunk_size=3), Options()]
        )
    ),
)
def test_pieces_are_the_whole(bias, reduction, weighted, options):
    x, W, b = problem(bias)
    target = flambeau.tensor([0, 4, 1, 2, 1, 3, 2])
    named = {"reduction": reduction, "ignore_index": 1, "label_smoothing": 0.1}
    if weighted:
        named["weight"] = flambeau.rand(5, dtype=flambeau.float64)
    leaves = [t for t in (x, W, b) if t is not None]
    results = []
    for chosen in (None, options):
        loss = F.linear_cross_entropy(x, W, target, linear_bias=b, options=chosen, **named)
        results.append((loss, *flambeau.autograd.grad((loss * 1.5).sum(), leaves)))
    plain = F.cross_entropy(F.linear(x, W, b), target, **named)
    numpy.testing.assert_array_equal(results[0][0].detach().numpy(), plain.detach().numpy())
    for one, other in zip(*results, strict=True):
        numpy.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), atol=1e-13)


def test_gradients_to_second_order():
    x, W, b = problem()
    target = flambeau.tensor([0, 4, 1, 2, 1, 3, 2])

    def loss(x, W, b):
        return F.linear_cross_entropy(x, W, target, linear_bias=b, options=Options(batch_chunk_size=2))

    assert gradcheck(loss, (x, W, b))
    assert gradgradcheck(loss, (x, W, b))


def test_probabilities_and_half_precision():
    x, W, _ = problem(False, flambeau.float32)
    target = flambeau.rand(7, 5).softmax(1)
    whole = F.linear_cross_entropy(x, W, target)
    pieces = F.linear_cross_entropy(x, W, target, options=Options(batch_chunk_size=2))
    assert pieces.item() == pytest.approx(whole.item(), rel=1e-6)
    half = F.linear_cross_entropy(x.half(), W.half(), flambeau.zeros(7).long(), options=Options(batch_chunk_size=2))
    assert half.dtype is flambeau.float16
    half.backward()
    assert W.grad.dtype is flambeau.float32


def test_several_dimensions():
    flambeau.manual_seed(0)
    x, W = flambeau.randn(2, 3), flambeau.randn(4, 5, 3)
    target = flambeau.randint(0, 4, (2, 5))
    found = F.linear_cross_entropy(x, W, target, reduction="none")
    expected = F.cross_entropy(flambeau.einsum("ni,cdi->ncd", x, W), target, reduction="none")
    numpy.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5)


def test_errors():
    x, W, target = flambeau.ones(2, 3), flambeau.ones(4, 3), flambeau.tensor([0, 1])
    with pytest.raises(flambeau.ShapeError, match="in_features"):
        F.linear_cross_entropy(x, flambeau.ones(4, 2), target)
    with pytest.raises(flambeau.ShapeError, match="linear_bias shape"):
        F.linear_cross_entropy(x, W, target, linear_bias=flambeau.ones(3))
    with pytest.raises(RuntimeError, match="ignore_index"):
        F.linear_cross_entropy(x, W, flambeau.ones(2, 4), ignore_index=0)
    with pytest.raises(IndexError, match="out of bounds"):
        F.linear_cross_entropy(x, W, target + 4, options=Options(batch_chunk_size=1))
    with pytest.raises(ValueError, match="batch_chunk_size"):
        Options(batch_chunk_size=0)
    with pytest.raises(ValueError, match="chunking_method"):
        Options(chunking_method="square")
