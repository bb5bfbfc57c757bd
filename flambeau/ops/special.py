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


@entr.vjp
def _(grad, x):
    return grad * (-s.log(x) - 1.0)


@elementwise(promotion="float", domain=(-3.0, 3.0), tolerance=16)
def log_ndtr(x):
    """The logarithm of `ndtr`, without underflow for very negative x."""
    low, high = x < -10.0, x > 1.0
    tail = s.where(low, x, -10.0)
    inverse = 1.0 / (tail * tail)
    series, factor = s.constant(1.0, x), s.constant(1.0, x)
    for odd in range(1, 24, 2):
        factor = factor * inverse * -float(odd)
        series = series + factor
    asymptotic = s.log(series) - 0.5 * tail * tail - s.log(-tail) - 0.5 * math.log(2.0 * math.pi)
    middle = s.where(low | high, 0.0, x)
    plain = s.log(0.5 * s.erfc(middle * -math.sqrt(0.5)))
    upper = s.log1p(-0.5 * s.erfc(s.where(high, x, 1.0) * math.sqrt(0.5)))
    return s.where(low, asymptotic, s.where(high, upper, plain))


@log_ndtr.vjp
def _(grad, x, output):
    return grad * (s.exp(-0.5 * x * x - output) * (1.0 / math.sqrt(2.0 * math.pi)))


#: Bernoulli numbers B(2j) / (2j)!, of the Euler-Maclaurin formula.
_BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000,
)  # fmt: skip
_TERMS = 10


def _zeta(x, q):
    total = s.constant(0.0, q)
    for k in range(_TERMS):
        total = total + s.power(q + float(k), -x)
    far = q + float(_TERMS)
    last = s.power(far, -x)
    total = total + last * (far / (x - 1.0) + 0.5)
    term = x * last / far
    square = 1.0 / (far * far)
    for j, number in enumerate(_BERNOULLI):
        total = total + number * term
        term = term * (x + float(2 * j + 1)) * (x + float(2 * j + 2)) * square
    pole = s.where((q <= 0.0) & (q == s.floor(q)), math.inf, total)
    return s.where(x == 1.0, math.inf, s.where(x < 1.0, s.NAN, pole))


@elementwise(promotion="float", domain=(1.5, 5.0), tolerance=32, nondifferentiable=("x",))
def zeta(x, q):
    """The Hurwitz zeta function: the sum of (q + k) ** -x over k = 0, 1, ...; only q has a gradient."""
    return _zeta(x, q)


@zeta.vjp
def _(grad, x, q):
    return -grad * x * _zeta(x + 1.0, q)


def _polygamma(x, n):
    sign = s.where(s.remainder(n, 2.0) == 0.0, s.constant(-1.0, x), 1.0)
    return sign * s.exp(s.lgamma(n + 1.0)) * _zeta(n + 1.0, x)


@elementwise(promotion="float", domain=(0.3, 5.0), tolerance=64, samples=({"n": 2.0}, {"n": 3.0}))
def polygamma_of_order(x, n=2.0):
    """The n-th derivative of the digamma function, n >= 1: (-1) ** (n + 1) * n! * zeta(n + 1, x)."""
    return _polygamma(x, n)


@polygamma_of_order.vjp
def _(grad, x, n):
    return grad * _polygamma(x, n + 1.0)
