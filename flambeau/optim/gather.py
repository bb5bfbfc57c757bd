"""Gathering one group's tensors for a fused call: parameters, gradients and state, by the number of steps they had.

Parameters that began together share one step tensor, so that a step counts once for all of them; the lists are built
anew at every step from the group and the state, which programs are free to edit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core, recording

__all__ = ["Bundle", "choose", "gather", "learning_rate", "set_shared_number", "shared_number"]

Tensor = flambeau.Tensor
#: The lists that a call writes, by how many columns it has: all but the gradients.
_WRITTEN = ((0,), (0, 2), (0, 2, 3), (0, 2, 3, 4))


class Bundle:
    """Tensors of one group that take the same step: `step` is its number, counted from 1."""

    __slots__ = ("gradients", "params", "states", "step", "tensor")

    def __init__(self, params: list, gradients: list, states: list, step: Any, tensor: Any) -> None:
        self.params = params
        self.gradients = gradients
        self.states = states
        self.step = step
        self.tensor = tensor

    def column(self, name: str) -> list:
        """One state tensor of every parameter."""
        return [state[name] for state in self.states]

    def run(self, operation: Any, scalars: tuple, *columns: str) -> None:
        """One fused call that writes the parameters and the named state tensors anew."""
        states = self.states
        lists = [self.params, self.gradients]
        for name in columns:
            lists.append([state[name] for state in states])
        _core.foreach(operation, lists, scalars, _WRITTEN[len(columns)])


def learning_rate(group: dict) -> Any:
    """A group's learning rate as a number; while a compiled function is recorded, as a tensor that follows it."""
    rate = group["lr"]
    if recording.active is None:
        return float(rate)
    return rate.detach().double() if isinstance(rate, Tensor) else recording.active.number(group, "lr")


def choose(condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, else `other`: numbers, or tensors while a compiled function is recorded."""
    return flambeau.where(condition, one, other) if isinstance(condition, Tensor) else one if condition else other


def shared_number(states: list, name: str) -> Any:
    """A number that the states have in common, kept as a tensor."""
    first = states[0][name]
    return float(first) if recording.active is None else first.double()


def set_shared_number(optimizer: Any, states: list, name: str, value: Any) -> None:
    """Give the states one new tensor with the number, or write it in place where nobody else has the old one.

    A plan repeats what is written in place, and a tensor that is replaced at every step would be lost to it.
    """
    if isinstance(value, Tensor):
        first = states[0][name]
        holders = [state for state in optimizer.state.values() if state.get(name) is first]
        if len(holders) == len(states) and all(state[name] is first for state in states):
            first.copy_(value)
            return
        shared = value.to(flambeau.float32)
    else:
        shared = flambeau.tensor(value, dtype=flambeau.float32)
    for state in states:
        state[name] = shared


def gather(optimizer: Any, group: dict, start: Callable[[Any, dict], dict], seen: list) -> list[Bundle]:
    """The bundles of a group, their step counts raised by one.

    Arguments: `start`, makes the state of a parameter at its first step from the parameter and its group; `seen`, a
    list that the gradients are added to. Returns an empty list when no parameter has a gradient.
    """
    all_states = optimizer.state
    params, gradients, states = [], [], []
    new_step = None
    skipped = False
    for parameter in group["params"]:
        gradient = parameter.grad
        if gradient is None:
            skipped = True
            continue
        state = all_states[parameter]
        if not state:
            if gradient.is_sparse:
                raise RuntimeError(f"{type(optimizer).__name__} does not support sparse gradients")
            if new_step is None:
                new_step = flambeau.zeros((), dtype=flambeau.float32)
            state["step"] = new_step
            state.update(start(parameter, group))
        params.append(parameter)
        gradients.append(gradient)
        states.append(state)
    if not params:
        return []
    seen += gradients
    first = states[0]["step"]
    if not skipped:
        for state in states:
            if state["step"] is not first:
                break
        else:
            first += 1
            # A recorded step reads no values: what depends on the count is computed from the tensor.
            step = first.item() if recording.active is None else first.double()
            return [Bundle(params, gradients, states, step, first)]
    return _split(group, all_states, params, gradients, states)


def _split(group: dict, all_states: Any, params: list, gradients: list, states: list) -> list[Bundle]:
    """The bundles where parameters have had different numbers of steps, or some have no gradient now."""
    stepping = {id(state) for state in states}
    used = {id(state["step"]) for state in states}
    for parameter in group["params"]:
        state = all_states.get(parameter)
        if state and id(state) not in stepping and id(state["step"]) in used:
            # It shares its count with parameters that step now, and must stay behind.
            state["step"] = state["step"].clone()
    bundles: dict[Any, Bundle] = {}
    counted: dict[int, Any] = {}
    for parameter, gradient, state in zip(params, gradients, states, strict=True):
        tensor = state["step"]
        if not hasattr(tensor, "item"):  # older checkpoints hold plain numbers
            tensor = state["step"] = flambeau.tensor(float(tensor))
        step = counted.get(id(tensor))
        if step is None:
            tensor += 1
            step = counted[id(tensor)] = tensor.item() if recording.active is None else tensor.double()
        key = step if recording.active is None else id(tensor)
        bundle = bundles.get(key)
        if bundle is None:
            bundle = bundles[key] = Bundle([], [], [], step, tensor)
        bundle.params.append(parameter)
        bundle.gradients.append(gradient)
        bundle.states.append(state)
    return list(bundles.values())


def share_steps(optimizer: Any) -> None:
    """Let parameters of one group with equal step counts share one tensor, as they do when they began together."""
    for group in optimizer.param_groups:
        known: dict[float, Any] = {}
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            step = state.get("step") if isinstance(state, dict) else None
            if step is None:
                continue
            value = float(step)
            if value not in known:
                known[value] = step if hasattr(step, "item") else flambeau.tensor(value)
            state["step"] = known[value]
