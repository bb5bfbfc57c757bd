"""The text of one LLVM function: blocks, calls, and values on their way between registers and memory.

What is computed with them is in `instructions`, which builds on this.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.compiler.program import PARTS
from flambeau.compiler.registers import (
    REGISTER,
    item_align,
    literal,
    memory_type,
    vector,
)
from flambeau.compiler.target import Target

_SUFFIX = {"float": "f32", "double": "f64", "half": "f16"}


class FunctionText:
    """The text of one LLVM function under construction."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.declarations: dict[str, str] = {}
        self.count = 0
        self.block = "entry"

    # --- text ---

    def new(self, text: str) -> str:
        """Append an instruction; the name of its result."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def name(self, prefix: str) -> str:
        """A fresh label or register name."""
        self.count += 1
        return f"{prefix}{self.count}"

    def open(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block."""
        self.do(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """End the block on a condition."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def phi(self, type_: str, first: str, first_block: str) -> tuple[str, int]:
        """A loop variable: its name, and a ticket for `close_phi` to fill in the value carried round the loop."""
        name = self.name("%p")
        self.lines.append(f"  {name} = phi {type_} [ {first}, %{first_block} ]")
        return name, len(self.lines) - 1

    def close_phi(self, ticket: int, value: str, block: str | None = None) -> None:
        """The value a loop variable takes when control comes from `block` (the present one by default)."""
        self.lines[ticket] += f", [ {value}, %{block or self.block} ]"

    def call(self, name: str, result: str, arguments: Sequence[tuple[str, str]]) -> str:
        """Call an intrinsic."""
        types = ", ".join(type_ for type_, _ in arguments)
        self.declarations[name] = f"declare {result} @{name}({types})"
        text = f"call {result} @{name}({', '.join(f'{type_} {value}' for type_, value in arguments)})"
        if result == "void":
            self.do(text)
            return ""
        return self.new(text)

    def intrinsic(self, name: str, type_: str, lanes: int, *arguments: str) -> str:
        """Call `llvm.name` on vectors of one type."""
        suffix = _SUFFIX.get(type_, type_)
        if lanes > 1:
            suffix = f"v{lanes}{suffix}"
        full = vector(type_, lanes)
        return self.call(f"llvm.{name}.{suffix}", full, [(full, a) for a in arguments])

    def finish(self, signature: str) -> str:
        """The module's text: the one function `kernel`."""
        body = "\n".join(["entry:", *self.allocations, *self.lines])
        declarations = "\n".join(self.declarations.values())
        return f"define void @kernel({signature}) #0 {{\n{body}\n}}\n{declarations}\n" + (
            f"attributes #0 = {{ {self.target.attributes()} }}\n!0 = !{{i32 1}}\n"
        )

    # --- small helpers ---

    def integer(self, operation: str, a: str, b: str | int) -> str:
        """64-bit integer arithmetic on scalars."""
        return self.new(f"{operation} i64 {a}, {b}")

    def at(self, pointer: str, offset: str | int, type_: str = "i8") -> str:
        """The address `offset` items of `type_` past `pointer`."""
        return pointer if offset == 0 else self.new(f"getelementptr {type_}, ptr {pointer}, i64 {offset}")

    def splat(self, value: str, type_: str, lanes: int) -> str:
        """A scalar on every lane."""
        if lanes == 1:
            return value
        full = vector(type_, lanes)
        first = self.new(f"insertelement {full} poison, {type_} {value}, i64 0")
        return self.new(f"shufflevector {full} {first}, {full} poison, <{lanes} x i32> zeroinitializer")

    def steps(self, type_: str, lanes: int) -> str:
        """0, 1, 2, ... over the lanes."""
        return literal(type_, 0) if lanes == 1 else "<" + ", ".join(f"{type_} {i}" for i in range(lanes)) + ">"

    def select(self, condition: str, a: str, b: str, type_: str, lanes: int) -> str:
        """`a` where the condition holds, else `b`."""
        full = vector(type_, lanes)
        return self.new(f"select {vector('i1', lanes)} {condition}, {full} {a}, {full} {b}")

    # --- memory ---

    def from_memory(self, value: str, dtype: str, lanes: int) -> str:
        """What was loaded, as it is kept in registers."""
        return self.new(f"icmp ne {vector('i8', lanes)} {value}, zeroinitializer") if dtype == "bool" else value

    def to_memory(self, value: str, dtype: str, lanes: int) -> str:
        """A register's value as it is kept in memory."""
        if dtype != "bool":
            return value
        return self.new(f"zext {vector('i1', lanes)} {value} to {vector('i8', lanes)}")

    def load(self, pointer: str, dtype: str, lanes: int, mask: str = "") -> str:
        """Consecutive values; lanes outside the mask are zero."""
        if dtype in PARTS and lanes > 1:
            parts = self.load(pointer, PARTS[dtype], 2 * lanes, self._twice(mask, lanes))
            return self.new(
                f"bitcast {vector(REGISTER[PARTS[dtype]], 2 * lanes)} {parts} to <{lanes} x {REGISTER[dtype]}>"
            )
        type_, align = memory_type(dtype), item_align(dtype)
        full = vector(type_, lanes)
        if mask:
            suffix = f"v{lanes}{_SUFFIX.get(type_, type_)}"
            name = f"llvm.masked.load.{suffix}.p0"
            zeros = "zeroinitializer"
            pairs = [("ptr", pointer), ("i32", str(align)), (f"<{lanes} x i1>", mask), (full, zeros)]
            return self.from_memory(self.call(name, full, pairs), dtype, lanes)
        return self.from_memory(self.new(f"load {full}, ptr {pointer}, align {align}"), dtype, lanes)

    def store(self, pointer: str, value: str, dtype: str, lanes: int, mask: str = "", past: bool = False) -> None:
        """Consecutive values, those in the mask only; with `past` around the caches, to a place aligned for it."""
        if dtype in PARTS and lanes > 1:
            value = self._parts(value, dtype, lanes)
            self.store(pointer, value, PARTS[dtype], 2 * lanes, self._twice(mask, lanes), past)
            return
        type_, align = memory_type(dtype), item_align(dtype)
        full, value = vector(type_, lanes), self.to_memory(value, dtype, lanes)
        if mask:
            suffix = f"v{lanes}{_SUFFIX.get(type_, type_)}"
            pairs = [(full, value), ("ptr", pointer), ("i32", str(align)), (f"<{lanes} x i1>", mask)]
            self.call(f"llvm.masked.store.{suffix}.p0", "void", pairs)
        else:
            place = f"align {min(64, align * lanes)}, !nontemporal !0" if past else f"align {align}"
            self.do(f"store {full} {value}, ptr {pointer}, {place}")

    def _twice(self, mask: str, lanes: int) -> str:
        """A mask of complex lanes as one of their parts."""
        if not mask:
            return ""
        order = ", ".join(f"i32 {i // 2}" for i in range(2 * lanes))
        return self.new(f"shufflevector <{lanes} x i1> {mask}, <{lanes} x i1> poison, <{2 * lanes} x i32> <{order}>")

    def _parts(self, value: str, dtype: str, lanes: int) -> str:
        """Complex lanes as twice as many floats: real, imaginary, real, ..."""
        part = REGISTER[PARTS[dtype]]
        return self.new(f"bitcast {vector(REGISTER[dtype], lanes)} {value} to <{2 * lanes} x {part}>")

    def part(self, value: str, dtype: str, lanes: int, imaginary: bool) -> str:
        """One part of complex lanes."""
        type_ = REGISTER[PARTS[dtype]]
        both = self._parts(value, dtype, lanes)
        if lanes == 1:
            return self.new(f"extractelement <2 x {type_}> {both}, i64 {int(imaginary)}")
        full = f"<{2 * lanes} x {type_}>"
        order = ", ".join(f"i32 {2 * i + imaginary}" for i in range(lanes))
        return self.new(f"shufflevector {full} {both}, {full} poison, <{lanes} x i32> <{order}>")

    def together(self, real: str, imaginary: str, dtype: str, lanes: int) -> str:
        """Complex lanes of two parts."""
        type_ = REGISTER[PARTS[dtype]]
        if lanes == 1:
            both = self.new(f"insertelement <2 x {type_}> poison, {type_} {real}, i64 0")
            both = self.new(f"insertelement <2 x {type_}> {both}, {type_} {imaginary}, i64 1")
        else:
            order = ", ".join(f"i32 {i // 2 + i % 2 * lanes}" for i in range(2 * lanes))
            full = f"<{lanes} x {type_}>"
            both = self.new(f"shufflevector {full} {real}, {full} {imaginary}, <{2 * lanes} x i32> <{order}>")
        return self.new(f"bitcast <{2 * lanes} x {type_}> {both} to {vector(REGISTER[dtype], lanes)}")

    def prefetch(self, pointer: str) -> None:
        """Ask for the cache line at an address, which need not exist."""
        self.declarations["llvm.prefetch.p0"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
        self.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")

    def lane_places(self, pointer: str, stride: str, lanes: int, places: list[str] | None) -> list[str]:
        """The address of every lane, `stride` bytes apart, or at `places` strides if given."""
        if places:
            return [self.at(pointer, self.integer("mul", stride, places[lane]) if lane else 0) for lane in range(lanes)]
        result: list[str] = []
        base = pointer
        for lane in range(lanes):
            if lane % 4:
                result.append(self.at(base, self.integer("mul", stride, lane % 4)))
                continue
            # Four lanes share a base. The freeze hides it from loop-strength reduction, which would spend most of the
            # compile time on giving every lane an induction variable and then run out of registers.
            base = self.new(f"freeze ptr {self.at(base, self.integer('mul', stride, 4)) if lane else base}")
            result.append(base)
        return result

    def load_strided(self, pointer: str, stride: str, dtype: str, lanes: int, places: list[str] | None = None) -> str:
        """Values `stride` bytes apart, one load a lane; `places` are the lanes' positions if they are not 0, 1, 2..."""
        type_ = memory_type(dtype)
        align = item_align(dtype)
        if lanes == 1:
            return self.from_memory(self.new(f"load {type_}, ptr {pointer}, align {align}"), dtype, 1)
        full, result = vector(type_, lanes), "poison"
        for lane, place in enumerate(self.lane_places(pointer, stride, lanes, places)):
            item = self.new(f"load {type_}, ptr {place}, align {align}")
            result = self.new(f"insertelement {full} {result}, {type_} {item}, i64 {lane}")
        return self.from_memory(result, dtype, lanes)

    def store_strided(
        self, pointer: str, stride: str, value: str, dtype: str, lanes: int, places: list[str] | None = None
    ) -> None:
        """The store of `load_strided`, from the last lane to the first: where positions repeat, the first wins."""
        type_, value = memory_type(dtype), self.to_memory(value, dtype, lanes)
        align = item_align(dtype)
        if lanes == 1:
            self.do(f"store {type_} {value}, ptr {pointer}, align {align}")
            return
        addresses = self.lane_places(pointer, stride, lanes, places)
        for lane in reversed(range(lanes)):
            item = self.new(f"extractelement {vector(type_, lanes)} {value}, i64 {lane}")
            self.do(f"store {type_} {item}, ptr {addresses[lane]}, align {align}")

    def tail_mask(self, left: str, lanes: int) -> str:
        """The first `left` lanes; all of them if `left` is more; `left` is at least 1."""
        width = f"i{lanes}"
        few = self.new(f"call i64 @llvm.umin.i64(i64 {left}, i64 {lanes})")
        self.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"
        missing = self.integer("sub", str(lanes), few)
        if lanes != 64:
            missing = self.new(f"trunc i64 {missing} to {width}")
        bits = self.new(f"lshr {width} -1, {missing}")
        return self.new(f"bitcast {width} {bits} to <{lanes} x i1>")

    def tail_places(self, left: str, lanes: int) -> list[str]:
        """Positions of the lanes when only `left` elements exist: the rest read and write the last one again."""
        self.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"
        last = self.integer("sub", left, 1)
        return [self.new(f"call i64 @llvm.umin.i64(i64 {last}, i64 {lane})") for lane in range(lanes)]
