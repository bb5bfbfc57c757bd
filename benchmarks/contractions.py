"""Matrix products of random sizes and layouts beside torch: `python -m benchmarks.contractions`.

A case is a product of two matrices, a batch of them or a linear layer whose sizes lie between 1 and 2000, with operands
that may be transposed, sliced with steps, offset or expanded. Each case is timed in short alternating turns; cases
that seem slow are timed again, because other programs disturb single turns. What is printed are the cases that stay
below the limit.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.timing import SETTLE_SECONDS, load_frameworks

SEED = 20
#: Products with more multiply-adds than this take too long to time by the hundred.
MOST_WORK = 2e9
LAYOUTS = ("contiguous", "contiguous", "transposed", "rows", "columns", "offset")


class Shape(NamedTuple):
    """One product: (batch, m, k) @ (batch, k, n), batch 0 for plain matrices; layouts of both; `linear` adds a bias."""

    batch: int
    m: int
    k: int
    n: int
    left: str
    right: str
    linear: bool
    dtype: str

    def __str__(self) -> str:
        batch = f"{self.batch} x " if self.batch else ""
        kind = "linear" if self.linear else "matmul"
        return f"{kind} {self.dtype} {batch}({self.m}, {self.k}) {self.left} @ ({self.k}, {self.n}) {self.right}"


def size(rng: random.Random) -> int:
    """1 to 2000: half of them uniformly, half by their logarithm."""
    return rng.randint(1, 2000) if rng.random() < 0.5 else round(math.exp(rng.uniform(0, math.log(2000))))


def shapes(count: int, dtype: str, seed: int = SEED) -> list[Shape]:
    """The same random shapes on every call."""
    rng = random.Random(seed)
    found: list[Shape] = []
    while len(found) < count:
        batch = rng.choice((0, 0, 0, 1)) and round(math.exp(rng.uniform(0, math.log(500))))
        m, k, n = size(rng), size(rng), size(rng)
        left, right = rng.choice(LAYOUTS), rng.choice(LAYOUTS)
        if batch and rng.random() < 0.25:
            left, right = rng.choice((("expanded", right), (left, "expanded")))
        work = m * k * n * max(batch, 1)
        memory = (m * k + k * n + m * n) * max(batch, 1)
        if work <= MOST_WORK and memory <= 3e7:
            found.append(Shape(batch, m, k, n, left, right, not batch and rng.random() < 0.25, dtype))
    return found


def operand(fw: Any, shape: Shape, rows: int, columns: int, layout: str, dtype: Any) -> Any:
    """A tensor (batch, rows, columns) with the layout; a batch of 0 leaves that dimension out."""
    batch = (shape.batch,) if shape.batch else ()
    if layout == "transposed":
        return fw.randn(*batch, columns, rows).to(dtype).transpose(-1, -2)
    if layout == "rows":
        return fw.randn(*batch, 2 * rows, columns).to(dtype)[..., ::2, :]
    if layout == "columns":
        return fw.randn(*batch, rows, 3 * columns).to(dtype)[..., ::3]
    if layout == "offset":
        return fw.randn(*batch, rows + 1, columns + 3).to(dtype)[..., 1:, 3:]
    if layout == "expanded":
        return fw.randn(rows, columns).to(dtype).expand(shape.batch, rows, columns)
    return fw.randn(*batch, rows, columns).to(dtype)


def statement(fw: Any, shape: Shape) -> Callable[[], Any]:
    """What is timed."""
    fw.manual_seed(0)
    dtype = getattr(fw, shape.dtype)
    a = operand(fw, shape, shape.m, shape.k, shape.left, dtype)
    if shape.linear:
        weight, bias = operand(fw, shape, shape.n, shape.k, shape.right, dtype), fw.randn(shape.n).to(dtype)
        function = fw.nn.functional.linear
        return lambda: function(a, weight, bias)
    b = operand(fw, shape, shape.k, shape.n, shape.right, dtype)
    return lambda: a @ b


def compare(shape: Shape, frameworks: dict[str, Any], turns: int) -> tuple[float, float]:
    """flambeau's seconds, and torch's divided by them: the better of the ratios of minima and of medians."""
    sides = [statement(frameworks[name], shape) for name in ("flambeau", "torch")]
    counts = [_calls(side) for side in sides]
    samples: list[list[float]] = [[], []]
    for turn in range(turns):
        for i in (0, 1) if turn % 2 else (1, 0):
            time.sleep(SETTLE_SECONDS)
            sides[i]()
            begin = time.perf_counter()
            for _ in range(counts[i]):
                sides[i]()
            samples[i].append((time.perf_counter() - begin) / counts[i])
    ratios = [min(samples[1]) / min(samples[0]), statistics.median(samples[1]) / statistics.median(samples[0])]
    return min(samples[0]), min(ratios)


def _calls(side: Callable[[], Any]) -> int:
    side()
    count = 1
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            side()
        taken = time.perf_counter() - begin
        if taken > 0.0004:
            return max(1, round(count * 0.001 / taken))
        count *= 4


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contractions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=0.7, help="speed beside torch below which a case is timed again")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    frameworks = load_frameworks(options.threads)
    if "torch" not in frameworks:
        raise SystemExit("benchmarks.contractions compares with torch, which is not installed here")
    ratios, slow = [], []
    for shape in shapes(options.count, options.dtype, options.seed):
        seconds, ratio = compare(shape, frameworks, 5)
        for turns in (11, 21, 41):  # only what is slow every time counts
            if ratio >= options.limit:
                break
            seconds, again = compare(shape, frameworks, turns)
            ratio = max(ratio, again)
        ratios.append(ratio)
        if ratio < options.limit:
            slow.append((ratio, seconds, shape))
    for ratio, seconds, shape in sorted(slow):
        print(f"{ratio:5.2f} {seconds * 1e6:9.1f} us  {shape}")
    ratios.sort()
    tenths = ", ".join(f"{ratios[int(len(ratios) * q / 10)]:.2f}" for q in (1, 5, 9))
    print(f"{len(slow)} of {len(ratios)} below {options.limit} times torch; tenth, median and nine tenths: {tenths}")


if __name__ == "__main__":
    main()
