"""The kernel of a transposed copy: squares of elements turned round in registers.

A square has as many lines as a vector has elements. Its lines are loaded whole, so each cache line is touched once
even where the distance of the lines makes them compete for one cache set; 16-byte lanes are exchanged between lines,
then elements inside the lanes, and whole lines are stored. Elements are moved, never computed with: only their size
counts. Which squares, in what order, and what does not fill a square are the caller's business (core/transpose.cpp).
"""

from __future__ import annotations

from .instructions import Code
from .registers import vector
from .target import Target

SIGNATURE = "ptr %to, i64 %to_line, ptr %from, i64 %from_line, i64 %down, i64 %across, i64 %ahead"
LANE_BYTES = 16


def _shuffle(code: Code, a: str, b: str, type_: str, order: list[int]) -> str:
    numbers = ", ".join(f"i32 {i}" for i in order)
    return code.new(f"shufflevector {type_} {a}, {type_} {b}, <{len(order)} x i32> <{numbers}>")


def _exchange_lanes(code: Code, lines: list[str], type_: str, lane: int, lanes: int) -> list[str]:
    """Lane p of line q and lane q of line p change places; `lane` elements are one lane."""
    for _ in range(lanes.bit_length() - 1):
        sides: list[list[str]] = [[], []]
        for first, second in zip(lines[::2], lines[1::2]):
            for side in (0, 1):
                places = [p * lane + i for p in range(side, 2 * lanes, 2) for i in range(lane)]
                sides[side].append(_shuffle(code, first, second, type_, places))
        lines = sides[0] + sides[1]
    return lines


def _exchange_elements(code: Code, lines: list[str], type_: str, lane: int, lanes: int) -> list[str]:
    """Inside every lane, element i of line j and element j of line i change places."""
    half, total = lane // 2, lane * lanes
    while half:
        mixed = []
        for first, second in zip(lines[: lane // 2], lines[lane // 2 :]):
            for start in (0, lane // 2):
                places = [
                    p * lane + start + i + side for p in range(lanes) for i in range(lane // 2) for side in (0, total)
                ]
                mixed.append(_shuffle(code, first, second, type_, places))
        lines, half = mixed, half // 2
    return lines


def emit_transposition(size: int, past: bool, target: Target) -> str:
    """LLVM IR of the kernel for elements of `size` bytes; with `past` the target is written past the caches.

    to[c, r] = from[r, c] for `down` squares of r and `across` squares of c; lines are `to_line` and `from_line` bytes
    apart. The lines of the square `ahead` bytes further on in the source are asked for. Stores past the caches need
    lines of the target that begin at whole vectors.
    """
    code = Code(target)
    count = target.lanes(size)
    lane, lanes = LANE_BYTES // size, target.vector_bytes // LANE_BYTES
    unit = min(size, 8)  # larger elements are moved as so many units, which stay together
    type_ = vector(f"i{8 * unit}", count * size // unit)
    width = target.vector_bytes
    code.jump("column")
    code.open("column")
    across, across_ticket = code.phi("i64", "0", "entry")
    from_column = code.at("%from", code.integer("mul", across, width))
    to_column = code.at("%to", code.integer("mul", code.integer("mul", across, count), "%to_line"))
    code.jump("square")
    code.open("square")
    down, down_ticket = code.phi("i64", "0", "column")
    source = code.at(from_column, code.integer("mul", code.integer("mul", down, count), "%from_line"))
    place = code.at(to_column, code.integer("mul", down, width))
    lines = []
    fetched = code.at(source, "%ahead")
    for i in range(count):
        offset = code.integer("mul", "%from_line", i) if i else 0
        lines.append(code.new(f"load {type_}, ptr {code.at(source, offset)}, align {unit}"))
        code.prefetch(code.at(fetched, offset))
    columns = [_exchange_lanes(code, lines[i::lane], type_, LANE_BYTES // unit, lanes) for i in range(lane)]
    results: list[str] = []
    for p in range(lanes):
        results += _exchange_elements(code, [column[p] for column in columns], type_, lane, lanes)
    hint = f"align {width}, !nontemporal !0" if past else f"align {unit}"
    for i, line in enumerate(results):
        code.do(f"store {type_} {line}, ptr {code.at(place, code.integer('mul', '%to_line', i) if i else 0)}, {hint}")
    after = code.integer("add", down, 1)
    code.close_phi(down_ticket, after)
    code.branch(code.new(f"icmp slt i64 {after}, %down"), "square", "next")
    code.open("next")
    following = code.integer("add", across, 1)
    code.close_phi(across_ticket, following)
    code.branch(code.new(f"icmp slt i64 {following}, %across"), "column", "exit")
    code.open("exit")
    code.do("ret void")
    return code.finish(SIGNATURE)
