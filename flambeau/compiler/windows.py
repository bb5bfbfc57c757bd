"""The inner kernels of maxima over windows: the largest of shifted lines with its place, and its gradient's way back.

The core (`core/pool.cpp`) finds which of a window's positions lie in the input, cuts planes into lines for which they
are the same, and threads. A module has one entry, `kernel(table)`, which writes the addresses of its functions in the
order of `WindowKernels` in `core/pool.h`. All strides and offsets are in bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from flambeau.compiler.loops import Loops, module_text
from flambeau.compiler.program import DTYPES
from flambeau.compiler.registers import BITS, item_bytes, literal, vector
from flambeau.compiler.target import Target, host

PLACE = "int32"
#: How the elements of neighbouring windows lie: next to each other, every second one, at any distance.
STEPS = ("next", "second", "any")


class _Lines(Loops):
    """Loops over lines of windows, a vector of windows at a time, in one of the `STEPS`."""

    def __init__(self, target: Target, dtype: str, step: str) -> None:
        super().__init__(target, dtype, target.lanes(max(4, item_bytes(dtype))))
        self.step = step

    def windows(self, body: Callable[[str, int, list[str]], None]) -> None:
        """`body(first, lanes, masks)` for all windows of a line.

        The masks are those of the windows that are there and, two apart, of the elements they span, in two vectors;
        none where windows are taken as they come.
        """
        masked, lanes = self.target.masked and self.step != "any", self.lanes

        def some(width: int, masks: Callable[[str], list[str]]) -> Callable[[str, list[str]], list[str]]:
            def step(index: str, _: list[str]) -> list[str]:
                body(index, width, masks(index))
                return []

            return step

        if not masked:
            index, _ = self.loop("0", "%n", lanes, [], some(lanes, lambda _: []))
            self.loop(index, "%n", 1, [], some(1, lambda _: []))
            return
        every = "<" + ", ".join(["i1 true"] * lanes) + ">"
        but_last = "<" + ", ".join(["i1 true"] * (lanes - 1) + ["i1 false"]) + ">"
        index, _ = self.loop("0", "%n", lanes, [], some(lanes, lambda _: [every, every, but_last]))
        self.loop(index, self.integer("add", "%n", lanes - 1), lanes, [], some(lanes, self.rest))

    def rest(self, index: str) -> list[str]:
        """The masks of the windows from `index` on."""
        left = self.integer("sub", "%n", index)
        if self.step != "second":
            return [self.mask(left, self.lanes)]
        count = self.integer("sub", self.integer("shl", left, 1), 1)
        counts = [left, count, self.integer("sub", count, self.lanes)]
        return [self.mask(each, self.lanes) for each in counts]

    def shuffle(self, a: str, b: str, order: list[int]) -> str:
        numbers = ", ".join(f"i32 {i}" for i in order)
        return self.new(f"shufflevector {self.full} {a}, {self.full} {b}, <{len(order)} x i32> <{numbers}>")

    def read(self, place: str, index: str, lanes: int, masks: list[str]) -> str:
        """The elements of the windows from `index` on; the first window's is at `place`."""
        if self.step == "next" and lanes > 1:
            start = self.at(place, self.integer("mul", index, self.size))
            return self.load(start, self.dtype, lanes, self.own_mask(masks))
        start = self.at(place, self.integer("mul", index, "%stride"))
        if not masks or lanes == 1:
            return self.load_strided(start, "%stride", self.dtype, lanes)
        places = [start, self.at(start, lanes * self.size)]
        halves = [self.load(at, self.dtype, lanes, mask) for at, mask in zip(places, masks[1:], strict=True)]
        return self.shuffle(halves[0], halves[1], list(range(0, 2 * lanes, 2)))

    def write(self, place: str, index: str, value: str, lanes: int, masks: list[str]) -> None:
        """As `read`."""
        if self.step == "next" and lanes > 1:
            start = self.at(place, self.integer("mul", index, self.size))
            self.store(start, value, self.dtype, lanes, self.own_mask(masks))
            return
        start = self.at(place, self.integer("mul", index, "%stride"))
        if not masks or lanes == 1:
            self.store_strided(start, "%stride", value, self.dtype, lanes)
            return
        even = "<" + ", ".join(f"i1 {'false' if i % 2 else 'true'}" for i in range(lanes)) + ">"
        for half, mask in enumerate(masks[1:]):
            spread = self.shuffle(value, value, [half * lanes // 2 + i // 2 for i in range(lanes)])
            mask = self.new(f"and {vector('i1', lanes)} {mask}, {even}")
            self.store(self.at(start, half * lanes * self.size), spread, self.dtype, lanes, mask)

    def own(self, base: str, index: str, dtype: str) -> str:
        """Where the windows' own values from `index` on lie."""
        return self.at(base, self.integer("mul", index, item_bytes(dtype)))

    def entry(self, list_: str, tap: str, type_: str) -> str:
        place = self.at(list_, self.integer("mul", tap, BITS["int64"] // 8 if type_ == "i64" else 4))
        return self.new(f"load {type_}, ptr {place}, align 4")

    def own_mask(self, masks: list[str]) -> str:
        """The mask of the windows' own values."""
        return masks[0] if masks else ""


def _maxima(target: Target, dtype: str, step: str) -> tuple[Loops, str]:
    """The first of each window's largest elements, and its place; a NaN is larger than all. taps >= 1."""
    code = _Lines(target, dtype, step)

    def line(row: str, _: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", row, "%line"))
        first_of_line = code.integer("mul", row, "%out_line")

        def windows(index: str, lanes: int, masks: list[str]) -> None:
            full, at = vector(code.type, lanes), code.integer("add", first_of_line, index)
            start = code.at(source, code.entry("%offsets", "0", "i64"))
            best = code.read(start, index, lanes, masks)
            place = code.splat(code.entry("%places", "0", "i32"), "i32", lanes)

            def tap(t: str, state: list[str]) -> list[str]:
                x = code.read(code.at(source, code.entry("%offsets", t, "i64")), index, lanes, masks)
                # A NaN that is there already gives way to a later NaN only.
                taken = code.new(f"fcmp ogt {full} {x}, {state[0]}")
                taken = code.new(f"or {vector('i1', lanes)} {taken}, {code.new(f'fcmp uno {full} {x}, {x}')}")
                here = code.splat(code.entry("%places", t, "i32"), "i32", lanes)
                return [
                    code.select(taken, x, state[0], code.type, lanes),
                    code.select(taken, here, state[1], "i32", lanes),
                ]

            state = [(full, best), (vector("i32", lanes), place)]
            best, place = code.loop("1", "%taps", 1, state, tap)[1]
            mask = code.own_mask(masks)
            code.store(code.own("%best", at, dtype), best, dtype, lanes, mask)
            code.store(code.own("%place", at, PLACE), place, PLACE, lanes, mask)

        code.windows(windows)
        return []

    code.loop("0", "%lines", 1, [], line)
    signature = (
        "i64 %lines, i64 %line, i64 %out_line, i64 %n, i64 %stride, i64 %taps, ptr %offsets, ptr %places, ptr %source, "
        "ptr %best, ptr %place"
    )
    return code, code.text(f"maxima_{step}", signature)


def _spread(target: Target, dtype: str, step: str) -> tuple[Loops, str]:
    """target += gradient at the element of each window whose place is noted."""
    code = _Lines(target, dtype, step)

    def tap(t: str, _: list[str]) -> list[str]:
        start, here = code.at("%target", code.entry("%offsets", t, "i64")), code.entry("%places", t, "i32")

        def line(row: str, _: list[str]) -> list[str]:
            place = code.at(start, code.integer("mul", row, "%line"))
            first_of_line = code.integer("mul", row, "%out_line")

            def windows(index: str, lanes: int, masks: list[str]) -> None:
                at, mask = code.integer("add", first_of_line, index), code.own_mask(masks)
                grad = code.load(code.own("%grad", at, dtype), dtype, lanes, mask)
                noted = code.load(code.own("%place", at, PLACE), PLACE, lanes, mask)
                mine = code.new(f"icmp eq {vector('i32', lanes)} {noted}, {code.splat(here, 'i32', lanes)}")
                grad = code.select(mine, grad, literal(code.type, 0, lanes), code.type, lanes)
                total = code.add(code.read(place, index, lanes, masks), grad, lanes)
                code.write(place, index, total, lanes, masks)

            code.windows(windows)
            return []

        code.loop("0", "%lines", 1, [], line)
        return []

    # Neighbouring positions of a window write into the same vectors: between them lie all lines.
    code.loop("0", "%taps", 1, [], tap)
    signature = (
        "i64 %lines, i64 %line, i64 %out_line, i64 %n, i64 %stride, i64 %taps, ptr %offsets, ptr %places, ptr %target, "
        "ptr %grad, ptr %place"
    )
    return code, code.text(f"spread_{step}", signature)


def module(dtype: str, target: Target | None = None) -> str:
    """The kernels of a dtype; the table is the core's `WindowKernels`."""
    target = target or host()
    functions = [make(target, dtype, step) for make in (_maxima, _spread) for step in STEPS]
    return module_text(target, functions, [f"@{name}_{step}" for name in ("maxima", "spread") for step in STEPS])


_entries: dict[str, int] = {}


def kernels(code: int) -> int:
    """The entry of the module of the dtype with this code, compiled or from the cache."""
    from flambeau.compiler import service

    dtype = DTYPES[code]
    with service._lock:
        if dtype not in _entries:
            _entries[dtype] = service.load_module("windows", module(dtype))
        return _entries[dtype]
