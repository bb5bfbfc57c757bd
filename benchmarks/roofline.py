"""What this machine can do at most: arithmetic and memory traffic, measured: `python -m benchmarks.roofline`.

The arithmetic is a loop of fused multiply-adds that touches registers only, made by the compiler that makes every
kernel, run on all threads at once. The traffic is copying and reading 64 MB, far more than the caches hold. Both are
the best of many short turns: other programs only ever take away. What operations reach of this is measured elsewhere.
"""

from __future__ import annotations

import argparse
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.compiler import jit
from flambeau.compiler.loops import Loops
from flambeau.compiler.target import Target, host

COPY_BYTES = 64 << 20
#: Of the block, taken by the threads as they become free: a thread that is held up must not hold up the pass.
PIECES = 8
TURNS = 120
#: Iterations of one turn of arithmetic: about a millisecond.
ITERATIONS = 200_000

_KEPT: list[Any] = []  # machine code must outlive the functions that point into it


def _function(text: str, *arguments: Any) -> Callable[..., None]:
    """The machine code of a module's `kernel`; calling it lets go of the interpreter's lock."""
    image = jit.compile_ir(text)
    return ctypes.CFUNCTYPE(None, *arguments)(jit.load(image.code, image.entry))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _arithmetic(dtype: str, target: Target) -> tuple[str, int]:
    """A module whose `kernel(iterations, out)` multiplies and adds in registers, and its operations an iteration."""
    computed = "float64" if dtype == "float64" else "float32"
    code = Loops(target, computed, target.lanes(8 if dtype == "float64" else 4))
    chains = 24 if target.name in ("avx512", "neon") else 12  # with the factor, what the registers hold
    factor = code.new(f"load volatile {code.full}, ptr %out, align 8")

    def body(_: str, sums: list[str]) -> list[str]:
        if dtype == "bfloat16":
            return [code.multiply_add_pairs(factor, factor, each) for each in sums]
        return [code.multiply_add(factor, factor, each, code.lanes) for each in sums]

    _, sums = code.loop("0", "%iterations", 1, [(code.full, "zeroinitializer")] * chains, body)
    _store_sum(code, sums, "%out")
    code.do("ret void")
    return code.finish("i64 %iterations, ptr %out"), 2 * chains * code.lanes * (2 if dtype == "bfloat16" else 1)


def _store_sum(code: Loops, values: list[str], place: str) -> None:
    total = values[0]
    for value in values[1:]:
        total = code.add(total, value, code.lanes)
    code.do(f"store {code.full} {total}, ptr {place}, align 8")


def arithmetic_peak(dtype: str, threads: int) -> float | None:
    """Operations a second (a multiply-add is two) of `threads` threads; None where the CPU has no such instruction.

    "bfloat16" is the instruction that multiplies pairs and adds them in float32.
    """
    target = host()
    if dtype == "bfloat16" and not target.pairs:
        return None
    text, operations = _arithmetic(dtype, target)
    kernel = _function(text, ctypes.c_int64, ctypes.c_void_p)
    spaces = [ctypes.create_string_buffer(256) for _ in range(threads)]
    best = _together([lambda space=space: kernel(ITERATIONS, space) for space in spaces])
    return operations * ITERATIONS * threads / best


def _together(parts: Sequence[Callable[[], Any]], turns: int = TURNS) -> float:
    """The shortest time in which all the parts ran at once, from the first start to the last end."""
    barrier = threading.Barrier(len(parts))
    spans = [[(0.0, 0.0)] * turns for _ in parts]

    def run(number: int) -> None:
        for turn in range(turns):
            barrier.wait()
            begin = time.perf_counter()
            parts[number]()
            spans[number][turn] = (begin, time.perf_counter())

    helpers = [threading.Thread(target=run, args=(number,)) for number in range(1, len(parts))]
    for helper in helpers:
        helper.start()
    run(0)
    for helper in helpers:
        helper.join()
    return min(max(end for _, end in turn) - min(begin for begin, _ in turn) for turn in zip(*spans, strict=True))


# --- memory ----------------------------------------------------------------------------------------------------------


def _traffic(target: Target, kind: str) -> str:
    """A module whose `kernel(bytes, source, to)` copies ("plain", "streaming") or reads ("read") whole vectors."""
    code = Loops(target, "float32", target.lanes(4))
    unroll, wide = 8, target.vector_bytes
    hint = ", !nontemporal !0" if kind == "streaming" else ""

    def body(index: str, sums: list[str]) -> list[str]:
        following = []
        for i in range(unroll):
            place = code.integer("add", index, i * wide)
            value = code.new(f"load {code.full}, ptr {code.at('%source', place)}, align {wide}")
            if kind == "read":
                following.append(code.add(sums[i], value, code.lanes))
            else:
                code.do(f"store {code.full} {value}, ptr {code.at('%to', place)}, align {wide}{hint}")
        return following

    state = [(code.full, "zeroinitializer")] * (unroll if kind == "read" else 0)
    _, sums = code.loop("0", "%bytes", unroll * wide, state, body)
    if sums:
        _store_sum(code, sums, "%to")
    code.do("ret void")
    return code.finish("i64 %bytes, ptr %source, ptr %to")


class Traffic:
    """Passes of `threads` threads over COPY_BYTES: copies ("plain", "streaming"), or reads ("read")."""

    def __init__(self, kind: str, threads: int) -> None:
        import flambeau as fl

        kernel = _function(_traffic(host(), kind), ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        self._blocks = [fl.ones(COPY_BYTES // 4 + 16) for _ in range(2)]
        source, to = ((block.data_ptr() + 63) // 64 * 64 for block in self._blocks)
        piece = COPY_BYTES // PIECES
        # Reading needs a place for its result only: a line for each piece.
        places = [to + number * (4096 if kind == "read" else piece) for number in range(PIECES)]
        self._pieces = [
            lambda begin=source + number * piece, place=place: kernel(piece, begin, place)
            for number, place in enumerate(places)
        ]
        self._threads = threads

    def seconds(self) -> float:
        """The time of one pass."""
        barrier, pieces = threading.Barrier(self._threads), iter(self._pieces)

        def work() -> None:
            barrier.wait()
            for piece in pieces:  # taking the next one is a single step under the interpreter's lock
                piece()

        helpers = [threading.Thread(target=work) for _ in range(self._threads - 1)]
        for helper in helpers:
            helper.start()
        barrier.wait()
        begin = time.perf_counter()
        for piece in pieces:
            piece()
        for helper in helpers:
            helper.join()
        return time.perf_counter() - begin


def copies(threads: int) -> list[Traffic]:
    """Ordinary stores, and where there are some, stores past the caches."""
    return [Traffic(kind, threads) for kind in ("plain", "streaming")]


def copy_bandwidth(threads: int) -> float:
    """Bytes read plus bytes written a second when copying 64 MB: the better of plain and streaming stores."""
    return 2 * COPY_BYTES / min(copy.seconds() for copy in copies(threads) for _ in range(TURNS))


def read_bandwidth(threads: int) -> float:
    """Bytes a second when only reading 64 MB."""
    reading = Traffic("read", threads)
    return COPY_BYTES / min(reading.seconds() for _ in range(TURNS))


def measure(threads: int) -> dict[str, float | None]:
    """Every figure by name: operations a second by dtype, bytes a second by kind of traffic."""
    figures: dict[str, float | None] = {d: arithmetic_peak(d, threads) for d in ("float32", "float64", "bfloat16")}
    figures["copy"], figures["read"] = copy_bandwidth(threads), read_bandwidth(threads)
    return figures


def main() -> None:
    import flambeau as fl

    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=fl.get_num_threads())
    threads = parser.parse_args().threads
    for name, figure in measure(threads).items():
        unit = "GB/s" if name in ("copy", "read") else "GFLOP/s"
        print(f"{name:10s}", "no such instruction" if figure is None else f"{figure / 1e9:8.1f} {unit}")


if __name__ == "__main__":
    main()
