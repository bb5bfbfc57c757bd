"""Row kernels whose outputs go past the caches: a row's outputs are written while the next row is computed.

A row takes a pass that reads, one that computes and one that writes, and each of them alone leaves either the memory or
the arithmetic idle. Here the last pass of a row runs in the same loop as the dearest pass of the row after it. What
is kept in scratch is there twice, for both rows, unless that loop reads the one before it writes the other. Every value
is computed as in `emit_row`, to the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau.compiler.emit_row import SIGNATURE, InnerRow
from flambeau.compiler.passes import Pass
from flambeau.compiler.program import ELEMENT
from flambeau.compiler.reduction import State
from flambeau.compiler.registers import REGISTER


class _Row(NamedTuple):
    """Where a row lies, what is kept of it, and its own values."""

    pointers: list[str]
    areas: dict[int, str]
    one: dict[int, str]


class Overlapped(InnerRow):
    """Lanes along the row, two rows under way; `places` is how many rows have scratch of their own."""

    places = 2

    def possible(self) -> bool:
        """Whether there are passes to overlap: those with reductions, then one that only writes."""
        last = self.passes[-1] if len(self.passes) > 1 else None
        return last is not None and not last.reductions and bool(self.streamed) and self.masked and not self.strided

    def turn(self, row: _Row) -> None:
        """Write code for `row` from here on."""
        self.pointers, self.areas, self.one = row

    def kept_at(self, area: str) -> dict[int, str]:
        code = self.code
        return {
            key: code.at(area, code.integer("mul", "%length", before)) if before else area
            for key, before in self.kept.items()
        }

    def emit(self) -> str:
        code, passes, last = self.code, self.passes[:-1], self.passes[-1]
        joined = max(passes, key=self.effort)
        bases = [self.operand("%pointers", k, "ptr") for k in range(len(self.classes))]
        steps = [self.operand("%row_strides", k) for k in range(len(self.classes))]
        self.strides = ["0"] * len(self.classes)
        # What the joined pass keeps may lie where it has just read what the row before kept: half the memory.
        self.places = 1 if all(not each.keep or each is joined for each in passes) else 2
        second = code.at("%scratch", code.integer("mul", "%length", self.scratch)) if self.places == 2 else "%scratch"
        code.branch(code.new("icmp sgt i64 %rows, 0"), "first", "exit")

        code.open("first")
        self.turn(_Row(bases, self.kept_at("%scratch"), {}))
        self.plan_fetches("0", len(passes))
        self.reduce(passes)
        needed = [v for v in self.order if id(v) in self.spread(last)[1] and v.op not in ("const", "length")]
        first = [self.one[id(v)] for v in needed]
        fixed = {id(v): self.one[id(v)] for v in self.order if v.op in ("const", "length")}
        came = code.block
        code.jump("row")

        code.open("row")
        row, row_ticket = code.phi("i64", "1", came)
        written, written_ticket = code.phi("ptr", "%scratch", came)
        free, free_ticket = code.phi("ptr", second, came)
        pairs = [code.phi("ptr", base, came) for base in bases]
        values = [code.phi(REGISTER[v.dtype], register, came) for v, register in zip(needed, first)]
        before = _Row(
            [name for name, _ in pairs],
            {},
            fixed | {id(v): name for v, (name, _) in zip(needed, values)},
        )
        code.branch(code.new(f"icmp slt i64 {row}, %rows"), "both", "last")

        code.open("both")
        before = before._replace(areas=self.kept_at(written))
        now = _Row([code.at(p, step) for p, step in zip(before.pointers, steps)], self.kept_at(free), {})
        self.turn(now)
        self.plan_fetches(row, len(passes))
        self.reduce(passes, joined, before)
        code.close_phi(row_ticket, code.integer("add", row, 1))
        code.close_phi(written_ticket, free)
        code.close_phi(free_ticket, written)
        for pointer, (_, ticket) in zip(now.pointers, pairs):
            code.close_phi(ticket, pointer)
        for value, (_, ticket) in zip(needed, values):
            code.close_phi(ticket, now.one[id(value)])
        code.jump("row")

        code.open("last")
        self.turn(before._replace(areas=self.kept_at(written)))
        self.fetches = [[] for _ in self.passes]
        self.run(last)
        code.jump("exit")
        code.open("exit")
        code.call("llvm.x86.sse.sfence", "void", [])  # stores past the caches are not ordered with what follows
        code.do("ret void")
        return code.finish(SIGNATURE)

    def reduce(self, passes: list[Pass], joined: Pass | None = None, before: _Row | None = None) -> None:
        """All passes over a row but the last; `joined` also does the last one of the row before."""
        now = _Row(self.pointers, self.areas, self.one)
        for number, each in enumerate(passes):
            self.settle(number)
            if each is joined and before is not None:
                self.run_both(each, now, before)
            else:
                self.run(each)
        self.settle(len(passes))
        for k, value in enumerate(self.program.outputs):
            if self.levels[k] is not ELEMENT:
                self.code.store(self.pointers[k], self.one[id(value)], value.dtype, 1)

    def run_both(self, each: Pass, now: _Row, before: _Row) -> None:
        """A pass over a row, and the last pass over the row before."""
        code, lanes, last = self.code, self.lanes, self.passes[-1]
        vectors = self.vectors(each)  # as for the pass alone: sums keep their order
        chunk = lanes * vectors
        wide, narrow = self.spread(each)
        self.turn(before)
        wide_before, narrow_before = self.spread(last)
        aligned = self.aligned()
        whole = code.integer("and", "%length", -chunk)
        rest = code.name("rest")
        past, plain, some = code.name("past"), code.name("plain"), code.name("some")
        came = code.block
        code.branch(code.new(f"icmp sgt i64 {whole}, 0"), some, rest)
        code.open(some)
        code.branch(aligned, past, plain)
        empty = [[r.identity(lanes, "i32")] for r in each.reductions]
        ways = [(came, empty)]
        for label in (past, plain):

            def body(at: str, states: list[list[State]], stream: bool = label == past) -> list[list[State]]:
                # The row before first: what this row keeps may take the place of what that one kept.
                self.turn(before)
                self.body(last, at, lanes, vectors, wide_before, [], "i32", stream=stream)
                self.turn(now)
                return self.body(each, at, lanes, vectors, wide, states, "i32")

            code.open(label)
            states = self.walk(each.reductions, whole, chunk, lanes, vectors, "i32", True, body)
            ways.append((code.block, states))
            code.jump(rest)
        code.open(rest)
        merged: list[list[State]] = []
        for number, r in enumerate(each.reductions):
            state = []
            for i, type_ in enumerate(r.types(lanes, "i32")):
                sources = ", ".join(f"[ {found[number][0][i]}, %{block} ]" for block, found in ways)
                state.append(code.new(f"phi {type_} {sources}"))
            merged.append([state])
        self.turn(before)
        self.tail(last, whole, [], wide_before, narrow_before)
        self.turn(now)
        self.tail(each, whole, merged, wide, narrow)
