"""Rows reduced in parts: one long row as many short ones, then a last small row over their results.

A program that is a map, then reductions, then arithmetic on the reductions (sum, mean, norm, mse, amax, any) is split
in two. "partial" is the map and the reductions; it runs on every part of the row. "final" takes the partial results
as its ELEMENT inputs, reduces them again and does the arithmetic. What needs the elements twice (variance around the
mean, softmax) is not split here.
"""

from __future__ import annotations

from . import scalar
from .program import ELEMENT, REDUCTIONS, ROW, Input, Program, Value, finish

#: The length of every part but the last: kSplitBlock in core/rows.cpp. Only argmax counts on it.
PART = 1 << 15


def split_row(program: Program, inputs: int) -> tuple[Program, Program] | None:
    """`program` as (partial, final), or None if it cannot be split.

    The first `inputs` operands of `program` are tensors, the others parameters. partial: the same operands; one ROW
    output for each reduction, at most four. final: the partial results (ELEMENT), the length of the whole row
    (int64), then the parameters.
    """
    reductions = [value for value in program.topological() if value.op in REDUCTIONS]
    if not reductions or any(value.level is ELEMENT for value in program.outputs):
        return None
    for value in Program("", "row", (), tuple(argument for r in reductions for argument in r.args)).topological():
        if value.op in REDUCTIONS or value.op in ("index", "length"):
            return None
    parts: list[Value] = []  # the reductions that "partial" returns
    leaves: list[Value] = []  # the inputs of "final" that read them

    def partial(reduction: Value) -> Value:
        for known, leaf in zip(parts, leaves, strict=True):
            if known is reduction:
                return leaf
        parts.append(reduction)
        leaves.append(Value("input", (), reduction.dtype, len(leaves), ELEMENT))
        return leaves[-1]

    replaced: dict[int, Value] = {}
    for value in reductions:
        leaf = partial(value)
        if value.op in ("reduce_argmax", "reduce_argmin"):
            op, element = value.op.replace("arg", ""), value.args[0]
            extreme = next((r for r in reductions if r.op == op and r.args[0] is element), None)
            if extreme is None:
                extreme = Value(op, (element,), element.dtype, None, ROW)
            best = Value(value.op, (partial(extreme),), "int64", None, ROW)
            position = leaf + scalar.index() * PART
            replaced[id(value)] = scalar.reduce_sum(scalar.where(scalar.index() == best, position, 0))
        else:
            replaced[id(value)] = Value(value.op, (leaf,), value.dtype, None, ROW)
    count = len(leaves)
    if count > 4 or any(v.op == "input" and v.attr < inputs for v in _above(program.outputs)):
        return None

    def rebuild(value: Value) -> Value:
        """The row-level arithmetic above the reductions, for the whole row's length."""
        found = replaced.get(id(value))
        if found is None:
            if value.op == "length":
                found = Value("input", (), "int64", count, ROW)
            elif value.op == "input":
                found = Value("input", (), value.dtype, count + 1 + value.attr - inputs, ROW)
            else:
                found = Value(value.op, tuple(rebuild(a) for a in value.args), value.dtype, value.attr, value.level)
            replaced[id(value)] = found
        return found

    operands = (*(Input(part.dtype, ELEMENT) for part in parts), Input("int64", ROW), *program.inputs[inputs:])
    first = finish(program.name + "_partial", "row", program.inputs, parts)
    return first, finish(program.name + "_final", "row", operands, [rebuild(value) for value in program.outputs])


def _above(outputs: tuple[Value, ...]) -> list[Value]:
    """The values between the reductions and the outputs."""
    found: list[Value] = []
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value.op not in REDUCTIONS:
            found.append(value)
            stack.extend(value.args)
    return found
