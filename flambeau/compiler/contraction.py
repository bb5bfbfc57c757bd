"""The inner kernels of matrix multiplication as LLVM IR: register tiles, dot products, conversions.

The core (`core/contract.cpp`) chooses blocks, packs and threads; everything that touches elements in its inner loops
is written here and in `packing.py`. Two modules make the kernels of a dtype: one for what is computed ("compute":
float32, float64, int32, int64, or bfloat16 where the CPU multiplies pairs of it) and one for the dtype in memory
("memory": what is converted on the way in and out). The order of a module's words is that of `ComputeKernels` and
`MemoryKernels` in `core/contract.h`.

All strides are in bytes. A tile sums over k in one chain of fused multiply-adds per element, whatever its shape, so an
element's bits do not depend on where in a matrix or on which thread it was computed. A tile of bfloat16 pairs is a
float32 tile in which a value stands for two steps of the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flambeau.compiler.loops import Loops, module_text
from flambeau.compiler.packing import pairs_panel, panel, transpose
from flambeau.compiler.program import DTYPES
from flambeau.compiler.registers import is_float, item_bytes, literal, vector
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
#: How many steps ahead the rows of B are asked for.
B_AHEAD = 8


class Shape(NamedTuple):
    """The register tile: `rows` times `vectors` accumulators of `lanes` values."""

    lanes: int
    rows: int
    vectors: int


def shape(dtype: str, target: Target) -> Shape:
    """The largest tile whose accumulators, one row of B and one value of A fit the vector registers."""
    dtype = "float32" if dtype == "bfloat16" else dtype
    lanes = max(2, target.lanes(item_bytes(dtype)))
    if target.name == "avx512":  # 32 registers
        return Shape(lanes, 14 if is_float(dtype) else 12, 2)
    if target.name == "neon":  # 32 registers, 16 bytes
        return Shape(lanes, 12 if is_float(dtype) else 8, 2)
    if not is_float(dtype):
        return Shape(lanes, 4, 2)
    return Shape(lanes, 6 if target.fma else 4, 2)  # 16 registers


# --- the register tile -----------------------------------------------------------------------------------------------


def _tile(target: Target, dtype: str, lanes: int, rows: int, vectors: int, masked: bool) -> tuple[Loops, str]:
    """c[rows, n] = init[rows, n] + a[rows, k] @ b[k, n], k >= 1; n fills all vectors unless `masked`.

    Values of A are read one at a time through any strides, so A need not be packed; rows of B, C and init are
    contiguous. Only every third row of A has a pointer of its own: the others are reached by the CPU's addressing.
    """
    pairs = dtype == "bfloat16"
    dtype = "float32" if pairs else dtype
    code = Loops(target, dtype, lanes)
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

    ahead = code.integer("mul", "%b_k", B_AHEAD)

    def body(_: str, values: list[str]) -> list[str]:
        pointers, b, sums = values[: len(bases)], values[len(bases)], values[len(bases) + 1 :]
        code.fetch(code.at(b, ahead), vectors * lanes * size)
        lines = [code.load(code.at(b, v * lanes * size), dtype, lanes, masks[v]) for v in range(vectors)]
        result = []
        for row in range(rows):
            place = code.at(pointers[row // 3], (0, "%a_row", twice)[row % 3])
            align = 2 if pairs else size
            value = code.splat(code.new(f"load {code.type}, ptr {place}, align {align}"), code.type, lanes)
            for v in range(vectors):
                old = sums[row * vectors + v]
                pair = pairs and code.multiply_add_pairs(value, lines[v], old)
                result.append(pair or code.multiply_add(value, lines[v], old, lanes))
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


def _prefetch_tile(code: Loops, rows: int, vectors: int) -> None:
    """Ask for C's lines before a long sum: they are far apart, so nothing else brings them in time."""
    fetch, start = code.name("fetch"), code.name("start")
    code.branch(code.new(f"icmp sgt i64 %k, {PREFETCH_LENGTH}"), fetch, start)
    code.open(fetch)
    for row in range(rows):
        place = code.at("%c", code.integer("mul", "%c_row", row) if row else 0)
        code.fetch(place, vectors * code.lanes * code.size)
    code.jump(start)
    code.open(start)


# --- vectors ---------------------------------------------------------------------------------------------------------


def _rows(target: Target, memory: str, rows: int) -> tuple[Loops, str]:
    """c[:n] += sum over i < rows of x[i] * b[i, :n]: reads whole rows of a large matrix in their order."""
    dtype = COMPUTE[memory]
    lanes = max(2, target.lanes(item_bytes(dtype)))
    code = Loops(target, dtype, lanes)
    size = code.size
    scalars, pointers = [], []
    for i in range(rows):
        place = code.at("%x", code.integer("mul", "%x_step", i) if i else 0)
        scalars.append(code.new(f"load {code.type}, ptr {place}, align {size}"))
        pointers.append(code.at("%b", code.integer("mul", "%b_row", i) if i else 0))

    def step(index: str, width: int, mask: str = "") -> None:
        place, total = code.at("%c", code.integer("mul", index, size)), ""
        for i in range(rows):
            value = code.splat(scalars[i], code.type, width)
            line = code.load(code.at(pointers[i], code.integer("mul", index, item_bytes(memory))), memory, width, mask)
            line = code.cast(line, memory, dtype, width)
            total = code.multiply_add(value, line, total or literal(code.type, 0, width), width)
        old = code.load(place, dtype, width, mask)
        code.store(place, code.add(old, total, width), dtype, width, mask)

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
    return code, code.text(f"rows_{rows}", "i64 %n, ptr %x, i64 %x_step, ptr %b, i64 %b_row, ptr %c")


def _dots(target: Target, memory: str, rows: int, unroll: int) -> tuple[Loops, str]:
    """out[r] = sum over k of a[r, k] * x[k] for r < rows; rows and `x` contiguous, `a` alone in the memory dtype."""
    dtype = COMPUTE[memory]
    lanes = max(2, target.lanes(item_bytes(dtype)))
    code = Loops(target, dtype, lanes)
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


def _convert(target: Target, memory: str, widen: bool) -> tuple[Loops, str]:
    """Between memory, at any stride, and lines of the compute dtype, row by row; `narrow` may add to what is there."""
    dtype = COMPUTE[memory]
    lanes = max(2, target.lanes(item_bytes(dtype)))
    code = Loops(target, dtype, lanes)
    size = item_bytes(memory)
    contiguous = code.new(f"icmp eq i64 %stride, {size}")
    # A stride other than the item's skips the vector loop by giving it no room.
    room = code.new(f"select i1 {contiguous}, i64 %count, i64 0")

    def row(r: str, _: list[str]) -> list[str]:
        memory_row = code.at("%memory", code.integer("mul", r, "%memory_row"))
        values_row = code.at("%values", code.integer("mul", r, "%values_row"))

        def items(i: str, width: int, mask: str = "") -> None:
            outside = code.at(memory_row, code.integer("mul", i, "%stride"))
            inside = code.at(values_row, code.integer("mul", i, code.size))
            if widen:
                value = code.cast(code.load(outside, memory, width, mask), memory, dtype, width)
                code.store(inside, value, dtype, width, mask)
                return
            value = code.load(inside, dtype, width, mask)
            value = _accumulated(code, outside, value, memory, width, mask)
            code.store(outside, code.cast(value, dtype, memory, width), memory, width, mask)

        def step(width: int) -> Callable[[str, list[str]], list[str]]:
            def body(i: str, _: list[str]) -> list[str]:
                items(i, width)
                return []

            return body

        index, _ = code.loop("0", room, lanes, [], step(lanes))
        if target.masked:
            rest, done = code.name("rest"), code.name("done")
            left = code.integer("sub", room, index)
            code.branch(code.new(f"icmp sgt i64 {left}, 0"), rest, done)
            code.open(rest)
            items(index, lanes, code.mask(left, lanes))
            code.jump(done)
            code.open(done)
            index = room
        code.loop(index, "%count", 1, [], step(1))
        return []

    code.loop("0", "%rows", 1, [], row)
    signature = "i64 %rows, i64 %count, ptr %memory, i64 %memory_row, i64 %stride, ptr %values, i64 %values_row"
    if widen:
        return code, code.text("widen", signature)
    return code, code.text("narrow", signature + ", i64 %accumulate")


def _accumulated(code: Loops, outside: str, value: str, memory: str, width: int, mask: str) -> str:
    adds, joined = code.name("adds"), code.name("joined")
    before = code.block
    code.branch(code.new("icmp ne i64 %accumulate, 0"), adds, joined)
    code.open(adds)
    old = code.cast(code.load(outside, memory, width, mask), memory, code.dtype, width)
    total = code.add(old, value, width)
    code.jump(joined)
    code.open(joined)
    name, ticket = code.phi(vector(code.type, width), value, before)
    code.close_phi(ticket, total, adds)
    return name


# --- modules ---------------------------------------------------------------------------------------------------------


def compute_module(dtype: str, target: Target | None = None) -> str:
    """The kernels that work in `dtype`, one of the values of `COMPUTE`, or in pairs of bfloat16.

    The table is the core's `ComputeKernels`.
    """
    target = target or host()
    lanes, rows, vectors = shape(dtype, target)
    pairs = dtype == "bfloat16"
    functions, words = [], [str(lanes), str(rows), str(vectors), "2" if pairs else "1"]
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
    functions.append(transpose(target, "float32" if pairs else dtype, lanes))
    functions.append(pairs_panel(target, lanes, vectors) if pairs else panel(target, dtype, lanes, vectors))
    return module_text(target, functions, [*words, "@transpose", "@panel"])


def memory_module(memory: str, target: Target | None = None) -> str:
    """The kernels that read and write `memory`; the table is the core's `MemoryKernels`."""
    target = target or host()
    functions = [_dots(target, memory, rows, unroll) for rows, unroll in DOTS]
    functions += [_rows(target, memory, count) for count in (ROWS_AT_ONCE, 1)]
    functions += [_convert(target, memory, True), _convert(target, memory, False)]
    names = [*(f"@dots_{rows}" for rows, _ in DOTS), f"@rows_{ROWS_AT_ONCE}", "@rows_1", "@widen", "@narrow"]
    return module_text(target, functions, names)


def kernels(code: int) -> tuple[int, int]:
    """The entries of the compute and the memory module of the dtype with this code, compiled or from the cache."""
    memory = DTYPES[code]
    paired = memory == "bfloat16" and host().pairs
    return _entry(compute_module, memory if paired else COMPUTE[memory]), _entry(memory_module, memory)


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
