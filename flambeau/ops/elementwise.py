"""Elementwise mathematics: what each operation computes of one element.

One declaration an operation; its kernel, gradients and broadcasting follow from it. Here are signs, arithmetic,
bounds and comparisons; powers and trigonometry live in `transcendental`, then there are `activation`, `special` and
`logic`. All can be imported from here. PyTorch's optional arguments are put on top elsewhere. Gradients that are not
mentioned are the textbook ones.
"""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import elementwise
from .activation import *  # noqa: F403  (one place to import every elementwise operation from)
from .bessel import *  # noqa: F403
from .logic import *  # noqa: F403
from .special import *  # noqa: F403
from .transcendental import *  # noqa: F403

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


@elementwise(accepts="number", outputs=("real",), tolerance=0, kinks=(0.0,))
def abs(x):
    """The absolute value: |x|, a real number. Its gradient at 0 is 0."""
    return s.absolute(x)


@elementwise(tolerance=0, kinks=(0.0,))
def sign(x):
    """-1, 0 or 1 by the sign of x (0 for NaN); the gradient is 0."""
    return s.sign(x)


@elementwise(tolerance=0, kinks=(0.0,))
def sgn(x):
    """The same as `sign` for real numbers; x / |x| for complex ones, 0 at 0."""
    return s.sgn(x)


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


@elementwise(accepts="number", domain=(0.5, 3.0), divisor="y")
def floor_divide(x, y):
    """x / y rounded towards minus infinity. Integers divided by zero give 0; the gradient is 0."""
    return s.floor_divide(x, y)


@floor_divide.vjp
def _(grad):
    return None, None


@elementwise(accepts="number", domain=(0.5, 3.0), divisor="y")
def trunc_divide(x, y):
    """x / y rounded towards zero. Integers divided by zero give 0; the gradient is 0."""
    return s.truncated_divide(x, y)


@trunc_divide.vjp
def _(grad):
    return None, None


@elementwise(accepts="number", domain=(0.5, 3.0), divisor="y")
def remainder(x, y):
    """The remainder with the sign of y (Python's %): x - y * floor(x / y). Integers divided by zero give 0."""
    return s.remainder(x, y)


@remainder.vjp
def _(grad, x, y):
    return grad, -grad * s.floor_divide(x, y)


@elementwise(accepts="number", domain=(0.5, 3.0), divisor="y")
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
    accepts="ordered", promotion="same", roles={"nan": "double", "posinf": "double", "neginf": "double"}, tolerance=0,
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
    if not s.is_floating(x) and not s.is_complex(x):
        x, y = s.cast(x, "float64"), s.cast(y, "float64")
    size = s.absolute(y)
    near = s.absolute(x - y) <= s.cast(atol, size) + s.absolute(s.cast(rtol, size) * size)
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
    if s.is_complex(x):
        return x > INFINITY
    return x == INFINITY if s.is_floating(x) else s.constant(False, "bool")


@elementwise(promotion="compare")
def isneginf(x):
    """Whether x is -inf."""
    if s.is_complex(x):
        return x < INFINITY
    return x == -INFINITY if s.is_floating(x) else s.constant(False, "bool")
