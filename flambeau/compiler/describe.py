"""What a compiled function's plans do, as text: steps, what was merged and what was not, costs, programs.

It reads plans and changes nothing; `flambeau.compiled` calls it.
"""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau import _core

from . import bridge
from .plan import CONTRACT, MAP, ROW, Record, Step

SINGLE, CHAIN, BUNDLE = range(3)
_BYTES = (1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 2, 4, 8, 8, 16)  # of an element, by dtype code


def explain(name: str, entries: list[Any], timings: bool) -> str:
    """The text of `CompiledFunction.explain`."""
    lines = [f"{name}: {len(entries)} plans"]
    for number, entry in enumerate(entries):
        launches, _, arena, runs, groups = _core.plan_show(entry.handle)
        lines.append(
            f"plan {number}: made because of {entry.reason}; {len(launches)} steps in {len(groups)} groups, "
            f"arena of {arena} bytes, "
            f"{'run ' + str(runs) + ' times' if entry.trusted else 'not yet confirmed by a second record'}"
        )
        if timings and not any(group[4] > 0 for group in groups):
            _core.plan_time(entry.handle, True)
            lines.append("  no run was timed yet: call the function, then explain(timings=True) again")
        members = _members(entry)
        for kind, first, count, units, seconds, packed, kept, local, why in groups:
            taken = f"  {1e6 * seconds:.1f} us" if timings and seconds > 0 else ""
            if kind == SINGLE:
                step = _line(entry.record, launches[first], members)
                lines.append(f"  {first:3d} {step}{taken}{f'  ({why})' if why else ''}")
                continue
            head = "side by side" if kind == BUNDLE else f"together, block by block of {units} rows"
            if local:
                head += f", {local} results never stored"
            if packed:
                head += f", {packed} weights packed" + (f" ({kept} kept while unchanged)" if kept else "")
            lines.append(f"      {head}:{taken}")
            lines += [f"  {i:3d}   {_line(entry.record, launches[i], members)}" for i in range(first, first + count)]
        lines += [f"  {note}" for note in entry.schedule.notes]
    return "\n".join(lines)


def _members(entry: Any) -> dict[int, Any]:
    """The recorded or merged step behind each step number of a launch."""
    found: dict[int, Any] = {}
    for each in entry.schedule.steps:
        if isinstance(each, int):
            found[each] = each
        elif len(each) == 3:
            found[each[0]] = each[0]
        else:
            found[each[4]] = each
    return found


def _line(record: Record, launch: Any, members: dict[int, Any]) -> str:
    name, number = launch[0], launch[1]
    if number < 0:
        return str(name)
    shapes = ", ".join(str(record.tensors[t].shape) for t in record.steps[number].outputs)
    moved, operations = _cost(record, members.get(number, number))
    return f"{name} -> {shapes}  {_amount(moved, 'B')}, {_amount(operations, 'flop')}"


def _cost(record: Record, step: Any) -> tuple[int, int]:
    """Bytes read and written, and about how many operations on numbers."""
    if isinstance(step, int):
        recorded: Step = record.steps[step]
        tensors, inputs = [*recorded.reads(), *recorded.outputs], recorded.inputs
        full = recorded.full
    else:
        tensors, inputs = [i for i in step[1] if isinstance(i, int)] + step[2], step[1]
        full = step[7] if len(step) > 5 else ()
    layouts = [record.tensors[t] for t in tensors]
    moved = sum(prod(t.shape) * _BYTES[t.dtype] for t in layouts)
    if isinstance(step, int) and recorded.kind == CONTRACT:
        return moved, 2 * prod(record.tensors[recorded.outputs[0]].shape) * record.tensors[inputs[0]].shape[-1]
    if isinstance(step, int) and recorded.kind not in (MAP, ROW):
        return moved, 0
    program = _program(record, step)
    steps = sum(value.op not in ("input", "const", "cast", "length", "index") for value in program.topological())
    return moved, steps * prod(full or layouts[-1].shape)


def _amount(count: int, unit: str) -> str:
    for name in ("", "k", "M", "G"):
        if count < 1000 or name == "G":
            return f"{count:.3g} {name}{unit}"
        count /= 1000  # type: ignore[assignment]
    return ""


def _program(record: Record, step: Any) -> Any:
    if not isinstance(step, int):
        return step[0].declaration.program
    recorded = record.steps[step]
    codes = tuple(record.tensors[i].dtype if isinstance(i, int) else i[0] for i in recorded.inputs)
    return bridge._trace(recorded.declaration, codes, recorded.codes, recorded.compute)


def show(entry: Any) -> str:
    """The text of `CompiledFunction.show`."""
    from . import service
    from .program import ROW as ROW_LEVEL

    record, parts = entry.record, []
    for each in entry.schedule.steps:
        each = each[0] if isinstance(each, tuple) and len(each) == 3 else each
        if isinstance(each, int):
            step = record.steps[each]
            shapes = ", ".join(str(record.tensors[t].shape) for t in step.outputs)
            parts.append(f"{step.name} -> {shapes}" if step.declaration is None else _program(record, each).text())
            continue
        program = _program(record, each)
        letters = ["z" if isinstance(i, tuple) else "c" for i in each[1]]
        levels = [value.level for value in program.outputs] + [operand.level for operand in program.inputs]
        classes = ["c"] * len(each[2]) + letters
        if program.kind == "row":
            classes = ["-" if level is ROW_LEVEL else letter for level, letter in zip(levels, classes, strict=True)]
        elif any(value.op == "index" for value in program.topological()):
            classes.append("c")
        schedule = "inner" if program.kind == "row" else ""
        parts += [program.text(), service.write_ir(program, "".join(classes), schedule)[0]]
    return "\n\n".join(parts)
