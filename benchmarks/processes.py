"""What is measured from outside: importing, the first training step of a process, the size of a wheel.

Every figure is that of a fresh interpreter, so only the machine's own file cache is warm.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from benchmarks.timing import outcome, significant

#: Modules that `import flambeau` must leave alone.
HEAVY = ("numpy", "llvmlite", "pandas", "scipy")

IMPORT = """
import sys, time
start = time.perf_counter()
import {module}
taken = time.perf_counter() - start
print(taken, *(name for name in {heavy} if name in sys.modules))
"""

FIRST_STEP = """
import {module} as fw, time
from {module} import nn, optim
fw.manual_seed(0)
model = nn.Sequential(nn.Linear(87, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = optim.Adam(model.parameters(), lr=0.01)
x, y = fw.randn(32, 87), fw.randn(32, 1)
optimizer.zero_grad()
loss = nn.MSELoss()(model(x), y)
loss.backward()
optimizer.step()
assert loss.item() > 0
print(time.clock_gettime(time.CLOCK_MONOTONIC))
"""


def _environment(cache: str) -> dict[str, str]:
    import flambeau

    home = os.path.dirname(os.path.dirname(os.path.abspath(flambeau.__file__)))
    paths = [home, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "FLAMBEAU_CACHE_DIR": cache}


def _run(program: str, cache: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=_environment(cache), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the timed process failed:\n{done.stderr.strip()}")
    return done.stdout


def _sides(frameworks: dict[str, Any]) -> list[str]:
    return [name for name in ("flambeau", "torch") if name in frameworks]


class ImportTime(NamedTuple):
    name: str = "process_import"
    title: str = "import, fresh process"
    seconds: float | None = 0.060
    ratio: float | None = None
    extra: bool = False

    def run(self, frameworks: dict[str, Any], rounds: int) -> dict[str, Any]:
        sides = _sides(frameworks)
        samples: dict[str, list[float]] = {name: [] for name in sides}
        loaded: set[str] = set()
        with tempfile.TemporaryDirectory() as cache:
            for turn in range(max(6, rounds // 2)):
                for name in sides if turn < 6 else ["flambeau"]:
                    taken, *heavy = _run(IMPORT.format(module=name, heavy=HEAVY), cache).split()
                    samples[name].append(float(taken))
                    loaded.update(heavy if name == "flambeau" else ())
        result = outcome(self, samples)
        result["loads"] = sorted(loaded)
        result["met"] = result["met"] and not loaded
        return result


class FirstStep(NamedTuple):
    name: str
    title: str
    seconds: float | None
    warm: bool
    ratio: float | None = None
    extra: bool = False

    def run(self, frameworks: dict[str, Any], rounds: int) -> dict[str, Any]:
        sides = _sides(frameworks)
        samples: dict[str, list[float]] = {name: [] for name in sides}
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(max(6, rounds // 2)):
                for name in sides if turn < 6 else ["flambeau"]:
                    cache = os.path.join(folder, "warm" if self.warm else str(turn))
                    program = FIRST_STEP.format(module=name)
                    if self.warm and turn == 0:
                        _run(program, cache)
                    start = time.clock_gettime(time.CLOCK_MONOTONIC)
                    samples[name].append(float(_run(program, cache)) - start)
        return outcome(self, samples)


class WheelSize(NamedTuple):
    """The newest wheel in dist/ (`make wheel`); nothing if there is none."""

    name: str = "wheel_size"
    title: str = "wheel"
    megabytes: float = 5.0

    def run(self, frameworks: dict[str, Any], rounds: int) -> dict[str, Any]:
        pattern = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dist", "flambeau-*.whl")
        wheels = sorted(glob.glob(pattern), key=os.path.getmtime)
        result = {"name": self.name, "title": self.title, "unit": "MB", "extra": False}
        result["asked"] = {"megabytes": self.megabytes}
        result["met"] = None
        if wheels:
            size = significant(os.path.getsize(wheels[-1]) / 1e6, 3)
            result["flambeau"] = {"best": size, "median": size}
            result["met"] = size <= self.megabytes
        return result


CASES = [
    ImportTime(),
    FirstStep("process_cold", "process start to end of first step, empty cache", 0.7, warm=False),
    FirstStep("process_warm", "process start to end of first step, warm cache", 0.2, warm=True),
    WheelSize(),
]
