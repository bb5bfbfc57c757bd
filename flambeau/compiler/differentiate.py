"""Reverse-mode differentiation of programs: from output values and their cotangents to the inputs' cotangents.

The result is built of the same scalar values, so it can be differentiated again. Where a function has a kink the
value is PyTorch's: 0 for `abs` and `relu` at 0, halves for tied `maximum`, shares for tied elements of a row's
maximum. Formulas are the textbook ones; an operation that knows a better one for itself states it
(`Declaration.vjp`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..errors import AutogradError
from . import scalar as s
from .program import COMPLEX, ELEMENT, FLOATS, ROW, Value

_FLOAT = frozenset(FLOATS + COMPLEX)

Cotangents = tuple["Value | None", ...]


def cotangents(
    outputs: Sequence[Value | float], grads: Sequence[Value | None], inputs: Sequence[Value]
) -> list[Value | None]:
    """The cotangent of every input, given one (or None, for zero) of every output.

    A ROW input's cotangent is summed over the row. An ELEMENT input's cotangent may be a ROW value: the same for all.
    """
    seeds = [
        (v, g)
        for v, g in zip(outputs, grads, strict=True)
        if isinstance(v, Value) and g is not None and v.dtype in _FLOAT
    ]
    wanted = {id(value) for value in inputs}
    order = _order([value for value, _ in seeds], wanted)
    # Only values that depend on an input carry a cotangent.
    active = set(wanted)
    for value in order:
        if value.dtype in _FLOAT or value.op == "bitcast":
            if any(id(argument) in active for argument in _arguments(value)):
                active.add(id(value))
    sums = _Sums(active)
    for value, seed in seeds:
        sums.add(value, s.cast(seed, value.dtype), value.level)
    found: dict[int, Value | None] = {}
    for value in reversed(order):
        if id(value) not in active:
            continue
        grad = sums.take(value)
        if id(value) in wanted:
            found[id(value)] = grad
            continue
        if grad is None:
            continue
        arguments = _arguments(value)
        if value.rule is not None:
            if value.level is ELEMENT:
                grad = s.spread(grad)
            parts = value.rule[1](grad, value)
        else:
            rule = RULES.get(value.op)
            if rule is None:
                raise AutogradError(
                    f"the gradient of {value.op} is not defined: state one with vjp, or call it under no_grad()"
                )
            parts = rule(grad, value, *arguments)
        for argument, part in zip(arguments, parts, strict=True):
            if part is not None and id(argument) in active:
                # A reduction's cotangent reaches its elements as one number a row: it counts for each of them.
                level = value.level
                if value.rule is not None:
                    level = part.level  # a stated rule has summed over the row what it returns at ROW level
                elif value.op.startswith("reduce_"):
                    level = ELEMENT
                sums.add(argument, part, level)
    return [found.get(id(value)) for value in inputs]


def _arguments(value: Value) -> tuple[Value, ...]:
    return value.args if value.rule is None else value.rule[0]


def _order(outputs: list[Value], stop: set[int]) -> list[Value]:
    """Topological order along the edges that cotangents take: a stated rule's inputs instead of the arguments."""
    order: list[Value] = []
    done: set[int] = set()
    stack: list[tuple[Value, bool]] = [(value, False) for value in outputs]
    while stack:
        value, expanded = stack.pop()
        if id(value) in done:
            continue
        if expanded:
            done.add(id(value))
            order.append(value)
            continue
        stack.append((value, True))
        if id(value) not in stop:
            stack.extend((argument, False) for argument in _arguments(value) if id(argument) not in done)
    return order


class _Sums:
    """Cotangents collected until a value's turn comes."""

    __slots__ = ("active", "elements", "rows")

    def __init__(self, active: set[int]) -> None:
        self.active = active
        self.elements: dict[int, Value] = {}
        self.rows: dict[int, Value] = {}

    def add(self, value: Value, part: Value, level: str) -> None:
        """Add `part`, the cotangent that `value` receives from a value of `level`.

        A ROW value met by an ELEMENT one is used once for every element, so that share is summed over the row at the
        end.
        """
        if id(value) not in self.active:
            return
        where = self.elements if level is ELEMENT else self.rows
        present = where.get(id(value))
        where[id(value)] = part if present is None else present + part

    def take(self, value: Value) -> Value | None:
        """The whole cotangent of `value`."""
        element, row = self.elements.pop(id(value), None), self.rows.pop(id(value), None)
        if element is not None and value.level is ROW:
            element = s.reduce_sum(element)
        if element is None or row is None:
            return row if element is None else element
        return element + row


# --- rules: (cotangent, value, *arguments) -> the cotangents of the arguments ----------------------------------------

RULES: dict[str, Callable[..., Cotangents]] = {}


def _rule(*names: str) -> Callable[[Callable[..., Cotangents]], Callable[..., Cotangents]]:
    def register(function: Callable[..., Cotangents]) -> Callable[..., Cotangents]:
        for name in names:
            RULES[name] = function
        return function

    return register


def _unary(name: str, derivative: Callable[[Value, Value, Value], Value]) -> None:
    """A rule from `derivative(g, x, y)`, the cotangent of x, where y is the value itself."""
    RULES[name] = lambda g, y, x: (derivative(g, x, y),)


_unary("neg", lambda g, x, y: -g)
_unary("abs", lambda g, x, y: g * s.sign(x))
_unary("sqrt", lambda g, x, y: g / (2.0 * y))
_unary("rsqrt", lambda g, x, y: -0.5 * g * (y * y * y))
_unary("exp", lambda g, x, y: g * y)
_unary("exp2", lambda g, x, y: g * y * math.log(2.0))
_unary("expm1", lambda g, x, y: g * (y + 1.0))
_unary("log", lambda g, x, y: g / x)
_unary("log2", lambda g, x, y: g / (x * math.log(2.0)))
_unary("log10", lambda g, x, y: g / (x * math.log(10.0)))
_unary("log1p", lambda g, x, y: g / (x + 1.0))
_unary("sin", lambda g, x, y: g * s.cos(x))
_unary("cos", lambda g, x, y: -(g * s.sin(x)))
_unary("tan", lambda g, x, y: g * (1.0 + y * y))
_unary("asin", lambda g, x, y: g * s.rsqrt(1.0 - x * x))
_unary("acos", lambda g, x, y: -(g * s.rsqrt(1.0 - x * x)))
_unary("atan", lambda g, x, y: g / (x * x + 1.0))
_unary("sinh", lambda g, x, y: g * s.cosh(x))
_unary("cosh", lambda g, x, y: g * s.sinh(x))
_unary("tanh", lambda g, x, y: g * (1.0 - y * y))
_unary("asinh", lambda g, x, y: g * s.rsqrt(x * x + 1.0))
_unary("acosh", lambda g, x, y: g * _acosh_slope(x))
_unary("atanh", lambda g, x, y: g / (1.0 - x * x))
_unary("erf", lambda g, x, y: g * ((2.0 / math.sqrt(math.pi)) * s.exp(-(x * x))))
_unary("erfc", lambda g, x, y: g * ((-2.0 / math.sqrt(math.pi)) * s.exp(-(x * x))))
_unary("erfinv", lambda g, x, y: g * ((math.sqrt(math.pi) / 2.0) * s.exp(y * y)))
_unary("lgamma", lambda g, x, y: g * s.digamma(x))
_unary("digamma", lambda g, x, y: g * trigamma(x))


@_rule("sign", "floor", "ceil", "round", "trunc")
def _flat(g: Value, y: Value, x: Value) -> Cotangents:
    return (None,)


def _acosh_slope(x: Value) -> Value:
    if s.is_complex(x):  # on the branch of the function
        return s.rsqrt(x - 1.0) * s.rsqrt(x + 1.0)
    return s.rsqrt(x * x - 1.0)


@_rule("cast")
def _cast(g: Value, y: Value, x: Value) -> Cotangents:
    return (s.cast(g, x.dtype) if x.dtype in _FLOAT else None,)


@_rule("complex")
def _complex(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return s.real(g), s.imag(g)


@_rule("real")
def _real(g: Value, y: Value, x: Value) -> Cotangents:
    return (s.complex_of(g, s.constant(-0.0, g)),)


@_rule("imag")
def _imag(g: Value, y: Value, x: Value) -> Cotangents:
    return (s.complex_of(s.constant(-0.0, g), g),)


@_rule("add")
def _add(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return g, g


@_rule("sub")
def _sub(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return g, -g


@_rule("mul")
def _mul(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return g * b, g * a


@_rule("div")
def _div(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return g / b, -g * (y / b)


@_rule("fma")
def _fma(g: Value, y: Value, a: Value, b: Value, c: Value) -> Cotangents:
    return g * b, g * a, g


@_rule("fmod")
def _fmod(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    return g, -g * s.trunc(a / b)


@_rule("pow")
def _pow(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    # An exponent of 0 makes the base's slope 0 at any base; a base of 0 the exponent's, unless it is a pole.
    base = g * (b * s.power(a, b - 1.0))
    if b.op != "const":
        base = s.where(s.eq(b, 0.0), 0.0, base)
    elif b.attr == 0:
        return None, None
    exponent = g * s.where(s.eq(a, 0.0) & s.ge(s.real(b), 0.0), 0.0, y * s.log(a))
    return base, exponent


@_rule("atan2")
def _atan2(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    square = a * a + b * b
    scaled = g / s.where(s.eq(square, 0.0), 1.0, square)
    return scaled * b, -scaled * a


@_rule("copysign")
def _copysign(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    ratio = s.where(s.eq(a, 0.0), 0.0, y / a)
    return g * ratio, None


@_rule("maximum")
def _maximum(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    # PyTorch gives a NaN's cotangent to both operands.
    tied, zero = s.eq(a, b), s.constant(0.0, g)
    return (
        s.where(tied, g * 0.5, s.where(s.lt(a, b), zero, g)),
        s.where(tied, g * 0.5, s.where(s.lt(b, a), zero, g)),
    )


@_rule("minimum")
def _minimum(g: Value, y: Value, a: Value, b: Value) -> Cotangents:
    tied, zero = s.eq(a, b), s.constant(0.0, g)
    return (
        s.where(tied, g * 0.5, s.where(s.lt(b, a), zero, g)),
        s.where(tied, g * 0.5, s.where(s.lt(a, b), zero, g)),
    )


@_rule("where")
def _where(g: Value, y: Value, condition: Value, a: Value, b: Value) -> Cotangents:
    zero = s.constant(0.0, g)
    return None, s.where(condition, g, zero), s.where(condition, zero, g)


@_rule("reduce_sum")
def _reduce_sum(g: Value, y: Value, x: Value) -> Cotangents:
    return (g,)


@_rule("reduce_prod")
def _reduce_prod(g: Value, y: Value, x: Value) -> Cotangents:
    return (g * product_of_others(x),)


def product_of_others(x: Value) -> Value:
    """For every element the product of the other elements of its row, right at zeros, and differentiable itself."""
    zero, one = s.eq(x, 0.0), s.constant(1.0, x)
    zeros = s.reduce_sum(s.cast(zero, "int64"))
    safe = s.where(zero, one, x)
    whole = s.reduce_prod(safe)  # of the elements that are not zero
    nothing = s.constant(0.0, x)
    others = s.where(s.eq(zeros, 0), whole / safe, s.where(s.eq(zeros, 1) & zero, whole, nothing))

    def rule(grad: Value, value: Value) -> Cotangents:
        # The derivative of P_i (product without i) by x_j is the product without both: over i, weighted by `grad`.
        # With no zero it is whole * (sum(grad / x) - grad_j / x_j) / x_j; with one or two zeros few products survive.
        over = grad / safe
        at_zeros = s.reduce_sum(s.where(zero, grad, 0.0))
        elsewhere = s.reduce_sum(s.where(zero, 0.0, over))
        none = whole * (elsewhere - over) / safe
        one_zero = s.where(zero, whole * elsewhere, whole * at_zeros / safe)
        two_zeros = s.where(zero, whole * (at_zeros - grad), nothing)
        return (
            s.where(s.eq(zeros, 0), none, s.where(s.eq(zeros, 1), one_zero, s.where(s.eq(zeros, 2), two_zeros, 0.0))),
        )

    return s.stated(others, (x,), rule)


@_rule("reduce_max", "reduce_min")
def _reduce_extreme(g: Value, y: Value, x: Value) -> Cotangents:
    # A row whose extreme is NaN has no hit: 0 / 0 makes its whole cotangent NaN.
    hit = s.eq(x, y)
    return (s.where(hit, g, 0.0) / s.cast(s.reduce_sum(s.cast(hit, "int64")), g),)


def trigamma(x: Value) -> Value:
    """The derivative of digamma: reflection below 1/2, recurrence up to 8 and beyond, then the asymptotic series."""
    small = s.lt(x, 0.5)
    z = s.where(small, 1.0 - x, x)
    total = s.constant(0.0, x)
    for step in range(10):
        shifted = z + float(step)
        total = total + 1.0 / (shifted * shifted)
    z = z + 10.0
    inverse = 1.0 / z
    square = inverse * inverse
    series = square * (1 / 6 + square * (-1 / 30 + square * (1 / 42 + square * (-1 / 30 + square * (5 / 66)))))
    value = total + inverse * (1.0 + inverse * 0.5 + series)
    sine = s.sin(s.constant(math.pi, x) * (x - s.floor(x)))
    ratio = s.constant(math.pi, x) / sine
    return s.where(small, ratio * ratio - value, value)
