"""Scalar expressions: constants, conversions, arithmetic, comparisons and logic on `Value`s.

The lower half of `flambeau.compiler.scalar`, which is what declarations use. Expressions are simplified as they are
built, but only where the result keeps every bit: `x * 1` is `x`, while `x * 0` stays, because of NaN.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Union

from .program import COMPLEX, ELEMENT, FLOATS, PARTS, ROW, Value

Number = Union[bool, int, float]  # noqa: UP007  (evaluated at run time on Python 3.10 by documentation tools)
Operand = Union[Value, bool, int, float]  # noqa: UP007

_FLOAT = frozenset(FLOATS)
_COMPLEX = frozenset(COMPLEX)
_UNSIGNED = frozenset(("bool", "uint8", "uint16", "uint32", "uint64"))
_BITS = {
    "uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint16": 16, "uint32": 32, "uint64": 64,
}  # fmt: skip
_RANK = {
    name: rank
    for rank, name in enumerate(
        (
            "bool",
            "uint8",
            "int8",
            "int16",
            "uint16",
            "int32",
            "uint32",
            "int64",
            "uint64",
            "float16",
            "bfloat16",
            "float32",
            "float64",
            "complex64",
            "complex128",
        )
    )
}


# --- building values -------------------------------------------------------------------------------------------------


def _round(number: float, dtype: str) -> float:
    """`number` as the nearest value of a float dtype (constants hold what the kernel will hold)."""
    if dtype == "float64" or number != number or number in (math.inf, -math.inf):
        return number
    try:
        return struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)


def _wrap(number: int, dtype: str) -> int:
    bits = _BITS[dtype]
    number &= (1 << bits) - 1
    if dtype not in _UNSIGNED and number >> (bits - 1):
        number -= 1 << bits
    return number


def constant(number: Number | complex, dtype: str | Value) -> Value:
    """A constant of `dtype` (or of the dtype of a value); integers wrap around, floats round to nearest."""
    name = dtype if isinstance(dtype, str) else dtype.dtype
    if name in _COMPLEX:
        part = PARTS[name]
        return Value("complex", (constant(number.real, part), constant(number.imag, part)), name, None, ROW)
    if isinstance(number, complex):
        raise TypeError(f"the constant {number!r} is complex but the value it meets is {name}: cast the value first")
    if name in _FLOAT:
        return Value("const", (), name, _round(float(number), name), ROW)
    if name == "bool":
        return Value("const", (), name, bool(number), ROW)
    if number.__class__ is float:
        raise TypeError(
            f"the constant {number!r} is a float but the value it meets is {name}: "
            f"cast the value to a float dtype first"
        )
    return Value("const", (), name, _wrap(int(number), name), ROW)


def index() -> Value:
    """The position of the element, int64: in the loop of a map, along the reduced dimensions of a row."""
    return Value("index", (), "int64", None, ELEMENT)


def length(dtype: str | Value = "int64") -> Value:
    """The number of elements of a row, as `dtype`."""
    return cast(Value("length", (), "int64", None, ROW), dtype)


def _make(op: str, args: tuple[Value, ...], dtype: str) -> Value:
    if args[0].dtype in _COMPLEX:
        from .complex_numbers import compose

        return compose(op, args)
    for argument in args:
        if argument.level is ELEMENT:
            return Value(op, args, dtype, None, ELEMENT)
    return Value(op, args, dtype, None, ROW)


def _is(value: Value, number: float) -> bool:
    """Whether `value` is the constant `number` (with its sign, if it is zero)."""
    if value.op != "const":
        return False
    attr = value.attr
    return attr == number and (number != 0 or math.copysign(1.0, attr) == math.copysign(1.0, number))


def promote(left: str, right: str) -> str:
    """The dtype in which values of two dtypes meet: the wider of the higher category."""
    if left == right:
        return left
    if _RANK[left] > _RANK[right]:
        left, right = right, left
    if right == "int8" and left == "uint8":
        return "int16"
    if right == "bfloat16" and left == "float16":
        return "float32"
    if right == "complex64" and left == "float64":
        return "complex128"
    return right


def _pair(left: Operand, right: Operand) -> tuple[Value, Value]:
    """Both operands as values of one dtype."""
    if isinstance(left, Value):
        if not isinstance(right, Value):
            return left, constant(right, left.dtype)
        if left.dtype == right.dtype:
            return left, right
        dtype = promote(left.dtype, right.dtype)
        return cast(left, dtype), cast(right, dtype)
    if isinstance(right, Value):
        return constant(left, right.dtype), right
    raise TypeError(f"two Python numbers, {left!r} and {right!r}, have no dtype: make one with constant(number, like)")


def _value(operand: Operand) -> Value:
    if isinstance(operand, Value):
        return operand
    raise TypeError(f"expected a traced value, found {operand!r}: make a constant with constant(number, like)")


def _floating(value: Operand, name: str) -> Value:
    if not isinstance(value, Value) or (value.dtype not in _FLOAT and value.dtype not in _COMPLEX):
        found = value.dtype if isinstance(value, Value) else repr(value)
        raise TypeError(f"{name} takes a floating-point value, found {found}: cast it first")
    return value


def is_floating(value: Value) -> bool:
    """Whether the value's dtype is a float."""
    return value.dtype in _FLOAT


def is_complex(value: Value) -> bool:
    """Whether the value is complex."""
    return value.dtype in _COMPLEX


def real(value: Value) -> Value:
    """The real part; a real value itself."""
    if value.dtype not in _COMPLEX:
        return value
    if value.op == "complex" and value.rule is None:
        return value.args[0]
    return Value("real", (value,), PARTS[value.dtype], None, value.level)


def imag(value: Value) -> Value:
    """The imaginary part; 0 of a real value."""
    if value.dtype not in _COMPLEX:
        return constant(0, value)
    if value.op == "complex" and value.rule is None:
        return value.args[1]
    return Value("imag", (value,), PARTS[value.dtype], None, value.level)


def complex_of(real: Value, imag: Value) -> Value:
    """The complex value of two floats of one dtype."""
    name = "complex128" if real.dtype == "float64" else "complex64"
    level = ROW if real.level is ROW and imag.level is ROW else ELEMENT
    return Value("complex", (real, imag), name, None, level)


def conj(value: Value) -> Value:
    """The complex conjugate; a real value itself."""
    return complex_of(real(value), neg(imag(value))) if value.dtype in _COMPLEX else value


def cast(value: Operand, dtype: str | Value) -> Value:
    """`value` converted to `dtype` (or to the dtype of a value).

    Floats to integers truncate; anything to bool is `!= 0`.
    """
    name = dtype if isinstance(dtype, str) else dtype.dtype
    if not isinstance(value, Value):
        return constant(value, name)
    source = value.dtype
    if source == name:
        return value
    if name in _COMPLEX:
        part = PARTS[name]
        if source in _COMPLEX:
            return complex_of(cast(real(value), part), cast(imag(value), part))
        return complex_of(cast(value, part), constant(0.0, part))
    if source in _COMPLEX:
        if name == "bool":
            return logical_or(cast(real(value), name), cast(imag(value), name))
        return cast(real(value), name)
    if value.op == "const":
        number = value.attr
        if name in _FLOAT or name == "bool":
            return constant(number, name)
        if number == number and abs(number) != math.inf:
            return constant(int(number), name)
    if name == "bool":
        if source in ("float16", "bfloat16"):  # never computed with; compared as bits, -0 would differ from 0
            value, source = cast(value, "float32"), "float32"
        return _make("ne", (value, constant(0, source)), "bool")
    if value.op == "cast" and value.rule is None and value.args[0].dtype == name and value.args[0].level is value.level:
        # There and back again through a wider dtype of the same kind changes nothing.
        if name in _FLOAT and source in _FLOAT and _RANK[source] > _RANK[name] and name not in ("float16",):
            return value.args[0]
    return _make("cast", (value,), name)


def bitcast(value: Value, dtype: str) -> Value:
    """The bits of `value` read as another dtype of the same size."""
    return value if value.dtype == dtype else _make("bitcast", (value,), dtype)


def spread(value: Value) -> Value:
    """A ROW value as an ELEMENT value: the same number for every element of the row."""
    if value.level is ELEMENT:
        return value
    if value.dtype in _COMPLEX:
        return complex_of(spread(real(value)), spread(imag(value)))
    return Value("cast", (value,), value.dtype, None, ELEMENT)


# --- arithmetic ------------------------------------------------------------------------------------------------------


def add(left: Operand, right: Operand) -> Value:
    a, b = _pair(left, right)
    dtype = a.dtype
    if dtype == "bool":
        return logical_or(a, b)
    if a.op == "const":
        if b.op == "const":
            return constant(a.attr + b.attr, dtype)
        if _is(a, -0.0) or (a.attr == 0 and dtype not in _FLOAT):
            return b
    elif b.op == "const" and (_is(b, -0.0) or (b.attr == 0 and dtype not in _FLOAT)):
        return a
    if b.op == "neg" and b.rule is None:
        return _make("sub", (a, b.args[0]), dtype)
    if a.op == "neg" and a.rule is None:
        return _make("sub", (b, a.args[0]), dtype)
    return _make("add", (a, b), dtype)


def sub(left: Operand, right: Operand) -> Value:
    a, b = _pair(left, right)
    dtype = a.dtype
    if b.op == "const":
        if a.op == "const":
            return constant(a.attr - b.attr, dtype)
        if _is(b, 0.0):
            return a
    if b.op == "neg" and b.rule is None:
        return _make("add", (a, b.args[0]), dtype)
    return _make("sub", (a, b), dtype)


def mul(left: Operand, right: Operand) -> Value:
    a, b = _pair(left, right)
    dtype = a.dtype
    if dtype == "bool":
        return logical_and(a, b)
    if a.op == "const":
        if b.op == "const":
            product = a.attr * b.attr
            return constant(product, dtype)
        a, b = b, a
    if b.op == "const":
        number = b.attr
        if number == 1:
            return a
        if number == -1:
            return neg(a)
        if number == 0 and dtype not in _FLOAT:
            return b
    elif a.op == "neg" and b.op == "neg" and a.rule is None and b.rule is None:
        return _make("mul", (a.args[0], b.args[0]), dtype)
    return _make("mul", (a, b), dtype)


def div(left: Operand, right: Operand) -> Value:
    """The quotient of two floats (integers: see `floor_divide` and `truncated_divide`)."""
    a, b = _pair(left, right)
    _floating(a, "division")
    if b.op == "const":
        number = b.attr
        if a.op == "const" and number != 0:
            return constant(a.attr / number, a.dtype)
        if number == 1:
            return a
        if number == -1:
            return neg(a)
        if number != 0 and abs(number) != math.inf and abs(math.frexp(number)[0]) == 0.5 and 1e-30 < abs(number) < 1e30:
            return _make("mul", (a, constant(1.0 / number, b.dtype)), a.dtype)  # a power of two: the same bits
    return _make("div", (a, b), a.dtype)


def neg(value: Operand) -> Value:
    value = _value(value)
    if value.op == "neg" and value.rule is None:
        return value.args[0]
    if value.op == "const":
        return constant(-value.attr, value.dtype)
    if value.op == "sub" and value.dtype not in _FLOAT:
        return _make("sub", (value.args[1], value.args[0]), value.dtype)
    return _make("neg", (value,), value.dtype)


def absolute(value: Value) -> Value:
    if value.dtype in _UNSIGNED or value.op == "abs":
        return value
    if value.op == "const":
        return constant(abs(value.attr), value.dtype)
    if value.op == "neg" and value.dtype in _FLOAT and value.rule is None:
        value = value.args[0]
    return _make("abs", (value,), value.dtype)


def fma(a: Operand, b: Operand, c: Operand) -> Value:
    """`a * b + c` with one rounding."""
    like = a if isinstance(a, Value) else b if isinstance(b, Value) else _value(c)
    a, b, c = (operand if isinstance(operand, Value) else constant(operand, like) for operand in (a, b, c))
    if not a.dtype == b.dtype == c.dtype:
        raise TypeError(
            f"fma takes three values of one dtype, found {a.dtype}, {b.dtype} and {c.dtype}: cast them first"
        )
    return _make("fma", (a, b, c), a.dtype)


def maximum(left: Operand, right: Operand) -> Value:
    """The larger; NaN if either is NaN."""
    a, b = _pair(left, right)
    if a is b:
        return a
    return logical_or(a, b) if a.dtype == "bool" else _make("maximum", (a, b), a.dtype)


def minimum(left: Operand, right: Operand) -> Value:
    """The smaller; NaN if either is NaN."""
    a, b = _pair(left, right)
    if a is b:
        return a
    return logical_and(a, b) if a.dtype == "bool" else _make("minimum", (a, b), a.dtype)


def clamp(value: Value, low: Operand, high: Operand) -> Value:
    """`value` held between two bounds; `high` wins if they cross."""
    return minimum(maximum(value, low), high)


def square(value: Value) -> Value:
    return mul(value, value)


def reciprocal(value: Value) -> Value:
    return div(1.0, value)


# --- comparison and choice -------------------------------------------------------------------------------------------


def _comparison(op: str, compare: Callable[[Number, Number], bool], same: bool) -> Callable[[Operand, Operand], Value]:
    def build(left: Operand, right: Operand) -> Value:
        a, b = _pair(left, right)
        if a.op == "const" and b.op == "const":
            return constant(compare(a.attr, b.attr), "bool")
        if a is b and a.dtype not in _FLOAT:
            return constant(same, "bool")
        return _make(op, (a, b), "bool")

    build.__name__ = op
    return build


lt = _comparison("lt", lambda a, b: a < b, False)
le = _comparison("le", lambda a, b: a <= b, True)
eq = _comparison("eq", lambda a, b: a == b, True)
ne = _comparison("ne", lambda a, b: a != b, False)


def gt(left: Operand, right: Operand) -> Value:
    return lt(right, left)


def ge(left: Operand, right: Operand) -> Value:
    return le(right, left)


def where(condition: Operand, chosen: Operand, other: Operand) -> Value:
    """`chosen` where `condition` holds, else `other`; both are computed."""
    if not isinstance(condition, Value):
        condition = constant(bool(condition), "bool")
    condition = cast(condition, "bool")
    if chosen is other and isinstance(chosen, Value):
        return chosen
    a, b = _pair(chosen, other)
    if condition.op == "const":
        return a if condition.attr else b
    if a.dtype in _COMPLEX:
        return complex_of(where(condition, real(a), real(b)), where(condition, imag(a), imag(b)))
    if condition.op == "not":
        condition, a, b = condition.args[0], b, a
    if a.op == "const" and b.op == "const":
        if a.dtype == "bool" and a.attr != b.attr:
            return condition if a.attr else logical_not(condition)
        if repr(a.attr) == repr(b.attr):
            return a
    if condition.level is ROW and a.level is ROW and b.level is ROW:
        return Value("where", (condition, a, b), a.dtype, None, ROW)
    return Value("where", (condition, a, b), a.dtype, None, ELEMENT)


def isnan(value: Value) -> Value:
    if value.dtype in _COMPLEX:
        return logical_or(isnan(real(value)), isnan(imag(value)))
    if value.dtype not in _FLOAT:
        return constant(False, "bool")
    if value.op == "const":
        return constant(value.attr != value.attr, "bool")
    return _make("isnan", (value,), "bool")


def isinf(value: Value) -> Value:
    if value.dtype in _COMPLEX:
        return logical_or(isinf(real(value)), isinf(imag(value)))
    return eq(absolute(value), math.inf) if value.dtype in _FLOAT else constant(False, "bool")


def isfinite(value: Value) -> Value:
    if value.dtype in _COMPLEX:
        return logical_and(isfinite(real(value)), isfinite(imag(value)))
    return lt(absolute(value), math.inf) if value.dtype in _FLOAT else constant(True, "bool")


def sign(value: Value) -> Value:
    """-1, 0 or 1; 0 for NaN."""
    if value.dtype == "bool":
        return value
    one, zero = constant(1, value), constant(0, value)
    positive = where(lt(zero, value), one, zero)
    return positive if value.dtype in _UNSIGNED else where(lt(value, zero), constant(-1, value), positive)


# --- logic and bits --------------------------------------------------------------------------------------------------


def logical_not(value: Operand) -> Value:
    value = cast(value, "bool")
    if value.op == "not":
        return value.args[0]
    if value.op == "const":
        return constant(not value.attr, "bool")
    if value.op == "eq":
        return _make("ne", value.args, "bool")
    if value.op == "ne":
        return _make("eq", value.args, "bool")
    return _make("not", (value,), "bool")


def logical_and(left: Operand, right: Operand) -> Value:
    a, b = cast(left, "bool"), cast(right, "bool")
    if a.op == "const":
        return b if a.attr else a
    if b.op == "const":
        return a if b.attr else b
    return a if a is b else _make("and", (a, b), "bool")


def logical_or(left: Operand, right: Operand) -> Value:
    a, b = cast(left, "bool"), cast(right, "bool")
    if a.op == "const":
        return a if a.attr else b
    if b.op == "const":
        return b if b.attr else a
    return a if a is b else _make("or", (a, b), "bool")


def logical_xor(left: Operand, right: Operand) -> Value:
    return _make("xor", (cast(left, "bool"), cast(right, "bool")), "bool")


def _bitwise(op: str, logical: Callable[[Operand, Operand], Value]) -> Callable[[Operand, Operand], Value]:
    def build(left: Operand, right: Operand) -> Value:
        a, b = _pair(left, right)
        if a.dtype == "bool":
            return logical(a, b)
        if a.dtype in _FLOAT or a.dtype in _COMPLEX:
            raise TypeError(f"bitwise {op} takes integers or bool, found {a.dtype}")
        return _make(op, (a, b), a.dtype)

    build.__name__ = "bitwise_" + op
    return build


bitwise_and = _bitwise("and", logical_and)
bitwise_or = _bitwise("or", logical_or)
bitwise_xor = _bitwise("xor", logical_xor)


def bitwise_not(value: Value) -> Value:
    if value.dtype == "bool":
        return logical_not(value)
    if value.dtype in _FLOAT or value.dtype in _COMPLEX:
        raise TypeError(f"bitwise not takes integers or bool, found {value.dtype}")
    return _make("not", (value,), value.dtype)


def shift_left(value: Operand, amount: Operand) -> Value:
    """Bits moved up; the amount must be less than the width (`left_shift` in `flambeau.ops` takes any)."""
    a, b = _pair(value, amount)
    return _make("shl", (a, b), a.dtype)


def shift_right(value: Operand, amount: Operand) -> Value:
    """Bits moved down, the sign kept for signed dtypes; the amount must be less than the width."""
    a, b = _pair(value, amount)
    return _make("shr", (a, b), a.dtype)
