"""Fractional max-pooling: windows from fixed numbers, written out with loops."""

from __future__ import annotations

import numpy
import pytest

import flambeau
import flambeau.nn.functional as F
from flambeau.autograd import gradcheck


def starts(sample, size, out, kernel):
    if out == 1:
        return [size - kernel]
    step = (size - kernel) / (out - 1)
    return [int((i + sample) * step) - int(sample * step) for i in range(out - 1)] + [size - kernel]


@pytest.mark.parametrize("dims", [2, 3])
def test_windows(dims):
    rng = numpy.random.default_rng(0)
    sizes, kernel, out = (9, 8, 7)[:dims], (3, 2, 2)[:dims], (4, 3, 2)[:dims]
    x, samples = rng.normal(size=(2, 3, *sizes)), rng.random((2, 3, dims))
    function = getattr(F, f"fractional_max_pool{dims}d")
    found, where = function(
        flambeau.from_numpy(x), kernel, out, return_indices=True, _random_samples=flambeau.from_numpy(samples)
    )
    for n, c in numpy.ndindex(2, 3):
        order = samples[n, c][::-1] if dims == 2 else samples[n, c]
        lines = [starts(u, s, o, k) for u, s, o, k in zip(order, sizes, out, kernel, strict=True)]
        for at in numpy.ndindex(*out):
            window = tuple([slice(lines[d][at[d]], lines[d][at[d]] + kernel[d]) for d in range(dims)])
            assert found[(n, c, *at)].item() == x[n, c][window].max()
            assert x[n, c].reshape(-1)[where[(n, c, *at)].item()] == found[(n, c, *at)].item()


def test_gradient_and_module():
    x = flambeau.randn(1, 2, 6, 6, dtype=flambeau.float64).requires_grad_()
    samples = flambeau.rand(1, 2, 2, dtype=flambeau.float64)
    assert gradcheck(lambda x: F.fractional_max_pool2d(x, 2, 3, _random_samples=samples), (x,))
    assert tuple(flambeau.nn.FractionalMaxPool2d(2, output_ratio=0.5)(x[0]).shape) == (2, 3, 3)
    assert tuple(flambeau.nn.FractionalMaxPool3d(2, output_size=2)(flambeau.ones(1, 4, 4, 4)).shape) == (1, 2, 2, 2)


def test_errors():
    x = flambeau.ones(1, 1, 4, 4)
    with pytest.raises(ValueError, match="output_size or an output_ratio"):
        F.fractional_max_pool2d(x, 2)
    with pytest.raises(flambeau.ShapeError, match="too large"):
        F.fractional_max_pool2d(x, 3, 3)
    with pytest.raises(ValueError, match="only one"):
        flambeau.nn.FractionalMaxPool2d(2, 2, 0.5)
