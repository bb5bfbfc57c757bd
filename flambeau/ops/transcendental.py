"""Powers, exponentials, logarithms and trigonometry, elementwise."""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import elementwise

# --- powers, exponentials, logarithms --------------------------------------------------------------------------------


@elementwise(promotion="integer")
def square(x):
    """x * x."""
    return x * x


@elementwise(promotion="float", domain=(0.1, 4.0))
def sqrt(x):
    """The square root; NaN below 0. Its gradient at 0 is infinite."""
    return s.sqrt(x)


@sqrt.vjp
def _(grad, output):
    return grad / (2.0 * output)


@elementwise(promotion="float", domain=(0.1, 4.0))
def rsqrt(x):
    """The reciprocal of the square root: 1 / sqrt(x)."""
    return s.rsqrt(x)


@rsqrt.vjp
def _(grad, output):
    return -0.5 * grad * (output * output * output)


@elementwise(promotion="float", domain=(0.5, 4.0))
def reciprocal(x):
    """1 / x."""
    return 1.0 / x


@reciprocal.vjp
def _(grad, output):
    return -grad * (output * output)


@elementwise(promotion="float")
def exp(x):
    """e to the power x."""
    return s.exp(x)


@exp.vjp
def _(grad, output):
    return grad * output


@elementwise(promotion="float")
def exp2(x):
    """2 to the power x."""
    return s.exp2(x)


@exp2.vjp
def _(grad, output):
    return grad * output * math.log(2.0)


@elementwise(promotion="float")
def expm1(x):
    """exp(x) - 1, exact for small x."""
    return s.expm1(x)


@expm1.vjp
def _(grad, output):
    return grad * (output + 1.0)


@elementwise(promotion="float", domain=(0.1, 4.0))
def log(x):
    """The natural logarithm; -inf at 0, NaN below."""
    return s.log(x)


@elementwise(promotion="float", domain=(0.1, 4.0))
def log2(x):
    """The logarithm to base 2."""
    return s.log2(x)


@elementwise(promotion="float", domain=(0.1, 4.0))
def log10(x):
    """The logarithm to base 10."""
    return s.log10(x)


@elementwise(promotion="float", domain=(-0.8, 4.0))
def log1p(x):
    """log(1 + x), exact for small x."""
    return s.log1p(x)


@elementwise(accepts="number", domain=(0.2, 3.0), tolerance=4)
def pow(x, exponent):
    """x to the power of the exponent.

    Integers wrap around; a negative exponent gives 0, except of 1 and -1. The gradient by x is 0 where the exponent
    is 0; the gradient by the exponent is 0 where x is 0 and the exponent is not negative.
    """
    return s.power(x, exponent)


@pow.vjp
def _(grad, x, exponent, output):
    base = s.where(exponent == 0.0, 0.0, grad * (exponent * s.power(x, exponent - 1.0)))
    return base, grad * s.where((x == 0.0) & (exponent >= 0.0), 0.0, output * s.log(x))


@elementwise(promotion="double", domain=(0.2, 3.0), tolerance=4)
def float_power(x, exponent):
    """x to the power of the exponent, computed in float64."""
    return s.power(x, exponent)


@elementwise(promotion="float", tolerance=4)
def ldexp(x, exponent):
    """x times two to the power of the exponent: x * 2 ** exponent."""
    return x * s.exp2(exponent)


@elementwise(accepts="floating", tolerance=4)
def logaddexp(x, y):
    """log(exp(x) + exp(y)) without overflow."""
    return _logaddexp(x, y, s.exp, s.log1p)


@logaddexp.vjp
def _(grad, x, y):
    return grad * s.sigmoid(_difference(x, y)), grad * s.sigmoid(_difference(y, x))


@elementwise(accepts="real", tolerance=4)
def logaddexp2(x, y):
    """log2(2 ** x + 2 ** y) without overflow."""
    return _logaddexp(x, y, s.exp2, lambda t: s.log1p(t) * (1.0 / math.log(2.0)))


@logaddexp2.vjp
def _(grad, x, y):
    scale = math.log(2.0)
    return grad * s.sigmoid(_difference(x, y) * scale), grad * s.sigmoid(_difference(y, x) * scale)


def _logaddexp(x, y, exponential, logarithm):
    if s.is_complex(x):
        first = s.real(x) >= s.real(y)
        larger, smaller = s.where(first, x, y), s.where(first, y, x)
        return larger + logarithm(exponential(smaller - larger))
    same_infinity = s.isinf(x) & (x == y)
    return s.where(same_infinity, x, s.maximum(x, y) + logarithm(exponential(-s.absolute(x - y))))


def _difference(x, y):
    return s.where(x == y, 0.0, x - y)


@elementwise(accepts="real", promotion="float", domain=(0.2, 3.0))
def xlogy(x, y):
    """x * log(y); 0 where x is 0, NaN where y is NaN. The gradient by x is 0 where x is 0 and y <= 0."""
    return s.where(s.isnan(y), y, s.where(x == 0.0, 0.0, x * s.log(y)))


@xlogy.vjp
def _(grad, x, y):
    by_x = s.where((x == 0.0) & (y <= 0.0), 0.0, s.where(s.isnan(y), y, s.where(grad == 0.0, 0.0, grad * s.log(y))))
    return by_x, grad * x / y


@elementwise(accepts="real", promotion="float", domain=(0.2, 3.0))
def xlog1py(x, y):
    """x * log(1 + y); 0 where x is 0, NaN where y is NaN. The gradient by x is 0 where x is 0 and y <= -1."""
    return s.where(s.isnan(y), y, s.where(x == 0.0, 0.0, x * s.log1p(y)))


@xlog1py.vjp
def _(grad, x, y):
    by_x = s.where(s.isnan(y), y, s.where(grad == 0.0, 0.0, grad * s.log1p(y)))
    return s.where((x == 0.0) & (y <= -1.0), 0.0, by_x), grad * x / (y + 1.0)


# --- trigonometry ----------------------------------------------------------------------------------------------------


@elementwise(promotion="float")
def sin(x):
    """The sine of an angle in radians."""
    return s.sin(x)


@elementwise(promotion="float")
def cos(x):
    """The cosine of an angle in radians."""
    return s.cos(x)


@elementwise(promotion="float", domain=(-1.2, 1.2))
def tan(x):
    """The tangent of an angle in radians."""
    return s.tan(x)


@tan.vjp
def _(grad, output):
    return grad * (1.0 + output * output)


@elementwise(promotion="float", domain=(-0.9, 0.9))
def asin(x):
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."""
    return s.asin(x)


@elementwise(promotion="float", domain=(-0.9, 0.9))
def acos(x):
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""
    return s.acos(x)


@elementwise(promotion="float")
def atan(x):
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return s.atan(x)


@elementwise(promotion="float")
def sinh(x):
    """The hyperbolic sine: (exp(x) - exp(-x)) / 2."""
    return s.sinh(x)


@elementwise(promotion="float")
def cosh(x):
    """The hyperbolic cosine: (exp(x) + exp(-x)) / 2."""
    return s.cosh(x)


@elementwise(promotion="float")
def tanh(x):
    """The hyperbolic tangent: (exp(2x) - 1) / (exp(2x) + 1)."""
    return s.tanh(x)


@tanh.vjp
def _(grad, output):
    return grad * (1.0 - output * output)


@elementwise(promotion="float")
def asinh(x):
    """The inverse hyperbolic sine: log(x + sqrt(x * x + 1))."""
    return s.asinh(x)


@elementwise(promotion="float", domain=(1.2, 5.0))
def acosh(x):
    """The inverse hyperbolic cosine: log(x + sqrt(x * x - 1)); NaN below 1."""
    return s.acosh(x)


@elementwise(promotion="float", domain=(-0.9, 0.9))
def atanh(x):
    """The inverse hyperbolic tangent: log((1 + x) / (1 - x)) / 2; NaN outside [-1, 1]."""
    return s.atanh(x)


@elementwise(promotion="float", domain=(0.3, 3.0))
def atan2(y, x):
    """The angle of the point (x, y), in [-pi, pi]. The gradient at the origin is 0."""
    return s.atan2(y, x)


@elementwise(accepts="real", domain=(0.3, 3.0), tolerance=4)
def hypot(x, y):
    """The length of the hypotenuse, sqrt(x * x + y * y), without overflow."""
    a, b = s.absolute(x), s.absolute(y)
    large, small = s.maximum(a, b), s.minimum(a, b)
    ratio = small / s.where(large == 0.0, 1.0, large)
    length = large * s.sqrt(ratio * ratio + 1.0)
    return s.where((a == s.INFINITY) | (b == s.INFINITY), s.INFINITY, length)


@hypot.vjp
def _(grad, x, y, output):
    return grad * (x / output), grad * (y / output)


@elementwise(promotion="float")
def sinc(x):
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = x * math.pi
    safe = s.where(x == 0.0, 1.0, angle)
    return s.where(x == 0.0, 1.0, s.sin(angle) / safe)


@elementwise(accepts="real", promotion="float")
def deg2rad(x):
    """Degrees to radians: x * pi / 180."""
    return x * (math.pi / 180.0)


@elementwise(accepts="real", promotion="float")
def rad2deg(x):
    """Radians to degrees: x * 180 / pi."""
    return x * (180.0 / math.pi)
