"""Random calls in child processes; see the package."""

from __future__ import annotations

import argparse
import os
import pickle
import select
import sys
import time
from collections import Counter
from typing import Any

from . import worker

SPAN = 250


def span(first: int, count: int, seconds: float) -> tuple[list[tuple[int, str, str]], int]:
    """(findings, the number after the last call that was run) of a child process over the calls from `first`."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        done: Any = None
        try:
            done = worker.run(first, count, lambda number: os.write(write, b"#" + number.to_bytes(8, "little")))
        except BaseException as error:
            done = [(-1, "", f"the judge failed: {type(error).__name__}: {error}")]
        data = pickle.dumps(done)
        os.write(write, b"=" + len(data).to_bytes(8, "little"))
        with os.fdopen(write, "wb") as pipe:
            pipe.write(data)
        os._exit(0)
    os.close(write)
    current, result = first, None
    with os.fdopen(read, "rb", buffering=0) as pipe:
        deadline = time.monotonic() + seconds
        while True:
            ready = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]
            head = _exactly(pipe, 9) if ready else b""
            if len(head) < 9:
                break
            deadline = time.monotonic() + seconds
            number = int.from_bytes(head[1:], "little")
            if head[:1] == b"=":
                result = pickle.loads(_exactly(pipe, number))
                break
            current = number
        hung = result is None and not ready
    if hung:
        os.kill(child, 9)
    status = os.waitpid(child, 0)[1]
    if result is not None:
        return [(current if number < 0 else number, text, verdict) for number, text, verdict in result], first + count
    what = f"took more than {seconds} s" if hung else f"crashed the process (signal {status & 127})"
    return [(current, worker.make(current).text(), what)], current + 1


def _exactly(pipe: Any, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = pipe.read(count - len(data))
        if not part:
            break
        data += part
    return data


def run(first: int, count: int, seconds: float = 60.0, report: Any = None) -> list[tuple[int, str, str]]:
    """The findings of `count` calls; what a crash hides of its span is run again."""
    found: list[tuple[int, str, str]] = []
    at, end = first, first + count
    while at < end:
        part, after = span(at, min(SPAN, end - at), seconds)
        crashed = after < min(at + SPAN, end) or (part and "crashed" in part[-1][2])
        if crashed and part[0][0] > at:
            found += span(at, part[0][0] - at, seconds)[0]
        found += part
        if report:
            for each in part:
                report(each)
        at = after
    return found


def memory(first: int, count: int, turns: int = 4) -> list[tuple[int, int]]:
    """(resident KiB, tensor memory in use in bytes) after each turn of the same calls in this process."""
    import gc

    import flambeau

    found = []
    for _ in range(turns):
        for number in range(first, first + count):
            worker.attempt(worker.make(number), flambeau)
        gc.collect()
        with open("/proc/self/status", encoding="ascii") as lines:
            resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        found.append((resident, flambeau.memory_statistics()["allocated"]))
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="how many calls")
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    parser.add_argument("--seconds", type=float, default=60.0, help="the most that one call may take")
    parser.add_argument("--memory", action="store_true", help="run the calls four times here and print what is kept")
    parser.add_argument("--show", type=int, help="run this one call here and print it")
    chosen = parser.parse_args()
    if chosen.show is not None:
        for _number, _text, verdict in worker.run(chosen.show, 1, lambda number: None, show=True):
            print(verdict)
        return 0
    if chosen.memory:
        for turn, (resident, used) in enumerate(memory(chosen.first, chosen.calls)):
            print(f"turn {turn}: {resident} KiB resident, {used} bytes of tensors in use")
        return 0
    began = time.monotonic()
    found = run(
        chosen.first,
        chosen.calls,
        chosen.seconds,
        lambda each: print(f"{each[0]}: {each[1][:300]}\n    {each[2]}", flush=True),
    )
    names = Counter(text.split("(")[0] for _number, text, _verdict in found)
    print(f"{chosen.calls} calls, {len(found)} findings, {time.monotonic() - began:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in names.most_common()))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
