"""Values that are cheaper to compute again than to keep: large results of maps, read soon and again much later.

A map whose operands are alive at the later read anyway is run once more just before it; between the two its memory is
free for others. So activations need not wait for the backward pass when what they were made of does. It decides about
whole steps; merging (`fuse`) then often puts the second run into the kernel that reads the same operands.
"""

from __future__ import annotations

from typing import Any

from flambeau import _core

from .plan import MAP, Record, Step, Working

#: Results smaller than this stay in a cache, where reading is cheaper than computing.
LEAST = 1 << 21
#: Steps between two reads from which on the memory is worth having.
GAP = 24


def recompute(record: Record, work: Working, alive: list[int], kept: set[int]) -> tuple[list[int], list[str]]:
    """The steps to run, by their number in `work`, which now has second runs; and what was done, in words."""
    steps, tensors = work.steps, record.tensors
    place = {number: i for i, number in enumerate(alive)}
    readers: dict[int, list[int]] = {}  # storage -> places
    writers: dict[int, list[int]] = {}
    for number in alive:
        for t in dict.fromkeys(steps[number].reads()):
            readers.setdefault(tensors[t].storage, []).append(place[number])
        for t in steps[number].outputs:
            writers.setdefault(tensors[t].storage, []).append(place[number])
    chosen: list[tuple[int, list[int]]] = []  # the step, and the places of its late readers
    for number in alive:
        late = _late(record, steps[number], place[number], readers, writers, kept)
        if late:
            chosen.append((number, late))
            storage = tensors[steps[number].outputs[0]].storage
            readers[storage] = [p for p in readers[storage] if p < late[0]]
            for t in steps[number].reads():
                readers[tensors[t].storage] = sorted([*readers[tensors[t].storage], late[0]])
    if not chosen:
        return alive, []
    again: list[tuple[int, Step]] = []  # before which place, and the second run
    for number, late in chosen:
        gone = steps[number].outputs[0]
        views = _fresh(record, gone)
        again.append((late[0], steps[number]._replace(outputs=[views[gone]])))
        for p in late:
            step = steps[alive[p]]
            steps[alive[p]] = step._replace(inputs=[views.get(i, i) if i.__class__ is int else i for i in step.inputs])
    record.refresh()
    work.tensors = record.tensors
    names = [steps[number].name for number, _ in chosen]
    result: list[int] = []
    ordered: list[Step] = []
    origin: list[int] = []
    for p, number in enumerate(alive):
        for (before, step), (source, _) in zip(again, chosen, strict=True):
            if before == p:
                result.append(len(ordered))
                ordered.append(step)
                origin.append(work.origin[source])
        result.append(len(ordered))
        ordered.append(steps[number])
        origin.append(work.origin[number])
    work.steps, work.origin = ordered, origin
    return result, [f"computed again instead of kept: {', '.join(names)}"]


def _late(
    record: Record, step: Step, place: int, readers: dict[int, list[int]], writers: dict[int, list[int]], kept: set[int]
) -> list[int]:
    """The places of the readers that a second run would serve; none if it does not pay or cannot be."""
    if step.kind != MAP or len(step.outputs) != 1:
        return []
    made = record.tensors[step.outputs[0]]
    reads = readers.get(made.storage, [])
    if made.bytes < LEAST or made.storage in kept or len(writers[made.storage]) > 1:
        return []
    if not made.contiguous or made.offset:
        return []
    if any(t.storage == made.storage and t.dtype != made.dtype for t in record.tensors):  # seen as other numbers
        return []
    gap, start = max(((b - a, b) for a, b in zip([place, *reads], reads, strict=False)), default=(0, 0))
    if gap < GAP:
        return []
    size = 0
    for t in step.reads():
        operand = record.tensors[t]
        if operand.storage == made.storage or any(p > place for p in writers.get(operand.storage, [])):
            return []
        if operand.storage not in kept and operand.bytes > made.bytes // 8 and max(readers[operand.storage]) < start:
            return []
        size += operand.bytes
    from .fuse import _program

    program = _program(record, step)
    if size > made.bytes * 5 // 4 or any(value.op == "index" for value in program.topological()):
        return []
    return [p for p in reads if p >= start]


def _fresh(record: Record, gone: int) -> dict[int, int]:
    """New memory like that of a tensor, seen in all the ways in which the old one is: old number -> new number."""
    old: Any = _core.record_tensor(record.handle, gone)
    new = _core.empty(tuple(old.shape), old.dtype)
    storage, size = record.tensors[gone].storage, old.element_size()
    found = {}
    for number, layout in enumerate(record.tensors):
        if layout.storage == storage:
            view = new.as_strided(layout.shape, layout.strides, layout.offset // size)
            found[number] = _core.record_number(record.handle, view)
    return found
