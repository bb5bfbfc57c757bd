"""The clock: one statement timed in several frameworks in turn, in one process.

Other programs on the machine only ever add time, and they add it to whichever side is running. So the sides alternate,
every turn is short, the median is taken over a group of turns, and the smallest of the groups' medians is the figure.
"""

from __future__ import annotations

import gc
import statistics
import time
import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

GROUPS = 5
#: Worker threads of one framework may still be spinning when the other's turn begins (OpenMP's: about 5 ms); this lets
#: them go to sleep.
SETTLE_SECONDS = 0.012


class Case(NamedTuple):
    """A statement to time, and what is asked of it.

    `setup` takes a framework module (flambeau, torch or numpy) and gives the names the statement uses, or None where
    that framework has no such thing. `seconds` and `ratio` are the figures asked: at most so long, at least so many
    times torch's speed.
    """

    name: str
    title: str
    statement: str
    setup: Callable[[Any], dict[str, Any] | None]
    seconds: float | None = None
    ratio: float | None = None
    extra: bool = False  # beyond what was asked

    def run(self, frameworks: dict[str, Any], rounds: int) -> dict[str, Any]:
        """Time the case; `rounds` turns for each framework."""
        timers = {}
        for name, framework in frameworks.items():
            names = self.setup(framework)
            if names is not None:
                timers[name] = timeit.Timer(self.statement, globals=names)
        counts = {name: _calls(timer) for name, timer in timers.items()}
        slowest = max(timer.timeit(1) for timer in timers.values())
        turns = max(GROUPS, min(rounds, int(rounds * 0.15 / max(slowest, 1e-9))))
        samples: dict[str, list[float]] = {name: [] for name in timers}
        order = list(timers)
        for turn in range(turns):
            for name in order if turn % 2 else order[::-1]:
                time.sleep(SETTLE_SECONDS)
                timers[name].timeit(max(1, counts[name] // 20))  # caches and workers awake
                samples[name].append(timers[name].timeit(counts[name]) / counts[name])
        timers.clear()
        gc.collect()
        if "flambeau" in frameworks:
            frameworks["flambeau"].empty_cache()
        return outcome(self, samples)


def _calls(timer: timeit.Timer) -> int:
    """So many calls that a turn takes about three milliseconds, and the statement is warm."""
    timer.timeit(2)
    count = 1
    while True:
        taken = timer.timeit(count)
        if taken > 0.0015:
            return max(1, round(count * 0.003 / taken))
        count *= 4


def outcome(case: Any, samples: dict[str, list[float]]) -> dict[str, Any]:
    """One case's record: each framework's figure and plain median, the ratio, and whether it is what was asked."""
    record: dict[str, Any] = {"name": case.name, "title": case.title, "unit": "s"}
    for name, values in samples.items():
        record[name] = {"best": significant(_best(values)), "median": significant(statistics.median(values))}
    if "torch" in record:
        record["ratio"] = significant(record["torch"]["best"] / record["flambeau"]["best"], 3)
    asked = {"seconds": case.seconds, "ratio": case.ratio}
    record["asked"] = {name: value for name, value in asked.items() if value is not None}
    record["extra"] = case.extra
    if record["asked"]:
        within = case.seconds is None or record["flambeau"]["best"] <= case.seconds
        fast = case.ratio is None or record.get("ratio", 0.0) >= case.ratio
        record["met"] = within and fast if case.ratio is None or "ratio" in record else None
    return record


def _best(values: list[float]) -> float:
    size = max(1, len(values) // GROUPS)
    groups = [values[start : start + size] for start in range(0, len(values) - size + 1, size)]
    return min(statistics.median(group) for group in groups)


def significant(value: float, digits: int = 4) -> float:
    """The number with so many digits: more are noise, and change every line of the kept file."""
    return float(f"{value:.{digits}g}")


def load_frameworks(threads: int, torch: bool = True) -> dict[str, Any]:
    """The frameworks there are, by name, each set to so many threads; flambeau first."""
    import flambeau

    flambeau.set_num_threads(threads)
    found: dict[str, Any] = {"flambeau": flambeau}
    if torch:
        try:
            import torch as module
        except ImportError:
            pass
        else:
            module.set_num_threads(threads)
            found["torch"] = module
    try:
        import numpy
    except ImportError:
        pass
    else:
        found["numpy"] = numpy
    return found
