"""`grid_sample` against SciPy's interpolation and plain loops; `affine_grid` against the map written out."""

from __future__ import annotations

import math

import numpy
import pytest

import flambeau
import flambeau.nn.functional as F
from flambeau.autograd import gradcheck, gradgradcheck


def place(x, size, align):
    return (x + 1) / 2 * (size - 1) if align else ((x + 1) * size - 1) / 2


def inside(i, size, align, padding):
    """An index after padding, or None for a zero."""
    if 0 <= i <= size - 1:
        return i
    if padding == "zeros":
        return None
    if padding == "reflection":
        low, span = (0, size - 1) if align else (-0.5, size)
        if span == 0:
            return 0
        turns, rest = divmod(abs(i - low), span)
        i = (rest if turns % 2 == 0 else span - rest) + low
    return min(max(i, 0), size - 1)


def cubic(t):
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def taps(x, size, mode, padding, align):
    """(index, weight) pairs of one coordinate, from the definition."""
    p = place(x, size, align)
    if mode == "bicubic":
        base = math.floor(p)
        found = [(inside(base + k, size, align, padding), cubic(p - base - k)) for k in (-1, 0, 1, 2)]
        return [(int(i), w) for i, w in found if i is not None]
    if padding != "zeros":
        p = inside(p, size, align, padding)
    if mode == "nearest":
        i = round(p)
        return [(i, 1.0)] if 0 <= i < size else []
    base = math.floor(p)
    pairs = [(base, 1 - (p - base)), (base + 1, p - base)]
    return [(i, w) for i, w in pairs if 0 <= i < size]


def slowly(x, grid, mode, padding, align):
    n, c, *sizes = x.shape
    out = numpy.zeros((n, c, *grid.shape[1:-1]))
    for b in range(n):
        for where in numpy.ndindex(grid.shape[1:-1]):
            point = grid[(b, *where)][::-1]
            lines = [taps(v, s, mode, padding, align) for v, s in zip(point, sizes, strict=True)]
            cells = [((), 1.0)]
            for line in lines:
                cells = [((*at, i), weight * w) for at, weight in cells for i, w in line]
            for at, weight in cells:
                out[(b, slice(None), *where)] += weight * x[(b, slice(None), *at)]
    return out


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_images(mode, padding, align):
    rng = numpy.random.default_rng(0)
    x, grid = rng.normal(size=(2, 3, 4, 5)), rng.uniform(-2.2, 2.2, (2, 3, 7, 2))
    found = F.grid_sample(flambeau.from_numpy(x), flambeau.from_numpy(grid), mode, padding, align)
    numpy.testing.assert_allclose(found.numpy(), slowly(x, grid, mode, padding, align), atol=1e-12)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_volumes(mode, padding):
    rng = numpy.random.default_rng(1)
    x, grid = rng.normal(size=(1, 2, 3, 4, 5)), rng.uniform(-1.5, 1.5, (1, 2, 3, 4, 3))
    found = F.grid_sample(flambeau.from_numpy(x), flambeau.from_numpy(grid), mode, padding)
    numpy.testing.assert_allclose(found.numpy(), slowly(x, grid, mode, padding, False), atol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_gradients(mode, padding):
    rng = numpy.random.default_rng(2)
    x = flambeau.from_numpy(rng.normal(size=(1, 2, 3, 4))).requires_grad_()
    grid = flambeau.from_numpy(rng.uniform(-1.2, 1.2, (1, 2, 3, 2))).requires_grad_()

    def sample(x, grid):
        return F.grid_sample(x, grid, mode, padding)

    assert gradcheck(sample, (x, grid))
    assert gradgradcheck(sample, (x, grid))


def test_nearest_has_no_gradient_of_the_grid():
    grid = flambeau.zeros(1, 1, 1, 2).requires_grad_()
    x = flambeau.ones(1, 1, 3, 3).requires_grad_()
    F.grid_sample(x, grid, "nearest").sum().backward()
    assert x.grad.sum().item() == 1.0 and (grid.grad is None or not grid.grad.any())


def test_places_that_are_no_numbers():
    x = flambeau.arange(4.0).reshape(1, 1, 2, 2)
    grid = flambeau.tensor([[[[float("nan"), -1.0], [float("inf"), 0.0], [-1e30, 0.0]]]])
    found = F.grid_sample(x, grid, "nearest", "border").flatten().tolist()
    assert found == [0.0, 1.0, 0.0]


def test_half_precision_and_empty():
    x, grid = flambeau.ones(1, 1, 2, 2).half(), flambeau.zeros(1, 1, 1, 2).half()
    assert F.grid_sample(x, grid).dtype is flambeau.float16
    assert tuple(F.grid_sample(flambeau.ones(0, 2, 2, 2), flambeau.zeros(0, 3, 1, 2)).shape) == (0, 2, 3, 1)


def test_errors():
    x, grid = flambeau.ones(1, 1, 2, 2), flambeau.zeros(1, 1, 1, 2)
    with pytest.raises(ValueError, match="mode"):
        F.grid_sample(x, grid, "linear")
    with pytest.raises(ValueError, match="padding_mode"):
        F.grid_sample(x, grid, padding_mode="wrap")
    with pytest.raises(flambeau.ShapeError, match="same batch size"):
        F.grid_sample(x, grid.expand(2, 1, 1, 2))
    with pytest.raises(flambeau.ShapeError, match="size 2 in last dimension"):
        F.grid_sample(x, flambeau.zeros(1, 1, 1, 3))
    with pytest.raises(flambeau.DTypeError, match="same dtype"):
        F.grid_sample(x, grid.double())
    with pytest.raises(NotImplementedError, match="bicubic"):
        F.grid_sample(flambeau.ones(1, 1, 2, 2, 2), flambeau.zeros(1, 1, 1, 1, 3), "bicubic")


@pytest.mark.parametrize("align", [False, True])
def test_affine_grid(align):
    theta = numpy.random.default_rng(3).normal(size=(2, 2, 3))
    found = F.affine_grid(flambeau.from_numpy(theta), (2, 1, 3, 4), align).numpy()
    lines = [numpy.linspace(-1, 1, n) * (1 if align else (n - 1) / n) for n in (3, 4)]
    for (i, y), (j, x) in [(a, b) for a in enumerate(lines[0]) for b in enumerate(lines[1])]:
        numpy.testing.assert_allclose(found[:, i, j], theta @ numpy.array([x, y, 1.0]), atol=1e-12)


def test_identity_map_gives_the_image_back():
    x = flambeau.randn(1, 2, 3, 4, 5)
    theta = flambeau.eye(3, 4).unsqueeze(0)
    for align in (False, True):
        found = F.grid_sample(x, F.affine_grid(theta, x.shape, align), align_corners=align)
        numpy.testing.assert_allclose(found.numpy(), x.numpy(), atol=1e-5)
