"""The program: a small graph of scalar operations that says what one kernel computes.

A program is what a declaration in `flambeau.ops` becomes when it is traced for given dtypes. It knows nothing of
tensors, shapes or machine code. The same program is differentiated (`differentiate`), written as LLVM IR (`emit`)
and run in plain NumPy (`interpret`, the oracle of the tests).

Two kinds exist. A *map* has one level, "element". A *row* has two: an "element" value exists for every element along
the reduced dimensions, a "row" value (a reduction, or arithmetic on reductions) exists once for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

ELEMENT, ROW = "element", "row"

#: dtype names in the order of the core's dtype codes; the index is the code.
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "uint16", "uint32",
    "uint64", "complex64", "complex128",
)  # fmt: skip
CODES = {name: code for code, name in enumerate(DTYPES)}
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
#: The dtype of the two parts of a complex dtype.
PARTS = {"complex64": "float32", "complex128": "float64"}
INTEGERS = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")

UNARY = (
    "neg", "abs", "sign", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "erf", "erfc", "erfinv", "lgamma", "digamma", "floor", "ceil", "round", "trunc", "isnan", "not", "real", "imag",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "idiv", "irem", "fmod", "pow", "atan2", "copysign", "maximum", "minimum",
    "lt", "le", "eq", "ne", "and", "or", "xor", "shl", "shr", "complex",
)  # fmt: skip
TERNARY = ("where", "fma")
REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_argmax", "reduce_argmin")
COMPARISONS = ("lt", "le", "eq", "ne", "isnan")


class Value:
    """One scalar value of a program.

    `op` is a name from the tuples above; `args` are the values it is computed from; `dtype` is the dtype of the result
    (never float16 or bfloat16 except as an `input` or the argument-free target of a final `cast`: arithmetic on them
    is done in float32; a complex value is an `input` or a `complex` of two real ones, and only `real`, `imag` and
    outputs read it: see `complex_numbers`); `attr` is the input's number, or the constant's value; `level` is ELEMENT
    or ROW.
    `lookup` (its attr is a table) and `scale` are what `mathematics_tables` writes; operations never hold them.
    A constant and the length are ROW level in a row program, so that arithmetic on reductions stays ROW level; a
    `cast` to the value's own dtype at level ELEMENT spreads a ROW value over the elements. `index` is the position of
    the element in the loop (map) or along the reduced dimensions (row). `rule`, if any, is a stated gradient that
    `differentiate` prefers to walking the arguments; it has no meaning for kernels. Operators are attached by
    `flambeau.compiler.scalar`.
    """

    __slots__ = ("args", "attr", "dtype", "level", "op", "rule")

    def __init__(self, op: str, args: tuple[Value, ...], dtype: str, attr: Any = None, level: str = ELEMENT) -> None:
        self.op, self.args, self.dtype, self.attr, self.level = op, args, dtype, attr, level
        self.rule: Any = None

    if TYPE_CHECKING:  # attached by `flambeau.compiler.scalar`

        def __add__(self, other: Any) -> Value: ...
        def __radd__(self, other: Any) -> Value: ...
        def __sub__(self, other: Any) -> Value: ...
        def __rsub__(self, other: Any) -> Value: ...
        def __mul__(self, other: Any) -> Value: ...
        def __rmul__(self, other: Any) -> Value: ...
        def __truediv__(self, other: Any) -> Value: ...
        def __rtruediv__(self, other: Any) -> Value: ...
        def __floordiv__(self, other: Any) -> Value: ...
        def __rfloordiv__(self, other: Any) -> Value: ...
        def __mod__(self, other: Any) -> Value: ...
        def __rmod__(self, other: Any) -> Value: ...
        def __pow__(self, other: Any) -> Value: ...
        def __rpow__(self, other: Any) -> Value: ...
        def __and__(self, other: Any) -> Value: ...
        def __rand__(self, other: Any) -> Value: ...
        def __or__(self, other: Any) -> Value: ...
        def __ror__(self, other: Any) -> Value: ...
        def __xor__(self, other: Any) -> Value: ...
        def __rxor__(self, other: Any) -> Value: ...
        def __lshift__(self, other: Any) -> Value: ...
        def __rshift__(self, other: Any) -> Value: ...
        def __lt__(self, other: Any) -> Value: ...
        def __le__(self, other: Any) -> Value: ...
        def __gt__(self, other: Any) -> Value: ...
        def __ge__(self, other: Any) -> Value: ...
        def __eq__(self, other: Any) -> Value: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Value: ...  # type: ignore[override]
        def __neg__(self) -> Value: ...
        def __abs__(self) -> Value: ...
        def __invert__(self) -> Value: ...
        def __hash__(self) -> int: ...


class Input(NamedTuple):
    """An input of a program: its dtype in memory and its level."""

    dtype: str
    level: str = ELEMENT


class Program(NamedTuple):
    """What one kernel computes: `outputs[i]` from `inputs`, at two levels if `kind` is "row".

    The dtype in memory of output i is `outputs[i].dtype`. Output levels are the levels of their values. `order` is for
    rows that maps were merged into: the lanes and, for each pass, the vectors side by side with which the row alone
    would add, so that its sums keep their bits.
    """

    name: str
    kind: str  # "map" or "row"
    inputs: tuple[Input, ...]
    outputs: tuple[Value, ...]
    order: tuple[int, ...] = ()

    def topological(self) -> list[Value]:
        """All values the outputs need, each after its arguments (iterative: programs may be deep)."""
        order: list[Value] = []
        done: set[int] = set()
        stack: list[tuple[Value, bool]] = [(value, False) for value in reversed(self.outputs)]
        while stack:
            value, expanded = stack.pop()
            if id(value) in done:
                continue
            if expanded:
                done.add(id(value))
                order.append(value)
                continue
            stack.append((value, True))
            stack.extend((argument, False) for argument in reversed(value.args) if id(argument) not in done)
        return order

    def text(self) -> str:
        """The program as text, one value a line: what the cache's key is made from and what users are shown."""
        order = self.topological()
        number = {id(value): i for i, value in enumerate(order)}
        lines = [f"{self.kind} {self.name}({', '.join(f'{i.dtype}:{i.level}' for i in self.inputs)})"]
        if self.order:
            lines.append(f"  order {self.order}")
        for i, value in enumerate(order):
            arguments = " ".join(f"%{number[id(a)]}" for a in value.args)
            attribute = "" if value.attr is None else f" [{value.attr!r}]"
            lines.append(f"  %{i}: {value.dtype}/{value.level} = {value.op}{attribute} {arguments}".rstrip())
        lines.append("  return " + " ".join(f"%{number[id(v)]}" for v in self.outputs))
        return "\n".join(lines)


def finish(name: str, kind: str, inputs: tuple[Input, ...], outputs: Sequence[Value]) -> Program:
    """The program of these outputs with equal values merged and conversions that change nothing removed.

    In a map every value is ELEMENT level.
    """
    program = Program(name, kind, inputs, tuple(outputs))
    final: dict[int, Value] = {}
    merged: dict[Any, Value] = {}
    row = kind == "row"
    for value in program.topological():
        args = tuple([final[id(argument)] for argument in value.args])
        level = value.level if row else ELEMENT
        op = value.op
        if op == "cast" and args[0].dtype == value.dtype and args[0].level is level:
            final[id(value)] = args[0]
            continue
        if op in ("real", "imag") and args[0].op == "complex":
            part = args[0].args[op == "imag"]
            if part.level is level:
                final[id(value)] = part
                continue
            op, args = "cast", (part,)
        elif op == "complex" and args[0].op == "real" and args[1].op == "imag" and args[0].args[0] is args[1].args[0]:
            whole = args[0].args[0]
            if whole.dtype == value.dtype and whole.level is level:
                final[id(value)] = whole
                continue
        attr = value.attr
        identities = tuple([id(argument) for argument in args])
        if op == "add" or op == "mul":
            identities = tuple(sorted(identities))
        # repr: 0.0 and -0.0, 1 and True are different constants.
        key = (op, identities, value.dtype, attr if attr is None or attr.__class__ is int else repr(attr), level)
        found = merged.get(key)
        if found is None:
            found = merged[key] = Value(op, args, value.dtype, attr, level)
        final[id(value)] = found
    return Program(name, kind, inputs, tuple([final[id(value)] for value in outputs]))
