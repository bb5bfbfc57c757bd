"""Building blocks of the lowerings in `mathematics_*`: short functions that make values of primitive operations.

A number among the arguments becomes a constant of the other argument's dtype. Nothing is simplified here (LLVM does)
and nothing here needs more than `program`. What does not live here: any formula.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Union

from .program import ELEMENT, ROW, Value

Operand = Union[Value, float, int]  # noqa: UP007  (evaluated at run time by documentation tools)

INFINITY, NAN = math.inf, math.nan
#: The integer dtype with the bits of a float, the number of explicit mantissa bits, and the exponent's bias.
BITS = {"float32": ("int32", 23, 127), "float64": ("int64", 52, 1023)}
_UNSIGNED = {"int32": "uint32", "int64": "uint64"}


def const(number: float | int | bool, dtype: str) -> Value:
    """A constant; float32 constants are stored as the float32 nearest to `number`, integers wrap around."""
    if dtype == "float32" and math.isfinite(number):
        number = struct.unpack("f", struct.pack("f", number))[0]
    elif dtype in ("float32", "float64"):
        number = float(number)
    elif dtype != "bool":
        width = 32 if dtype in ("int32", "uint32") else 64
        number = int(number) & (1 << width) - 1
        if dtype in ("int32", "int64") and number >> (width - 1):
            number -= 1 << width
    return Value("const", (), dtype, number, ROW)


def node(op: str, args: tuple[Value, ...], dtype: str) -> Value:
    """A value of `op`; it is at element level if anything it reads is."""
    for argument in args:
        if argument.level == ELEMENT:
            return Value(op, args, dtype)
    return Value(op, args, dtype, None, ROW)


def _like(operand: Operand, other: Operand) -> Value:
    # The operand as a value; a number gets the dtype of the other operand.
    if isinstance(operand, Value):
        return operand
    if isinstance(other, Value):
        return const(operand, other.dtype)
    raise TypeError(f"two numbers, {operand!r} and {other!r}, have no dtype")


def _binary(op: str, a: Operand, b: Operand, dtype: str | None = None) -> Value:
    a, b = _like(a, b), _like(b, a)
    return node(op, (a, b), dtype or a.dtype)


def add(a: Operand, b: Operand) -> Value:
    return _binary("add", a, b)


def sub(a: Operand, b: Operand) -> Value:
    return _binary("sub", a, b)


def mul(a: Operand, b: Operand) -> Value:
    return _binary("mul", a, b)


def div(a: Operand, b: Operand) -> Value:
    return _binary("div", a, b)


def fma(a: Value, b: Operand, c: Operand) -> Value:
    """`a * b + c`, rounded once."""
    b, c = _like(b, a), _like(c, a)
    return node("fma", (a, b, c), a.dtype)


def neg(a: Value) -> Value:
    return node("neg", (a,), a.dtype)


def magnitude(a: Value) -> Value:
    return node("abs", (a,), a.dtype)


def sqrt(a: Value) -> Value:
    return node("sqrt", (a,), a.dtype)


def rint(a: Value) -> Value:
    """The nearest integer, halves to even."""
    return node("round", (a,), a.dtype)


def trunc(a: Value) -> Value:
    return node("trunc", (a,), a.dtype)


def lt(a: Operand, b: Operand) -> Value:
    return _binary("lt", a, b, "bool")


def le(a: Operand, b: Operand) -> Value:
    return _binary("le", a, b, "bool")


def eq(a: Operand, b: Operand) -> Value:
    return _binary("eq", a, b, "bool")


def ne(a: Operand, b: Operand) -> Value:
    return _binary("ne", a, b, "bool")


def isnan(a: Value) -> Value:
    return node("isnan", (a,), "bool")


def both(a: Value, b: Operand) -> Value:
    return _binary("and", a, b)


def either(a: Value, b: Operand) -> Value:
    return _binary("or", a, b)


def differ(a: Value, b: Operand) -> Value:
    return _binary("xor", a, b)


def shl(a: Value, b: Operand) -> Value:
    return _binary("shl", a, b)


def shr(a: Value, b: Operand) -> Value:
    """Shift right: arithmetic on signed dtypes, logical on unsigned ones."""
    return _binary("shr", a, b)


def where(condition: Value, a: Operand, b: Operand) -> Value:
    a, b = _like(a, b), _like(b, a)
    return node("where", (condition, a, b), a.dtype)


def cast(a: Value, dtype: str) -> Value:
    return a if a.dtype == dtype else node("cast", (a,), dtype)


def bitcast(a: Value, dtype: str) -> Value:
    return node("bitcast", (a,), dtype)


def at_most(a: Value, limit: float) -> Value:
    """min(a, limit), NaN kept: one instruction on x86, unlike `minimum`."""
    return where(lt(limit, a), limit, a)


def at_least(a: Value, limit: float) -> Value:
    """max(a, limit), NaN kept."""
    return where(lt(a, limit), limit, a)


def lookup(index: Value, table: Sequence[float]) -> Value:
    """The float32 of a table of 16 that the low four bits of an integer say (see `Target.tables`)."""
    return Value("lookup", (index,), "float32", tuple(const(c, "float32").attr for c in table), index.level)


def scale(a: Value, exponent: Value) -> Value:
    """a * 2**floor(exponent), float32, rounded once (see `Target.tables`)."""
    return node("scale", (a, exponent), a.dtype)


def bits_of(a: Value) -> Value:
    """The bits of a float as a signed integer."""
    return bitcast(a, BITS[a.dtype][0])


def float_of(a: Value) -> Value:
    """The float with the bits of an integer."""
    return bitcast(a, "float32" if a.dtype in ("int32", "uint32") else "float64")


def unsigned(a: Value) -> Value:
    """The bits of a signed integer as an unsigned one, so that `shr` shifts zeros in."""
    return bitcast(a, _UNSIGNED[a.dtype])


def sign_mask(dtype: str) -> int:
    """The integer with the sign bit of a float dtype only."""
    return -(1 << (31 if dtype == "float32" else 63))


def sign_bit(a: Value) -> Value:
    """The sign bit of a float, in place, as an integer."""
    return both(bits_of(a), sign_mask(a.dtype))


def with_sign(a: Value, sign: Value) -> Value:
    """`a`, which is not negative, with a sign bit from `sign_bit`."""
    return float_of(either(bits_of(a), sign))


def flip_sign(a: Value, sign: Value) -> Value:
    """`a`, negated where the sign bit of the integer `sign` is set."""
    return float_of(differ(bits_of(a), sign))


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x**2 + ... by Horner's rule, one fma a term.

    Splitting long polynomials into independent chains gains nothing: kernels compute many vectors, and are limited by
    the number of operations, not by waiting.
    """
    result = fma(x, coefficients[-1], coefficients[-2])
    for c in reversed(coefficients[:-2]):
        result = fma(result, x, c)
    return result


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b and its rounding error, given |a| >= |b| or a == 0."""
    high = add(a, b)
    return high, sub(b, sub(high, a))


def two_product(a: Value, b: Operand) -> tuple[Value, Value]:
    """a * b and its rounding error."""
    high = mul(a, b)
    return high, fma(a, b, neg(high))
