"""Peak memory of a training step: each framework in a process of its own, by what the system says it held.

python -m benchmarks.memory                      the GPT of 6 x 384
python -m benchmarks.memory --sides compiled,torch
The figure is the highest resident size while steps run, less what the process held before the model was made: so
parameters, gradients, the optimizer's state and everything in between. The first steps, in which flambeau records and
frameworks warm up, are not in it; their peak is told apart.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from typing import Any

SIDES = ("flambeau", "compiled", "torch")
WARM_UP, STEPS = 5, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # measure this side here
    arguments = parser.parse_args()
    if arguments.one:
        print(*measure(arguments.one, arguments))
        return 0
    found: dict[str, float] = {}
    for side in arguments.sides.split(","):
        command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], "--one", side]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{side:10} failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        first, steady = (float(word) for word in done.stdout.split()[-2:])
        found[side] = steady
        mebibytes = [f"{bytes_ / 2**20:8.1f} MiB" for bytes_ in (steady, first)]
        print(f"{side:10} {mebibytes[0]} at most in a step, {mebibytes[1]} in the first ones", flush=True)
    if "torch" in found:
        for side, most in found.items():
            if side != "torch":
                print(f"{side} takes {most / found['torch']:.2f} of torch's")
    return 0


def measure(side: str, arguments: Any) -> tuple[int, int]:
    """The peaks of the first steps and of later ones, in bytes."""
    from benchmarks.sequences import language_model

    framework: Any = importlib.import_module("torch" if side == "torch" else "flambeau")
    framework.manual_seed(0)
    small = framework.nn.Linear(4, 4)  # what the framework loads when first used is not the step's
    (small(framework.randn(2, 4)).sum() * 2).backward()
    before = resident("VmRSS")
    model = language_model(framework, 65, arguments.width, arguments.context, arguments.layers, arguments.heads)
    optimizer = framework.optim.AdamW(model.parameters(), lr=1e-3)
    shape = (arguments.batch, arguments.context)
    numbers, targets = (framework.randint(0, 65, shape) for _ in range(2))

    def step() -> Any:
        optimizer.zero_grad()
        loss = model(numbers, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = framework.compile(step) if side == "compiled" else step
    reset_peak()
    for _ in range(WARM_UP):
        run()
    first = resident("VmHWM") - before
    if side != "torch":
        framework.empty_cache()
    reset_peak()
    for _ in range(STEPS):
        run()
    return first, resident("VmHWM") - before


def resident(name: str) -> int:
    """A line of the process's status, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system tells no {name}")


def reset_peak() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


if __name__ == "__main__":
    sys.exit(main())
