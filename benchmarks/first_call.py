"""What the first calls of a training step cost: `python -m benchmarks.first_call [names]`.

Each side runs in a process of its own: the eager step and the compiled one, with an empty cache of machine code and
with a filled one. Imports and the making of the model are not counted. A plan is in use from the third call on (with
Adam from the fourth), so the cost is what the first four calls take, less four calls as they are later.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

CALLS = 4
ROUNDS = 3


def child(name: str, compiled: bool) -> None:
    """Print the seconds of the first calls, and of a later one."""
    import flambeau as fl
    from benchmarks.workloads import WORKLOADS

    fl.set_num_threads(2)
    step = next(w for w in WORKLOADS if w.name == name).make(fl)
    if compiled:
        step = fl.compile(step)
    spans = []
    for _ in range(CALLS + 20):
        begin = time.perf_counter()
        step()
        spans.append(time.perf_counter() - begin)
    print(json.dumps({"first": spans[0], "begin": sum(spans[:CALLS]), "later": min(spans[CALLS:])}))


def run(name: str, compiled: bool, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.first_call", "--child", name, "compiled" if compiled else "eager"]
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": folder}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(found.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_call", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=["housing_32", "gpt_small"])
    parser.add_argument("--child", nargs=2, metavar=("NAME", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child[0], options.child[1] == "compiled")
    for name in options.names:
        for title in ("empty cache", "filled cache"):
            least: dict[bool, dict[str, float]] = {}
            for _ in range(ROUNDS):
                for compiled in (False, True):
                    with tempfile.TemporaryDirectory() as folder:
                        if title == "filled cache":
                            run(name, compiled, folder)
                        found = run(name, compiled, folder)
                    if compiled not in least or found["begin"] < least[compiled]["begin"]:
                        least[compiled] = found
            eager, plan = least[False], least[True]
            more = plan["begin"] - eager["begin"]
            print(
                f"{name:12} {title:13} first call {plan['first']:.3f} s compiled, {eager['first']:.3f} s eager; "
                f"first {CALLS} calls {plan['begin']:.3f} s and {eager['begin']:.3f} s: {more:+.3f} s"
            )
    return None


if __name__ == "__main__":
    main()
