"""What both schedules of a row kernel share: how a row program falls into passes, and how a pass walks in blocks.

A reduction runs in the first pass where its argument is known; the last pass writes what exists for every element.
Not here: where lanes lie in memory, which is the schedule's business (`emit_row`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.compiler.instructions import Code
from flambeau.compiler.program import ELEMENT, REDUCTIONS, Program, Value
from flambeau.compiler.reduction import Reduction, State
from flambeau.compiler.registers import choose_lanes, cost, item_bytes
from flambeau.compiler.target import Target

#: Steps of the innermost loop before its accumulators are added to the next level, and of that level to the last.
BLOCK = 64
#: An element value that costs more than this is kept in scratch for later passes instead of being computed again.
SPILL_COST = 6


class Pass:
    """One walk over a row: what it computes, what it reads from scratch, what it keeps there and what it writes."""

    def __init__(self) -> None:
        self.reductions: list[Reduction] = []
        self.values: list[Value] = []  # in order; those in `kept` are read from scratch
        self.kept: set[int] = set()
        self.keep: list[Value] = []
        self.outputs: list[int] = []


class RowKernel:
    """What both schedules share: the passes, the scratch, the loop nest."""

    def __init__(self, program: Program, classes: str, target: Target) -> None:
        # Stores past the caches exist on every x86-64; elsewhere they are not worth a second loop.
        self.streamed = [k for k, c in enumerate(classes) if c == "n"] if target.cpu == "x86-64" else []
        classes = classes.replace("n", "c")
        self.program, self.classes, self.target = program, classes, target
        self.code = Code(target)
        self.count = len(program.outputs)
        self.order = program.topological()
        self.levels = [v.level for v in program.outputs] + [i.level for i in program.inputs]
        self.fixed = self.find_fixed()
        self.picks = self.find_picks()
        self.passes = self.make_passes()
        element = [v for v in self.order if id(v) not in self.fixed]
        accumulated = [Value("", (), r.dtype) for p in self.passes for r in p.reductions]
        self.lanes = choose_lanes(target, element + accumulated)
        self.strided = any(c == "s" for c, level in zip(classes, self.levels) if level is ELEMENT)
        if self.strided or any(r.positional for p in self.passes for r in p.reductions):
            self.lanes = min(self.lanes, 16)
        if program.order:
            self.lanes = program.order[0]
        self.work = max((sum(cost(v) for v in p.values) for p in self.passes), default=0)
        self.masked = target.masked and self.lanes > 1
        self.kept: dict[int, int] = {}  # id -> bytes a row element before it in scratch
        total = 0
        for value in sorted((v for p in self.passes for v in p.keep), key=lambda v: -item_bytes(v.dtype)):
            self.kept[id(value)] = total
            total += item_bytes(value.dtype)
        self.scratch = total

    def find_fixed(self) -> set[int]:
        """Values that are the same for the whole row."""
        raise NotImplementedError

    def find_picks(self) -> dict[int, tuple[Value, Value]]:
        """Sums with one term, the value at a position: id -> (the position, the value). They need no walk."""
        return {}

    # --- analysis ---

    def make_passes(self) -> list[Pass]:
        stage: dict[int, int] = {}
        for value in self.order:
            stage[id(value)] = max((stage[id(a)] for a in value.args), default=0) + self.walks(value)
        reductions = [v for v in self.order if self.walks(v)]
        last = max((stage[id(v)] - 1 for v in reductions), default=-1)
        written = [k for k, v in enumerate(self.program.outputs) if v.level is ELEMENT]
        last = max([last] + [stage[id(self.program.outputs[k])] for k in written])
        passes = [Pass() for _ in range(last + 1)]
        for value in reductions:
            passes[stage[id(value)] - 1].reductions.append(Reduction(value))
        if written:
            passes[last].outputs = written
        first: dict[int, int] = {}
        keep: dict[int, Value] = {}
        for number, each in enumerate(passes):
            wanted: set[int] = set()
            stack = [r.value.args[0] for r in each.reductions] + [self.program.outputs[k] for k in each.outputs]
            while stack:
                value = stack.pop()
                if id(value) in wanted or id(value) in self.fixed:
                    continue
                wanted.add(id(value))
                if first.setdefault(id(value), number) < number and self.expense(value, keep) > SPILL_COST:
                    each.kept.add(id(value))
                    keep[id(value)] = value
                else:
                    stack.extend(value.args)
            each.values = [v for v in self.order if id(v) in wanted]
        for key, value in keep.items():
            passes[first[key]].keep.append(value)
        self.stage = stage
        return passes

    def walks(self, value: Value) -> bool:
        """Whether a value is a reduction that walks the row."""
        return value.op in REDUCTIONS and id(value) not in self.picks

    def expense(self, value: Value, keep: dict[int, Value]) -> int:
        """What computing an element value again would cost, given what is kept already."""
        if id(value) in keep:
            return SPILL_COST + 1
        seen = set(keep)
        stack, total = [value], 0
        while stack:
            v = stack.pop()
            if id(v) in seen or id(v) in self.fixed:
                continue
            seen.add(id(v))
            total += 8 if v.op == "input" and self.classes[self.count + v.attr] == "s" else cost(v)
            stack.extend(v.args)
        return total

    # --- code ---

    def operand(self, array: str, k: int, type_: str = "i64") -> str:
        return self.code.new(f"load {type_}, ptr {self.code.at(array, k, type_)}, align 8")

    def safe(self, pointer: str) -> str:
        """A pointer that may be read even if the row is empty (nobody uses what is read then)."""
        some = self.code.new("icmp sgt i64 %length, 0")
        return self.code.new(f"select i1 {some}, ptr {pointer}, ptr %pointers")

    def walk(
        self,
        reductions: Sequence[Reduction],
        limit: str,
        step: int,
        lanes: int,
        vectors: int,
        position: str,
        fold: bool,
        body: Callable[[str, list[list[State]]], list[list[State]]],
    ) -> list[list[State]]:
        """Run `body` for 0, step, 2 step ... below `limit` (which is more than 0), in blocks where a sum is among them.

        The states are one for each reduction and each of the vectors; with `fold` the vectors become one.
        """
        code = self.code
        blocked = any(r.blocked for r in reductions)
        identity = [[r.identity(lanes, position)] * vectors for r in reductions]
        kinds = [r.types(lanes, position) for r in reductions]

        def folded(r: Reduction, states: list[State]) -> list[State]:
            while fold and len(states) > 1:
                pairs = [(states[i], states[i + 1]) for i in range(0, len(states), 2)]
                states = [r.merge(code, a, b, position, lanes) for a, b in pairs]
            return states

        def carry(values: list[list[State]], block: str) -> tuple[list[list[State]], list[int]]:
            names: list[list[State]] = []
            tickets: list[int] = []
            for types, row in zip(kinds, values):
                names.append([])
                for state in row:
                    pairs = [code.phi(type_, register, block) for type_, register in zip(types, state)]
                    names[-1].append([name for name, _ in pairs])
                    tickets += [ticket for _, ticket in pairs]
            return names, tickets

        def close(tickets: list[int], values: list[list[State]]) -> None:
            flat = [register for row in values for state in row for register in state]
            for ticket, register in zip(tickets, flat):
                code.close_phi(ticket, register)

        main, before = code.name("main"), code.block
        if not blocked:
            code.jump(main)
            code.open(main)
            at, ticket = code.phi("i64", "0", before)
            states, tickets = carry(identity, before)
            states = body(at, states)
            after = code.integer("add", at, step)
            code.close_phi(ticket, after)
            close(tickets, states)
            done = code.name("done")
            code.branch(code.new(f"icmp slt i64 {after}, {limit}"), main, done)
            code.open(done)
            return [folded(r, row) for r, row in zip(reductions, states)]

        code.declarations["llvm.smin.i64"] = "declare i64 @llvm.smin.i64(i64, i64)"
        outer, middle, block_end, done = (code.name(n) for n in ("outer", "middle", "flush", "done"))
        collected = 1 if fold else vectors
        # Totals of blocked reductions; the others' own accumulators simply pass through.
        start = [row[:collected] if r.blocked else row for r, row in zip(reductions, identity)]

        def level(values: list[list[State]], fresh: list[list[State]]) -> list[list[State]]:
            return [f if r.blocked else v for r, v, f in zip(reductions, values, fresh)]

        def add(totals: list[list[State]], parts: list[list[State]]) -> list[list[State]]:
            result = []
            for r, total, part in zip(reductions, totals, parts):
                if r.blocked:
                    part = folded(r, part) if len(part) > len(total) else part
                    part = [r.merge(code, t, p, position, lanes) for t, p in zip(total, part)]
                result.append(part)
            return result

        code.jump(outer)
        code.open(outer)
        at2, ticket2 = code.phi("i64", "0", before)
        totals2, tickets2 = carry(start, before)
        end2 = code.integer("add", at2, step * BLOCK * BLOCK)
        end2 = code.new(f"call i64 @llvm.smin.i64(i64 {end2}, i64 {limit})")
        code.jump(middle)
        code.open(middle)
        at1, ticket1 = code.phi("i64", at2, outer)
        totals1, tickets1 = carry(level(totals2, start), outer)
        end1 = code.integer("add", at1, step * BLOCK)
        end1 = code.new(f"call i64 @llvm.smin.i64(i64 {end1}, i64 {end2})")
        code.jump(main)
        code.open(main)
        at, ticket = code.phi("i64", at1, middle)
        states, tickets = carry(level(totals1, identity), middle)
        states = body(at, states)
        after = code.integer("add", at, step)
        code.close_phi(ticket, after)
        close(tickets, states)
        code.branch(code.new(f"icmp slt i64 {after}, {end1}"), main, block_end)
        code.open(block_end)
        sums1 = add(totals1, states)
        code.close_phi(ticket1, end1)
        close(tickets1, sums1)
        next_block = code.name("flush")
        code.branch(code.new(f"icmp slt i64 {end1}, {end2}"), middle, next_block)
        code.open(next_block)
        sums2 = add(totals2, sums1)
        code.close_phi(ticket2, end2)
        close(tickets2, sums2)
        code.branch(code.new(f"icmp slt i64 {end2}, {limit}"), outer, done)
        code.open(done)
        return [folded(r, row) for r, row in zip(reductions, sums2)]

    def either(
        self,
        reductions: Sequence[Reduction],
        lanes: int,
        position: str,
        a: list[list[State]],
        block_a: str,
        b: list[list[State]],
        block_b: str,
    ) -> list[list[State]]:
        """States that come from one of two blocks."""
        return [
            [
                [
                    self.code.new(f"phi {type_} [ {x}, %{block_a} ], [ {y}, %{block_b} ]")
                    for type_, x, y in zip(r.types(lanes, position), state_a, state_b)
                ]
                for state_a, state_b in zip(row_a, row_b)
            ]
            for r, row_a, row_b in zip(reductions, a, b)
        ]
