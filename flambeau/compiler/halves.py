"""A forward pass whose backward runs outside: one record of both, and a plan for each half.

While the function is still recorded its outputs are differentiated, with tensors that stand for the gradients that will
come. The steps up to there are the forward plan, which also returns what backward reads; the rest is the backward plan.
It makes no plans itself (`flambeau.compiled`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import _core
from flambeau.compiler.plan import Record, needed


class Half(NamedTuple):
    """Where a record is cut.

    `cut`: the steps of the forward pass; `places`: which tensors of the result have a history; `inputs`: what is
    differentiated, (True, number of the argument) or (False, tensor); `cotangents`, `gradients`: tensors of the record.
    """

    cut: int
    places: list[int]
    inputs: list[tuple[bool, Any]]
    cotangents: list[Any]
    gradients: tuple[Any, ...]


def differentiate(result: list[Any], arguments: list[Any], roots: list[Any]) -> Half | None:
    """Record the backward pass of a function that has just returned the tensors `result`; None if there is none."""
    places = [i for i, tensor in enumerate(result) if tensor.requires_grad and not tensor.is_leaf]
    cut, backward = _core.record_progress()
    if not places or backward:
        return None
    inputs: list[tuple[bool, Any]] = [(True, i) for i, tensor in enumerate(arguments) if tensor.requires_grad]
    known = {id(tensor) for tensor in arguments}
    inputs += [(False, t) for t in roots if t.requires_grad and t.is_leaf and id(t) not in known]
    if not inputs:
        return None
    outputs = [result[i] for i in places]
    cotangents = [_core.empty(tuple(tensor.shape), tensor.dtype) for tensor in outputs]
    wanted = [arguments[each] if is_argument else each for is_argument, each in inputs]
    gradients = _core.run_backward(outputs, cotangents, False, False, wanted, False)
    return Half(cut, places, inputs, cotangents, gradients)


def saved(record: Record, half: Half, outside: set[int], kept: set[int]) -> list[int]:
    """The tensors that the forward plan must hand to the backward plan: one for each storage."""
    made = {record.tensors[t].storage for step in record.steps[: half.cut] for t in step.outputs}
    found: dict[int, int] = {}
    alive = needed(record, kept, half.cut)
    for number in sorted(alive):
        for t in record.steps[number].reads():
            storage = record.tensors[t].storage
            if storage in made and storage not in outside:
                found.setdefault(storage, t)
    for t in (_core.record_number(record.handle, g) for g in half.gradients if g is not None):
        storage = record.tensors[t].storage
        if (
            storage in made
            and storage not in outside
            and not any(record.tensors[o].storage == storage for n in alive for o in record.steps[n].outputs)
        ):
            # The first tensor there is a step's own: its number is the same in every record of the function.
            found.setdefault(storage, next(n for n, each in enumerate(record.tensors) if each.storage == storage))
    return list(found.values())


class Pull:
    """The backward of one call: runs the backward plan on what the forward plan saved."""

    __slots__ = ("arguments", "name", "plan", "saved", "versions")

    def __init__(self, name: str, plan: Any, saved: list[Any], arguments: list[Any], watched: list[Any]) -> None:
        self.name, self.plan, self.saved, self.arguments = name, plan, saved, arguments
        self.versions = [(tensor, tensor._version) for tensor in (*saved, *watched)]

    def __call__(self, *cotangents: Any) -> tuple[Any, ...]:
        """The gradients of the inputs."""
        if _core.is_grad_enabled():
            raise RuntimeError(
                f"{self.name}: a compiled function can be differentiated once: call backward() without create_graph, "
                "or use the function itself"
            )
        if any(tensor._version != version for tensor, version in self.versions):
            raise RuntimeError(
                f"{self.name}: a tensor that the backward of this compiled function reads has been modified by an "
                "inplace operation since; clone() it before changing it"
            )
        seen: set[int] = set()
        given = []
        for cotangent, layout in zip(cotangents, self.plan[1], strict=True):
            if cotangent is None:
                cotangent = _core.full(layout[0], 0, layout[1])
            cotangent = cotangent.detach().contiguous()
            storage = _core.storage_key(cotangent)[1]
            if storage in seen:
                cotangent = cotangent.clone()
            seen.add(_core.storage_key(cotangent)[1])
            given.append(cotangent)
        result = _core.plan_run(self.plan[0], (self.saved, self.arguments, given), {})
        if result is NotImplemented:
            why = _core.plan_misfit(self.plan[0], (self.saved, self.arguments, given), {})
            raise RuntimeError(f"{self.name}: {why} changed between forward and backward of a compiled function")
        return result
