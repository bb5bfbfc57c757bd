"""Elementwise functions as PyTorch spells them: optional arguments, older names and in-place twins over `elementwise`.

Functions without optional arguments are the declared operations themselves, so calling them costs no Python.
"""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops import elementwise as e
from flambeau.ops import promotion
from flambeau.ops.arguments import (
    Tensor,
    check_ordered,
    check_tensor,
    deliver,
    integer,
    named_result,
    not_tensor,
    to_numpy,
    to_tensor,
    twin,
    with_gradient,
)

_DIRECT = (
    "abs", "acos", "acosh", "addcdiv", "addcmul", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "copysign", "cos", "cosh", "deg2rad", "digamma", "eq", "erf",
    "erfc", "erfinv", "exp", "exp2", "expm1", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frac",
    "ge", "gt", "heaviside", "hypot", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "ldexp", "le",
    "lerp", "lgamma", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "lt", "maximum", "minimum", "mul", "ne", "neg", "rad2deg", "reciprocal", "relu",
    "remainder", "rsqrt", "selu", "sgn", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "tan",
    "tanh", "trunc", "xlogy", "celu", "hardshrink", "prelu", "rsub", "i0",
)  # fmt: skip
_ALIASES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "fix": "trunc", "greater": "gt", "greater_equal": "ge", "less": "lt",
    "less_equal": "le", "multiply": "mul", "negative": "neg", "not_equal": "ne", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
}  # fmt: skip
#: Functions whose first operand cannot take the result.
_NOT_IN_PLACE = frozenset(
    ("isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit", "rsub", "prelu", "minimum", "maximum",
     "fmin", "fmax", "logaddexp", "logaddexp2")
)  # fmt: skip

METHODS: dict[str, Any] = {}
for _name in (*_DIRECT, *_ALIASES):
    _operation = getattr(e, _ALIASES.get(_name, _name))
    globals()[_name] = METHODS[_name] = _operation
    if _ALIASES.get(_name, _name) not in _NOT_IN_PLACE:
        METHODS[_name + "_"] = _operation.inplace
del _name, _operation

# --------------------------------------------------------------------------------------------------------- four sums


def add(input: Any, other: Any, *older: Any, alpha: Any = 1, out: Any = None) -> Any:
    """input + alpha * other, elementwise; the two broadcast. Older programs write add(input, alpha, other).

    >>> fl.add(fl.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    if older:
        alpha, other = _older("add", other, older)
    if alpha == 1:
        return e.add(input, other) if out is None else e.add(input, other, out=out)
    _check_alpha("add", input, other, alpha)
    return e.add_scaled(input, other, alpha) if out is None else e.add_scaled(input, other, alpha, out=out)


def _older(name: str, alpha: Any, rest: tuple[Any, ...]) -> tuple[Any, Any]:
    """(alpha, other) of a call with the factor before the tensor."""
    if len(rest) > 1 or not isinstance(rest[0], Tensor) or isinstance(alpha, Tensor):
        raise TypeError(f"{name}() takes 2 positional arguments, input and other; give the factor by name, alpha=")
    return alpha, rest[0]


def sub(input: Any, other: Any, *older: Any, alpha: Any = 1, out: Any = None) -> Any:
    """input - alpha * other, elementwise; not for bool. Older programs write sub(input, alpha, other)."""
    if older:
        alpha, other = _older("sub", other, older)
    if alpha == 1:
        return e.sub(input, other) if out is None else e.sub(input, other, out=out)
    _check_alpha("sub", input, other, alpha)
    return e.sub_scaled(input, other, alpha) if out is None else e.sub_scaled(input, other, alpha, out=out)


def _check_alpha(name: str, input: Any, other: Any, alpha: Any) -> None:
    if isinstance(alpha, (float, complex)):
        least = 2 if isinstance(alpha, float) else 3
        categories = [x.dtype.category if isinstance(x, Tensor) else 3 if isinstance(x, complex)
                      else 2 if isinstance(x, float) else 1 for x in (input, other)]  # fmt: skip
        if max(categories) >= least:
            return
        which, number = ("integral", "floating point") if least == 2 else ("non-complex", "complex")
        raise DTypeError(f"{name}: For {which} input tensors, argument alpha must not be a {number} number")


def _add_(self: Any, other: Any, *older: Any, alpha: Any = 1) -> Any:
    """This tensor plus alpha * other, in place."""
    if older:
        alpha, other = _older("add_", other, older)
    return e.add.inplace(self, other) if alpha == 1 else e.add_scaled.inplace(self, other, alpha)


def _sub_(self: Any, other: Any, *older: Any, alpha: Any = 1) -> Any:
    """This tensor minus alpha * other, in place."""
    if older:
        alpha, other = _older("sub_", other, older)
    return e.sub.inplace(self, other) if alpha == 1 else e.sub_scaled.inplace(self, other, alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other, elementwise; `rounding_mode` "floor" or "trunc" rounds it. Integers give floats without.

    >>> fl.div(fl.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """
    operation = _division(rounding_mode)
    return operation(input, other) if out is None else operation(input, other, out=out)


def _division(rounding_mode: str | None) -> Any:
    if rounding_mode is None:
        return e.div
    if rounding_mode == "floor":
        return e.floor_divide
    if rounding_mode == "trunc":
        return e.trunc_divide
    raise RuntimeError(f"div: expected rounding_mode to be one of None, 'trunc', 'floor' but found {rounding_mode!r}")


def _div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """This tensor divided by other, in place."""
    return _division(rounding_mode).inplace(self, other)


subtract, divide, true_divide = sub, div, div


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """input ** exponent, elementwise; either may be a number. Integers take no negative exponents."""
    if type(exponent) is int and exponent < 0 and isinstance(input, Tensor) and input.dtype.category == 1:
        raise RuntimeError("pow: Integers to negative integer powers are not allowed; use input.float()")
    if isinstance(input, Tensor) and not input.dtype.category and not isinstance(exponent, float):
        if not isinstance(exponent, Tensor) or not exponent.dtype.category:  # bool ** bool, bool ** int
            result = e.pow(input.to(dtypes.uint8), exponent)
            result = result.to(dtypes.bool if isinstance(exponent, (bool, Tensor)) else dtypes.int64)
            return deliver(result, out)
    return e.pow(input, exponent) if out is None else e.pow(input, exponent, out=out)


def _pow_(self: Any, exponent: Any) -> Any:
    """The tensor to the power of the exponent, in place."""
    if type(exponent) is int and exponent < 0 and isinstance(self, Tensor) and self.dtype.category == 1:
        raise RuntimeError("pow_: Integers to negative integer powers are not allowed; use input.float()")
    return e.pow.inplace(self, exponent)


# ------------------------------------------------------------------------------------------------- bounds, rounding


def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """`input` held between `min` and `max`, numbers or tensors, either of which may be left out.

    >>> fl.clamp(fl.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None:
        if max is None:
            raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
        return e.clamp_max(input, max) if out is None else e.clamp_max(input, max, out=out)
    if max is None:
        return e.clamp_min(input, min) if out is None else e.clamp_min(input, min, out=out)
    return e.clamp(input, min, max) if out is None else e.clamp(input, min, max, out=out)


def _clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
    """This tensor held between `min` and `max`, in place."""
    if min is None:
        if max is None:
            raise RuntimeError("clamp_: At least one of 'min' or 'max' must not be None")
        return e.clamp_max.inplace(self, max)
    return e.clamp_min.inplace(self, min) if max is None else e.clamp.inplace(self, min, max)


clip = clamp


def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """`input` where it is not below `min`, else `min`."""
    operation = e.maximum if isinstance(input, Tensor) and input.dtype is dtypes.bool else e.clamp_min
    return operation(input, min) if out is None else operation(input, min, out=out)


def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """`input` where it is not above `max`, else `max`."""
    operation = e.minimum if isinstance(input, Tensor) and input.dtype is dtypes.bool else e.clamp_max
    return operation(input, max) if out is None else operation(input, max, out=out)


def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """`input` rounded to `decimals` digits behind the point, halves to the even neighbour.

    >>> fl.round(fl.tensor([0.5, 1.5, -2.4]))
    tensor([ 0.,  2., -2.])
    """
    if decimals == 0:
        return e.round(input) if out is None else e.round(input, out=out)
    operation = e.round_decimals if decimals > 0 else e.round_tens
    return deliver(operation(input, 10.0 ** (decimals if decimals > 0 else -decimals)), out)


def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """log(x / (1 - x)), with x first held in [eps, 1 - eps] where `eps` is given."""
    return deliver(e.logit(input) if eps is None else e.logit_clamped(input, eps), out)


def nan_to_num(
    input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None, *, out: Any = None
) -> Any:
    """NaN and the infinities replaced; without `posinf` and `neginf` by the largest and smallest finite numbers."""
    check_tensor("nan_to_num", input)
    if input.is_complex():
        parts = nan_to_num(_core.view_as_real(input), nan, posinf, neginf)
        return deliver(_core.view_as_complex(parts), out)
    if not input.dtype.is_floating_point:
        return deliver(input.clone(), out)
    limits = dtypes.finfo(input.dtype)
    return deliver(
        e.nan_to_num(
            input, 0.0 if nan is None else float(nan), limits.max if posinf is None else float(posinf),
            limits.min if neginf is None else float(neginf),
        ),
        out,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- comparing


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| holds everywhere.

    >>> fl.allclose(fl.tensor([1.0]), fl.tensor([1.0 + 1e-7]))
    True
    """
    check_tensor("allclose", input)
    check_tensor("allclose", other, "other")
    if input.dtype is not other.dtype:
        raise DTypeError(f"allclose: {input.dtype} did not match {other.dtype}; convert one with .to(...)")
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether |input - other| <= atol + rtol * |other|, elementwise; the two broadcast."""
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be greater than or equal to zero, but got {rtol} and {atol}")
    if isinstance(input, Tensor) and isinstance(other, Tensor) and input.dtype is not other.dtype:
        raise DTypeError(f"isclose: {input.dtype} did not match {other.dtype}; convert one with .to(...)")
    return e.isclose(input, other, rtol, atol, equal_nan)


def equal(input: Any, other: Any) -> bool:
    """Whether both have the same shape and the same elements.

    >>> fl.equal(fl.tensor([1, 2]), fl.tensor([1, 2]))
    True
    """
    check_tensor("equal", input)
    check_tensor("equal", other, "other")
    return input.shape == other.shape and bool(e.eq(input, other).all())


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype that arithmetic between the two, tensors or numbers, gives.

    >>> fl.result_type(fl.tensor([1, 2]), 1.0)
    flambeau.float32
    """

    def described(x: Any) -> tuple[int, int]:
        if isinstance(x, Tensor):
            return x.dtype.code, 0 if x.ndim else 1
        if not isinstance(x, (bool, int, float, complex)):
            raise TypeError(f"result_type(): arguments must be Tensor or Number, not {type(x).__name__}")
        return (0 if isinstance(x, bool) else 5 if isinstance(x, int) else 9 if isinstance(x, float) else 14), 2

    return dtypes.ALL[promotion.result_type((described(tensor1), described(tensor2)))]


# ----------------------------------------------------------------------------------------------------------- others


def positive(input: Any) -> Any:
    """`input` itself."""
    check_tensor("positive", input)
    if input.dtype is dtypes.bool:
        raise DTypeError("positive: the + operator is not defined for bool tensors")
    return input


def mvlgamma(input: Any, p: int, *, out: Any = None) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`; all elements must be above (p - 1) / 2."""
    import math

    p = integer("mvlgamma", p, "p")
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    result: Any = None
    for j in range(p):
        term = e.lgamma(input - j / 2)
        result = term if result is None else result + term
    return deliver(result + p * (p - 1) / 4 * math.log(math.pi), out)


def polygamma(n: int, input: Any, *, out: Any = None) -> Any:
    """The n-th derivative of the digamma function."""
    check_tensor("polygamma", input)
    n = integer("polygamma", n, "n")
    if n < 0:
        raise RuntimeError(f"polygamma: does not support negative n, got {n}")
    if n > 1:
        check_ordered("polygamma", input)
        value = input if input.dtype.is_floating_point else input.to(dtypes.get_default_dtype())

        def compute(value: Any) -> Any:
            from scipy import special

            return to_tensor(special.polygamma(n, to_numpy(value).astype("float64")), value.dtype)

        result = recording.host("polygamma", compute, value)
        return deliver(with_gradient(result, (value,), lambda g: (g * polygamma(n + 1, value),), "polygamma"), out)
    return deliver(e.trigamma(input) if n else e.digamma(input), out)


def _of_integers(name: str, input: Any, other: Any) -> Any:
    """A function that NumPy has under this name, of integers."""
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        raise not_tensor(name, input)
    joint = result_type(input, other)
    if joint.category != 1:
        raise DTypeError(f"{name}: needs integers, got {joint}")
    pair = [x.to(joint) if isinstance(x, Tensor) else _core.full((), x, joint) for x in (input, other)]

    def compute(input: Any, other: Any) -> Any:
        import numpy

        return to_tensor(numpy.asarray(getattr(numpy, name)(to_numpy(input), to_numpy(other))), joint)

    return recording.host(name, compute, *pair)


def gcd(input: Any, other: Any, *, out: Any = None) -> Any:
    """The greatest common divisor of integers, elementwise."""
    return deliver(_of_integers("gcd", input, other), out)


def lcm(input: Any, other: Any, *, out: Any = None) -> Any:
    """The least common multiple of integers, elementwise."""
    return deliver(_of_integers("lcm", input, other), out)


def nextafter(input: Any, other: Any, *, out: Any = None) -> Any:
    """The next floating number after `input` in the direction of `other`, elementwise.

    >>> fl.nextafter(fl.tensor([1.0]), fl.tensor([2.0])) - 1
    tensor([1.1921e-07])
    """
    check_tensor("nextafter", input)
    check_tensor("nextafter", other, "other")
    joint = result_type(input, other)
    input, other = input.to(joint), other.to(joint)

    def compute(input: Any, other: Any) -> Any:
        import numpy

        if joint.name != "bfloat16":
            return to_tensor(numpy.asarray(numpy.nextafter(to_numpy(input), to_numpy(other))), joint)
        # A bfloat16 is the upper half of a float32: its neighbour is one step of those bits away.
        start, end = numpy.broadcast_arrays(to_numpy(input).astype("f4"), to_numpy(other).astype("f4"))
        bits = start.view("i4") if start.ndim and start.flags.c_contiguous else start.copy().view("i4")
        away = (end > start) == (start > 0)
        step = bits + numpy.where(away, 1 << 16, -1 << 16).astype("i4")
        smallest = numpy.where(end > 0, 1 << 16, (1 << 16) - (1 << 31)).astype("i4")
        moved = numpy.where(start == 0, smallest, step).view("f4")
        unordered = numpy.isnan(start) | numpy.isnan(end)
        return to_tensor(numpy.where(unordered, numpy.float32("nan"), numpy.where(start == end, end, moved)), joint)

    result = recording.host("nextafter", compute, input, other)

    def vjp(gradient: Any) -> tuple[Any, Any]:
        moved = e.where(e.eq(input, other), 0.0, gradient)
        return moved.sum_to_size(input.shape), other.new_zeros(other.shape)

    return deliver(with_gradient(result, (input, other), vjp, "nextafter"), out)


_Frexp = named_result("frexp", "mantissa", "exponent")


def frexp(input: Any, *, out: Any = None) -> Any:
    """(mantissa, exponent) with input = mantissa * 2**exponent and the mantissa in [0.5, 1)."""
    check_tensor("frexp", input)
    if not input.dtype.is_floating_point:
        raise DTypeError(f"frexp: only supports floating-point dtypes, got {input.dtype}")

    def compute(input: Any) -> tuple[Any, Any]:
        import numpy

        mantissa, exponent = numpy.frexp(to_numpy(input))
        return to_tensor(numpy.asarray(mantissa), input.dtype), to_tensor(numpy.asarray(exponent, "int32"))

    mantissa, power = recording.host("frexp", compute, input)
    if input.requires_grad:
        mantissa = e.ldexp(input, -power)
    return _Frexp(mantissa, power)


METHODS.update(
    {
        "add": add,
        "add_": _add_,
        "allclose": allclose,
        "clamp": clamp,
        "clamp_": _clamp_,
        "clamp_max": clamp_max,
        "clamp_max_": e.clamp_max.inplace,
        "clamp_min": clamp_min,
        "clamp_min_": e.clamp_min.inplace,
        "clip": clamp,
        "clip_": _clamp_,
        "div": div,
        "div_": _div_,
        "divide": div,
        "divide_": _div_,
        "equal": equal,
        "frexp": frexp,
        "gcd": gcd,
        "gcd_": twin(gcd),
        "isclose": isclose,
        "lcm": lcm,
        "lcm_": twin(lcm),
        "logit": logit,
        "logit_": twin(logit),
        "mvlgamma": mvlgamma,
        "nan_to_num": nan_to_num,
        "nan_to_num_": twin(nan_to_num),
        "nextafter": nextafter,
        "nextafter_": twin(nextafter),
        "polygamma": lambda self, n: polygamma(n, self),
        "positive": positive,
        "pow": pow,
        "pow_": _pow_,
        "round": round,
        "round_": twin(round),
        "sub": sub,
        "sub_": _sub_,
        "subtract": sub,
        "subtract_": _sub_,
        "true_divide": div,
        "true_divide_": _div_,
    }
)

__all__ = [  # noqa: PLE0604  (the first two hold strings)
    *_DIRECT, *_ALIASES, "add", "allclose", "clamp", "clamp_max", "clamp_min", "clip", "div", "divide", "equal",
    "frexp", "gcd", "isclose", "lcm", "logit", "mvlgamma", "nan_to_num", "nextafter", "polygamma", "positive", "pow",
    "result_type", "round", "sub", "subtract", "true_divide",
]  # fmt: skip
