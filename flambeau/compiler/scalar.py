"""Functions over scalar values: the language in which operations are declared.

Every function here takes `Value`s (and Python numbers, which become constants of the other operand's dtype) and
returns a new `Value`; nothing is computed. Conversions, plain arithmetic, comparisons and logic come from
`expression`; here are division with remainder, the elementary functions, reductions and stated gradients. Importing
this module attaches the Python operators to `Value`.

What does not live here: functions that users call on tensors (`flambeau.ops`), and how a kernel computes `exp`
(`flambeau.compiler.mathematics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .expression import *  # noqa: F403
from .expression import (
    _BITS,
    _COMPLEX,
    _FLOAT,
    _UNSIGNED,
    Operand,
    _floating,
    _make,
    _pair,
    absolute,
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    cast,
    complex_of,
    constant,
    div,
    eq,
    ge,
    gt,
    imag,
    is_complex,
    le,
    length,
    logical_and,
    logical_not,
    logical_or,
    lt,
    maximum,
    mul,
    ne,
    neg,
    real,
    shift_left,
    shift_right,
    sign,
    spread,
    sub,
    where,
)
from .program import ROW, Value

PI = math.pi
INFINITY = math.inf
NAN = math.nan

# --- powers and division with remainder ------------------------------------------------------------------------------


def power(base: Operand, exponent: Operand) -> Value:
    """`base ** exponent`; on integers by repeated squaring, wrapping around."""
    if not isinstance(exponent, Value) and isinstance(base, Value):
        if exponent == 1:
            return base
        if exponent == 2:
            return mul(base, base)
        if exponent == 3:
            return mul(mul(base, base), base)
        if exponent == -1 and (base.dtype in _FLOAT or base.dtype in _COMPLEX):
            return div(1.0, base)
    a, b = _pair(base, exponent)
    if a.dtype == "bool":
        return logical_or(a, logical_not(b))
    if a.dtype not in _FLOAT and a.dtype not in _COMPLEX:
        return _integer_power(a, b)
    return _make("pow", (a, b), a.dtype)


def _integer_power(base: Value, exponent: Value) -> Value:
    """By squaring, every bit of the exponent in turn; a negative exponent truncates the reciprocal to -1, 0 or 1."""
    one, zero = constant(1, base), constant(0, base)
    result, factor = one, base
    bits = _BITS[base.dtype] - (base.dtype not in _UNSIGNED)
    for bit in range(bits):
        taken = ne(bitwise_and(shift_right(exponent, bit) if bit else exponent, 1), 0)
        result = mul(result, where(taken, factor, one))
        if bit + 1 < bits:
            factor = mul(factor, factor)
    if base.dtype in _UNSIGNED:
        return result
    odd = ne(bitwise_and(exponent, 1), 0)
    unit = where(eq(base, 1), one, where(eq(base, -1), where(odd, base, one), zero))
    return where(lt(exponent, 0), unit, result)


def truncated_divide(left: Operand, right: Operand) -> Value:
    """The quotient rounded towards zero; on integers a division by zero gives zero."""
    a, b = _pair(left, right)
    if a.dtype in _FLOAT:
        return trunc(div(a, b))
    if a.dtype == "bool":
        return logical_and(a, b)
    one, zero = constant(1, b), constant(0, b)
    if b.op == "const":
        return zero if b.attr == 0 else neg(a) if b.attr == -1 else a if b.attr == 1 else _make("idiv", (a, b), a.dtype)
    missing = eq(b, zero)
    if a.dtype in _UNSIGNED:
        return where(missing, zero, _make("idiv", (a, where(missing, one, b)), a.dtype))
    # The smallest integer divided by -1 overflows, which a processor answers with a trap.
    negative = eq(b, -1)
    quotient = _make("idiv", (a, where(logical_or(missing, negative), one, b)), a.dtype)
    return where(missing, zero, where(negative, neg(a), quotient))


def _truncated_remainder(a: Value, b: Value) -> Value:
    """The remainder of `truncated_divide` on integers, zero for a division by zero."""
    one, zero = constant(1, b), constant(0, b)
    if b.op == "const":
        return zero if b.attr in (0, 1, -1) else _make("irem", (a, b), a.dtype)
    trivial = eq(b, zero)
    if a.dtype not in _UNSIGNED:
        trivial = logical_or(trivial, eq(b, -1))
    return where(trivial, zero, _make("irem", (a, where(trivial, one, b)), a.dtype))


def fmod(left: Operand, right: Operand) -> Value:
    """The remainder with the sign of `left` (C's `fmod` and `%`)."""
    a, b = _pair(left, right)
    if a.dtype in _FLOAT:
        return _make("fmod", (a, b), a.dtype)
    if a.dtype == "bool":
        return constant(False, "bool")
    return _truncated_remainder(a, b)


def remainder(left: Operand, right: Operand) -> Value:
    """The remainder with the sign of `right` (Python's `%`)."""
    a, b = _pair(left, right)
    rest = fmod(a, b)
    if a.dtype in _UNSIGNED:
        return rest
    wrong = logical_and(ne(rest, 0), ne(lt(rest, 0), lt(b, 0)))
    return where(wrong, add(rest, b), rest)


def floor_divide(left: Operand, right: Operand) -> Value:
    """The quotient rounded towards minus infinity (Python's `//`); integers divided by zero give zero."""
    a, b = _pair(left, right)
    if a.dtype in _FLOAT:
        rest = fmod(a, b)
        quotient = div(sub(a, rest), b)
        wrong = logical_and(ne(rest, 0), ne(lt(rest, 0), lt(b, 0)))
        quotient = where(wrong, sub(quotient, 1.0), quotient)
        whole = floor(quotient)
        whole = where(gt(sub(quotient, whole), 0.5), add(whole, 1.0), whole)
        ratio = div(a, b)
        whole = where(eq(quotient, 0.0), copysign(constant(0.0, a), ratio), whole)
        return where(eq(b, 0.0), ratio, whole)
    quotient = truncated_divide(a, b)
    if a.dtype in _UNSIGNED:
        return quotient
    rest = _truncated_remainder(a, b)
    wrong = logical_and(ne(rest, 0), ne(lt(rest, 0), lt(b, 0)))
    return where(wrong, sub(quotient, 1), quotient)


# --- elementary and special functions --------------------------------------------------------------------------------


def _function(op: str) -> Callable[[Value], Value]:
    def build(value: Value) -> Value:
        return _make(op, (_floating(value, op),), value.dtype)

    build.__name__ = op
    return build


def _rounding(op: str) -> Callable[[Value], Value]:
    def build(value: Value) -> Value:
        rounds = value.dtype in _FLOAT or value.dtype in _COMPLEX
        return _make(op, (value,), value.dtype) if rounds else value

    build.__name__ = op
    return build


sqrt, rsqrt = _function("sqrt"), _function("rsqrt")
exp, exp2, expm1 = _function("exp"), _function("exp2"), _function("expm1")
log, log2, log10, log1p = _function("log"), _function("log2"), _function("log10"), _function("log1p")
sin, cos, tan = _function("sin"), _function("cos"), _function("tan")
asin, acos, atan = _function("asin"), _function("acos"), _function("atan")
sinh, cosh, tanh = _function("sinh"), _function("cosh"), _function("tanh")
asinh, acosh, atanh = _function("asinh"), _function("acosh"), _function("atanh")
erf, erfc, erfinv = _function("erf"), _function("erfc"), _function("erfinv")
lgamma, digamma = _function("lgamma"), _function("digamma")
floor, ceil, trunc, round_even = _rounding("floor"), _rounding("ceil"), _rounding("trunc"), _rounding("round")


def atan2(left: Operand, right: Operand) -> Value:
    a, b = _pair(left, right)
    return _make("atan2", (_floating(a, "atan2"), b), a.dtype)


def copysign(left: Operand, right: Operand) -> Value:
    """The magnitude of `left` with the sign of `right`, whose -0.0 counts."""
    a, b = _pair(left, right)
    return _make("copysign", (_floating(a, "copysign"), b), a.dtype)


def sgn(value: Value) -> Value:
    """`sign`, and for complex values the number of size 1 in the same direction, 0 at 0."""
    if not is_complex(value):
        return sign(value)
    size = absolute(value)
    origin = eq(size, 0.0)
    return where(origin, 0.0, div(value, cast(where(origin, 1.0, size), value)))


def square_size(value: Value) -> Value:
    """`|x| ** 2`, which is real."""
    if not is_complex(value):
        return mul(value, value)
    return add(mul(real(value), real(value)), mul(imag(value), imag(value)))


def signbit(value: Value) -> Value:
    """Whether the sign is negative, -0.0 and negative NaN included."""
    if is_complex(value):
        return _make("signbit", (value,), "bool")
    if value.dtype in _FLOAT:
        return lt(copysign(constant(1.0, value), value), 0.0)
    return constant(False, "bool") if value.dtype in _UNSIGNED else lt(value, 0)


def stated(value: Value, inputs: tuple[Value, ...], rule: Callable[..., tuple[Value | None, ...]]) -> Value:
    """`value` with a stated gradient: `rule(grad, value)` gives the cotangents of `inputs`.

    Inside an expression `differentiate` uses the rule instead of walking through how `value` was computed.
    """
    if value.op in ("input", "const", "index", "length") or value.rule is not None:
        copy = Value("cast", (value,), value.dtype, None, value.level)
    else:
        copy = Value(value.op, value.args, value.dtype, value.attr, value.level)
    copy.rule = (inputs, rule)
    return copy


def detached(value: Value) -> Value:
    """`value` with a zero gradient, for what the result does not depend on (the shift in a softmax)."""
    return stated(value, (), lambda grad, y: ())


def sigmoid(value: Value) -> Value:
    """`1 / (1 + exp(-x))`, with a gradient that stays finite at both ends."""
    result = div(1.0, add(exp(neg(_floating(value, "sigmoid"))), 1.0))
    if is_complex(value):
        return result
    return stated(result, (value,), lambda grad, y: (mul(grad, mul(y, sub(1.0, y))),))


def softplus(value: Value) -> Value:
    """`log(1 + exp(x))` without overflow."""
    result = add(maximum(value, 0.0), log1p(exp(neg(absolute(value)))))
    return stated(result, (value,), lambda grad, y: (mul(grad, sigmoid(value)),))


# --- reductions over the row -----------------------------------------------------------------------------------------


def _reduction(op: str, value: Value, dtype: str) -> Value:
    if is_complex(value):
        return _make(op, (value,), dtype)
    return Value(op, (value,), dtype, None, ROW)


def reduce_sum(value: Value) -> Value:
    """The sum over the row; integers and bool are summed as int64. A ROW value counts once for every element."""
    if is_complex(value):
        return complex_of(reduce_sum(real(value)), reduce_sum(imag(value)))
    if value.dtype not in _FLOAT:
        value = cast(value, "int64")
    if value.level is ROW:
        return mul(value, length(value))
    return _reduction("reduce_sum", value, value.dtype)


def reduce_prod(value: Value) -> Value:
    """The product over the row; integers and bool are multiplied as int64."""
    if is_complex(value):
        return _make("reduce_prod", (value,), value.dtype)
    if value.dtype not in _FLOAT:
        value = cast(value, "int64")
    if value.level is ROW:
        return power(value, length(value))
    return _reduction("reduce_prod", value, value.dtype)


def reduce_max(value: Value) -> Value:
    """The largest element of the row, NaN if there is one."""
    if value.level is ROW:
        return value
    if value.dtype == "bool":
        return reduce_any(value)
    return _reduction("reduce_max", value, value.dtype)


def reduce_min(value: Value) -> Value:
    """The smallest element of the row, NaN if there is one."""
    if value.level is ROW:
        return value
    if value.dtype == "bool":
        return reduce_all(value)
    return _reduction("reduce_min", value, value.dtype)


def reduce_argmax(value: Value) -> Value:
    """The position of the first largest element, int64; a NaN counts as the largest."""
    return _reduction("reduce_argmax", spread(cast(value, "int32") if value.dtype == "bool" else value), "int64")


def reduce_argmin(value: Value) -> Value:
    """The position of the first smallest element, int64; a NaN counts as the smallest."""
    return _reduction("reduce_argmin", spread(cast(value, "int32") if value.dtype == "bool" else value), "int64")


def reduce_any(value: Value) -> Value:
    """Whether any element of the row is not zero (False for a row of length zero)."""
    if value.level is ROW:
        return logical_and(value, ne(length(), 0))
    count = _reduction("reduce_sum", cast(cast(value, "bool"), "int64"), "int64")
    return ne(count, 0)


def reduce_all(value: Value) -> Value:
    """Whether all elements of the row are not zero (True for a row of length zero)."""
    return logical_not(reduce_any(logical_not(cast(value, "bool"))))


def reduce_mean(value: Value) -> Value:
    """The mean over the row of a floating-point value."""
    return value if value.level is ROW else div(reduce_sum(_floating(value, "mean")), length(value))


# --- operators -------------------------------------------------------------------------------------------------------


def _truth(value: Value) -> bool:
    raise TypeError("a traced value has no truth: choose with where(condition, a, b), combine conditions with & | ~")


def _attach() -> None:
    def reflected(function: Callable[[Operand, Operand], Value]) -> Callable[[Value, Operand], Value]:
        return lambda right, left: function(left, right)

    for name, function in (
        ("add", add), ("sub", sub), ("mul", mul), ("truediv", div), ("floordiv", floor_divide), ("mod", remainder),
        ("pow", power), ("and", bitwise_and), ("or", bitwise_or), ("xor", bitwise_xor), ("lshift", shift_left),
        ("rshift", shift_right),
    ):  # fmt: skip
        setattr(Value, f"__{name}__", function)
        setattr(Value, f"__r{name}__", reflected(function))
    others: dict[str, Callable[..., Any]] = {
        "lt": lt, "le": le, "gt": gt, "ge": ge, "eq": eq, "ne": ne, "neg": neg, "abs": absolute,
        "invert": bitwise_not, "bool": _truth, "hash": object.__hash__,
    }  # fmt: skip
    for name, method in others.items():
        setattr(Value, f"__{name}__", method)


_attach()

# The short names that formulas are written with.
abs = absolute
pow = power
round = round_even
