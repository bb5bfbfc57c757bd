"""The share of the machine's limit that each operation reaches: `python -m benchmarks.operations [--threads 2]`.

The limit of a call is the longer of two times: its multiplications and additions at the measured peak of its dtype, and
its necessary bytes (each input read once, each output written once) at the measured bandwidth of a copy. All are taken
in one run (benchmarks/roofline.py has the peaks). Minima over short turns, because other programs only ever add time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from . import bandwidth, roofline


class Call(NamedTuple):
    """A call, its multiplications and additions (a multiply-add is two), and its necessary bytes."""

    name: str
    run: Callable[[], object]
    arithmetic: float
    bytes: float
    dtype: str = "float32"


def contractions(fl: Any) -> list[Call]:
    """Products, convolutions, attention, a recurrent layer."""
    functional = fl.nn.functional
    calls = []
    for m, k, n in (
        (32, 87, 64),
        (64, 768, 768),
        (512, 768, 3072),
        (256, 256, 256),
        (512, 512, 512),
        (1024, 1024, 1024),
    ):
        for dtype in ("float32", "bfloat16") if m >= 512 else ("float32",):
            a, b = (fl.randn(*shape).to(getattr(fl, dtype)) for shape in ((m, k), (k, n)))
            item = a.element_size()
            calls.append(
                Call(
                    f"{m} x {k} @ {k} x {n}",
                    lambda a=a, b=b: a @ b,
                    2 * m * k * n,
                    item * (m * k + k * n + m * n),
                    dtype,
                )
            )
    x, w = fl.randn(512, 768), fl.randn(3072, 768)
    calls.append(Call("linear 512, 768-3072", lambda: functional.linear(x, w), 2 * 512 * 768 * 3072, 4 * 4325376))
    images, kernel = fl.randn(8, 64, 56, 56), fl.randn(64, 64, 3, 3)
    pixels = images.numel()
    calls.append(
        Call(
            "conv2d 3x3, 64-64, 8 x 56 x 56",
            lambda: functional.conv2d(images, kernel, padding=1),
            2 * pixels * 576,
            8 * pixels,
        )
    )
    heads = [fl.randn(4, 6, 256, 64) for _ in range(3)]
    size = heads[0].numel()
    calls.append(
        Call(
            "attention 4 x 6 x 256 x 64",
            lambda: functional.scaled_dot_product_attention(*heads),
            4 * size * 256,
            16 * size,
        )
    )
    lstm, steps = fl.nn.LSTM(32, 128), fl.randn(50, 32, 32)

    def recurrent() -> object:
        with fl.no_grad():
            return lstm(steps)

    calls.append(
        Call(
            "LSTM 32-128, 50 x 32", recurrent, 2 * 50 * 32 * 512 * 160, 4 * (steps.numel() + 512 * 160 + 50 * 32 * 128)
        )
    )
    return calls


def seconds(run: Callable[[], object], turns: int = 40) -> float:
    """The shortest time of a call."""
    best = float("inf")
    run()
    begin = time.perf_counter()
    run()
    count = max(1, int(1e-3 / max(time.perf_counter() - begin, 1e-7)))
    for _ in range(turns):
        begin = time.perf_counter()
        for _ in range(count):
            run()
        best = min(best, (time.perf_counter() - begin) / count)
    return best


def main() -> None:
    import flambeau as fl

    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=fl.get_num_threads())
    threads = parser.parse_args().threads
    fl.set_num_threads(threads)
    peaks = roofline.measure(threads)
    for name, figure in peaks.items():
        unit = "GB/s" if name in ("copy", "read") else "GFLOP/s"
        print(f"{name:34}", "no such instruction" if figure is None else f"{figure / 1e9:8.1f} {unit}")
    calls = contractions(fl)
    calls += [Call(name, run, 0, needed) for name, (run, needed, _) in bandwidth.operations(fl).items()]
    print(f"{'operation':34}{'dtype':10}{'us':>10}{'limit':>10}{'share':>7}  bound by")
    for call in calls:
        arithmetic = call.arithmetic / (peaks[call.dtype] or peaks["float32"] or 1.0)
        memory = call.bytes / (peaks["copy"] or 1.0)
        taken, limit = seconds(call.run), max(arithmetic, memory)
        bound = "arithmetic" if arithmetic > memory else "memory"
        print(f"{call.name:34}{call.dtype:10}{taken * 1e6:10.1f}{limit * 1e6:10.1f}{limit / taken:7.0%}  {bound}")


if __name__ == "__main__":
    main()
