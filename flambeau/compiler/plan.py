"""From a record to a plan: which steps stay, which become one kernel, and what the core needs to run them.

A record is what core/python_record.cpp exports: `steps`, each (kind, name, declaration, compute dtype, inputs, outputs,
output codes, reduced dims, keepdim, full shape, constant bytes), where an input is the number of a tensor or (code,
bits) of a Python number, (code, bits, bits) of a complex one; `tensors`, each (storage, offset, dtype, shape, strides,
contiguous, storage bytes); and the leaves whose .grad was touched. It runs nothing and guards nothing
(`flambeau.compiled`, `guards`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import _core

from .program import CODES

MAP, ROW, CONTRACT, ZERO, CONSTANT, CALL = range(6)
KINDS = ("map", "row", "contract", "zeros", "constant", "call")


class Step(NamedTuple):
    """One executed kernel launch."""

    kind: int
    name: str
    declaration: Any
    compute: Any
    inputs: list[Any]
    outputs: list[int]
    codes: tuple[int, ...]
    dims: int
    keepdim: int
    full: tuple[int, ...]
    constant: bytes | None

    def reads(self) -> list[int]:
        """The numbers of the tensors it reads."""
        return [i for i in self.inputs if i.__class__ is int]


class Layout(NamedTuple):
    """One recorded tensor."""

    storage: int
    offset: int
    dtype: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    contiguous: int
    bytes: int


class Record:
    """An exported record."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.refresh()

    def refresh(self) -> None:
        """Read it again, after tensors were added."""
        steps, tensors, self.leaves, self.backward = _core.record_export(self.handle)
        self.steps = [Step(*step) for step in steps]
        self.tensors = [Layout(*tensor) for tensor in tensors]

    def signature(self) -> tuple[Any, ...]:
        """What two records of the same computation have in common, numbers included."""
        first: dict[int, int] = {}  # views of an argument may start anywhere in its memory
        for t in self.tensors:
            first.setdefault(t.storage, t.offset)
        return (
            tuple(
                (s.kind, s.name, tuple(s.inputs), tuple(s.outputs), s.codes, s.dims, s.full, s.constant)
                for s in self.steps
            ),
            tuple((t.storage, t.offset - first[t.storage], *t[2:6]) for t in self.tensors),
        )


class Working:
    """A record's steps while they are improved; `origin` tells which recorded step each one was."""

    def __init__(self, record: Record) -> None:
        self.steps = list(record.steps)
        self.tensors = record.tensors
        self.origin = list(range(len(record.steps)))


def difference(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    """How two signatures differ, in words."""
    import struct

    def number(found: tuple[int, ...]) -> Any:
        if found[0] not in (CODES["float64"], CODES["complex128"]):
            return found[1]
        parts = [struct.unpack("=d", struct.pack("=q", bits))[0] for bits in found[1:]]
        return complex(*parts) if found[0] == CODES["complex128"] else parts[0]

    for one, two in zip(before[0], after[0], strict=False):
        if one == two:
            continue
        if one[1] == two[1] and len(one[2]) == len(two[2]):
            for a, b in zip(one[2], two[2], strict=True):
                if a != b and isinstance(a, tuple) and isinstance(b, tuple):
                    return f"the number that {one[1]} receives changed from {number(a)!r} to {number(b)!r}"
        if one[7] != two[7]:
            return "the values of a tensor made from Python numbers changed"
        return f"the operation {one[1]} became {two[1]}" if one[1] != two[1] else f"the operands of {one[1]} changed"
    return f"the number of operations changed from {len(before[0])} to {len(after[0])}"


class Schedule:
    """The steps of a plan, and what was done to get there."""

    def __init__(self) -> None:
        self.steps: list[Any] = []  # what `plan_make` takes (core/python_plan.cpp)
        self.notes: list[str] = []


def schedule(record: Record, kept: set[int], first: int = 0, last: int | None = None) -> Schedule:
    """The steps to run out of [first, last).

    `kept` are the storages that are read after the plan: results, gradients, what others hold.
    """
    from .equal import share
    from .fuse import Merger
    from .recompute import recompute

    result = Schedule()
    alive = needed(record, kept, first, last)
    every = range(first, len(record.steps) if last is None else last)
    dropped = [record.steps[i].name for i in every if i not in alive]
    if dropped:
        result.notes.append(f"dropped as nobody reads their results: {', '.join(dropped)}")
    work = Working(record)
    changed, notes = share(record, alive, kept)
    result.notes += notes
    for number, inputs in changed.items():
        work.steps[number] = work.steps[number]._replace(inputs=inputs)
    order, notes = recompute(record, work, sorted(alive & needed(work, kept, first, last)), kept)
    result.notes += notes
    merger = Merger(work, order, kept)
    for step in merger.steps():
        if not isinstance(step, int):
            result.steps.append((*step[:4], work.origin[step[4]], *step[5:]))
            continue
        number, now = work.origin[step], work.steps[step]
        recorded = record.steps[number]
        same = now.inputs == recorded.inputs and now.outputs == recorded.outputs
        result.steps.append(number if same else (number, now.inputs, now.outputs))
    result.notes += merger.notes
    return result


def needed(record: Record | Working, kept: set[int], first: int = 0, last: int | None = None) -> set[int]:
    """The numbers of the steps whose results are read later or kept, and of those that check values."""
    wanted = set(kept)
    alive: set[int] = set()
    for i in reversed(range(first, len(record.steps) if last is None else last)):
        step = record.steps[i]
        written = {record.tensors[t].storage for t in step.outputs}
        if written & wanted or not written:  # what writes nothing checks its operands
            alive.add(i)
            wanted.update(record.tensors[t].storage for t in step.reads())
    return alive
