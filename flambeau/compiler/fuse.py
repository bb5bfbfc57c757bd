"""Merging recorded steps: maps over one iteration space become one kernel, and what only they read is never stored.

A row (a reduction, a softmax, a layer norm) takes in the maps that make its operands and those that use its results,
if it runs along the last dimensions of contiguous memory. Its sums go on in the order in which the row alone would add
(`Program.order`), so that merging changes no bit.

It works on a record's steps by storage: a step moves up to the group it joins, or the group moves down to it, only
past steps that touch none of its memory. Programs are composed value by value, so that the merged kernel computes
what the single ones did, bit for bit. It makes no machine code (`service` does when the core first asks).
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from . import bridge
from .expression import spread
from .plan import MAP, Record, Step, Working
from .plan import ROW as ROW_STEP
from .program import CODES, DTYPES, ELEMENT, ROW, Input, Value, finish

#: Operands one merged kernel may have, and outputs (the core's tables: kMaxOperands, Resolution).
OPERANDS, OUTPUTS = 18, 4
#: Rows as long as this may be cut into parts (core/rows.cpp, kSplitLength).
SPLIT = 1 << 16
#: How far back a step looks for a group to join.
WINDOW = 64
_HALF = (CODES["float16"], CODES["bfloat16"])


class Merged:
    """A declaration of one composed program."""

    parameters = ()
    doc = "Several recorded operations in one kernel."

    def __init__(self, program: Any) -> None:
        self.name, self.kind, self.program = program.name, program.kind, program
        self.inputs = tuple(f"operand_{i}" for i in range(len(program.inputs)))
        self.levels = tuple(operand.level for operand in program.inputs)
        self.needs_gradient = (False,) * len(self.inputs)

    def resolve(self, operands: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], tuple[int, ...], str]:
        """The dtypes are those of the program."""
        return tuple(code for code, _ in operands), tuple(CODES[v.dtype] for v in self.program.outputs), "merged"

    def trace(self, operand_codes: Any, output_codes: Any, compute_name: str) -> Any:
        """The program itself."""
        del operand_codes, output_codes, compute_name
        return self.program

    def gradient(self, *_: Any) -> None:
        """None: it runs after autograd."""
        return None


_operations: dict[str, Any] = {}  # by program: operations live as long as the process


def _operation(program: Any) -> Any:
    from flambeau._core import Operation

    key = program.text()
    found = _operations.get(key)
    if found is None:
        found = _operations[key] = Operation(Merged(program))
    return found


def program_of(operation: Any) -> Any:
    """The program of a merged operation."""
    return operation.declaration.program


class Unit:
    """Steps that run as one kernel, or one step."""

    __slots__ = ("members", "reads", "row", "shape", "tensors", "writes")

    def __init__(self, number: int, record: Record | Working) -> None:
        step = record.steps[number]
        self.members = [number]
        #: The number of its row, if it has one.
        self.row: int | None = number if step.kind == ROW_STEP else None
        self.reads = {record.tensors[t].storage for t in step.reads()}
        self.writes = {record.tensors[t].storage for t in step.outputs}
        self.tensors = {*step.reads(), *step.outputs}
        self.shape = _space(record, step)

    def conflicts(self, other: Unit) -> bool:
        """Whether the two must stay in order; a check (it writes nothing) stays before what reads its memory."""
        if not (self.writes and other.writes) and self.reads & other.reads:
            return True
        return bool(self.writes & (other.reads | other.writes) or self.reads & other.writes)

    def absorb(self, other: Unit) -> None:
        """Run another unit's steps after this one's own."""
        self.members += other.members
        if self.row is None:
            self.row = other.row
        self.reads |= other.reads
        self.writes |= other.writes
        self.tensors |= other.tensors


def _space(record: Record | Working, step: Step) -> tuple[int, ...] | None:
    """The shape a map or row runs over, or None if it cannot be merged."""
    if (
        step.kind not in (MAP, ROW_STEP)
        or any(code in _HALF for code in step.codes)
        or any(i.__class__ is int and record.tensors[i].dtype in _HALF for i in step.inputs)
    ):
        return None
    if step.kind == ROW_STEP:
        return step.full if _plain_row(record, step) else None
    outputs = [record.tensors[t] for t in step.outputs]
    if not all(t.contiguous and t.shape == outputs[0].shape for t in outputs):
        return None
    return outputs[0].shape


def _program(record: Record | Working, step: Step) -> Any:
    codes = tuple(record.tensors[i].dtype if i.__class__ is int else i[0] for i in step.inputs)
    return bridge._trace(step.declaration, codes, step.codes, step.compute)


def _kept(step: Step) -> int:
    """How many dimensions a row keeps, if it reduces the last ones; else -1."""
    ndim = len(step.full)
    kept = ndim - step.dims.bit_count()
    return kept if step.dims >> kept == (1 << (ndim - kept)) - 1 and not step.dims & ((1 << kept) - 1) else -1


def _along(layout: Any, full: tuple[int, ...], kept: int) -> str:
    """How an operand lies along a row: "c" contiguous, "z" the same for all of it, "" otherwise."""
    if not layout.contiguous or len(layout.shape) > len(full):
        return ""
    shape = (1,) * (len(full) - len(layout.shape)) + layout.shape
    if any(size not in (1, whole) for size, whole in zip(shape, full, strict=True)):
        return ""
    if shape[kept:] == full[kept:]:
        return "c"
    return "z" if all(size == 1 for size in shape[kept:]) else ""


def _plain_row(record: Record | Working, step: Step) -> bool:
    """Whether a row is one that the core walks along memory, all of it, in one kernel (core/rows.cpp)."""
    kept = _kept(step)
    if kept < 0 or not 1 < prod(step.full[kept:]) < SPLIT or 0 in step.full:
        return False
    program = _program(record, step)
    if any(value.op in ("index", "reduce_argmax", "reduce_argmin") for value in program.topological()):
        return False
    whole = False
    for i, operand in zip(step.inputs, program.inputs, strict=True):
        if operand.level is ELEMENT and i.__class__ is int:
            layout = record.tensors[i]
            if not _along(layout, step.full, kept):
                return False
            whole = whole or layout.shape == step.full
    for t, value in zip(step.outputs, program.outputs, strict=True):
        layout = record.tensors[t]
        if not layout.contiguous or (value.level is ELEMENT and layout.shape != step.full):
            return False
    return whole


class Merger:
    """Merges the steps `alive` of a record; `kept` are the storages read after the plan."""

    def __init__(self, record: Record | Working, alive: list[int], kept: set[int]) -> None:
        self.record, self.kept = record, kept
        self.readers: dict[int, set[int]] = {}
        for number in alive:
            for t in record.steps[number].reads():
                self.readers.setdefault(record.tensors[t].storage, set()).add(number)
        self.units: list[Unit] = []
        self.notes: list[str] = []
        for number in alive:
            self._place(Unit(number, record))

    def steps(self) -> list[Any]:
        """What `plan_make` takes."""
        result: list[Any] = []
        for unit in self.units:
            if len(unit.members) == 1 and not self._overwrites(self.record.steps[unit.members[0]]):
                result.append(unit.members[0])
                continue
            row = None if unit.row is None else self.record.steps[unit.row]
            program, inputs, outputs = self._compose(unit)
            names = [self.record.steps[n].name for n in unit.members]
            text = "+".join(names) if len(names) <= 8 else "+".join(names[:8]) + f"+{len(names) - 8} more"
            space = () if row is None else (row.dims, row.keepdim, row.full)
            result.append((_operation(program), inputs, outputs, text, unit.members[-1], *space))
            if len(names) > 1:
                self.notes.append(f"merged into one kernel over {unit.shape}: {', '.join(names)}")
        self.notes += self._apart()
        return result

    def _overwrites(self, step: Step) -> bool:
        """Whether a map is given the old value of what it writes and never looks at it (random numbers in place)."""
        both = [k for k, i in enumerate(step.inputs) if i.__class__ is int and i in step.outputs]
        if step.kind != MAP or not both:
            return False
        program = _program(self.record, step)
        read = {value.attr for value in program.topological() if value.op == "input"}
        return any(k not in read for k in both)

    def _apart(self) -> list[str]:
        """Why neighbours over one space are separate kernels."""
        found = []
        for one, two in pairwise(self.units):
            if one.shape is None or two.shape is None or not one.writes & two.reads:
                continue
            names = f"{self.record.steps[one.members[-1]].name} and {self.record.steps[two.members[0]].name}"
            if one.shape != two.shape:
                found.append(f"not merged: {names} run over {one.shape} and {two.shape}")
            else:
                found.append(f"not merged: {names} would need too many operands, or see one memory in two layouts")
        return found

    def _place(self, unit: Unit) -> None:
        if unit.shape is not None:
            for back in range(1, min(WINDOW, len(self.units)) + 1):
                target = self.units[-back]
                after = self.units[len(self.units) - back + 1 :]
                if target.shape != unit.shape or not self._related(target, unit) or not self._fits(target, unit):
                    continue
                if not any(unit.conflicts(each) for each in after):
                    target.absorb(unit)
                    return
                if not any(target.conflicts(each) for each in after):
                    del self.units[-back]
                    target.absorb(unit)
                    self.units.append(target)
                    return
        self.units.append(unit)

    def _related(self, target: Unit, unit: Unit) -> bool:
        """Whether merging saves memory traffic, or a call where there is little else."""
        if target.row is not None or unit.row is not None:
            return bool(target.writes & unit.reads)
        return prod(unit.shape or ()) <= 64 or bool(target.writes & unit.reads or target.reads & unit.reads)

    def _fits(self, target: Unit, unit: Unit) -> bool:
        if (target.row is not None or unit.row is not None) and not self._fit_row(target, unit):
            return False
        # Memory that is written must be seen in one layout only: each element is read before it is written.
        written = target.writes | unit.writes
        seen: dict[int, int] = {}
        for t in target.tensors | unit.tensors:
            storage = self.record.tensors[t].storage
            if storage in written and seen.setdefault(storage, t) != t:
                return False
        members = {*target.members, *unit.members}
        outputs = {s for s in written if s in self.kept or self.readers.get(s, set()) - members}
        inputs: set[Any] = set()
        made: set[int] = set()
        for number in sorted(members):
            step = self.record.steps[number]
            inputs.update(i for i in step.inputs if i not in made)
            made.update(step.outputs)
        return len(outputs) <= OUTPUTS and len(inputs) <= OPERANDS and bool(outputs)

    def _fit_row(self, target: Unit, unit: Unit) -> bool:
        """Whether a row and maps can share a kernel whose sums have the order of the row alone."""
        if target.row is not None and unit.row is not None:
            return False
        number = unit.row if target.row is None else target.row
        assert number is not None
        row, record = self.record.steps[number], self.record
        kept, full = _kept(row), row.full
        levels = {t: v.level for t, v in zip(row.outputs, _program(record, row).outputs, strict=True)}
        for i, operand in zip(row.inputs, _program(record, row).inputs, strict=True):
            if operand.level is ROW and i.__class__ is int and record.tensors[i].storage in target.writes:
                return False
        made: set[int] = set()
        whole = False
        for n in sorted({*target.members, *unit.members}):
            step = record.steps[n]
            if n != number and any(value.op == "index" for value in _program(record, step).topological()):
                return False
            for i in step.inputs:
                if i.__class__ is not int:
                    continue
                along = _along(record.tensors[i], full, kept)
                if n == number and i not in made and not along:
                    continue  # one value a row
                if i in made:
                    if levels.get(i, ELEMENT) is ROW and along != "z":
                        return False
                    continue
                if n != number and not along:
                    return False
                whole = whole or record.tensors[i].shape == full
            made.update(step.outputs)
        return whole

    def _compose(self, unit: Unit) -> tuple[Any, list[Any], list[int]]:
        record, members = self.record, sorted(unit.members)
        unit.members = members
        values: dict[int, Value] = {}  # tensor -> what it holds
        leaves: dict[Any, Value] = {}
        operands: list[Any] = []
        inputs: list[Input] = []

        def leaf(operand: Any, level: str) -> Value:
            found = leaves.get((operand, level))
            if found is None:
                dtype = DTYPES[record.tensors[operand].dtype if operand.__class__ is int else operand[0]]
                found = leaves[operand, level] = Value("input", (), dtype, len(operands), level)
                operands.append(operand)
                inputs.append(Input(dtype, level))
            return found

        for number in members:
            step = record.steps[number]
            program = _program(record, step)
            given = [
                values[i] if i.__class__ is int and i in values else leaf(i, operand.level)
                for i, operand in zip(step.inputs, program.inputs, strict=True)
            ]
            done: dict[int, Value] = {}
            for value in program.topological():
                if value.op == "input":
                    done[id(value)] = given[value.attr]
                elif value.op in ("real", "imag") and done[id(value.args[0])].op == "complex":
                    done[id(value)] = done[id(value.args[0])].args[value.op == "imag"]
                else:
                    done[id(value)] = Value(
                        value.op, tuple(done[id(a)] for a in value.args), value.dtype, value.attr, value.level
                    )
            for t, value in zip(step.outputs, program.outputs, strict=True):
                made = done[id(value)]
                values[t] = spread(made) if unit.row is not None and value.level is ELEMENT else made
        inside = set(members)
        outputs = [
            t
            for t in values
            if record.tensors[t].storage in self.kept or self.readers.get(record.tensors[t].storage, set()) - inside
        ]
        kind = "map" if unit.row is None else "row"
        used: set[int] = set()
        roots = [values[t] for t in outputs]
        program = finish("merged", kind, tuple(inputs), roots)
        used = {v.attr for v in program.topological() if v.op == "input"}
        if len(used) < len(inputs):  # overwritten before anything read it
            order = sorted(used)
            place = {old: new for new, old in enumerate(order)}
            for value in program.topological():
                if value.op == "input":
                    value.attr = place[value.attr]
            operands = [operands[i] for i in order]
            program = finish("merged", kind, tuple(inputs[i] for i in order), list(program.outputs))
        if unit.row is not None and len(members) > 1:
            program = program._replace(order=self._order(record.steps[unit.row]))
        return program, operands, outputs

    def _order(self, row: Step) -> tuple[int, ...]:
        """In which order the row alone adds."""
        from .emit_row import summing_order
        from .mathematics import lower_program
        from .target import host

        program, kept = _program(self.record, row), _kept(row)
        classes = "".join("-" if value.level is ROW else "c" for value in program.outputs)
        for i, operand in zip(row.inputs, program.inputs, strict=True):
            along = _along(self.record.tensors[i], row.full, kept) if i.__class__ is int else "z"
            classes += "-" if operand.level is ROW else along
        return summing_order(lower_program(program), classes, host())
