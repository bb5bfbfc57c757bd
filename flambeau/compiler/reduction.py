"""Reductions, as LLVM IR: how one accumulates, and how two partial results become one.

Not here: in which order elements are taken in (`emit_row`).
"""

from __future__ import annotations

from flambeau.compiler.instructions import Code
from flambeau.compiler.program import Value
from flambeau.compiler.registers import BITS, REGISTER, UNSIGNED, is_float, literal, vector

State = list[str]  # the registers of one accumulator: a value, and for argmax and argmin a position


class Reduction:
    """How one reduction accumulates: where it starts, how it takes an element in, how two accumulators become one."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.kind = value.op.removeprefix("reduce_")
        self.positional = self.kind.startswith("arg")
        self.largest = self.kind.endswith("max")
        self.dtype = value.args[0].dtype if self.positional else value.dtype
        self.type = REGISTER[self.dtype]
        self.blocked = is_float(self.dtype) and self.kind in ("sum", "prod")

    def types(self, lanes: int, position: str) -> list[str]:
        return [vector(self.type, lanes)] + ([vector(position, lanes)] if self.positional else [])

    def identity(self, lanes: int, position: str) -> State:
        if self.kind == "sum":
            number: float = 0
        elif self.kind == "prod":
            number = 1
        elif is_float(self.dtype):
            number = float("-inf") if self.largest else float("inf")
        elif self.dtype in UNSIGNED:
            number = 0 if self.largest else (1 << BITS[self.dtype]) - 1
        else:
            number = -(1 << BITS[self.dtype] - 1) if self.largest else (1 << BITS[self.dtype] - 1) - 1
        return [literal(self.type, number, lanes)] + ([literal(position, 0, lanes)] if self.positional else [])

    def step(self, code: Code, state: State, item: str, place: str, position: str, lanes: int, mask: str) -> State:
        """Take one element a lane in; `place` is its position, as LLVM type `position`."""
        full = vector(self.type, lanes)
        if not self.positional:
            if mask:
                item = code.select(mask, item, self.identity(lanes, position)[0], self.type, lanes)
            return self.merge(code, state, [item], position, lanes)
        best, at = state
        if is_float(self.dtype):
            # Better, or a NaN where there was none.
            take = code.new(f"fcmp {'ugt' if self.largest else 'ult'} {full} {item}, {best}")
            known = code.new(f"fcmp ord {full} {best}, {best}")
            take = code.new(f"and {vector('i1', lanes)} {take}, {known}")
        else:
            take = self.better(code, item, best, lanes)
        if mask:
            take = code.new(f"and {vector('i1', lanes)} {take}, {mask}")
        return [
            code.select(take, item, best, self.type, lanes),
            code.select(take, place, at, position, lanes),
        ]

    def better(self, code: Code, a: str, b: str, lanes: int) -> str:
        operation = "gt" if self.largest else "lt"
        sign = "o" if is_float(self.dtype) else "u" if self.dtype in UNSIGNED else "s"
        instruction = "fcmp" if is_float(self.dtype) else "icmp"
        return code.new(f"{instruction} {sign}{operation} {vector(self.type, lanes)} {a}, {b}")

    def merge(self, code: Code, a: State, b: State, position: str, lanes: int) -> State:
        """Two accumulators as one; of equal positions' values the earlier wins."""
        full, flags = vector(self.type, lanes), vector("i1", lanes)
        floating = is_float(self.dtype)
        if self.kind in ("sum", "prod"):
            instruction = ("fadd" if floating else "add") if self.kind == "sum" else ("fmul" if floating else "mul")
            return [code.new(f"{instruction} {full} {a[0]}, {b[0]}")]
        if not self.positional:
            return [code.extreme(self.largest, a[0], b[0], self.dtype, lanes)]
        take = self.better(code, b[0], a[0], lanes)
        same = code.compare("eq", a[0], b[0], self.dtype, lanes)
        if floating:
            nan_a, nan_b = (code.new(f"fcmp uno {full} {v}, {v}") for v in (a[0], b[0]))
            number = code.new(f"xor {flags} {nan_a}, {literal('i1', 1, lanes)}")
            take = code.new(f"or {flags} {take}, {code.new(f'and {flags} {nan_b}, {number}')}")
            same = code.new(f"or {flags} {same}, {code.new(f'and {flags} {nan_a}, {nan_b}')}")
        earlier = code.new(f"icmp slt {vector(position, lanes)} {b[1]}, {a[1]}")
        take = code.new(f"or {flags} {take}, {code.new(f'and {flags} {same}, {earlier}')}")
        return [code.select(take, b[0], a[0], self.type, lanes), code.select(take, b[1], a[1], position, lanes)]
