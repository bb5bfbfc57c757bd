"""Special functions that SciPy computes, against SciPy and closed forms."""

from __future__ import annotations

import numpy
import pytest
import scipy.special

import flambeau
from flambeau import special
from flambeau.autograd import gradcheck, gradgradcheck


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_incomplete_gamma(dtype):
    rng = numpy.random.default_rng(0)
    a, x = (rng.uniform(0.1, 6.0, (4, 5)).astype(dtype) for _ in range(2))
    tolerance = {"float32": 1e-6, "float64": 1e-13}[dtype]
    for function, exact in ((flambeau.igamma, scipy.special.gammainc), (special.gammaincc, scipy.special.gammaincc)):
        found = function(flambeau.from_numpy(a), flambeau.from_numpy(x))
        assert found.dtype is getattr(flambeau, dtype)
        numpy.testing.assert_allclose(found.numpy(), exact(a, x), rtol=tolerance)
    t = flambeau.from_numpy(a.copy())
    assert t.igammac_(flambeau.from_numpy(x)) is t
    numpy.testing.assert_allclose(t.numpy(), scipy.special.gammaincc(a, x), rtol=tolerance)


def test_incomplete_gamma_gradient():
    a = flambeau.tensor([[0.5], [2.0]], dtype=flambeau.float64)
    x = flambeau.tensor([0.3, 1.0, 4.0], dtype=flambeau.float64).requires_grad_()
    for function in (flambeau.igamma, flambeau.igammac):
        assert gradcheck(lambda x, f=function: f(a, x), (x,))
        assert gradgradcheck(lambda x, f=function: f(a, x), (x,))
    with pytest.raises(flambeau.AutogradError, match="first argument"):
        flambeau.igamma(a.requires_grad_(), x)


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 5, 12])
def test_chebyshev_polynomials(n):
    """In closed form, with x = cos(theta)."""
    theta = numpy.linspace(0.1, 3.0, 9)
    x = flambeau.from_numpy(numpy.cos(theta))
    forms = {
        "t": numpy.cos(n * theta),
        "u": numpy.sin((n + 1) * theta) / numpy.sin(theta),
        "v": numpy.cos((n + 0.5) * theta) / numpy.cos(theta / 2),
        "w": numpy.sin((n + 0.5) * theta) / numpy.sin(theta / 2),
    }
    for letter, exact in forms.items():
        exact = exact if n >= 0 else numpy.zeros_like(theta)
        plain = getattr(special, f"chebyshev_polynomial_{letter}")(x, n)
        shifted = getattr(special, f"shifted_chebyshev_polynomial_{letter}")((x + 1.0) / 2.0, n)
        numpy.testing.assert_allclose(plain.numpy(), exact, atol=1e-11)
        numpy.testing.assert_allclose(shifted.numpy(), exact, atol=1e-11)


def test_i0_is_there():
    x = flambeau.tensor([0.0, 1.0, 20.0], dtype=flambeau.float64)
    numpy.testing.assert_allclose(flambeau.i0(x).numpy(), scipy.special.i0(x.numpy()), rtol=1e-13)
    assert x.i0_() is x
