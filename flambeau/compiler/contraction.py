"""The inner kernels of matrix multiplication as LLVM IR: register tiles, panels, dot products, conversions.

The core (`core/contract.cpp`) chooses blocks, packs and threads; everything that touches elements in its inner loops
is written here. Two modules make the kernels of a dtype: one for the dtype that is computed in ("compute": float32,
float64, int32 or int64) and one for the dtype in memory ("memory": what is converted on the way in and out). Each
module has one entry, `kernel(table)`, which writes the sizes and the addresses of its functions into a table of 64-bit
words; the order of the words is that of `ComputeKernels` and `MemoryKernels` in `core/contract.h`.

All strides are in bytes. A tile sums over k in one chain of fused multiply-adds per element, whatever its shape, so an
element's bits do not depend on where in a matrix or on which thread it was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flambeau.compiler.instructions import REGISTER, Code, is_float, item_bytes, literal, vector
from flambeau.compiler.program import DTYPES
from flambeau.compiler.target import Target, host

#: dtype in memory -> dtype computed in; bool's sum of products is "any".
COMPUTE = {
    "bool": "int32", "uint8": "int32", "int8": "int32", "int16": "int32", "int32": "int32", "int64": "int64",
    "float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64",
}  # fmt: skip

#: The most rows and vectors a tile may have: the shape of the core's table.
MOST_ROWS, MOST_VECTORS = 16, 2
#: Rows of the matrix that one pass of `rows` reads; rows and vectors that one `dots` keeps in flight.
ROWS_AT_ONCE = 8
DOTS = ((4, 2), (1, 8))
#: Sums at least this long are worth fetching the tile of C beforehand.
PREFETCH_LENGTH = 96


class Shape(NamedTuple):
    """The register tile: `rows` times `vectors` accumulators of `lanes` values."""

    lanes: int
    rows: int
    vectors: int


def shape(dtype: str, target: Target) -> Shape:
    """The largest tile whose accumulators, one row of B and one value of A fit the vector registers."""
    lanes = max(2, target.lanes(item_bytes(dtype)))
    if target.name == "avx512":  # 32 registers
        return Shape(lanes, 14 if is_float(dtype) else 12, 2)
    if target.name == "neon":  # 32 registers, 16 bytes
        return Shape(lanes, 12 if is_float(dtype) else 8, 2)
    if not is_float(dtype):
        return Shape(lanes, 4, 2)
    return Shape(lanes, 6 if target.fma else 4, 2)  # 16 registers


class _Function(Code):
    """The text of one function of a module."""

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

    def add(self, a: str, b: str, lanes: int) -> str:
        """a + b."""
        return self.new(f"{'fadd' if is_float(self.dtype) else 'add'} {vector(self.type, lanes)} {a}, {b}")

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


# --- the register tile -----------------------------------------------------------------------------------------------


def _tile(target: Target, dtype: str, lanes: int, rows: int, vectors: int, masked: bool) -> tuple[_Function, str]:
    """c[rows, n] = init[rows, n] + a[rows, k] @ b[k, n], k >= 1; n fills all vectors unless `masked`.

    Values of A are read one at a time through any strides, so A need not be packed; rows of B, C and init are
    contiguous. Only every third row of A has a pointer of its own: the others are reached by the CPU's addressing.
    """
    code = _Function(target, dtype, lanes)
    full, size = code.full, code.size
    masks = [""] * vectors
    if masked:
        masks = [code.mask(code.integer("sub", "%n", v * lanes), lanes) for v in range(vectors)]
    _prefetch_tile(code, rows, vectors)
    twice = code.integer("shl", "%a_row", 1)
    bases = ["%a"]
    for row in range(3, rows, 3):
        bases.append(code.at("%a", code.integer("mul", "%a_row", row)))
    state = [("ptr", base) for base in bases] + [("ptr", "%b")] + [(full, "zeroinitializer")] * (rows * vectors)

    def body(_: str, values: list[str]) -> list[str]:
        pointers, b, sums = values[: len(bases)], values[len(bases)], values[len(bases) + 1 :]
        lines = [code.load(code.at(b, v * lanes * size), dtype, lanes, masks[v]) for v in range(vectors)]
        result = []
        for row in range(rows):
            place = code.at(pointers[row // 3], (0, "%a_row", twice)[row % 3])
            value = code.splat(code.new(f"load {code.type}, ptr {place}, align {size}"), code.type, lanes)
            for v in range(vectors):
                result.append(code.multiply_add(value, lines[v], sums[row * vectors + v], lanes))
        # An empty assembly text hides that the pointers move by steps: LLVM would turn the rows into one chain of
        # additions, which takes as long as the arithmetic, or into more pointers than there are registers.
        following = [code.at(pointer, "%a_k") for pointer in pointers]
        following = [code.new(f'call ptr asm "", "=r,0"(ptr {pointer})') for pointer in following]
        return [*following, code.at(b, "%b_k"), *result]

    _, values = code.loop("0", "%k", 1, state, body)
    sums = values[len(bases) + 1 :]
    for row in range(rows):
        init = code.at("%init", code.integer("mul", "%init_row", row) if row else 0)
        c = code.at("%c", code.integer("mul", "%c_row", row) if row else 0)
        for v in range(vectors):
            offset = v * lanes * size
            old = code.load(code.at(init, offset), dtype, lanes, masks[v])
            code.store(code.at(c, offset), code.add(old, sums[row * vectors + v], lanes), dtype, lanes, masks[v])
    signature = (
        "i64 %k, ptr %a, i64 %a_row, i64 %a_k, ptr %b, i64 %b_k, ptr %init, i64 %init_row, ptr %c, i64 %c_row, i64 %n"
    )
    return code, code.text(f"tile_{rows}_{vectors}_{int(masked)}", signature)


def _prefetch_tile(code: _Function, rows: int, vectors: int) -> None:
    """Ask for C's lines before a long sum: they are far apart, so nothing else brings them in time."""
    fetch, start = code.name("fetch"), code.name("start")
    code.branch(code.new(f"icmp sgt i64 %k, {PREFETCH_LENGTH}"), fetch, start)
    code.open(fetch)
    for row in range(rows):
        place = code.at("%c", code.integer("mul", "%c_row", row) if row else 0)
        for line in range(0, vectors * code.lanes * code.size, 64):
            pairs = [("ptr", code.at(place, line)), ("i32", "0"), ("i32", "3"), ("i32", "1")]
            code.call("llvm.prefetch.p0", "void", pairs)
    code.jump(start)
    code.open(start)


# --- packing ---------------------------------------------------------------------------------------------------------


def _interleave(code: _Function, a: str, b: str, lane: int, unit: int, high: bool) -> str:
    """Of each `lane` values, the low or high half of `a` and `b` by turns, `unit` values at a time."""
    order = []
    for start in range(0, code.lanes, lane):
        for i in range(0, lane // 2, unit):
            place = start + i + (lane // 2 if high else 0)
            order += [*range(place, place + unit), *range(code.lanes + place, code.lanes + place + unit)]
    numbers = ", ".join(f"i32 {n}" for n in order)
    return code.new(f"shufflevector {code.full} {a}, {code.full} {b}, <{code.lanes} x i32> <{numbers}>")


def _square(code: _Function, rows: list[str], mask: str) -> list[str]:
    """The columns of a square whose rows start at these addresses.

    16 bytes of every (lane)th row are loaded into one vector, so that loads do most of the work and what is left are
    transpositions inside 16 bytes, the cheapest shuffles. Under a mask whole rows are loaded and cut instead.
    """
    lanes, size = code.lanes, code.size
    lane = min(lanes, max(2, 16 // size))
    whole = [code.load(row, code.dtype, lanes, mask) for row in rows] if mask else []

    def piece(row: int, chunk: int) -> str:
        if not whole:
            return code.load(code.at(rows[row], chunk * lane * size), code.dtype, lane)
        numbers = ", ".join(f"i32 {chunk * lane + i}" for i in range(lane))
        return code.new(f"shufflevector {code.full} {whole[row]}, {code.full} poison, <{lane} x i32> <{numbers}>")

    columns = []
    for chunk in range(lanes // lane):
        block = []
        for row in range(lane):
            parts, width = [piece(row + group, chunk) for group in range(0, lanes, lane)], lane
            while len(parts) > 1:
                numbers = ", ".join(f"i32 {i}" for i in range(2 * width))
                full = vector(code.type, width)
                parts = [
                    code.new(f"shufflevector {full} {parts[i]}, {full} {parts[i + 1]}, <{2 * width} x i32> <{numbers}>")
                    for i in range(0, len(parts), 2)
                ]
                width *= 2
            block.append(parts[0])
        if lane == 2:
            columns += [_interleave(code, block[0], block[1], 2, 1, high) for high in (False, True)]
            continue
        a, b, c, d = block
        for first in (False, True):
            left, right = _interleave(code, a, b, 4, 1, first), _interleave(code, c, d, 4, 1, first)
            columns += [_interleave(code, left, right, 4, 2, second) for second in (False, True)]
    return columns


def _transpose(target: Target, dtype: str, lanes: int) -> tuple[_Function, str]:
    """to[c, r] = from[r, c]; rows of both are contiguous.

    Without masks whole vectors are stored: with fewer rows than lanes, past the end of a line of `to`, which the
    following line then overwrites; the caller leaves room for one vector behind the last line.
    """
    code = _Function(target, dtype, lanes)
    size, masked = code.size, target.masked

    def square(r: str, c: str, row_mask: str, column_mask: str, rows_left: str, columns_left: str) -> None:
        corner = code.at(code.at("%source", code.integer("mul", r, "%source_row")), code.integer("mul", c, size))
        places = [corner]
        for i in range(1, lanes):  # rows past the end read the first again
            inside = code.new(f"icmp slt i64 {i}, {rows_left}")
            place = code.at(corner, code.integer("mul", "%source_row", i))
            places.append(code.new(f"select i1 {inside}, ptr {place}, ptr {corner}"))
        block = _square(code, places, column_mask)
        corner = code.at(code.at("%to", code.integer("mul", c, "%to_row")), code.integer("mul", r, size))
        if column_mask:
            # Lines past the end are stored onto the last one, before it is.
            last = code.integer("sub", columns_left, 1)
            for i in reversed(range(lanes)):
                line = code.intrinsic("smin", "i64", 1, str(i), last) if i else "0"
                code.store(code.at(corner, code.integer("mul", "%to_row", line)), block[i], dtype, lanes, row_mask)
        else:
            for i in range(lanes):
                place = code.at(corner, code.integer("mul", "%to_row", i) if i else 0)
                code.store(place, block[i], dtype, lanes, row_mask)

    def strip(r: str) -> None:
        rows_left = code.integer("sub", "%rows", r)
        row_mask = code.mask(rows_left, lanes) if masked else ""

        def whole(c: str, _: list[str]) -> list[str]:
            square(r, c, row_mask, "", rows_left, "")
            return []

        c, _ = code.loop("0", "%columns", lanes, [], whole)
        if masked:
            columns_left = code.integer("sub", "%columns", c)
            rest, done = code.name("rest"), code.name("done")
            code.branch(code.new(f"icmp sgt i64 {columns_left}, 0"), rest, done)
            code.open(rest)
            square(r, c, row_mask, code.mask(columns_left, lanes), rows_left, columns_left)
            code.jump(done)
            code.open(done)
            return

        def column(c: str, _: list[str]) -> list[str]:
            source = code.at("%source", code.integer("mul", c, size))
            line = code.at("%to", code.integer("mul", c, "%to_row"))
            end = code.intrinsic("smin", "i64", 1, "%rows", code.integer("add", r, lanes))

            def item(i: str, _: list[str]) -> list[str]:
                value = code.load(code.at(source, code.integer("mul", i, "%source_row")), dtype, 1)
                code.store(code.at(line, code.integer("mul", i, size)), value, dtype, 1)
                return []

            code.loop(r, end, 1, [], item)
            return []

        code.loop(c, "%columns", 1, [], column)

    # Strips of `lanes` rows; the last one may be shorter, so count strips rather than rows.
    strips = code.integer("sdiv", code.integer("add", "%rows", lanes - 1), lanes)

    def each(number: str, _: list[str]) -> list[str]:
        r = code.integer("mul", number, lanes)
        if not masked:  # the last strip ends with the last row, so that nothing behind it is written
            r = code.intrinsic("smin", "i64", 1, r, code.integer("sub", "%rows", lanes))
            r = code.intrinsic("smax", "i64", 1, r, "0")
        strip(r)
        return []

    code.loop("0", strips, 1, [], each)
    return code, code.text("transpose", "ptr %source, i64 %source_row, ptr %to, i64 %to_row, i64 %rows, i64 %columns")


def _panel(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[_Function, str]:
    """to[r, :n] = from[r, :n] for r < rows, n <= vectors * lanes; rows are contiguous."""
    code = _Function(target, dtype, lanes)
    size = code.size
    masks = []
    if target.masked:
        masks = [code.mask(code.integer("sub", "%n", v * lanes), lanes) for v in range(vectors)]

    def row(r: str, _: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", r, "%source_row"))
        to = code.at("%to", code.integer("mul", r, "%to_row"))
        for v, mask in enumerate(masks):
            offset = v * lanes * size
            code.store(code.at(to, offset), code.load(code.at(source, offset), dtype, lanes, mask), dtype, lanes, mask)
        if not masks:
            _copy(code, source, to, "%n")
        return []

    code.loop("0", "%rows", 1, [], row)
    return code, code.text("panel", "i64 %rows, ptr %source, i64 %source_row, ptr %to, i64 %to_row, i64 %n")


def _copy(code: _Function, source: str, to: str, count: str) -> None:
    start = "0"
    for lanes in (code.lanes, 1):

        def item(i: str, _: list[str], lanes: int = lanes) -> list[str]:
            offset = code.integer("mul", i, code.size)
            code.store(code.at(to, offset), code.load(code.at(source, offset), code.dtype, lanes), code.dtype, lanes)
            return []

        start, _ = code.loop(start, count, lanes, [], item)


# --- vectors ---------------------------------------------------------------------------------------------------------


def _rows(target: Target, dtype: str, lanes: int, rows: int) -> tuple[_Function, str]:
    """c[:n] = init[:n] + sum over i < rows of x[i] * b[i, :n]: reads whole rows of a large matrix in their order."""
    code = _Function(target, dtype, lanes)
    size = code.size
    scalars, pointers = [], []
    for i in range(rows):
        place = code.at("%x", code.integer("mul", "%x_step", i) if i else 0)
        scalars.append(code.new(f"load {code.type}, ptr {place}, align {size}"))
        pointers.append(code.at("%b", code.integer("mul", "%b_row", i) if i else 0))

    def step(index: str, width: int, mask: str = "") -> None:
        offset = code.integer("mul", index, size)
        total = ""
        for i in range(rows):
            value = code.splat(scalars[i], code.type, width)
            line = code.load(code.at(pointers[i], offset), dtype, width, mask)
            total = code.multiply_add(value, line, total or literal(code.type, 0, width), width)
        old = code.load(code.at("%init", offset), dtype, width, mask)
        code.store(code.at("%c", offset), code.add(old, total, width), dtype, width, mask)

    def whole(index: str, _: list[str]) -> list[str]:
        step(index, lanes)
        return []

    def single(index: str, _: list[str]) -> list[str]:
        step(index, 1)
        return []

    index, _ = code.loop("0", "%n", lanes, [], whole)
    if target.masked:
        step(index, lanes, code.mask(code.integer("sub", "%n", index), lanes))
    else:
        code.loop(index, "%n", 1, [], single)
    return code, code.text(f"rows_{rows}", "i64 %n, ptr %x, i64 %x_step, ptr %b, i64 %b_row, ptr %init, ptr %c")


def _dots(target: Target, memory: str, rows: int, unroll: int) -> tuple[_Function, str]:
    """out[r] = sum over k of a[r, k] * x[k] for r < rows; rows and `x` contiguous, `a` alone in the memory dtype."""
    dtype = COMPUTE[memory]
    lanes = max(2, target.lanes(item_bytes(dtype)))
    code = _Function(target, dtype, lanes)
    full, size = code.full, item_bytes(memory)
    starts = [code.at("%a", code.integer("mul", "%a_row", r) if r else 0) for r in range(rows)]

    def products(index: str, width: int, sums: list[str], many: int, mask: str = "") -> list[str]:
        xs, result = [], list(sums)
        for u in range(many):
            place = code.integer("add", index, u * width) if u else index
            xs.append(code.load(code.at("%x", code.integer("mul", place, code.size)), dtype, width, mask))
            for r in range(rows):
                value = code.load(code.at(starts[r], code.integer("mul", place, size)), memory, width, mask)
                value = code.cast(value, memory, dtype, width)
                result[r * many + u] = code.multiply_add(value, xs[u], sums[r * many + u], width)
        return result

    zeros = [(full, "zeroinitializer")] * (rows * unroll)
    index, sums = code.loop("0", "%k", lanes * unroll, zeros, lambda i, values: products(i, lanes, values, unroll))
    totals = []
    for r in range(rows):
        parts = sums[r * unroll : (r + 1) * unroll]
        while len(parts) > 1:
            parts = [code.add(parts[i], parts[i + 1], lanes) for i in range(0, len(parts), 2)]
        totals.append(parts[0])
    index, totals = code.loop(
        index, "%k", lanes, [(full, total) for total in totals], lambda i, values: products(i, lanes, values, 1)
    )
    if target.masked:
        mask = code.mask(code.integer("sub", "%k", index), lanes)
        totals = products(index, lanes, totals, 1, mask)
        index = "%k"
    singles = []
    for total in totals:
        width = lanes
        while width > 1:
            half = width // 2
            parts = []
            for start in (0, half):
                numbers = ", ".join(f"i32 {start + i}" for i in range(half))
                wide = vector(code.type, width)
                if half == 1:
                    parts.append(code.new(f"extractelement {wide} {total}, i64 {start}"))
                else:
                    parts.append(code.new(f"shufflevector {wide} {total}, {wide} poison, <{half} x i32> <{numbers}>"))
            total = code.add(parts[0], parts[1], half)
            width = half
        singles.append(total)
    if not target.masked:
        _, singles = code.loop(
            index, "%k", 1, [(code.type, single) for single in singles], lambda i, values: products(i, 1, values, 1)
        )
    for r, single in enumerate(singles):
        code.store(code.at("%out", r * code.size), single, dtype, 1)
    return code, code.text(f"dots_{rows}", "i64 %k, ptr %a, i64 %a_row, ptr %x, ptr %out")


# --- conversions -----------------------------------------------------------------------------------------------------


def _convert(target: Target, memory: str, widen: bool) -> tuple[_Function, str]:
    """Between memory, at any stride, and contiguous values of the compute dtype; `narrow` may add to what is there."""
    dtype = COMPUTE[memory]
    lanes = max(2, target.lanes(item_bytes(dtype)))
    code = _Function(target, dtype, lanes)
    size, start = item_bytes(memory), "0"
    contiguous = code.new(f"icmp eq i64 %stride, {size}")
    # A stride other than the item's skips the vector loop by giving it no room.
    room = code.new(f"select i1 {contiguous}, i64 %count, i64 0")
    for width in (lanes, 1):

        def item(i: str, _: list[str], width: int = width) -> list[str]:
            outside = code.at("%memory", code.integer("mul", i, "%stride"))
            inside = code.at("%values", code.integer("mul", i, code.size))
            if widen:
                value = code.cast(code.load(outside, memory, width), memory, dtype, width)
                code.store(inside, value, dtype, width)
                return []
            value = code.load(inside, dtype, width)
            value = _accumulated(code, outside, value, memory, width)
            code.store(outside, code.cast(value, dtype, memory, width), memory, width)
            return []

        start, _ = code.loop(start, room if width > 1 else "%count", width, [], item)
    if widen:
        return code, code.text("widen", "i64 %count, ptr %memory, i64 %stride, ptr %values")
    return code, code.text("narrow", "i64 %count, ptr %memory, i64 %stride, ptr %values, i64 %accumulate")


def _accumulated(code: _Function, outside: str, value: str, memory: str, width: int) -> str:
    adds, joined = code.name("adds"), code.name("joined")
    before = code.block
    code.branch(code.new("icmp ne i64 %accumulate, 0"), adds, joined)
    code.open(adds)
    old = code.cast(code.load(outside, memory, width), memory, code.dtype, width)
    total = code.add(old, value, width)
    code.jump(joined)
    code.open(joined)
    name, ticket = code.phi(vector(code.type, width), value, before)
    code.close_phi(ticket, total, adds)
    return name


# --- modules ---------------------------------------------------------------------------------------------------------


def _module(target: Target, functions: list[tuple[_Function, str]], words: list[str]) -> str:
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


def compute_module(dtype: str, target: Target | None = None) -> str:
    """The kernels that work in `dtype`, one of the values of `COMPUTE`; the table is the core's `ComputeKernels`."""
    target = target or host()
    lanes, rows, vectors = shape(dtype, target)
    functions, words = [], [str(lanes), str(rows), str(vectors), "0"]
    for r in range(1, MOST_ROWS + 1):
        for v in range(1, MOST_VECTORS + 1):
            for masked in (False, True):
                if r > rows or v > vectors:
                    words.append("0")
                    continue
                # Where masks cost nothing one kernel serves both whole and partial tiles.
                if masked or not target.masked:
                    functions.append(_tile(target, dtype, lanes, r, v, masked))
                words.append(f"@tile_{r}_{v}_{int(masked or target.masked)}")
    functions.append(_transpose(target, dtype, lanes))
    functions.append(_panel(target, dtype, lanes, vectors))
    functions.extend(_rows(target, dtype, lanes, count) for count in (ROWS_AT_ONCE, 1))
    words += ["@transpose", "@panel", f"@rows_{ROWS_AT_ONCE}", "@rows_1"]
    return _module(target, functions, words)


def memory_module(memory: str, target: Target | None = None) -> str:
    """The kernels that read and write `memory`; the table is the core's `MemoryKernels`."""
    target = target or host()
    functions = [_dots(target, memory, rows, unroll) for rows, unroll in DOTS]
    functions += [_convert(target, memory, True), _convert(target, memory, False)]
    return _module(target, functions, [*(f"@dots_{rows}" for rows, _ in DOTS), "@widen", "@narrow"])


def kernels(code: int) -> tuple[int, int]:
    """The entries of the compute and the memory module of the dtype with this code, compiled or from the cache."""
    memory = DTYPES[code]
    return _entry(compute_module, COMPUTE[memory]), _entry(memory_module, memory)


_entries: dict[tuple[str, str], int] = {}


def _entry(module: Callable[[str], str], dtype: str) -> int:
    """The address of a module's entry. The key is this file's text, so that a warm start need not write the module."""
    from flambeau.compiler import cache, jit, service

    known = (module.__name__, dtype)
    with service._lock:
        if known in _entries:
            return _entries[known]
        version = cache.compiler_version()
        key = ""
        if version:
            with open(__file__, "rb") as file:
                key = cache.digest(version, file.read(), *known)
        found = service.disk().get(key) if key else None
        if found is None:
            image = jit.compile_ir(module(dtype))
            found = cache.Entry(image.code, image.entry, 0)
            if key:
                service.disk().put(key, found)
        _entries[known] = jit.load(found.code, found.entry)
        return _entries[known]
