"""Functions of single elements. What they compute is declared in `flambeau.ops`; promotion here is the standard's."""

from __future__ import annotations

from typing import Any

from flambeau.array_api.common import Tensor, array, number, promoted
from flambeau.ops import arithmetic
from flambeau.ops import elementwise as e


def _unary(name: str, operation: Any, sentence: str, whole: bool = False) -> Any:
    """A function of one tensor; `whole`: integers come back unchanged."""

    def function(x: Any, /) -> Any:
        array(name, x)
        return x.clone() if whole and x.dtype.category < 2 else operation(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = sentence
    return function


def _binary(name: str, operation: Any, sentence: str) -> Any:
    """A function of two tensors, or of a tensor and a number, which broadcast."""

    def function(x1: Any, x2: Any, /) -> Any:
        return operation(*promoted(name, x1, x2))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = sentence
    return function


abs = _unary("abs", e.abs, "The absolute value |x|.")
acos = _unary("acos", e.acos, "The arc cosine, in [0, pi].")
acosh = _unary("acosh", e.acosh, "The inverse hyperbolic cosine.")
asin = _unary("asin", e.asin, "The arc sine, in [-pi/2, pi/2].")
asinh = _unary("asinh", e.asinh, "The inverse hyperbolic sine.")
atan = _unary("atan", e.atan, "The arc tangent, in [-pi/2, pi/2].")
atanh = _unary("atanh", e.atanh, "The inverse hyperbolic tangent.")
bitwise_invert = _unary("bitwise_invert", e.bitwise_not, "Every bit inverted; logical not for bool.")
ceil = _unary("ceil", e.ceil, "The smallest whole number not below x; integers unchanged.", whole=True)
cos = _unary("cos", e.cos, "The cosine.")
cosh = _unary("cosh", e.cosh, "The hyperbolic cosine.")
exp = _unary("exp", e.exp, "e to the power x.")
expm1 = _unary("expm1", e.expm1, "exp(x) - 1, exact near 0.")
floor = _unary("floor", e.floor, "The largest whole number not above x; integers unchanged.", whole=True)
isfinite = _unary("isfinite", e.isfinite, "Whether x is neither infinite nor NaN.")
isinf = _unary("isinf", e.isinf, "Whether x is an infinity.")
isnan = _unary("isnan", e.isnan, "Whether x is NaN.")
log = _unary("log", e.log, "The natural logarithm.")
log1p = _unary("log1p", e.log1p, "log(1 + x), exact near 0.")
log2 = _unary("log2", e.log2, "The logarithm to base 2.")
log10 = _unary("log10", e.log10, "The logarithm to base 10.")
logical_not = _unary("logical_not", e.logical_not, "Whether x is zero.")
negative = _unary("negative", e.neg, "-x.")
reciprocal = _unary("reciprocal", e.reciprocal, "1 / x.")
round = _unary("round", e.round, "x rounded, halves to the even neighbour; integers unchanged.", whole=True)
signbit = _unary("signbit", e.signbit, "Whether the sign bit is set: true for -0 and negative NaN.")
sin = _unary("sin", e.sin, "The sine.")
sinh = _unary("sinh", e.sinh, "The hyperbolic sine.")
sqrt = _unary("sqrt", e.sqrt, "The square root.")
square = _unary("square", e.square, "x * x.")
tan = _unary("tan", e.tan, "The tangent.")
tanh = _unary("tanh", e.tanh, "The hyperbolic tangent.")
trunc = _unary("trunc", e.trunc, "x without its fraction; integers unchanged.", whole=True)

add = _binary("add", e.add, "x1 + x2.")
atan2 = _binary("atan2", e.atan2, "The angle of the point (x2, x1), in [-pi, pi].")
bitwise_and = _binary("bitwise_and", e.bitwise_and, "The bits set in both.")
bitwise_left_shift = _binary("bitwise_left_shift", e.left_shift, "The bits of x1 moved x2 places up.")
bitwise_or = _binary("bitwise_or", e.bitwise_or, "The bits set in either.")
bitwise_right_shift = _binary("bitwise_right_shift", e.right_shift, "The bits of x1 moved x2 places down, sign kept.")
bitwise_xor = _binary("bitwise_xor", e.bitwise_xor, "The bits set in one but not in both.")
copysign = _binary("copysign", e.copysign, "The size of x1 with the sign of x2.")
divide = _binary("divide", e.div, "x1 / x2.")
equal = _binary("equal", e.eq, "Whether x1 == x2, elementwise.")
floor_divide = _binary("floor_divide", e.floor_divide, "The largest whole number not above x1 / x2.")
greater = _binary("greater", e.gt, "Whether x1 > x2, elementwise.")
greater_equal = _binary("greater_equal", e.ge, "Whether x1 >= x2, elementwise.")
hypot = _binary("hypot", e.hypot, "sqrt(x1**2 + x2**2) without overflow on the way.")
less = _binary("less", e.lt, "Whether x1 < x2, elementwise.")
less_equal = _binary("less_equal", e.le, "Whether x1 <= x2, elementwise.")
logaddexp = _binary("logaddexp", e.logaddexp, "log(exp(x1) + exp(x2)) without overflow on the way.")
logical_and = _binary("logical_and", e.logical_and, "Whether both are not zero.")
logical_or = _binary("logical_or", e.logical_or, "Whether either is not zero.")
logical_xor = _binary("logical_xor", e.logical_xor, "Whether one but not both is not zero.")
maximum = _binary("maximum", e.maximum, "The larger of the two; NaN where either is NaN.")
minimum = _binary("minimum", e.minimum, "The smaller of the two; NaN where either is NaN.")
multiply = _binary("multiply", e.mul, "x1 * x2.")
not_equal = _binary("not_equal", e.ne, "Whether x1 != x2, elementwise.")
pow = _binary("pow", arithmetic.pow, "x1 to the power x2.")
subtract = _binary("subtract", e.sub, "x1 - x2.")


def nextafter(x1: Any, x2: Any, /) -> Any:
    """The next number after x1 in the direction of x2."""
    first, second = promoted("nextafter", x1, x2)
    return arithmetic.nextafter(first, second)


def remainder(x1: Any, x2: Any, /) -> Any:
    """x1 - floor(x1 / x2) * x2, with the sign of x2, a zero included."""
    first, second = promoted("remainder", x1, x2)
    result = e.remainder(first, second)
    return e.where(result == 0, e.copysign(result, second), result) if result.dtype.category == 2 else result


def positive(x: Any, /) -> Any:
    """A copy of x."""
    return array("positive", x).clone()


def sign(x: Any, /) -> Any:
    """-1, 0 or 1; NaN of NaN; x / |x| of complex numbers."""
    array("sign", x)
    if x.dtype.category == 3:
        return e.sgn(x)
    return e.where(e.isnan(x), x, e.sign(x)) if x.dtype.category == 2 else e.sign(x)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x held between `min` and `max`, numbers or tensors that broadcast with it, in the dtype of x.

    NaN stays, and a NaN bound gives NaN; where `min` is above `max` the result is `max`.
    """
    array("clip", x)
    if min is None and max is None:
        return x.clone()
    bounds = [
        None if bound is None else (bound if isinstance(bound, Tensor) else number("clip", bound, x.dtype)).to(x.dtype)
        for bound in (min, max)
    ]
    result = x
    if bounds[0] is not None:
        result = e.maximum(result, bounds[0])
    return result if bounds[1] is None else e.minimum(result, bounds[1])


def conj(x: Any, /) -> Any:
    """The complex conjugate; a copy of a real number."""
    return _of_complex("conj_physical", x) if array("conj", x).dtype.category == 3 else x.clone()


def real(x: Any, /) -> Any:
    """The real part; a real number itself."""
    return _of_complex("real", x) if array("real", x).dtype.category == 3 else x


def imag(x: Any, /) -> Any:
    """The imaginary part of complex numbers; TypeError for real ones, which have none."""
    if array("imag", x).dtype.category != 3:
        raise TypeError(f"imag(): needs a complex dtype, got {x.dtype!r}")
    return _of_complex("imag", x)


def _of_complex(name: str, x: Any) -> Any:
    import flambeau

    return getattr(flambeau, name)(x)
