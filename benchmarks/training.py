"""Times the workloads: flambeau eager and compiled, torch eager and torch.compile, JAX jit, side by side in turns.

python -m benchmarks.training                      every workload
python -m benchmarks.training housing digits       only those whose names begin so
python -m benchmarks.training --sides flambeau,compiled,torch
Medians of alternating turns; the first call's cost is that of the first call less a later eager one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

SIDES = ("flambeau", "compiled", "torch", "torch_compile", "jax")
PEERS = ("torch", "torch_compile", "jax")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", help="beginnings of workloads' names")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--seconds", type=float, default=6.0, help="time to spend on each side of a workload")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", type=float, default=0.0, help="measured peak in GFLOP/s, for the floors")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    from benchmarks.workloads import WORKLOADS

    chosen = [w for w in WORKLOADS if not arguments.names or w.name.startswith(tuple(arguments.names))]
    results = []
    for workload in chosen:
        record = measure(workload, arguments.sides.split(","), arguments.threads, arguments.seconds)
        if arguments.peak:
            record["floor"] = workload.operations / (arguments.peak * 1e9)
        results.append(record)
        print(line(workload, record), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"load": os.getloadavg(), "threads": arguments.threads, "results": results}, file, indent=1)
    return 0


def make_steps(workload: Any, sides: list[str], threads: int) -> dict[str, Callable[[], Any]]:
    steps: dict[str, Callable[[], Any]] = {}
    for side in sides:
        try:
            if side in ("flambeau", "compiled"):
                import flambeau

                flambeau.set_num_threads(threads)
                step = workload.make(flambeau)
                steps[side] = flambeau.compile(step) if side == "compiled" else step
            elif side in ("torch", "torch_compile"):
                import torch

                torch.set_num_threads(threads)
                torch._dynamo.reset()
                step = workload.make(torch)
                steps[side] = torch.compile(step) if side == "torch_compile" else step
            else:
                from benchmarks.workloads_jax import STEPS

                if workload.name in STEPS:
                    steps[side] = STEPS[workload.name]()
        except ImportError:
            continue
    return steps


def measure(workload: Any, sides: list[str], threads: int, seconds: float) -> dict[str, Any]:
    """Medians in seconds by side, with the first call's cost, and what went wrong where."""
    steps = make_steps(workload, sides, threads)
    record: dict[str, Any] = {"name": workload.name, "title": workload.title, "first": {}, "failed": {}}
    for side in list(steps):
        start = time.perf_counter()
        try:
            steps[side]()
            record["first"][side] = time.perf_counter() - start
            for _ in range(4):
                steps[side]()
        except Exception as error:
            record["failed"][side] = f"{type(error).__name__}: {str(error)[:300]}"
            del steps[side]
    counts = {side: calls(step) for side, step in steps.items()}
    samples: dict[str, list[float]] = {side: [] for side in steps}
    order = list(steps)
    end = time.perf_counter() + seconds * len(steps)
    turn = 0
    while time.perf_counter() < end or turn < 5:
        for side in order if turn % 2 else order[::-1]:
            step, count = steps[side], counts[side]
            time.sleep(0.012)  # the threads of the side before go to sleep
            for _ in range(max(1, count // 10)):
                step()
            start = time.perf_counter()
            for _ in range(count):
                step()
            samples[side].append((time.perf_counter() - start) / count)
        turn += 1
    record["median"] = {side: statistics.median(values) for side, values in samples.items()}
    record["least"] = {side: min(values) for side, values in samples.items()}
    record["turns"] = turn
    return record


def calls(step: Callable[[], Any]) -> int:
    """So many that a turn takes about ten milliseconds."""
    start = time.perf_counter()
    step()
    step()
    return max(1, round(0.02 / max(time.perf_counter() - start, 1e-7)))


def line(workload: Any, record: dict[str, Any]) -> str:
    median = record["median"]
    parts = [f"{workload.title:44}"]
    parts += [f"{side} {1e6 * seconds:.1f} us" for side, seconds in median.items()]
    peers = {side: median[side] for side in PEERS if side in median}
    best = next((side for side in ("compiled", "flambeau") if side in median), None)
    if peers and best:
        peer = min(peers, key=lambda side: peers[side])
        ratio = peers[peer] / median[best]
        parts.append(f"{best} is {ratio:.2f}x {peer} (asked {workload.peer})")
    if "flambeau" in median and "torch" in median:
        parts.append(f"eager {median['torch'] / median['flambeau']:.2f}x (asked {workload.eager or '-'})")
    if "floor" in record and best:
        parts.append(f"floor {1e6 * record['floor']:.0f} us, {100 * record['floor'] / median[best]:.0f}% reached")
    parts += [f"{side} FAILED: {text}" for side, text in record["failed"].items()]
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
