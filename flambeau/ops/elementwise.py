"""Elementwise mathematics: what each operation computes of one element.

One declaration an operation; its kernel, gradients and broadcasting follow from it. Activations live in `activation`,
special functions in `special`, reductions in `reduce`; PyTorch's optional arguments are put on top elsewhere.
Gradients that are not mentioned are the textbook ones.
"""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import elementwise
from .activation import *  # noqa: F403  (one place to import every elementwise operation from)
from .logic import *  # noqa: F403
from .special import *  # noqa: F403

INFINITY = math.inf

# --- signs and rounding ----------------------------------------------------------------------------------------------


@elementwise(promotion="same")
def copy(x):
    """Every element as it is; the output may have another dtype."""
    return x


@elementwise(promotion="same")
def fill(x, value):
    """`value` everywhere, in the dtype of `x`."""
    return value


@elementwise(accepts="number", tolerance=0)
def neg(x):
    """The negative: -x."""
    return -x


@elementwise(accepts="number", tolerance=0, kinks=(0.0,))
def abs(x):
    """The absolute value: |x|. Its gradient at 0 is 0."""
    return s.absolute(x)


@elementwise(tolerance=0, kinks=(0.0,))
def sign(x):
    """-1, 0 or 1 by the sign of x (0 for NaN); the gradient is 0."""
    return s.sign(x)


@elementwise(tolerance=0, kinks=(0.0,))
def sgn(x):
    """The same as `sign` for real numbers."""
    return s.sign(x)


@elementwise(promotion="compare")
def signbit(x):
    """Whether the sign of x is negative; true for -0.0."""
    return s.signbit(x)


@elementwise(accepts="number", tolerance=0)
def floor(x):
    """The largest integer not above x; the gradient is 0."""
    return s.floor(x)


@elementwise(accepts="number", tolerance=0)
def ceil(x):
    """The smallest integer not below x; the gradient is 0."""
    return s.ceil(x)


@elementwise(accepts="number", tolerance=0)
def trunc(x):
    """x without its fraction, rounded towards zero; the gradient is 0."""
    return s.trunc(x)


@elementwise(accepts="number", tolerance=0)
def round(x):
    """The nearest integer, halves to the even one; the gradient is 0."""
    return s.round_even(x)


@elementwise(accepts="floating")
def round_decimals(x, scale=1.0):
    """x rounded to decimals: round(x * scale) / scale with scale = 10 ** decimals; the gradient is 0."""
    return s.round_even(x * scale) / scale


@elementwise(accepts="floating")
def round_tens(x, scale=1.0):
    """x rounded to multiples of scale = 10 ** -decimals: round(x / scale) * scale; the gradient is 0."""
    return s.round_even(x / scale) * scale


@elementwise(accepts="floating", tolerance=0)
def frac(x):
    """The fraction with the sign of x: x - trunc(x)."""
    return x - s.trunc(x)


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

    Integers wrap around; a negative exponent gives 0, except of 1 and -1. The gradient by x is 0 where the exponent is 0;
    the gradient by the exponent is 0 where x is 0 and the exponent is not negative.
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


@elementwise(accepts="floating", tolerance=4)
def logaddexp2(x, y):
    """log2(2 ** x + 2 ** y) without overflow."""
    return _logaddexp(x, y, s.exp2, lambda t: s.log1p(t) * (1.0 / math.log(2.0)))


@logaddexp2.vjp
def _(grad, x, y):
    scale = math.log(2.0)
    return grad * s.sigmoid(_difference(x, y) * scale), grad * s.sigmoid(_difference(y, x) * scale)


def _logaddexp(x, y, exponential, logarithm):
    same_infinity = s.isinf(x) & (x == y)
    return s.where(same_infinity, x, s.maximum(x, y) + logarithm(exponential(-s.absolute(x - y))))


def _difference(x, y):
    return s.where(x == y, 0.0, x - y)


@elementwise(promotion="float", domain=(0.2, 3.0))
def xlogy(x, y):
    """x * log(y); 0 where x is 0, NaN where y is NaN. The gradient by x is 0 where x is 0 and y <= 0."""
    return s.where(s.isnan(y), y, s.where(x == 0.0, 0.0, x * s.log(y)))


@xlogy.vjp
def _(grad, x, y):
    by_x = s.where((x == 0.0) & (y <= 0.0), 0.0, s.where(s.isnan(y), y, s.where(grad == 0.0, 0.0, grad * s.log(y))))
    return by_x, grad * x / y


@elementwise(promotion="float", domain=(0.2, 3.0))
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


@elementwise(accepts="floating", domain=(0.3, 3.0), tolerance=4)
def hypot(x, y):
    """The length of the hypotenuse, sqrt(x * x + y * y), without overflow."""
    a, b = s.absolute(x), s.absolute(y)
    large, small = s.maximum(a, b), s.minimum(a, b)
    ratio = small / s.where(large == 0.0, 1.0, large)
    length = large * s.sqrt(ratio * ratio + 1.0)
    return s.where((a == INFINITY) | (b == INFINITY), INFINITY, length)


@hypot.vjp
def _(grad, x, y, output):
    return grad * (x / output), grad * (y / output)


@elementwise(promotion="float")
def sinc(x):
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = x * math.pi
    safe = s.where(x == 0.0, 1.0, angle)
    return s.where(x == 0.0, 1.0, s.sin(angle) / safe)


@elementwise(promotion="float")
def deg2rad(x):
    """Degrees to radians: x * pi / 180."""
    return x * (math.pi / 180.0)


@elementwise(promotion="float")
def rad2deg(x):
    """Radians to degrees: x * 180 / pi."""
    return x * (180.0 / math.pi)


# --- arithmetic of two -----------------------------------------------------------------------------------------------


@elementwise(tolerance=0.5)
def add(x, y):
    """x + y; on bool the logical or."""
    return x + y


@elementwise
def add_scaled(x, y, alpha=1):
    """x + alpha * y."""
    return x + alpha * y


@elementwise(refuses="bool", tolerance=0.5)
def sub(x, y):
    """x - y; not for bool."""
    return x - y


@elementwise(refuses="bool")
def sub_scaled(x, y, alpha=1):
    """x - alpha * y."""
    return x - alpha * y


@elementwise(refuses="bool")
def rsub(x, y, alpha=1):
    """y - alpha * x."""
    return y - alpha * x


@elementwise(tolerance=0.5)
def mul(x, y):
    """x * y; on bool the logical and."""
    return x * y


@elementwise(promotion="float", domain=(0.5, 3.0), tolerance=0.5)
def div(x, y):
    """x / y; integers give the default float dtype."""
    return x / y


@elementwise(accepts="number", domain=(0.5, 3.0))
def floor_divide(x, y):
    """x / y rounded towards minus infinity. Integers divided by zero give 0; the gradient is 0."""
    return s.floor_divide(x, y)


@floor_divide.vjp
def _(grad):
    return None, None


@elementwise(accepts="number", domain=(0.5, 3.0))
def trunc_divide(x, y):
    """x / y rounded towards zero. Integers divided by zero give 0; the gradient is 0."""
    return s.truncated_divide(x, y)


@trunc_divide.vjp
def _(grad):
    return None, None


@elementwise(accepts="number", domain=(0.5, 3.0))
def remainder(x, y):
    """The remainder with the sign of y (Python's %): x - y * floor(x / y). Integers divided by zero give 0."""
    return s.remainder(x, y)


@remainder.vjp
def _(grad, x, y):
    return grad, -grad * s.floor_divide(x, y)


@elementwise(accepts="number", domain=(0.5, 3.0))
def fmod(x, y):
    """The remainder with the sign of x (C's fmod): x - y * trunc(x / y). Integers divided by zero give 0."""
    return s.fmod(x, y)


@elementwise(tolerance=0)
def maximum(x, y):
    """The larger; NaN if either is NaN. The gradient is halved where they are equal."""
    return s.maximum(x, y)


@elementwise(tolerance=0)
def minimum(x, y):
    """The smaller; NaN if either is NaN. The gradient is halved where they are equal."""
    return s.minimum(x, y)


@elementwise(tolerance=0)
def fmax(x, y):
    """The larger, the number where one is NaN. The gradient goes to x where they are equal."""
    return s.where((x >= y) | s.isnan(y), x, y)


@elementwise(tolerance=0)
def fmin(x, y):
    """The smaller, the number where one is NaN. The gradient goes to x where they are equal."""
    return s.where((x <= y) | s.isnan(y), x, y)


@elementwise(promotion="float", tolerance=0)
def copysign(x, y):
    """The magnitude of x with the sign of y, whose -0.0 counts. The gradient at x = 0 is 0."""
    return s.copysign(x, y)


@elementwise(tolerance=0, differentiable=False)
def heaviside(x, values):
    """0 below zero, 1 above, `values` at zero."""
    return s.where(x == 0, values, s.cast(x > 0, x))


@elementwise(accepts="floating")
def lerp(start, end, weight):
    """start + weight * (end - start), exact at both ends."""
    span = end - start
    return s.where(s.absolute(weight) < 0.5, start + weight * span, end - span * (1.0 - weight))


@lerp.vjp
def _(grad, start, end, weight):
    return grad * (1.0 - weight), grad * weight, grad * (end - start)


@elementwise
def addcmul(x, tensor1, tensor2, value=1):
    """x + value * tensor1 * tensor2."""
    return x + value * tensor1 * tensor2


@elementwise(accepts="floating", domain=(0.5, 3.0))
def addcdiv(x, tensor1, tensor2, value=1):
    """x + value * tensor1 / tensor2."""
    return x + value * tensor1 / tensor2


# --- bounds and choices ----------------------------------------------------------------------------------------------


@elementwise(accepts="number", tolerance=0)
def clamp(x, min, max):
    """x held between two bounds; `max` wins if they cross. The gradient passes at the bounds."""
    return s.minimum(s.maximum(x, min), max)


@clamp.vjp
def _(grad, x, min, max):
    zero = s.constant(0.0, grad)
    inside = (x >= min) & (x <= max)
    by_min = s.where((min < max) & (x < min), grad, zero)
    return s.where(inside, grad, zero), by_min, s.where((x > max) | (max < min), grad, zero)


@elementwise(accepts="number", tolerance=0)
def clamp_min(x, min):
    """x where it is not below `min`, else `min`. The gradient passes at the bound."""
    return s.maximum(x, min)


@clamp_min.vjp
def _(grad, x, min):
    return s.where(x >= min, grad, 0.0), s.where(x < min, grad, 0.0)


@elementwise(accepts="number", tolerance=0)
def clamp_max(x, max):
    """x where it is not above `max`, else `max`. The gradient passes at the bound."""
    return s.minimum(x, max)


@clamp_max.vjp
def _(grad, x, max):
    return s.where(x <= max, grad, 0.0), s.where(x > max, grad, 0.0)


@elementwise(roles={"condition": "bool"}, tolerance=0)
def where(condition, x, y):
    """x where the condition holds, else y."""
    return s.where(condition, x, y)


@elementwise(promotion="same", roles={"mask": "bool"}, tolerance=0)
def masked_fill(x, mask, value):
    """`value` where the mask holds, else x; in the dtype of x."""
    return s.where(mask, value, x)


@elementwise(
    promotion="same", roles={"nan": "double", "posinf": "double", "neginf": "double"}, tolerance=0,
)  # fmt: skip
def nan_to_num(x, nan=0.0, posinf=3.4028234663852886e38, neginf=-3.4028234663852886e38):
    """NaN and the infinities replaced by numbers; the gradient there is 0. Integers stay as they are."""
    if not s.is_floating(x):
        return x
    finite = s.where(x == INFINITY, s.cast(posinf, x), s.where(x == -INFINITY, s.cast(neginf, x), x))
    return s.where(s.isnan(x), s.cast(nan, x), finite)


@elementwise(promotion="compare", roles={"rtol": "double", "atol": "double", "equal_nan": "bool"})
def isclose(x, y, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |x - y| <= atol + rtol * |y|; infinities only if equal, NaN as `equal_nan` says."""
    if not s.is_floating(x):
        x, y = s.cast(x, "float64"), s.cast(y, "float64")
    near = s.absolute(x - y) <= s.cast(atol, x) + s.absolute(s.cast(rtol, x) * y)
    both = s.isnan(x) & s.isnan(y) & s.cast(equal_nan, "bool")
    return (x == y) | (s.isfinite(x) & s.isfinite(y) & near) | both


# --- comparisons and tests -------------------------------------------------------------------------------------------


@elementwise(promotion="compare")
def eq(x, y):
    """Whether x equals y; false for NaN."""
    return x == y


@elementwise(promotion="compare")
def ne(x, y):
    """Whether x differs from y; true for NaN."""
    return x != y


@elementwise(promotion="compare")
def lt(x, y):
    """Whether x is less than y."""
    return x < y


@elementwise(promotion="compare")
def le(x, y):
    """Whether x is less than or equal to y."""
    return x <= y


@elementwise(promotion="compare")
def gt(x, y):
    """Whether x is greater than y."""
    return x > y


@elementwise(promotion="compare")
def ge(x, y):
    """Whether x is greater than or equal to y."""
    return x >= y


@elementwise(promotion="compare")
def isnan(x):
    """Whether x is not a number."""
    return s.isnan(x)


@elementwise(promotion="compare")
def isinf(x):
    """Whether x is inf or -inf."""
    return s.isinf(x)


@elementwise(promotion="compare")
def isfinite(x):
    """Whether x is neither infinite nor NaN."""
    return s.isfinite(x)


@elementwise(promotion="compare")
def isposinf(x):
    """Whether x is inf."""
    return x == INFINITY if s.is_floating(x) else s.constant(False, "bool")


@elementwise(promotion="compare")
def isneginf(x):
    """Whether x is -inf."""
    return x == -INFINITY if s.is_floating(x) else s.constant(False, "bool")
