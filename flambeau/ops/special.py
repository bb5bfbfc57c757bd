"""Special functions of the mathematician: error functions, gamma functions and their kin."""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import elementwise


@elementwise(promotion="float")
def erf(x):
    """The error function: 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x."""
    return s.erf(x)


@elementwise(promotion="float", tolerance=8)
def erfc(x):
    """1 - erf(x), exact for large x."""
    return s.erfc(x)


@elementwise(promotion="float", domain=(-0.9, 0.9), tolerance=8)
def erfinv(x):
    """The number whose error function is x; NaN outside [-1, 1]."""
    return s.erfinv(x)


@erfinv.vjp
def _(grad, output):
    return grad * (math.sqrt(math.pi) / 2.0) * s.exp(output * output)


@elementwise(promotion="float", domain=(0.3, 5.0), tolerance=16)
def lgamma(x):
    """The logarithm of the absolute value of the gamma function."""
    return s.lgamma(x)


@elementwise(promotion="float", domain=(0.3, 5.0), tolerance=16)
def digamma(x):
    """The derivative of the logarithm of the gamma function."""
    return s.digamma(x)


@elementwise(promotion="float", domain=(0.3, 5.0), tolerance=16)
def trigamma(x):
    """The derivative of the digamma function: polygamma of order 1."""
    from ..compiler.differentiate import trigamma as formula

    return formula(x)


@elementwise(promotion="float", domain=(-3.0, 3.0), tolerance=8)
def ndtr(x):
    """The standard normal distribution function: erfc(-x / sqrt(2)) / 2."""
    return 0.5 * s.erfc(x * -math.sqrt(0.5))


@elementwise(promotion="float", domain=(0.05, 0.95), tolerance=16)
def ndtri(x):
    """The inverse of the standard normal distribution function: sqrt(2) * erfinv(2 x - 1)."""
    return math.sqrt(2.0) * s.erfinv(2.0 * x - 1.0)


@elementwise(promotion="float", domain=(0.1, 3.0))
def entr(x):
    """The entropy term: -x * log(x); 0 at 0, -inf below."""
    safe = s.where(x > 0.0, x, 1.0)
    return s.where(s.isnan(x), x, s.where(x > 0.0, -x * s.log(safe), s.where(x == 0.0, s.constant(0.0, x), -math.inf)))
