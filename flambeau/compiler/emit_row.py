"""Row kernels as LLVM IR: maps and reductions over the same elements, in one kernel.

A row is walked in passes. A reduction runs in the first pass where its argument can be computed; reductions that can
share a pass do. The last pass writes the outputs that have a value for every element, so an output may be an input's
memory. What is dear to compute and needed in more than one pass is kept in scratch memory.

Two schedules. "inner": vector lanes run along the row, several independent accumulators, one horizontal step at the
end. "outer": vector lanes run over neighbouring rows and each lane walks its own row.

Floating-point sums and products are blocked in three levels: 64 steps fill an accumulator, 64 of those a second one,
and those a third. So the error bound is not n roundings but about 140 + n / 262144 ("inner", float32, 512 bits) or
128 + n / 4096 ("outer"). The order depends on the length, the program and its operands' classes, and the CPU's vector
width; never on the data, its address, the neighbouring rows or the number of threads.
"""

from __future__ import annotations

from flambeau.compiler.passes import Pass, RowKernel
from flambeau.compiler.program import ELEMENT, REDUCTIONS, Program, Value
from flambeau.compiler.reduction import Reduction, State
from flambeau.compiler.registers import REGISTER, constant, cost, is_float, item_bytes, literal, memory_type, vector
from flambeau.compiler.target import Target

#: Rows longer than this are not asked for ahead of their turn: they would not stay in the second-level cache.
FETCH_LIMIT = 1 << 15
SIGNATURE = "ptr %pointers, ptr %row_strides, ptr %length_strides, i64 %rows, i64 %length, ptr %scratch"


class InnerRow(RowKernel):
    """Lanes along the row."""

    def find_fixed(self) -> set[int]:
        fixed: set[int] = set()
        for value in self.order:
            if value.op == "input":
                same = value.level is not ELEMENT or self.classes[self.count + value.attr] == "z"
            else:
                same = value.op != "index" and (value.op in REDUCTIONS or all(id(a) in fixed for a in value.args))
            if same:
                fixed.add(id(value))
        return fixed

    def find_picks(self) -> dict[int, tuple[Value, Value]]:
        picks = {}
        for value in self.order:
            if value.op != "reduce_sum" or not is_float(value.dtype) or value.args[0].op != "where":
                continue
            here, term, other = value.args[0].args
            if here.op == "eq" and here.args[0].op == "index" and id(here.args[1]) in self.fixed:
                if other.op == "const" and other.attr == 0:
                    picks[id(value)] = here.args[1], term
        return picks

    def emit(self) -> str:
        code = self.code
        bases = [self.operand("%pointers", k, "ptr") for k in range(len(self.classes))]
        self.strides = [
            self.operand("%length_strides", k) if self.classes[k] == "s" and level is ELEMENT else "0"
            for k, level in enumerate(self.levels)
        ]
        self.areas = {}
        for key, before in self.kept.items():
            self.areas[key] = code.at("%scratch", code.integer("mul", "%length", before)) if before else "%scratch"
        code.branch(code.new("icmp sgt i64 %rows, 0"), "row", "exit")
        code.open("row")
        row, row_ticket = code.phi("i64", "0", "entry")
        pairs = [code.phi("ptr", base, "entry") for base in bases]
        self.pointers = [name for name, _ in pairs]
        self.one: dict[int, str] = {}
        self.plan_fetches(row)
        for number, each in enumerate(self.passes):
            self.settle(number)
            self.run(each)
        self.settle(len(self.passes))
        for k, value in enumerate(self.program.outputs):
            if self.levels[k] is not ELEMENT:
                code.store(self.pointers[k], self.one[id(value)], value.dtype, 1)
        after = code.integer("add", row, 1)
        code.branch(code.new(f"icmp eq i64 {after}, %rows"), "exit", "again")
        code.open("again")
        code.close_phi(row_ticket, after)
        for k, (name, ticket) in enumerate(pairs):
            code.close_phi(ticket, code.at(name, self.operand("%row_strides", k)))
        code.jump("row")
        code.open("exit")
        if self.streamed:
            code.call("llvm.x86.sse.sfence", "void", [])  # such stores are not ordered with what follows
        code.do("ret void")
        return code.finish(SIGNATURE)

    def plan_fetches(self, row: str, passes: int = 0) -> None:
        """Which pass asks for which operands of the next row, so that memory works while the CPU computes.

        Only the first `passes` are asked, if they are given.
        """
        code = self.code
        self.ahead: dict[int, str] = {}
        self.fetches: list[list[int]] = [[] for _ in self.passes]
        passes = passes or len(self.passes)
        if passes < 2:
            return
        # The pass with most to compute has memory's time to spare.
        busy = max(range(1, passes), key=lambda n: self.effort(self.passes[n]))
        first = [v.attr for v in self.passes[0].values if v.op == "input"]
        self.fetches[busy] = [self.count + a for a in first if self.classes[self.count + a] == "c"]
        more = code.new(f"icmp slt i64 {code.integer('add', row, 1)}, %rows")
        more = code.new(f"and i1 {more}, {code.new(f'icmp ule i64 %length, {FETCH_LIMIT}')}")
        for k in self.fetches[busy]:
            self.ahead[k] = code.new(f"select i1 {more}, i64 {self.operand('%row_strides', k)}, i64 0")

    def effort(self, each: Pass) -> int:
        """What one step of a pass computes."""
        return sum(cost(v) for v in each.values if id(v) not in each.kept)

    def settle(self, stage: int) -> None:
        """Compute the row's own values that are known once `stage` passes have run."""
        code = self.code
        for value in self.order:
            if id(value) not in self.fixed or id(value) in self.one or self.stage[id(value)] > stage:
                continue
            if value.op == "const":
                register = constant(value, 1)
            elif value.op == "length":
                register = "%length"
            elif value.op == "input":
                k = self.count + value.attr
                pointer = self.pointers[k]
                register = code.load(self.safe(pointer) if self.levels[k] is ELEMENT else pointer, value.dtype, 1)
            elif id(value) in self.picks:
                register = self.pick(*self.picks[id(value)])
            else:
                register = code.compute(value, [self.one[id(a)] for a in value.args], 1)
            self.one[id(value)] = register

    def pick(self, position: Value, term: Value) -> str:
        """`term` at a position of the row; 0 if the row has no such position."""
        code = self.code
        place = self.one[id(position)]
        inside = code.new(f"icmp ult i64 {place}, %length")
        place = code.new(f"select i1 {inside}, i64 {place}, i64 0")
        registers: dict[int, str] = {}
        for value in Program("", "row", (), (term,)).topological():
            if id(value) in self.one:
                registers[id(value)] = self.one[id(value)]
            elif value.op == "index":
                registers[id(value)] = place
            elif value.op == "input":
                k = self.count + value.attr
                if self.classes[k] == "s":
                    pointer = code.at(self.pointers[k], code.integer("mul", place, self.strides[k]))
                else:
                    pointer = self.place(k, value.dtype, place, 0)
                registers[id(value)] = code.load(self.safe(pointer), value.dtype, 1)
            else:
                registers[id(value)] = code.compute(value, [registers[id(a)] for a in value.args], 1)
        type_ = REGISTER[term.dtype]
        zero = literal(type_, 0)
        # A sum never gives -0, so this one must not either.
        return code.new(f"fadd {type_} {code.select(inside, registers[id(term)], zero, type_, 1)}, {zero}")

    def vectors(self, each: Pass) -> int:
        """How many vectors a pass takes side by side; sums depend on it."""
        number = self.passes.index(each)
        if number + 1 < len(self.program.order):
            return self.program.order[number + 1]
        work = self.effort(each)
        return 1 if self.strided or work > 30 else 2 if work > 10 else 4

    def spread(self, each: Pass) -> tuple[dict[int, str], dict[int, str]]:
        """The row's own values that a pass reads, on every lane and on one."""
        code, lanes = self.code, self.lanes
        wanted = {id(a) for v in each.values if id(v) not in each.kept for a in v.args}
        wanted |= {id(r.value.args[0]) for r in each.reductions} | {id(self.program.outputs[k]) for k in each.outputs}
        wanted &= self.fixed
        wide = {
            id(v): constant(v, lanes) if v.op == "const" else code.splat(self.one[id(v)], REGISTER[v.dtype], lanes)
            for v in self.order
            if id(v) in wanted
        }
        return wide, {key: self.one[key] for key in wanted}

    def run(self, each: Pass) -> None:
        code, lanes = self.code, self.lanes
        vectors = self.vectors(each)
        wide, narrow = self.spread(each)
        reductions = each.reductions
        chunk = lanes * vectors
        empty = [[r.identity(lanes, "i32")] for r in reductions]
        before, rest, enter = code.block, code.name("rest"), code.name("enter")
        whole = code.integer("and", "%length", -chunk)
        code.branch(code.new(f"icmp sgt i64 {whole}, 0"), enter, rest)
        code.open(enter)
        if self.streamed and each.outputs and not reductions:
            past, plain = code.name("past"), code.name("plain")
            code.branch(self.aligned(), past, plain)
            code.open(past)
            self.walk(
                [], whole, chunk, lanes, vectors, "i32", True,
                lambda at, s: self.body(each, at, lanes, vectors, wide, s, "i32", stream=True),
            )  # fmt: skip
            code.jump(rest)
            code.open(plain)
        states = self.walk(
            reductions, whole, chunk, lanes, vectors, "i32", True,
            lambda at, s: self.body(each, at, lanes, vectors, wide, s, "i32"),
        )  # fmt: skip
        block = code.block
        code.jump(rest)
        code.open(rest)
        states = self.either(reductions, lanes, "i32", empty, before, states, block)
        self.tail(each, whole, states, wide, narrow)

    def tail(
        self, each: Pass, whole: str, states: list[list[State]], wide: dict[int, str], narrow: dict[int, str]
    ) -> None:
        """What is left of a pass from `whole` on, and the results of its reductions."""
        code, lanes, reductions = self.code, self.lanes, each.reductions
        position, width = "i32", lanes
        if not self.masked:
            states = [[self.across(r, row[0])] for r, row in zip(reductions, states)]
            position, width = "i64", 1
        start = code.block
        tail, done = code.name("tail"), code.name("done")
        code.branch(code.new(f"icmp slt i64 {whole}, %length"), tail, done)
        code.open(tail)
        at, ticket = code.phi("i64", whole, start)
        carried, tickets = [], []
        for r, row in zip(reductions, states):
            pairs = [code.phi(t, x, start) for t, x in zip(r.types(width, position), row[0])]
            carried.append([[name for name, _ in pairs]])
            tickets.append([t for _, t in pairs])
        left = code.integer("sub", "%length", at) if self.masked else ""
        after_states = self.body(each, at, width, 1, wide if self.masked else narrow, carried, position, left)
        after = code.integer("add", at, width)
        code.close_phi(ticket, after)
        for row, names in zip(after_states, tickets):
            for name, register in zip(names, row[0]):
                code.close_phi(name, register)
        block = code.block
        code.branch(code.new(f"icmp slt i64 {after}, %length"), tail, done)
        code.open(done)
        states = self.either(reductions, width, position, states, start, after_states, block)
        for r, row in zip(reductions, states):
            result = self.across(r, row[0]) if self.masked else row[0]
            self.one[id(r.value)] = result[1] if r.positional else result[0]

    def aligned(self) -> str:
        """Whether this row of every streamed output begins where a whole vector may be stored past the caches."""
        code = self.code
        bits = [code.new(f"ptrtoint ptr {self.pointers[k]} to i64") for k in self.streamed]
        while len(bits) > 1:
            bits = [code.integer("or", bits[0], bits[1]), *bits[2:]]
        return code.new(f"icmp eq i64 {code.integer('and', bits[0], 63)}, 0")

    def across(self, r: Reduction, state: State) -> State:
        """One accumulator's lanes as one value, by halves."""
        code, lanes = self.code, self.lanes
        types = [r.type]
        if r.positional:
            # Positions were counted in vectors.
            many = vector("i64", lanes)
            place = code.new(f"zext {vector('i32', lanes)} {state[1]} to {many}")
            place = code.new(f"mul {many} {place}, {literal('i64', lanes, lanes)}")
            place = code.new(f"add {many} {place}, {code.steps('i64', lanes)}")
            state, types = [state[0], place], [r.type, "i64"]
        while lanes > 1:
            half = lanes // 2
            parts: list[State] = []
            for first in (0, half):
                order = ", ".join(f"i32 {i}" for i in range(first, first + half))
                parts.append([])
                for type_, register in zip(types, state):
                    full = vector(type_, lanes)
                    if half == 1:
                        parts[-1].append(code.new(f"extractelement {full} {register}, i64 {first}"))
                    else:
                        text = f"shufflevector {full} {register}, {full} poison, <{half} x i32> <{order}>"
                        parts[-1].append(code.new(text))
            state = r.merge(code, parts[0], parts[1], "i64", half)
            lanes = half
        return state

    def body(
        self,
        each: Pass,
        at: str,
        lanes: int,
        vectors: int,
        fixed: dict[int, str],
        states: list[list[State]],
        position: str,
        left: str = "",
        stream: bool = False,
    ) -> list[list[State]]:
        """One step of a pass; `left` elements remain if that may be fewer than the lanes."""
        code = self.code
        mask = code.tail_mask(left, lanes) if left else ""
        places = code.tail_places(left, lanes) if left and self.strided else None
        results = [dict(fixed) for _ in range(vectors)]
        if not left and lanes > 1:
            for k in self.fetches[self.passes.index(each)]:
                dtype = self.program.inputs[k - self.count].dtype
                place = code.at(code.at(self.pointers[k], self.ahead[k]), at, memory_type(dtype))
                for offset in range(0, vectors * lanes * item_bytes(dtype), 64):
                    code.prefetch(code.at(place, offset))
        for u, registers in enumerate(results):
            for value in each.values:
                key = id(value)
                if key in each.kept:
                    registers[key] = code.load(self.area(value, at, u * lanes), value.dtype, lanes, mask)
                elif value.op == "input":
                    k = self.count + value.attr
                    if self.classes[k] == "s":
                        place = code.at(self.pointers[k], code.integer("mul", at, self.strides[k]))
                        registers[key] = code.load_strided(place, self.strides[k], value.dtype, lanes, places)
                    else:
                        registers[key] = code.load(self.place(k, value.dtype, at, u * lanes), value.dtype, lanes, mask)
                elif value.op == "index":
                    first = code.splat(code.integer("add", at, u * lanes) if u else at, "i64", lanes)
                    steps = code.steps("i64", lanes)
                    registers[key] = code.new(f"add {vector('i64', lanes)} {first}, {steps}") if lanes > 1 else first
        for registers in results:
            for value in each.values:
                if id(value) not in registers:
                    registers[id(value)] = code.compute(value, [registers[id(a)] for a in value.args], lanes)
        after: list[list[State]] = [[] for _ in each.reductions]
        for u, registers in enumerate(results):
            for value in each.keep:
                code.store(self.area(value, at, u * lanes), registers[id(value)], value.dtype, lanes, mask)
            for k in each.outputs:
                value = self.program.outputs[k]
                if self.classes[k] == "s":
                    place = code.at(self.pointers[k], code.integer("mul", at, self.strides[k]))
                    code.store_strided(place, self.strides[k], registers[id(value)], value.dtype, lanes, places)
                else:
                    place = self.place(k, value.dtype, at, u * lanes)
                    code.store(place, registers[id(value)], value.dtype, lanes, mask, stream and k in self.streamed)
            number = ""
            for r, state, new in zip(each.reductions, states, after):
                if r.positional and not number:
                    number = at
                    if position == "i32":
                        number = code.new(f"udiv exact i64 {at}, {self.lanes}")
                        number = code.integer("add", number, u) if u else number
                        number = code.splat(code.new(f"trunc i64 {number} to i32"), "i32", lanes)
                item = registers[id(r.value.args[0])]
                new.append(r.step(code, state[u], item, number, position, lanes, mask))
        return after

    def place(self, k: int, dtype: str, at: str, more: int) -> str:
        type_ = memory_type(dtype)
        return self.code.at(self.code.at(self.pointers[k], at, type_), more, type_)

    def area(self, value: Value, at: str, more: int) -> str:
        type_ = memory_type(value.dtype)
        return self.code.at(self.code.at(self.areas[id(value)], at, type_), more, type_)


class _Outer(RowKernel):
    """Lanes over neighbouring rows."""

    def find_fixed(self) -> set[int]:
        return {id(v) for v in self.order if v.level is not ELEMENT or v.op in ("const", "length")}

    def emit(self) -> str:
        code = self.code
        states = sum(1 + r.positional for p in self.passes for r in p.reductions)
        self.unroll = 1 if self.strided or self.work > 60 or states > 3 else 4
        # Reading a few columns of a wide matrix, what counts is how many neighbouring bytes each step takes.
        if self.unroll == 4 and states == 1 and self.work <= 4 and ELEMENT not in self.levels[: self.count]:
            self.unroll = 8
        count = len(self.classes)
        self.bases = [self.operand("%pointers", k, "ptr") for k in range(count)]
        self.row_strides = [self.operand("%row_strides", k) for k in range(count)]
        self.strides = [
            self.operand("%length_strides", k) if level is ELEMENT else "0" for k, level in enumerate(self.levels)
        ]
        last = self.lanes if self.masked else 1
        stages = [(self.lanes, v) for v in (self.unroll, self.unroll // 4) if v > 1] or [(self.lanes, 1)]
        begin = "0"
        for number, (width, vectors) in enumerate([*stages, (last, 1)]):
            partial = number == len(stages)
            came, label, after = code.block, f"rows{number}", f"rest{number}"
            end = "%rows" if partial else code.integer("and", "%rows", -width * vectors)
            code.branch(code.new(f"icmp slt i64 {begin}, {end}"), label, after)
            code.open(label)
            row, ticket = code.phi("i64", begin, came)
            left = code.integer("sub", "%rows", row) if partial and self.masked else ""
            self.rows(row, width, vectors, left)
            following = code.integer("add", row, width * vectors)
            code.close_phi(ticket, following)
            code.branch(code.new(f"icmp slt i64 {following}, {end}"), label, after)
            code.open(after)
            begin = end
        code.do("ret void")
        return code.finish(SIGNATURE)

    def rows(self, row: str, lanes: int, vectors: int, left: str) -> None:
        """All passes over `vectors` times `lanes` rows."""
        code = self.code
        self.pointers = [
            code.at(base, code.integer("mul", row, stride)) for base, stride in zip(self.bases, self.row_strides)
        ]
        mask = code.tail_mask(left, lanes) if left else ""
        places = code.tail_places(left, lanes) if left and "s" in self.classes else None
        self.areas = {}
        for key, before in self.kept.items():
            bytes_before = code.integer("mul", "%length", before * lanes * vectors) if before else 0
            self.areas[key] = code.at("%scratch", bytes_before)
        known: list[dict[int, str]] = [{} for _ in range(vectors)]
        for number, each in enumerate(self.passes):
            self.settle(number, known, lanes, mask, places)
            self.run(each, known, lanes, mask, places)
        self.settle(len(self.passes), known, lanes, mask, places)
        for u, registers in enumerate(known):
            for k, value in enumerate(self.program.outputs):
                if self.levels[k] is not ELEMENT:
                    self.write(k, registers[id(value)], value.dtype, "", lanes, u, mask, places)

    def settle(self, stage: int, known: list[dict[int, str]], lanes: int, mask: str, places: list[str] | None) -> None:
        """Compute the rows' own values that are known once `stage` passes have run."""
        code = self.code
        for u, registers in enumerate(known):
            for value in self.order:
                key = id(value)
                if key not in self.fixed or key in registers or self.stage[key] > stage:
                    continue
                if value.op == "const":
                    registers[key] = constant(value, lanes)
                elif value.op == "length":
                    registers[key] = known[0][key] if u else code.splat("%length", "i64", lanes)
                elif value.op == "input":
                    registers[key] = self.read(self.count + value.attr, value.dtype, "", lanes, u, mask, places)
                else:
                    registers[key] = code.compute(value, [registers[id(a)] for a in value.args], lanes)

    def run(self, each: Pass, known: list[dict[int, str]], lanes: int, mask: str, places: list[str] | None) -> None:
        code, vectors, reductions = self.code, len(known), each.reductions
        empty = [[r.identity(lanes, "i64")] * vectors for r in reductions]
        before, enter, after = code.block, code.name("enter"), code.name("after")
        code.branch(code.new("icmp sgt i64 %length, 0"), enter, after)
        code.open(enter)
        states = self.walk(
            reductions, "%length", 1, lanes, vectors, "i64", False,
            lambda at, s: self.body(each, at, known, s, lanes, mask, places),
        )  # fmt: skip
        block = code.block
        code.jump(after)
        code.open(after)
        states = self.either(reductions, lanes, "i64", empty, before, states, block)
        for r, row in zip(reductions, states):
            for registers, state in zip(known, row):
                registers[id(r.value)] = state[1] if r.positional else state[0]

    def body(
        self,
        each: Pass,
        at: str,
        known: list[dict[int, str]],
        states: list[list[State]],
        lanes: int,
        mask: str,
        places: list[str] | None,
    ) -> list[list[State]]:
        """One element of every row."""
        code = self.code
        results = [dict(registers) for registers in known]
        index = code.splat(at, "i64", lanes)
        for u, registers in enumerate(results):
            for value in each.values:
                key = id(value)
                if key in each.kept:
                    registers[key] = code.load(self.area(value, at, lanes, u, len(known)), value.dtype, lanes)
                elif value.op == "input":
                    registers[key] = self.read(self.count + value.attr, value.dtype, at, lanes, u, mask, places)
                elif value.op == "index":
                    registers[key] = index
        for registers in results:
            for value in each.values:
                if id(value) not in registers:
                    registers[id(value)] = code.compute(value, [registers[id(a)] for a in value.args], lanes)
        after: list[list[State]] = [[] for _ in each.reductions]
        for u, registers in enumerate(results):
            for value in each.keep:
                code.store(self.area(value, at, lanes, u, len(known)), registers[id(value)], value.dtype, lanes)
            for k in each.outputs:
                value = self.program.outputs[k]
                self.write(k, registers[id(value)], value.dtype, at, lanes, u, mask, places)
            for r, state, new in zip(each.reductions, states, after):
                new.append(r.step(code, state[u], registers[id(r.value.args[0])], index, "i64", lanes, ""))
        return after

    def address(self, k: int, dtype: str, at: str, lanes: int, u: int) -> str:
        code, place = self.code, self.pointers[k]
        if at:
            place = code.at(place, code.integer("mul", at, self.strides[k]))
        if self.classes[k] == "c":
            return code.at(place, u * lanes, memory_type(dtype))
        return code.at(place, code.integer("mul", self.row_strides[k], u * lanes) if u else 0)

    def read(self, k: int, dtype: str, at: str, lanes: int, u: int, mask: str, places: list[str] | None) -> str:
        code, kind = self.code, self.classes[k]
        place = self.address(k, dtype, at, lanes, u)
        if kind == "c":
            return code.load(place, dtype, lanes, mask)
        if kind == "s":
            return code.load_strided(place, self.row_strides[k], dtype, lanes, places)
        return code.splat(code.load(place, dtype, 1), REGISTER[dtype], lanes)

    def write(
        self, k: int, register: str, dtype: str, at: str, lanes: int, u: int, mask: str, places: list[str] | None
    ) -> None:
        place = self.address(k, dtype, at, lanes, u)
        if self.classes[k] == "s":
            self.code.store_strided(place, self.row_strides[k], register, dtype, lanes, places)
        else:
            self.code.store(place, register, dtype, lanes, mask)

    def area(self, value: Value, at: str, lanes: int, u: int, vectors: int) -> str:
        code, type_ = self.code, memory_type(value.dtype)
        place = code.at(self.areas[id(value)], code.integer("mul", at, lanes * vectors), type_)
        return code.at(place, u * lanes, type_)


def summing_order(program: Program, classes: str, target: Target) -> tuple[int, ...]:
    """The lanes and the vectors of each pass of the schedule "inner": what `Program.order` holds."""
    kernel = InnerRow(program, classes, target)
    return (kernel.lanes, *(kernel.vectors(each) for each in kernel.passes))


def emit_row(program: Program, schedule: str, classes: str, target: Target) -> tuple[str, int]:
    """LLVM IR of a row kernel, and the scratch bytes it needs for each element of a row's length.

    `program` holds primitives only. `classes` has a letter for each output and each input: its length stride for the
    schedule "inner" ('-' for operands of the level ROW), its row stride for "outer"; 'c', 'z', 's' or 'n' as for maps.
    """
    if schedule == "inner":
        if "n" in classes:
            from flambeau.compiler.emit_row_overlapped import Overlapped

            overlapped = Overlapped(program, classes, target)
            if overlapped.possible():
                text = overlapped.emit()
                return text, overlapped.places * overlapped.scratch
        inner = InnerRow(program, classes, target)
        return inner.emit(), inner.scratch
    outer = _Outer(program, classes, target)
    return outer.emit(), outer.scratch * outer.lanes * outer.unroll
