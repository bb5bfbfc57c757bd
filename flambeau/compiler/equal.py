"""Equal steps are run once: what a later one would compute again is read from the first.

Two steps are equal if they run the same program over the same numbers and the same contents of the same memory. The
later one goes if nobody else writes to either result and the plan's user does not see it. It changes the record's
`steps` only as to which tensors are read; it drops nothing itself (`plan.needed` does).
"""

from __future__ import annotations

from typing import Any

from .plan import CONTRACT, MAP, ROW, Record


def share(record: Record, alive: set[int], kept: set[int]) -> tuple[dict[int, list[Any]], list[str]]:
    """The inputs of steps that now read an equal step's result, by step, and what was found, in words."""
    tensors = record.tensors
    writers: dict[int, list[int]] = {}
    for number in sorted(alive):
        for t in record.steps[number].outputs:
            writers.setdefault(tensors[t].storage, []).append(number)
    by_layout = {(t.storage, t.offset, *t[2:5]): number for number, t in reversed(list(enumerate(tensors)))}
    replaced: dict[int, int] = {}  # tensor -> the one that is read instead
    changed: dict[int, list[Any]] = {}
    notes: list[str] = []
    written: dict[int, int] = {}  # storage -> how often it was written so far
    known: dict[Any, int] = {}
    for number in sorted(alive):
        step = record.steps[number]
        inputs = [replaced.get(i, i) if i.__class__ is int else i for i in step.inputs]
        if inputs != step.inputs:
            changed[number] = inputs
        if step.kind in (MAP, ROW, CONTRACT) and len({tensors[t].storage for t in step.outputs}) == len(step.outputs):
            contents = tuple(written.get(tensors[i].storage, 0) for i in inputs if i.__class__ is int)
            layouts = tuple((t.dtype, t.shape, t.strides, t.bytes) for t in (tensors[o] for o in step.outputs))
            key = (
                step.kind, step.name, id(step.declaration), step.compute, tuple(inputs), contents, step.codes, layouts,
                step.dims, step.keepdim, step.full,
            )  # fmt: skip
            first = known.setdefault(key, number)
            if first != number:
                pairs = list(zip(step.outputs, record.steps[first].outputs, strict=True))
                views = _views(record, pairs, by_layout, writers, kept)
                if views is not None:
                    replaced.update(views)
                    notes.append(f"computed once: {step.name} over {tensors[step.outputs[0]].shape}")
        for t in step.outputs:
            written[tensors[t].storage] = written.get(tensors[t].storage, 0) + 1
    return changed, notes


def _views(
    record: Record,
    pairs: list[tuple[int, int]],
    by_layout: dict[Any, int],
    writers: dict[int, list[int]],
    kept: set[int],
) -> dict[int, int] | None:
    """For each tensor over a result that goes, the same look at the one that stays; None if that cannot be."""
    found: dict[int, int] = {}
    for gone, stays in pairs:
        old, new = record.tensors[gone], record.tensors[stays]
        if old.storage in kept or any(len(writers[t.storage]) != 1 for t in (old, new)):
            return None
        for number, t in enumerate(record.tensors):
            if t.storage != old.storage:
                continue
            same = by_layout.get((new.storage, t.offset - old.offset + new.offset, *t[2:5]))
            if same is None and any(number in step.inputs for step in record.steps):
                return None
            if same is not None:
                found[number] = same
    return found
