"""Counts and hashes against NumPy: histogramdd, nonzero_static, hash_tensor; `gradient` against numpy.gradient."""

from __future__ import annotations

import numpy
import pytest

import flambeau
from flambeau.autograd import gradcheck, gradgradcheck


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [(3, 2), 4, "edges"])
def test_histogramdd(density, weighted, bins):
    rng = numpy.random.default_rng(0)
    points, weights = rng.normal(size=(40, 2)), rng.random(40) if weighted else None
    edges = [numpy.array([-1.0, 0.0, 0.3, 2.0]), numpy.array([-2.0, 0.5, 1.0])]
    given = [flambeau.from_numpy(each) for each in edges] if bins == "edges" else bins
    found = flambeau.histogramdd(
        flambeau.from_numpy(points), given, density=density,
        weight=None if weights is None else flambeau.from_numpy(weights),
    )  # fmt: skip
    counts, exact = numpy.histogramdd(points, edges if bins == "edges" else bins, density=density, weights=weights)
    numpy.testing.assert_allclose(found.hist.numpy(), counts, atol=1e-12)
    for one, other in zip(found.bin_edges, exact, strict=True):
        numpy.testing.assert_allclose(one.numpy(), other, atol=1e-12)


def test_histogramdd_range_and_errors():
    points = flambeau.rand(5, 3, 2)
    found = flambeau.histogramdd(points, 2, range=[0.0, 1.0, 0.0, 1.0])
    assert found.hist.sum().item() == 15.0 and found.bin_edges[0].tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(RuntimeError, match="2-dimensional"):
        flambeau.histogramdd(points, (1, 2, 3))
    with pytest.raises(RuntimeError, match="4 elements"):
        flambeau.histogramdd(points, 2, range=[0.0, 1.0])
    with pytest.raises(flambeau.DTypeError, match="floating"):
        flambeau.histogramdd(points.long(), 2)


def test_nonzero_static():
    x = flambeau.tensor([[0, 1], [2, 0]])
    assert flambeau.nonzero_static(x, size=1).tolist() == [[0, 1]]
    assert x.nonzero_static(size=3, fill_value=7).tolist() == [[0, 1], [1, 0], [7, 7]]
    assert tuple(flambeau.nonzero_static(flambeau.tensor(3), size=2).shape) == (2, 0)
    with pytest.raises(RuntimeError, match="non-negative"):
        flambeau.nonzero_static(x, size=-1)


def test_hash_tensor():
    x = numpy.random.default_rng(0).normal(size=(3, 4))
    bits = numpy.bitwise_xor.reduce(x.view("uint64"), axis=1)
    t = flambeau.from_numpy(x)
    assert flambeau.hash_tensor(t, 1).tolist() == bits.tolist()
    assert flambeau.hash_tensor(t).dtype is flambeau.uint64
    assert flambeau.hash_tensor(t).item() == numpy.bitwise_xor.reduce(bits)
    assert t.hash_tensor((0, 1), keepdim=True).shape == (1, 1)
    assert flambeau.hash_tensor(t.float().double()).item() == flambeau.hash_tensor(t.float()).item()
    with pytest.raises(RuntimeError, match="mode"):
        flambeau.hash_tensor(t, mode=1)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order):
    rng = numpy.random.default_rng(0)
    y = rng.normal(size=(5, 6))
    places = [numpy.sort(rng.normal(size=n)) for n in y.shape]
    t = flambeau.from_numpy(y)
    for spacing, steps in ((None, (1.0, 1.0)), (2.0, (2.0, 2.0)), ([0.5, 3.0], (0.5, 3.0)), ("places", places)):
        given = [flambeau.from_numpy(p) for p in places] if spacing == "places" else spacing
        found = flambeau.gradient(t, spacing=given, edge_order=edge_order)
        for one, other in zip(found, numpy.gradient(y, *steps, edge_order=edge_order), strict=True):
            numpy.testing.assert_allclose(one.numpy(), other, atol=1e-10)
    (one,) = flambeau.gradient(t, dim=1, edge_order=edge_order)
    numpy.testing.assert_allclose(one.numpy(), numpy.gradient(y, axis=1, edge_order=edge_order), atol=1e-12)
    leaf = flambeau.from_numpy(y).requires_grad_()
    assert gradcheck(lambda x: flambeau.gradient(x, edge_order=edge_order), (leaf,))


def test_gradient_errors():
    with pytest.raises(RuntimeError, match="edge_order"):
        flambeau.gradient(flambeau.ones(3), edge_order=3)
    with pytest.raises(RuntimeError, match="at least edge_order"):
        flambeau.gradient(flambeau.ones(1))
    with pytest.raises(RuntimeError, match="length 2"):
        flambeau.gradient(flambeau.ones(3, 3), spacing=[1.0, 2.0, 3.0])


def test_max_pool_backward():
    x = flambeau.randn(2, 3, 6, 5, dtype=flambeau.float64).requires_grad_()
    output, where = flambeau.nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True)
    g = flambeau.randn(*output.shape, dtype=flambeau.float64).requires_grad_()
    (expected,) = flambeau.autograd.grad(output, x, g.detach())

    def backward(g, where=where):
        return flambeau.max_pool2d_with_indices_backward(g, x.detach(), 3, 2, 1, 1, False, where)

    found = backward(g)
    numpy.testing.assert_allclose(found.detach().numpy(), expected.numpy(), atol=1e-14)
    assert gradcheck(backward, (g,)) and gradgradcheck(backward, (g,))
    with pytest.raises(RuntimeError, match="must lie in"):
        backward(g, where + 100)
