"""The inner kernels of convolution that matrix products do not have: gathering lines, and sums over shifted lines.

The core (`core/convolve_*.cpp`) stages, packs and threads, and multiplies with the tiles of `contraction.py`. A module
has one entry, `kernel(table)`, which writes the addresses of its functions in the order of `ConvolveKernels` in
`core/convolve_kernels.h`. All strides and offsets are in bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from flambeau.compiler.contraction import MOST_ROWS, MOST_VECTORS, shape
from flambeau.compiler.loops import Loops, copy, module_text
from flambeau.compiler.program import DTYPES
from flambeau.compiler.registers import item_bytes
from flambeau.compiler.target import Target, host

#: Vectors of a line that one step of `taps` sums: the core rounds lines up to this many.
TAP_VECTORS = 4
#: Taps whose weight gradients one pass over the pixels sums.
MOST_LANE_SUMS = 9
#: How many steps ahead `sums` asks for lines.
SUM_AHEAD = 8


GATHER_SIGNATURE = "i64 %rows, ptr %source, ptr %offsets, ptr %to, i64 %to_row, i64 %n"


def _gather_places(code: Loops, r: str) -> tuple[str, str]:
    """Where line `r` is read and written."""
    place = code.at("%offsets", code.integer("mul", r, 8))
    source = code.at("%source", code.new(f"load i64, ptr {place}, align 8"))
    return source, code.at("%to", code.integer("mul", r, "%to_row"))


def _gather_rows(code: Loops, parts: list[int]) -> None:
    """Lines of `%n` values in vectors of these widths, the last of them under a mask."""
    before = sum(parts[:-1])
    last = code.mask(code.integer("sub", "%n", before) if before else "%n", parts[-1])

    def row(r: str, _: list[str]) -> list[str]:
        source, to = _gather_places(code, r)
        at = 0
        for i, width in enumerate(parts):
            mask = last if i + 1 == len(parts) else ""
            value = code.load(code.at(source, at * code.size), code.dtype, width, mask)
            code.store(code.at(to, at * code.size), value, code.dtype, width, mask)
            at += width
        return []

    code.loop("0", "%rows", 1, [], row)


def _gather(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[Loops, str]:
    """to[r, :n] = (source + offsets[r])[:n] for r < rows, n <= vectors * lanes."""
    code = Loops(target, dtype, lanes)
    if not target.masked:

        def line(r: str, _: list[str]) -> list[str]:
            copy(code, *_gather_places(code, r), "%n")
            return []

        code.loop("0", "%rows", 1, [], line)
        return code, code.text("gather", GATHER_SIGNATURE)
    # A store costs by its width: short pieces take half a vector.
    done, half = code.name("end"), lanes // 2
    widths = [[*[lanes] * (v // 2), *[half] * (v % 2)] for v in range(1, 2 * vectors + 1)]
    for i, parts in enumerate(widths):
        following = code.name("wider")
        if i + 1 < len(widths):
            chosen = code.name("width")
            code.branch(code.new(f"icmp sle i64 %n, {sum(parts)}"), chosen, following)
            code.open(chosen)
        _gather_rows(code, parts)
        code.jump(done)
        code.open(following if i + 1 < len(widths) else done)
    return code, code.text("gather", GATHER_SIGNATURE)


def _taps(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[Loops, str]:
    """c[i] = init + sum over t < k of weights[t] * (source + offsets[t])[i] for i < n, n a multiple of the step."""
    code = Loops(target, dtype, lanes)
    full, size = code.full, code.size
    start = code.splat(code.new(f"load {code.type}, ptr %init, align {size}"), code.type, lanes)

    def piece(index: str, _: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", index, size))

        def tap(t: str, sums: list[str]) -> list[str]:
            offset = code.new(f"load i64, ptr {code.at('%offsets', code.integer('mul', t, 8))}, align 8")
            place = code.at("%weights", code.integer("mul", t, size))
            weight = code.splat(code.new(f"load {code.type}, ptr {place}, align {size}"), code.type, lanes)
            line = code.at(source, offset)
            values = [code.load(code.at(line, v * lanes * size), dtype, lanes) for v in range(vectors)]
            return [code.multiply_add(weight, value, total, lanes) for value, total in zip(values, sums, strict=True)]

        sums = code.loop("0", "%k", 1, [(full, start)] * vectors, tap)[1]
        c = code.at("%c", code.integer("mul", index, size))
        for v in range(vectors):
            code.store(code.at(c, v * lanes * size), sums[v], dtype, lanes)
        return []

    code.loop("0", "%n", lanes * vectors, [], piece)
    return code, code.text("taps", "i64 %n, i64 %k, ptr %weights, ptr %offsets, ptr %source, ptr %init, ptr %c")


def _pixels(
    target: Target, dtype: str, lanes: int, lines: int, pixels: int, vectors: int, width: int
) -> tuple[Loops, str]:
    """c[r, :] = init[r, :] + sum over t < k of (source + offsets[t])[r] * columns[t, :] for r < lines * pixels.

    The values of a line follow each other, lines are `pitch` apart. Lines of `columns` and c hold `width` values, of
    which `vectors * lanes` are computed.
    """
    code = Loops(target, dtype, lanes)
    full, size, rows = code.full, code.size, lines * pixels

    def step(t: str, sums: list[str]) -> list[str]:
        offset = code.new(f"load i64, ptr {code.at('%offsets', code.integer('mul', t, 8))}, align 8")
        sources = [code.at("%source", offset)]
        if lines == 2:
            sources.append(code.at(sources[0], "%pitch"))
        line = code.at("%columns", code.integer("mul", t, width * size))
        channels = [code.load(code.at(line, v * lanes * size), dtype, lanes) for v in range(vectors)]
        result = []
        for row in range(rows):
            value = code.new(
                f"load {code.type}, ptr {code.at(sources[row // pixels], row % pixels * size)}, align {size}"
            )
            value = code.splat(value, code.type, lanes)
            for v in range(vectors):
                result.append(code.multiply_add(value, channels[v], sums[row * vectors + v], lanes))
        return result

    sums = code.loop("0", "%k", 1, [(full, "zeroinitializer")] * (rows * vectors), step)[1]
    for row in range(rows):
        init = code.at("%init", code.integer("mul", "%init_row", row) if row else 0)
        for v in range(vectors):
            old = code.load(code.at(init, v * lanes * size), dtype, lanes)
            total = code.add(old, sums[row * vectors + v], lanes)
            code.store(code.at("%c", (row * width + v * lanes) * size), total, dtype, lanes)
    signature = "i64 %k, ptr %source, i64 %pitch, ptr %offsets, ptr %columns, ptr %init, i64 %init_row, ptr %c"
    return code, code.text(f"pixels_{lines}_{pixels}_{vectors}", signature)


def _sums(target: Target, dtype: str, lanes: int, rows: int, vectors: int) -> tuple[Loops, str]:
    """c[row, :] = init[row, :] + sum over i < k of a[row, i] * (source + offsets[i])[:], k >= 1; all of them vectors.

    Values of a row of A follow each other. Lines some steps ahead are asked for: `offsets` can be read that far.
    """
    code = Loops(target, dtype, lanes)
    full, size = code.full, code.size
    twice = code.integer("shl", "%a_row", 1)
    bases = ["%a"]
    for row in range(3, rows, 3):
        bases.append(code.at("%a", code.integer("mul", "%a_row", row)))
    state = [("ptr", base) for base in bases] + [("ptr", "%offsets")] + [(full, "zeroinitializer")] * (rows * vectors)

    def step(_: str, values: list[str]) -> list[str]:
        pointers, offsets, sums = values[: len(bases)], values[len(bases)], values[len(bases) + 1 :]
        later = code.new(f"load i64, ptr {code.at(offsets, 8 * SUM_AHEAD)}, align 8")
        code.fetch(code.at("%source", later), vectors * lanes * size)
        line = code.at("%source", code.new(f"load i64, ptr {offsets}, align 8"))
        values = [code.load(code.at(line, v * lanes * size), dtype, lanes) for v in range(vectors)]
        result = []
        for row in range(rows):
            place = code.at(pointers[row // 3], (0, "%a_row", twice)[row % 3])
            value = code.splat(code.new(f"load {code.type}, ptr {place}, align {size}"), code.type, lanes)
            for v in range(vectors):
                result.append(code.multiply_add(value, values[v], sums[row * vectors + v], lanes))
        # As in the tiles of `contraction`: hides from LLVM that the pointers move by steps.
        following = [code.at(pointer, size) for pointer in pointers]
        following = [code.new(f'call ptr asm "", "=r,0"(ptr {pointer})') for pointer in following]
        return [*following, code.at(offsets, 8), *result]

    sums = code.loop("0", "%k", 1, state, step)[1][len(bases) + 1 :]
    for row in range(rows):
        init = code.at("%init", code.integer("mul", "%init_row", row) if row else 0)
        c = code.at("%c", code.integer("mul", "%c_row", row) if row else 0)
        for v in range(vectors):
            old = code.load(code.at(init, v * lanes * size), dtype, lanes)
            code.store(code.at(c, v * lanes * size), code.add(old, sums[row * vectors + v], lanes), dtype, lanes)
    signature = "i64 %k, ptr %a, i64 %a_row, ptr %source, ptr %offsets, ptr %init, i64 %init_row, ptr %c, i64 %c_row"
    return code, code.text(f"sums_{rows}_{vectors}", signature)


def _lanes(target: Target, dtype: str, lanes: int) -> tuple[Loops, str]:
    """c[i] = init + sum over t < k of weights[t] * (source + offsets[t])[i] for i < n; all of them vectors."""
    code = Loops(target, dtype, lanes)
    full, size = code.full, code.size
    start = code.load("%init", dtype, lanes)

    def some(pixels: int) -> Callable[[str, list[str]], list[str]]:
        def piece(index: str, _: list[str]) -> list[str]:
            source = code.at("%source", code.integer("mul", index, "%step"))

            def tap(t: str, sums: list[str]) -> list[str]:
                offset = code.new(f"load i64, ptr {code.at('%offsets', code.integer('mul', t, 8))}, align 8")
                weight = code.load(code.at("%weights", code.integer("mul", t, lanes * size)), dtype, lanes)
                place, result = code.at(source, offset), []
                for i, total in enumerate(sums):
                    place = code.at(place, "%step") if i else place
                    result.append(code.multiply_add(weight, code.load(place, dtype, lanes), total, lanes))
                return result

            sums = code.loop("0", "%k", 1, [(full, start)] * pixels, tap)[1]
            place = code.at("%c", code.integer("mul", index, "%c_step"))
            for i, total in enumerate(sums):
                place = code.at(place, "%c_step") if i else place
                code.store(place, total, dtype, lanes)
            return []

        return piece

    index = "0"
    for pixels in (4, 1):
        index = code.loop(index, "%n", pixels, [], some(pixels))[0]
    signature = "i64 %n, i64 %k, ptr %weights, ptr %offsets, ptr %source, i64 %step, ptr %init, ptr %c, i64 %c_step"
    return code, code.text("lanes", signature)


def _lane_sums(target: Target, dtype: str, lanes: int, taps: int) -> tuple[Loops, str]:
    """sums[t] += sum over lines and i < n of (source + offsets[t])[line, i] * gradient[line, i]; all are vectors."""
    code = Loops(target, dtype, lanes)
    full, size = code.full, code.size
    offsets = [code.new(f"load i64, ptr {code.at('%offsets', 8 * t)}, align 8") for t in range(taps)]
    sums = [code.load(code.at("%sums", t * lanes * size), dtype, lanes) for t in range(taps)]

    def line(h: str, sums: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", h, "%line"))
        gradient = code.at("%gradient", code.integer("mul", h, "%gradient_line"))

        def pixel(i: str, sums: list[str]) -> list[str]:
            place = code.at(source, code.integer("mul", i, "%step"))
            g = code.load(code.at(gradient, code.integer("mul", i, lanes * size)), dtype, lanes)
            values = [code.load(code.at(place, offset), dtype, lanes) for offset in offsets]
            return [code.multiply_add(x, g, total, lanes) for x, total in zip(values, sums, strict=True)]

        return code.loop("0", "%n", 1, [(full, total) for total in sums], pixel)[1]

    for t, total in enumerate(code.loop("0", "%lines", 1, [(full, total) for total in sums], line)[1]):
        code.store(code.at("%sums", t * lanes * size), total, dtype, lanes)
    signature = (
        "i64 %lines, i64 %n, ptr %offsets, ptr %source, i64 %line, i64 %step, ptr %gradient, i64 %gradient_line, "
        "ptr %sums"
    )
    return code, code.text(f"lane_sums_{taps}", signature)


def _add(target: Target, dtype: str, lanes: int) -> tuple[Loops, str]:
    """sum[i] += x[i] for i < n, a multiple of the lanes."""
    code = Loops(target, dtype, lanes)

    def piece(index: str, _: list[str]) -> list[str]:
        offset = code.integer("mul", index, code.size)
        place = code.at("%sum", offset)
        total = code.add(code.load(place, dtype, lanes), code.load(code.at("%x", offset), dtype, lanes), lanes)
        code.store(place, total, dtype, lanes)
        return []

    code.loop("0", "%n", lanes, [], piece)
    return code, code.text("add", "i64 %n, ptr %x, ptr %sum")


def module(dtype: str, target: Target | None = None) -> str:
    """The kernels of a dtype that convolutions are computed in; the table is the core's `ConvolveKernels`."""
    target = target or host()
    lanes, rows, vectors = shape(dtype, target)
    functions = [_gather(target, dtype, lanes, vectors), _taps(target, dtype, lanes, TAP_VECTORS)]
    words = ["@gather", "@taps", str(lanes * TAP_VECTORS), str(item_bytes(dtype))]
    for lines in (1, 2):
        for pixels in range(1, MOST_ROWS + 1):
            for v in range(1, MOST_VECTORS + 1):
                if lines * pixels > rows:
                    words.append("0")
                    continue
                functions.append(_pixels(target, dtype, lanes, lines, pixels, v, lanes * vectors))
                words.append(f"@pixels_{lines}_{pixels}_{v}")
    for r in range(1, MOST_ROWS + 1):
        for v in range(1, MOST_VECTORS + 1):
            if r > rows:
                words.append("0")
                continue
            functions.append(_sums(target, dtype, lanes, r, v))
            words.append(f"@sums_{r}_{v}")
    functions += [_lanes(target, dtype, lanes), _add(target, dtype, lanes)]
    functions += [_lane_sums(target, dtype, lanes, taps) for taps in range(1, MOST_LANE_SUMS + 1)]
    words += ["@lanes", "@add", *(f"@lane_sums_{taps}" for taps in range(1, MOST_LANE_SUMS + 1))]
    return module_text(target, functions, words)


_entries: dict[str, int] = {}


def kernels(code: int) -> int:
    """The entry of the module of the dtype with this code, compiled or from the cache."""
    from flambeau.compiler import service

    dtype = DTYPES[code]
    with service._lock:
        if dtype not in _entries:
            _entries[dtype] = service.load_module("convolution", module(dtype))
        return _entries[dtype]
