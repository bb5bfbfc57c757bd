"""Loops over vectors: the functions that kernels of contractions and convolutions are written with, and their modules.

A module holds several functions and one entry, `kernel(table)`, which writes numbers and the addresses of the functions
into a table of 64-bit words that the core reads as a struct.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.compiler.instructions import Code
from flambeau.compiler.registers import REGISTER, is_float, item_bytes, vector
from flambeau.compiler.target import Target


class Loops(Code):
    """The text of one function of a module: loops over vectors of one dtype, and its arithmetic."""

    def __init__(self, target: Target, dtype: str, lanes: int) -> None:
        super().__init__(target)
        self.dtype, self.lanes, self.size = dtype, lanes, item_bytes(dtype)
        self.type = REGISTER[dtype]
        self.full = vector(self.type, lanes)

    def text(self, name: str, signature: str) -> str:
        """The function, with its `ret`."""
        body = "\n".join(["entry:", *self.allocations, *self.lines, "  ret void"])
        return f"define internal void @{name}({signature}) #0 {{\n{body}\n}}\n"

    def multiply_add(self, a: str, b: str, c: str, lanes: int) -> str:
        """a * b + c in one rounding where the CPU can, and wrapping for integers."""
        full = vector(self.type, lanes)
        if not is_float(self.dtype):
            return self.new(f"add {full} {self.new(f'mul {full} {a}, {b}')}, {c}")
        if self.target.fma:
            return self.intrinsic("fma", self.type, lanes, a, b, c)
        return self.new(f"fadd {full} {self.new(f'fmul {full} {a}, {b}')}, {c}")

    def multiply_add_pairs(self, a: str, b: str, c: str) -> str:
        """c + a[0] * b[0] + a[1] * b[1] for lanes that hold pairs of bfloat16; the sum is float32 (`Target.pairs`)."""
        pairs = f"<{2 * self.lanes} x bfloat>"
        operands = [(pairs, self.new(f"bitcast {self.full} {each} to {pairs}")) for each in (a, b)]
        return self.call(f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}", self.full, [(self.full, c), *operands])

    def add(self, a: str, b: str, lanes: int) -> str:
        """a + b."""
        return self.new(f"{'fadd' if is_float(self.dtype) else 'add'} {vector(self.type, lanes)} {a}, {b}")

    def fetch(self, place: str, size: int) -> None:
        """Ask for the cache lines of `size` bytes from any address, also one that is not ours."""
        for line in range(0, size, 64):
            hints = [("i32", "0"), ("i32", "3"), ("i32", "1")]  # to read, to keep near, data
            self.call("llvm.prefetch.p0", "void", [("ptr", self.at(place, line)), *hints])

    def mask(self, count: str, lanes: int) -> str:
        """Lanes below `count` (any 64-bit value, also negative)."""
        small = self.intrinsic("smin", "i64", 1, count, str(lanes))
        small = self.intrinsic("smax", "i64", 1, small, "0")
        limit = self.splat(self.new(f"trunc i64 {small} to i32"), "i32", lanes)
        return self.new(f"icmp ult <{lanes} x i32> {self.steps('i32', lanes)}, {limit}")

    def loop(
        self,
        start: str,
        limit: str,
        step: int,
        state: Sequence[tuple[str, str]],
        body: Callable[[str, list[str]], list[str]],
    ) -> tuple[str, list[str]]:
        """`while index + step <= limit`: index and state after it. `body(index, state)` gives the next state."""
        last = self.integer("sub", limit, step)
        before, begin, done = self.block, self.name("loop"), self.name("done")
        self.branch(self.new(f"icmp sle i64 {start}, {last}"), begin, done)
        self.open(begin)
        index, index_ticket = self.phi("i64", start, before)
        phis = [self.phi(type_, first, before) for type_, first in state]
        after = body(index, [name for name, _ in phis])
        following = self.integer("add", index, step)
        self.close_phi(index_ticket, following)
        for (_, ticket), value in zip(phis, after):
            self.close_phi(ticket, value)
        latch = self.block
        self.branch(self.new(f"icmp sle i64 {following}, {last}"), begin, done)
        self.open(done)
        results = []
        for type_, first, value in [
            ("i64", start, following),
            *((type_, first, value) for (type_, first), value in zip(state, after)),
        ]:
            name, ticket = self.phi(type_, first, before)
            self.close_phi(ticket, value, latch)
            results.append(name)
        return results[0], results[1:]


def copy(code: Loops, source: str, to: str, count: str) -> None:
    """to[:count] = source[:count], both contiguous."""
    start = "0"
    for lanes in (code.lanes, 1):

        def item(i: str, _: list[str], lanes: int = lanes) -> list[str]:
            offset = code.integer("mul", i, code.size)
            code.store(code.at(to, offset), code.load(code.at(source, offset), code.dtype, lanes), code.dtype, lanes)
            return []

        start, _ = code.loop(start, count, lanes, [], item)


def module_text(target: Target, functions: list[tuple[Loops, str]], words: list[str]) -> str:
    """The text of a module whose `kernel(table)` writes `words` (numbers, or names of functions)."""
    declarations: dict[str, str] = {}
    for code, _ in functions:
        declarations.update(code.declarations)
    lines = []
    for i, word in enumerate(words):
        if word == "0":
            continue
        lines.append(f"  %w{i} = getelementptr i64, ptr %table, i64 {i}")
        lines.append(f"  store {'ptr' if word.startswith('@') else 'i64'} {word}, ptr %w{i}, align 8")
    entry = "define void @kernel(ptr %table) #0 {\nentry:\n" + "\n".join([*lines, "  ret void\n}\n"])
    attributes = f"attributes #0 = {{ {target.attributes()} }}\n"
    return "\n".join([*(text for _, text in functions), entry, *declarations.values(), attributes])
