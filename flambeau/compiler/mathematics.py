"""placeholder docstring"""

from __future__ import annotations

from collections.abc import Callable

from . import mathematics_exponential as exponential
from . import mathematics_special as special
from . import mathematics_trigonometric as trigonometric
from .mathematics_arithmetic import cast
from .program import Program, Value

_LOWERINGS: dict[str, Callable[..., Value]] = {
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "log": exponential.log,
    "log2": exponential.log2,
    "log10": exponential.log10,
    "log1p": exponential.log1p,
    "sinh": exponential.sinh,
    "cosh": exponential.cosh,
    "tanh": exponential.tanh,
    "asinh": exponential.asinh,
    "acosh": exponential.acosh,
    "atanh": exponential.atanh,
    "pow": exponential.power,
    "sin": trigonometric.sin,
    "cos": trigonometric.cos,
    "tan": trigonometric.tan,
    "asin": trigonometric.asin,
    "acos": trigonometric.acos,
    "atan": trigonometric.atan,
    "atan2": trigonometric.atan2,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.lgamma,
    "digamma": special.digamma,
    "fmod": special.fmod,
    "rsqrt": special.rsqrt,
    "sign": special.sign,
    "copysign": special.copysign,
}

#: The operations this module replaces.
LOWERED = frozenset(_LOWERINGS)


def lower(op: str, args: tuple[Value, ...], dtype: str) -> Value:
    """`op` of `args` as values of primitive operations, for the dtypes float32 and float64.

    Raises NotImplementedError for an operation or a dtype that has no lowering.
    """
    function = _LOWERINGS.get(op)
    if function is None:
        raise NotImplementedError(f"{op}: there is no lowering of this operation; it is a primitive or unknown")
    if dtype not in ("float32", "float64"):
        raise NotImplementedError(f"{op}: lowered for float32 and float64 only, not {dtype}: cast its arguments first")
    return function(*(cast(argument, dtype) for argument in args))


def lower_program(program: Program) -> Program:
    """The same program in primitives only; equal subexpressions become one value."""
    unique: dict[tuple[object, ...], Value] = {}
    lowered: dict[int, Value] = {}

    def intern(value: Value, args: tuple[Value, ...]) -> Value:
        # repr tells 0.0 from -0.0 and 1 from 1.0, and makes NaN equal to itself.
        key = value.op, tuple(map(id, args)), value.dtype, repr(value.attr), value.level
        found = unique.get(key)
        if found is None:
            found = unique[key] = Value(value.op, args, value.dtype, value.attr, value.level)
        return found

    for value in program.topological():
        args = tuple(lowered[id(argument)] for argument in value.args)
        if value.op in LOWERED and value.dtype in ("float32", "float64"):
            # The arguments have their final form: only what `lower` built on them is rebuilt.
            root = lower(value.op, args, value.dtype)
            known = {id(argument): argument for argument in args}
            for inner in _between(root, set(known)):
                known[id(inner)] = intern(inner, tuple(known[id(argument)] for argument in inner.args))
            lowered[id(value)] = known[id(root)]
        else:
            lowered[id(value)] = intern(value, args)
    return program._replace(outputs=tuple(lowered[id(value)] for value in program.outputs))


def _between(root: Value, done: set[int]) -> list[Value]:
    # The values under root, each after its arguments, without those in `done` and what is under them.
    order: list[Value] = []
    stack: list[tuple[Value, bool]] = [(root, False)]
    while stack:
        value, expanded = stack.pop()
        if id(value) in done:
            continue
        if expanded:
            done.add(id(value))
            order.append(value)
        else:
            stack.append((value, True))
            stack.extend((argument, False) for argument in reversed(value.args))
    return order
