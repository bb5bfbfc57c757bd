"""Packing for contractions: operands as the register tiles read them, a line of values for each step of the sum.

`transpose` serves operands that are contiguous along the sum, `panel` those contiguous across it. The tiles themselves
are in `contraction.py`.
"""

from __future__ import annotations

from flambeau.compiler.loops import Loops, copy
from flambeau.compiler.registers import vector
from flambeau.compiler.target import Target

#: How many rows ahead of use memory is asked for: rows lie far apart, so nothing else does it in time.
AHEAD = 16


def _interleave(code: Loops, a: str, b: str, lane: int, unit: int, high: bool) -> str:
    """Of each `lane` values, the low or high half of `a` and `b` by turns, `unit` values at a time."""
    order = []
    for start in range(0, code.lanes, lane):
        for i in range(0, lane // 2, unit):
            place = start + i + (lane // 2 if high else 0)
            order += [*range(place, place + unit), *range(code.lanes + place, code.lanes + place + unit)]
    numbers = ", ".join(f"i32 {n}" for n in order)
    return code.new(f"shufflevector {code.full} {a}, {code.full} {b}, <{code.lanes} x i32> <{numbers}>")


def _square(code: Loops, rows: list[str], mask: str) -> list[str]:
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


def transpose(target: Target, dtype: str, lanes: int) -> tuple[Loops, str]:
    """to[c, r] = from[r, c]; rows of both are contiguous.

    Without masks whole vectors are stored: with fewer rows than lanes, past the end of a line of `to`, which the
    following line then overwrites; the caller leaves room for one vector behind the last line.
    """
    code = Loops(target, dtype, lanes)
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


def panel(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[Loops, str]:
    """to[r, :n] = from[r, :n] for r < rows, n <= vectors * lanes; rows are contiguous."""
    code = Loops(target, dtype, lanes)
    size = code.size
    ahead = code.integer("mul", "%source_row", AHEAD)
    masks = []
    if target.masked:
        masks = [code.mask(code.integer("sub", "%n", v * lanes), lanes) for v in range(vectors)]

    def row(r: str, _: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", r, "%source_row"))
        to = code.at("%to", code.integer("mul", r, "%to_row"))
        code.fetch(code.at(source, ahead), vectors * lanes * size)
        for v, mask in enumerate(masks):
            offset = v * lanes * size
            code.store(code.at(to, offset), code.load(code.at(source, offset), dtype, lanes, mask), dtype, lanes, mask)
        if not masks:
            copy(code, source, to, "%n")
        return []

    code.loop("0", "%rows", 1, [], row)
    return code, code.text("panel", "i64 %rows, ptr %source, i64 %source_row, ptr %to, i64 %to_row, i64 %n")


def pairs_panel(target: Target, lanes: int, vectors: int) -> tuple[Loops, str]:
    """to[r, n] = (from[2 r, n], from[2 r + 1, n]): pairs of bfloat16; a last odd row is paired with zeros.

    `rows` counts rows of `from`, which are contiguous; n <= vectors * lanes. Only for targets with masks.
    """
    code = Loops(target, "float32", lanes)
    masks = [code.mask(code.integer("sub", "%n", v * lanes), lanes) for v in range(vectors)]
    word = vector("i32", lanes)
    ahead = code.integer("mul", "%source_row", AHEAD)

    def line(index: str, both: bool) -> None:
        source = code.at("%source", code.integer("mul", index, "%source_row"))
        second = code.at(source, "%source_row")
        for row in (source, second) if both else ():
            code.fetch(code.at(row, ahead), vectors * lanes * 2)
        to = code.at("%to", code.integer("mul", code.integer("lshr", index, 1), "%to_row"))
        for v, mask in enumerate(masks):
            low = code.load(code.at(source, v * lanes * 2), "bfloat16", lanes, mask)
            value = code.new(f"zext {vector('i16', lanes)} {low} to {word}")
            if both:
                high = code.load(code.at(second, v * lanes * 2), "bfloat16", lanes, mask)
                high = code.new(f"zext {vector('i16', lanes)} {high} to {word}")
                value = code.new(f"or {word} {value}, {code.new(f'shl {word} {high}, splat (i32 16)')}")
            code.store(code.at(to, v * lanes * 4), value, "int32", lanes, mask)

    def whole(index: str, _: list[str]) -> list[str]:
        line(index, True)
        return []

    def last(index: str, _: list[str]) -> list[str]:
        line(index, False)
        return []

    index, _ = code.loop("0", "%rows", 2, [], whole)
    code.loop(index, "%rows", 1, [], last)
    return code, code.text("panel", "i64 %rows, ptr %source, i64 %source_row, ptr %to, i64 %to_row, i64 %n")
