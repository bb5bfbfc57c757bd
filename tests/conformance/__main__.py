"""The table of conformance: which entries of PyTorch's operator database pass, fail or are missing."""

from __future__ import annotations

import argparse
import os
import pickle
import select
import sys
from collections import Counter

from . import harness, table

STATUSES = ("pass", "fail", "missing", "skip")


def isolated(entry, api, limit, seconds, complex_=False):
    """`harness.check` in a child process, so that a crash or a hang is one failed entry."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            outcome = harness.check(entry, api, limit, complex_)
        except BaseException as error:
            outcome = harness.Outcome(harness.full_name(entry), "fail", f"harness: {type(error).__name__}: {error}", 0)
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(tuple(outcome), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        ready = select.select([pipe], [], [], seconds)[0]
        data = pipe.read() if ready else b""
    if not ready:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    if data:
        return harness.Outcome(*pickle.loads(data))
    reason = f"took more than {seconds} s" if not ready else f"crashed with signal {status & 127}"
    return harness.Outcome(harness.full_name(entry), "fail", reason, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="run the entries whose name contains this", default="")
    parser.add_argument("--samples", type=int, default=harness.SAMPLES, help="samples an entry and dtype; 0 is all")
    parser.add_argument("--complex", action="store_true", help="in complex dtypes")
    parser.add_argument("--self", action="store_true", help="check the harness: PyTorch against itself")
    parser.add_argument("--missing", action="store_true", help="list the missing entries as well")
    parser.add_argument("--counted", action="store_true", help="only the entries that the share of conformance counts")
    parser.add_argument("--table", action="store_true", help="every sample of the counted entries; write the table")
    parser.add_argument("--seconds", type=int, default=300, help="the most that one entry may take")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    if chosen.self:
        api = torch
    else:
        import flambeau as api
    if chosen.table:
        chosen.samples, chosen.counted = 0, True
    outcomes = []
    for entry in harness.database():
        wanted = harness.counted(entry) if chosen.counted else harness.in_scope(entry)
        if chosen.only not in harness.full_name(entry) or not wanted:
            continue
        outcome = isolated(entry, api, chosen.samples, chosen.seconds, chosen.complex)
        if chosen.table and outcome.status == "skip":  # no sample in a real dtype
            outcome = isolated(entry, api, chosen.samples, chosen.seconds, True)
        outcomes.append(outcome)
        if outcome.status in ("fail", "skip") or chosen.only:
            print(f"{outcome.status:8} {outcome.name:45} {outcome.samples:4}  {outcome.detail}", flush=True)
    counts = Counter(outcome.status for outcome in outcomes)
    if chosen.missing:
        print("missing:", " ".join(outcome.name for outcome in outcomes if outcome.status == "missing"))
    print(", ".join(f"{counts[status]} {status}" for status in STATUSES), f"of {len(outcomes)}")
    if chosen.table and not chosen.only:
        table.write(outcomes)
    return 1 if counts["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
