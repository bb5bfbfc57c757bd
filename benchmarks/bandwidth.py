"""What memory-bound operations reach of the machine's bandwidth: `python -m benchmarks.bandwidth [--threads 2]`.

Every operation runs on a 4096 x 4096 float32 tensor (64 MB, more than the last-level cache). Its necessary bytes
(each input read once, the output written once) over its time is compared with the bandwidth of a copy, measured here
in the same run: the better of ordinary and non-temporal stores, from one warm block to another, on as many threads.
The operations and the copies take turns, because other programs only ever add time; minima are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from .roofline import copies

SIZE = 4096
BYTES = SIZE * SIZE * 4


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
    copying, cases = copies(threads), operations(fl)
    best_copy = min(copy.seconds() for copy in copying)
    best = {name: float("inf") for name in cases}
    for _ in range(turns):
        best_copy = min(best_copy, *(copy.seconds() for copy in copying for _ in range(4)))
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
    if max(share for name, *_, share, _ in rows if not name.startswith("sum")) > 1.1:  # reading alone is faster
        print("Shares above 1: other programs held the copy up, so no share here means anything. Run it again.")


if __name__ == "__main__":
    main()
