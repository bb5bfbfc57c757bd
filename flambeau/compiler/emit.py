"""Map kernels as LLVM IR: one scalar expression over strided operands, in explicit vectors.

The inner loop runs over whole vectors, several at a time where there is little to compute; what is left is one vector
under a mask, or on CPUs without masks one element at a time. Both give the same bits. Everything a step reads is read
before it writes, so an output may be an input's memory. What does not change along the inner loop is computed once.
"""

from __future__ import annotations

from flambeau.compiler import philox
from flambeau.compiler.instructions import Code
from flambeau.compiler.program import Program, Value
from flambeau.compiler.registers import (
    REGISTER,
    choose_lanes,
    constant,
    cost,
    memory_type,
)
from flambeau.compiler.target import Target

SIGNATURE = "ptr %pointers, ptr %inner_strides, ptr %outer_strides, i64 %inner, i64 %outer"


class _Map:
    """The emitter of one map kernel."""

    def __init__(self, program: Program, classes: str, target: Target) -> None:
        self.program = program
        # Stores past the caches exist on every x86-64; elsewhere they are not worth a second loop.
        self.streamed = [k for k, c in enumerate(classes) if c == "n"] if target.cpu == "x86-64" else []
        self.classes = classes = classes.replace("n", "c")
        self.code = Code(target)
        self.outputs = len(program.outputs)
        self.order = program.topological()
        self.uniform: set[int] = set()
        for value in self.order:
            if value.op == "input":
                fixed = classes[self.outputs + value.attr] == "z"
            else:
                fixed = value.op != "index" and all(id(a) in self.uniform for a in value.args)
            if fixed:
                self.uniform.add(id(value))
        self.varying = [v for v in self.order if id(v) not in self.uniform]
        stored = [v for v in program.outputs if id(v) in self.uniform]
        self.lanes = choose_lanes(target, self.varying + stored)
        self.strided = "s" in classes
        work = sum(cost(v) for v in self.varying)
        if self.strided:
            self.lanes = min(self.lanes, 16)
        self.unroll = 1 if self.strided or work > 24 else 2 if work > 8 else 4
        self.words = [value for value in self.varying if value.op == "random_word"]
        if self.words:
            following = classes[-1] == "c" and not self.strided and target.masked and self.lanes * 4 == philox.BLOCK
            if not following or any(self.starts(value) is None for value in self.words):
                self.words = []
            else:
                self.unroll = 4
        # A strided loop with little to compute gains nothing from a partial vector.
        self.masked = target.masked and self.lanes > 1 and not (self.strided and work < 24)
        self.pointers: list[str] = []  # per operand, at the start of the current inner loop
        self.strides: list[str] = []
        self.shared: dict[int, str] = {}  # uniform values, one lane

    def emit(self) -> str:
        code, count = self.code, len(self.classes)
        bases = []
        for k in range(count):
            place = code.at("%pointers", k, "ptr")
            is_index = k == self.outputs + len(self.program.inputs)
            bases.append(code.new(f"load {'i64' if is_index else 'ptr'}, ptr {place}, align 8"))
            stride = "0"
            if self.classes[k] == "s":
                stride = code.new(f"load i64, ptr {code.at('%inner_strides', k, 'i64')}, align 8")
            self.strides.append(stride)
        work = code.integer("mul", "%inner", "%outer")
        code.branch(code.new(f"icmp sgt i64 {work}, 0"), "sweep", "exit")
        code.open("sweep")
        trip, trip_ticket = code.phi("i64", "0", "entry")
        tickets = []
        for k, base in enumerate(bases):
            is_index = k == self.outputs + len(self.program.inputs)
            name, ticket = code.phi("i64" if is_index else "ptr", base, "entry")
            self.pointers.append(name)
            tickets.append(ticket)
        for value in self.order:
            if id(value) in self.uniform:
                self.shared[id(value)] = self.one(value)
        self.loops()
        after = code.integer("add", trip, 1)
        done = code.new(f"icmp eq i64 {after}, %outer")
        code.branch(done, "exit", "again")
        code.open("again")
        for k, ticket in enumerate(tickets):
            step = code.new(f"load i64, ptr {code.at('%outer_strides', k, 'i64')}, align 8")
            is_index = k == self.outputs + len(self.program.inputs)
            moved = code.integer("add", self.pointers[k], step) if is_index else code.at(self.pointers[k], step)
            code.close_phi(ticket, moved)
        code.close_phi(trip_ticket, after)
        code.jump("sweep")
        code.open("exit")
        if self.streamed:
            code.call("llvm.x86.sse.sfence", "void", [])  # such stores are not ordered with what follows
        code.do("ret void")
        return code.finish(SIGNATURE)

    def starts(self, word: Value) -> Value | None:
        """What the element's number is added to, to be the place of a random word, if it is so."""
        place, seed = word.args
        if place.op != "add" or id(seed) not in self.uniform:
            return None
        for number, start in (place.args, place.args[::-1]):
            if number.op == "index" and id(start) in self.uniform:
                return start
        return None

    def place(self, word: Value) -> str:
        """The place of the inner loop's first random word."""
        start = self.starts(word)
        assert start is not None
        return self.code.integer("add", self.pointers[-1], self.shared[id(start)])

    def one(self, value: Value) -> str:
        """A uniform value, once for the inner loop."""
        if value.op == "const":
            return constant(value, 1)
        if value.op == "input":
            return self.code.load(self.pointers[self.outputs + value.attr], value.dtype, 1)
        return self.code.compute(value, [self.shared[id(a)] for a in value.args], 1)

    def loops(self) -> None:
        """The inner loop: whole vectors several at a time, then what is left. Ends in an open block."""
        code, lanes = self.code, self.lanes
        position = "0"
        vectors = self.unroll if lanes > 1 or self.unroll > 1 else 1
        chunk = lanes * vectors
        splats = self.splats(lanes)
        before = code.block
        if chunk > 1:
            whole = code.integer("and", "%inner", -chunk)
            some = code.new(f"icmp ne i64 {whole}, 0")
            for word in self.words:  # elsewhere than at the start of a block each element's word is computed alone
                inside = code.integer("and", self.place(word), philox.BLOCK - 1)
                some = code.new(f"and i1 {some}, {code.new(f'icmp eq i64 {inside}, 0')}")
            if self.streamed:
                code.branch(some, "choose", "rest")
                code.open("choose")
                bits = [code.new(f"ptrtoint ptr {self.pointers[k]} to i64") for k in self.streamed]
                while len(bits) > 1:
                    bits = [code.integer("or", bits[0], bits[1]), *bits[2:]]
                aligned = code.new(f"icmp eq i64 {code.integer('and', bits[0], 63)}, 0")
                code.branch(aligned, "stream", "main")
            else:
                code.branch(some, "main", "rest")
            came = []
            for label in ("stream", "main") if self.streamed else ("main",):
                code.open(label)
                position, ticket = code.phi("i64", "0", "choose" if self.streamed else before)
                self.body(position, lanes, vectors, splats, stream=label == "stream")
                following = code.integer("add", position, chunk)
                code.close_phi(ticket, following)
                code.branch(code.new(f"icmp eq i64 {following}, {whole}"), "rest", label)
                came.append(f"[ {following}, %{label} ]")
            code.open("rest")
            position = code.new(f"phi i64 [ 0, %{before} ], {', '.join(came)}")
            code.branch(code.new(f"icmp ne i64 {position}, %inner"), "tail", "next")
            before = "rest"
        else:
            code.jump("tail")
        code.open("tail")
        position, ticket = code.phi("i64", position, before)
        width = lanes if self.masked else 1
        if self.masked:
            left = code.integer("sub", "%inner", position)
            self.body(position, width, 1, splats, left)
        else:
            self.body(position, 1, 1, self.shared)
        following = code.integer("add", position, width)
        code.close_phi(ticket, following)
        code.branch(code.new(f"icmp slt i64 {following}, %inner"), "tail", "next")
        code.open("next")

    def splats(self, lanes: int) -> dict[int, str]:
        """Uniform values that the loop reads, on every lane."""
        wanted = {id(a) for v in self.varying for a in v.args} | {id(v) for v in self.program.outputs}
        result = {}
        for value in self.order:
            if id(value) in self.uniform and id(value) in wanted:
                if value.op == "const":
                    result[id(value)] = constant(value, lanes)
                else:
                    result[id(value)] = self.code.splat(self.shared[id(value)], REGISTER[value.dtype], lanes)
        return result

    def body(
        self, position: str, lanes: int, vectors: int, fixed: dict[int, str], left: str = "", stream: bool = False
    ) -> None:
        """`vectors` vectors from `position` on: everything is read before anything is written (outputs may alias)."""
        code = self.code
        places = code.tail_places(left, lanes) if left and self.strided else None
        mask = code.tail_mask(left, lanes) if left and "c" in self.classes else ""
        results = []
        for u in range(vectors):
            registers = dict(fixed)
            for value in self.varying:
                if value.op == "input":
                    register = self.read(value, position, lanes, u, mask, places)
                elif value.op == "index":
                    register = self.index(position, lanes, u)
                else:
                    register = ""
                if register:
                    registers[id(value)] = register
            results.append(registers)
        for word in self.words if vectors > 1 else ():
            seed = self.shared[id(word.args[1])]
            found = code.random_words(code.integer("add", self.place(word), position), seed, lanes)
            for registers, register in zip(results, found, strict=True):
                registers[id(word)] = register
        for registers in results:
            for value in self.varying:
                if id(value) not in registers:
                    arguments = [registers[id(a)] for a in value.args]
                    registers[id(value)] = code.compute(value, arguments, lanes)
        for u, registers in enumerate(results):
            for k, value in enumerate(self.program.outputs):
                past = stream and k in self.streamed
                self.write(k, registers[id(value)], position, lanes, u, mask, places, past)

    def address(self, k: int, dtype: str, position: str, lanes: int, u: int) -> str:
        code, base = self.code, self.pointers[k]
        if self.classes[k] == "s":
            return code.at(base, code.integer("mul", position, self.strides[k]))  # strided loops are not unrolled
        type_ = memory_type(dtype)
        return code.at(code.at(base, position, type_), u * lanes, type_)

    def read(self, value: Value, position: str, lanes: int, u: int, mask: str, places: list[str] | None) -> str:
        k = self.outputs + value.attr
        place = self.address(k, value.dtype, position, lanes, u)
        if self.classes[k] == "s":
            return self.code.load_strided(place, self.strides[k], value.dtype, lanes, places)
        return self.code.load(place, value.dtype, lanes, mask)

    def write(
        self,
        k: int,
        register: str,
        position: str,
        lanes: int,
        u: int,
        mask: str,
        places: list[str] | None,
        past: bool,
    ) -> None:
        dtype = self.program.outputs[k].dtype
        place = self.address(k, dtype, position, lanes, u)
        if self.classes[k] == "s":
            self.code.store_strided(place, self.strides[k], register, dtype, lanes, places)
        else:
            self.code.store(place, register, dtype, lanes, mask, past)

    def index(self, position: str, lanes: int, u: int) -> str:
        """Positions in the whole iteration: the start, and a step that is 1 unless the class is 's'."""
        code, k = self.code, self.outputs + len(self.program.inputs)
        first = code.integer("add", position, u * lanes) if u else position
        steps = code.steps("i64", lanes)
        if self.classes[k] == "s":
            first = code.integer("mul", first, self.strides[k])
            if lanes > 1:
                steps = code.new(f"mul <{lanes} x i64> {code.splat(self.strides[k], 'i64', lanes)}, {steps}")
        first = code.splat(code.integer("add", self.pointers[k], first), "i64", lanes)
        return first if lanes == 1 else code.new(f"add <{lanes} x i64> {first}, {steps}")


def emit_map(program: Program, classes: str, target: Target) -> str:
    """LLVM IR of a map kernel.

    `program` holds primitives only (see `mathematics`); `classes` has a letter for each output, each input and, if the
    program uses its index, the index: 'c' contiguous, 'z' one value for the whole inner loop, 's' any stride. An output
    may be 'n': contiguous and so large that it should go to memory past the caches.
    """
    return _Map(program, classes, target).emit()
