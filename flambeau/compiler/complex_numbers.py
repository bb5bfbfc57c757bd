"""Complex values as pairs of real ones: every operation on them is composed here of real arithmetic, at trace time.

A program holds no complex arithmetic: a complex value is an input (two adjacent numbers in memory) or a `complex` node
of two real values. So kernels, sums over rows and fusion never meet a complex operation, and the gradient of one
follows from its parts: PyTorch's convention, in which the cotangent of z = x + iy is dL/dx + i dL/dy.

The gradient of an analytic function is that of its real twin in `differentiate`, conjugated: g * conj(f'(z)). Formulas
of the inverse functions are Kahan's ("Branch cuts for complex elementary functions", 1987), so that signs of zero
choose the side of a branch cut as C99 says. What would lose digits in float32 is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import DTypeError
from . import scalar as s
from .expression import complex_of, conj, constant, imag, real
from .program import PARTS, Value

Pair = tuple[Value, Value]
_TABLE: dict[str, Callable[..., Value]] = {}
_ANALYTIC: dict[str, Callable[..., Pair]] = {}
_WIDE: set[str] = set()


def compose(op: str, args: tuple[Value, ...]) -> Value:
    """The value of `op` at complex arguments of one dtype."""
    function = _TABLE.get(op)
    if function is not None:
        return function(*args)
    analytic = _ANALYTIC.get(op)
    if analytic is None:
        raise DTypeError(
            f"{op.removeprefix('reduce_')} is not implemented for complex numbers, found {args[0].dtype}: take .real, "
            f".imag, .abs() or .angle() first"
        )
    dtype = args[0].dtype
    parts = tuple(part for z in args for part in (real(z), imag(z)))
    if op in _WIDE and dtype == "complex64":
        parts = tuple(s.cast(part, "float64") for part in parts)
    re, im = analytic(*parts)
    value = complex_of(s.cast(re, PARTS[dtype]), s.cast(im, PARTS[dtype]))

    def rule(grad: Value, result: Value) -> tuple[Value | None, ...]:
        from .differentiate import RULES

        found = RULES[op](conj(grad), result, *args)
        return tuple(None if part is None else conj(part) for part in found)

    return s.stated(value, args, rule)


def _plain(function: Callable[..., Value]) -> Callable[..., Value]:
    _TABLE[function.__name__.strip("_")] = function
    return function


def _analytic(name: str, wide: bool = False) -> Callable[[Callable[..., Pair]], Callable[..., Pair]]:
    def register(function: Callable[..., Pair]) -> Callable[..., Pair]:
        _ANALYTIC[name] = function
        if wide:
            _WIDE.add(name)
        return function

    return register


# --- arithmetic and comparison: differentiated through their parts ---------------------------------------------------


@_plain
def add(a: Value, b: Value) -> Value:
    return complex_of(real(a) + real(b), _sum(imag(a), imag(b)))


@_plain
def sub(a: Value, b: Value) -> Value:
    return complex_of(real(a) - real(b), imag(a) if _zero(b) else imag(a) - imag(b))


@_plain
def neg(a: Value) -> Value:
    return complex_of(-real(a), -imag(a))


@_plain
def mul(a: Value, b: Value) -> Value:
    if _zero(a):
        a, b = b, a
    if _zero(b):  # a real factor meets each part alone, so an infinity does not spoil the other
        im = imag(a) if _zero(a) else imag(a) * real(b)
        return complex_of(real(a) * real(b), im)
    re = real(a) * real(b) - imag(a) * imag(b)
    return complex_of(re, real(a) * imag(b) + imag(a) * real(b))


@_plain
def fma(a: Value, b: Value, c: Value) -> Value:
    return a * b + c


@_plain
def eq(a: Value, b: Value) -> Value:
    return s.logical_and(s.eq(real(a), real(b)), s.eq(imag(a), imag(b)))


@_plain
def ne(a: Value, b: Value) -> Value:
    return s.logical_or(s.ne(real(a), real(b)), s.ne(imag(a), imag(b)))


@_plain
def abs(a: Value) -> Value:
    return size(real(a), imag(a))


def _zero(a: Value) -> bool:
    """Whether the imaginary part is known to be zero: a real number among complex ones."""
    part = imag(a)
    while part.op == "cast":
        part = part.args[0]
    return part.op == "const" and part.attr == 0


def _sum(a: Value, b: Value) -> Value:
    if b.op == "const" and b.attr == 0:
        return a
    return b if a.op == "const" and a.attr == 0 else a + b


def size(x: Value, y: Value) -> Value:
    """`sqrt(x * x + y * y)` without overflow; its gradient at the origin is 0."""
    a, b = s.absolute(x), s.absolute(y)
    large, small = s.maximum(a, b), s.minimum(a, b)
    ratio = small / s.where(large == 0.0, 1.0, large)
    length = large * s.sqrt(ratio * ratio + 1.0)
    length = s.where((a == math.inf) | (b == math.inf), math.inf, length)

    def rule(grad: Value, value: Value) -> Pair:
        origin = s.eq(value, 0.0)
        scaled = s.where(origin, 0.0, grad / s.where(origin, 1.0, value))
        return scaled * x, scaled * y

    return s.stated(length, (x, y), rule)


# --- analytic functions: of the parts (x, y) or (x, y, u, v) ----------------------------------------------------------


@_analytic("div")
def _div(x: Value, y: Value, u: Value, v: Value) -> Pair:
    if v.op == "const" and v.attr == 0:
        return x / u, y / u
    scale = s.maximum(s.absolute(u), s.absolute(v))
    none = scale == 0.0
    c, d = s.where(none, 1.0, u / scale), s.where(none, 0.0, v / scale)
    below = u * c + v * d
    return (x * c + y * d) / below, (y * c - x * d) / below


@_analytic("exp")
def _exp(x: Value, y: Value) -> Pair:
    growth = s.exp(x)
    im = growth * s.sin(y)
    return growth * s.cos(y), s.where(s.eq(y, 0.0) & s.isinf(growth), y, im)


@_analytic("exp2", wide=True)
def _exp2(x: Value, y: Value) -> Pair:
    growth, angle = s.exp2(x), y * math.log(2.0)
    return growth * s.cos(angle), growth * s.sin(angle)


@_analytic("expm1")
def _expm1(x: Value, y: Value) -> Pair:
    half = s.sin(y * 0.5)
    return s.expm1(x) * s.cos(y) - 2.0 * half * half, s.exp(x) * s.sin(y)


def _log_size(x: Value, y: Value) -> Value:
    a, b = s.absolute(x), s.absolute(y)
    large, small = s.maximum(a, b), s.minimum(a, b)
    ratio = small / s.where(large == 0.0, 1.0, large)
    far = s.log(large) + 0.5 * s.log1p(ratio * ratio)
    near = 0.5 * s.log1p((large - 1.0) * (large + 1.0) + small * small)
    infinite = (a == math.inf) | (b == math.inf)
    return s.where(infinite, math.inf, s.where((large > 0.5) & (large < 1.5), near, far))


@_analytic("log", wide=True)
def _log(x: Value, y: Value) -> Pair:
    return _log_size(x, y), s.atan2(y, x)


@_analytic("log2", wide=True)
def _log2(x: Value, y: Value) -> Pair:
    scale = 1.0 / math.log(2.0)
    return _log_size(x, y) * scale, s.atan2(y, x) * scale


@_analytic("log10", wide=True)
def _log10(x: Value, y: Value) -> Pair:
    scale = 1.0 / math.log(10.0)
    return _log_size(x, y) * scale, s.atan2(y, x) * scale


@_analytic("log1p", wide=True)
def _log1p(x: Value, y: Value) -> Pair:
    small = (s.absolute(x) < 0.5) & (s.absolute(y) < 0.5)
    near = 0.5 * s.log1p(x * (x + 2.0) + y * y)
    return s.where(small, near, _log_size(x + 1.0, y)), s.atan2(y, x + 1.0)


def _root(x: Value, y: Value) -> Pair:
    length = s.sqrt(s.absolute(x) * 0.5 + size(x, y) * 0.5)
    other = s.absolute(y) / (2.0 * s.where(length == 0.0, 1.0, length))
    other = s.where(s.absolute(y) == math.inf, math.inf, other)
    right = x >= 0.0
    return s.where(right, length, other), s.copysign(s.where(right, other, length), y)


@_analytic("sqrt")
def _sqrt(x: Value, y: Value) -> Pair:
    return _root(x, y)


@_analytic("rsqrt")
def _rsqrt(x: Value, y: Value) -> Pair:
    re, im = _root(x, y)
    return _div(constant(1.0, re), constant(0.0, re), re, im)


@_analytic("pow", wide=True)
def _pow(x: Value, y: Value, u: Value, v: Value) -> Pair:
    length, angle = _log_size(x, y), s.atan2(y, x)
    growth, turn = length * u, angle * u
    if not (v.op == "const" and v.attr == 0):
        growth, turn = growth - angle * v, turn + length * v
    re, im = _exp(growth, turn)
    origin = s.eq(x, 0.0) & s.eq(y, 0.0)
    none = s.eq(u, 0.0) & s.eq(v, 0.0)
    vanishes = origin & (u > 0.0)
    re = s.where(none, 1.0, s.where(vanishes, 0.0, re))
    return re, s.where(none | vanishes, 0.0, im)


@_analytic("sin")
def _sin(x: Value, y: Value) -> Pair:
    return s.sin(x) * s.cosh(y), s.cos(x) * s.sinh(y)


@_analytic("cos")
def _cos(x: Value, y: Value) -> Pair:
    return s.cos(x) * s.cosh(y), -(s.sin(x) * s.sinh(y))


@_analytic("sinh")
def _sinh(x: Value, y: Value) -> Pair:
    return s.sinh(x) * s.cos(y), s.cosh(x) * s.sin(y)


@_analytic("cosh")
def _cosh(x: Value, y: Value) -> Pair:
    return s.cosh(x) * s.cos(y), s.sinh(x) * s.sin(y)


@_analytic("tanh")
def _tanh(x: Value, y: Value) -> Pair:
    far = s.absolute(x) > 20.0
    held = s.where(far, s.copysign(constant(20.0, x), x), x)
    slope, rise = s.tan(y), s.sinh(held)
    square = slope * slope + 1.0
    below = square * rise * rise + 1.0
    re = square * s.sqrt(rise * rise + 1.0) * rise / below
    tail = 4.0 * s.sin(y) * s.cos(y) * s.exp(-2.0 * s.absolute(x))
    return s.where(far, s.copysign(constant(1.0, x), x), re), s.where(far, tail, slope / below)


@_analytic("tan")
def _tan(x: Value, y: Value) -> Pair:
    re, im = _tanh(-y, x)
    return im, -re


@_analytic("asin", wide=True)
def _asin(x: Value, y: Value) -> Pair:
    (a, b), (c, d) = _root(1.0 - x, -y), _root(x + 1.0, y)
    return s.atan2(x, a * c - b * d), s.asinh(a * d - b * c)


@_analytic("acos", wide=True)
def _acos(x: Value, y: Value) -> Pair:
    (a, b), (c, d) = _root(1.0 - x, -y), _root(x + 1.0, y)
    return 2.0 * s.atan2(a, c), s.asinh(c * b - d * a)


@_analytic("asinh", wide=True)
def _asinh(x: Value, y: Value) -> Pair:
    re, im = _asin(-y, x)
    return im, -re


@_analytic("acosh", wide=True)
def _acosh(x: Value, y: Value) -> Pair:
    (a, b), (c, d) = _root(x - 1.0, y), _root(x + 1.0, y)
    return s.asinh(a * c + b * d), 2.0 * s.atan2(b, c)


@_analytic("atanh", wide=True)
def _atanh(x: Value, y: Value) -> Pair:
    far, height = s.absolute(x), s.absolute(y)
    left = 1.0 - far
    pole = (left == 0.0) & (height < 1e-8)  # where y * y could vanish
    re = 0.25 * s.log1p(4.0 * far / s.where(pole, 1.0, left * left + y * y))
    re = s.where(pole, 0.5 * (math.log(2.0) - s.log(height)), re)
    return s.copysign(re, x), 0.5 * s.atan2(2.0 * y, left * (far + 1.0) - y * y)


@_analytic("atan", wide=True)
def _atan(x: Value, y: Value) -> Pair:
    re, im = _atanh(-y, x)
    return im, -re
