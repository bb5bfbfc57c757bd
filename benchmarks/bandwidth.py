"""What memory-bound operations reach of the machine's bandwidth: `python -m benchmarks.bandwidth [--threads 2]`.

Every operation runs on a 4096 x 4096 float32 tensor (64 MB, more than the last-level cache). Its necessary bytes
(each input read once, the output written once) over its time is compared with the bandwidth of a copy, measured here
in the same run: the better of ordinary and non-temporal stores, from one warm block to another, on as many threads.
The operations and the copies take turns, because other programs only ever add time; minima are compared.
"""

from __future__ import annotations

import argparse
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

SIZE = 4096
BYTES = SIZE * SIZE * 4
#: Pieces of the block that the threads take as they become free: a thread that is held up must not hold up the copy.
PIECES = 8


def _copy_text(past: bool) -> str:
    """LLVM IR of a copy of `%bytes` (a multiple of 256); with `past` around the caches."""
    hint = ", !nontemporal !0" if past else ""
    lines = []
    for u in range(4):
        lines += [
            f"  %at{u} = add i64 %at, {64 * u}",
            f"  %f{u} = getelementptr i8, ptr %from, i64 %at{u}",
            f"  %t{u} = getelementptr i8, ptr %to, i64 %at{u}",
            f"  %x{u} = load <16 x float>, ptr %f{u}, align 64",
            f"  store <16 x float> %x{u}, ptr %t{u}, align 64{hint}",
        ]
    body = "\n".join(lines)
    fence = "  call void @llvm.x86.sse.sfence()\n" if past else ""
    return f"""
define void @kernel(ptr %to, ptr %from, i64 %bytes) #0 {{
entry:
  br label %main
main:
  %at = phi i64 [ 0, %entry ], [ %after, %main ]
{body}
  %after = add i64 %at, 256
  %more = icmp slt i64 %after, %bytes
  br i1 %more, label %main, label %exit
exit:
{fence}  ret void
}}
{"declare void @llvm.x86.sse.sfence()" if past else ""}
attributes #0 = {{ ATTRIBUTES }}
!0 = !{{i32 1}}
"""


class Copies:
    """Copies of 64 MB on so many threads: `seconds(k)` of one by ordinary (0) or non-temporal (1) stores."""

    def __init__(self, fl: Any, threads: int) -> None:
        from flambeau.compiler import jit
        from flambeau.compiler.target import host

        self.blocks = fl.ones(BYTES // 4 + 16), fl.ones(BYTES // 4 + 16)
        to, source = ((block.data_ptr() + 63) // 64 * 64 for block in self.blocks)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self.kernels = []
        for past in (False, True) if host().cpu == "x86-64" else (False,):
            image = jit.compile_ir(_copy_text(past).replace("ATTRIBUTES", host().attributes()))
            self.kernels.append(kind(jit.load(image.code, image.entry)))
        self.threads = threads
        part = BYTES // PIECES
        self.parts = [(to + part * i, source + part * i, part) for i in range(PIECES)]

    def seconds(self, number: int) -> float:
        """The time of one copy."""
        kernel, parts = self.kernels[number], iter(self.parts)
        barrier = threading.Barrier(self.threads)

        def work() -> None:
            barrier.wait()
            for part in parts:  # taking the next one is a single step under the interpreter's lock
                kernel(*part)

        others = [threading.Thread(target=work) for _ in range(self.threads - 1)]
        for thread in others:
            thread.start()
        barrier.wait()
        begin = time.perf_counter()
        for part in parts:
            kernel(*part)
        for thread in others:
            thread.join()
        return time.perf_counter() - begin


def operations(fl: Any) -> dict[str, tuple[Callable[[], object], int, float]]:
    """name -> a call, its necessary bytes, the share of the copy's bandwidth that is asked of it."""
    functional = fl.nn.functional
    a, b = fl.randn(SIZE, SIZE), fl.randn(SIZE, SIZE)
    weight, bias = fl.ones(SIZE), fl.zeros(SIZE)
    turned = a.T
    return {
        "a + b": (lambda: a + b, 3 * BYTES, 0.85),
        "exp": (lambda: fl.exp(a), 2 * BYTES, 0.85),
        "gelu (erf)": (lambda: functional.gelu(a), 2 * BYTES, 0.6),
        "softmax": (lambda: functional.softmax(a, -1), 2 * BYTES, 0.85),
        "log_softmax": (lambda: functional.log_softmax(a, -1), 2 * BYTES, 0.85),
        "layer_norm": (lambda: functional.layer_norm(a, (SIZE,)), 2 * BYTES, 0.85),
        "layer_norm, affine": (lambda: functional.layer_norm(a, (SIZE,), weight, bias), 2 * BYTES, 0.85),
        "a.T.contiguous()": (lambda: turned.contiguous(), 2 * BYTES, 0.85),
        "sum": (lambda: a.sum(), BYTES, 0.85),
        "sum of rows": (lambda: a.sum(-1), BYTES, 0.85),
        "sum of columns": (lambda: a.sum(0), BYTES, 0.85),
    }


def measure(fl: Any, threads: int, turns: int) -> tuple[float, list[tuple[str, float, float, float, float]]]:
    """The copy's bytes a second, and for each operation: name, seconds, bytes a second, share, share asked."""
    fl.set_num_threads(threads)
    copies, cases = Copies(fl, threads), operations(fl)
    best_copy = min(copies.seconds(k) for k in range(len(copies.kernels)))
    best = {name: float("inf") for name in cases}
    for _ in range(turns):
        for k in range(len(copies.kernels)):
            best_copy = min(best_copy, *(copies.seconds(k) for _ in range(4)))
        for name, (call, _, _) in cases.items():
            call()
            for _ in range(3):
                begin = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - begin)
    speed = 2 * BYTES / best_copy
    return speed, [
        (name, best[name], needed / best[name], needed / best[name] / speed, asked)
        for name, (_, needed, asked) in cases.items()
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=20)
    arguments = parser.parse_args()
    import flambeau as fl

    speed, rows = measure(fl, arguments.threads, arguments.turns)
    print(
        f"{'copy of 64 MB':<20}{2 * BYTES / speed * 1e3:8.2f} ms {speed / 1e9:7.1f} GB/s"
        f"  on {arguments.threads} threads"
    )
    for name, seconds, rate, share, asked in rows:
        mark = "" if share >= asked else f"  (asked: {asked:.0%})"
        print(f"{name:<20}{seconds * 1e3:8.2f} ms {rate / 1e9:7.1f} GB/s {share:7.0%}{mark}")
    if max(share for *_, share, _ in rows) > 1.1:
        print("Shares above 1: other programs held the copy up, so no share here means anything. Run it again.")


if __name__ == "__main__":
    main()
