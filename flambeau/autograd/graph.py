"""`flambeau.autograd.graph`: the recorded graph as seen by programs: its nodes and edges, hooks over several tensors,
and what is kept for backward.

The graph itself and its engine are in the core.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from flambeau import _core
from flambeau.utils.hooks import RemovableHandle

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
    "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip

#: The type of `tensor.grad_fn`: `name()`, `next_functions`, `metadata`, `register_hook` and `register_prehook`.
Node = _core.Node


class GradientEdge(NamedTuple):
    """A place in the graph: an output of a node."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place in the graph that a tensor's gradient arrives at: its grad_fn, or the accumulator of a leaf."""
    if not tensor.requires_grad:
        raise RuntimeError("get_gradient_edge: It is not possible to get the gradient edge for a Tensor that does not "
                           "require gradients")  # fmt: skip
    if tensor.grad_fn is not None:
        return GradientEdge(tensor.grad_fn, tensor.output_nr)
    with _core_recording():
        return GradientEdge(tensor.view_as(tensor).grad_fn.next_functions[0][0], 0)


@contextmanager
def _core_recording() -> Iterator[None]:
    before = _core.set_grad_enabled(True)
    try:
        yield
    finally:
        _core.set_grad_enabled(before)


_refused = threading.local()


class saved_tensors_hooks:  # noqa: N801
    """A block in which every tensor kept for backward goes through a pair of functions.

    pack_hook(tensor) gives any object, which is kept in the tensor's place; unpack_hook(object), called when backward
    needs the tensor, must give a tensor with the same values. pack_hook must not change its argument in place. Blocks
    nest: the innermost pair is used.

    >>> x = fl.tensor(3.0, requires_grad=True)
    >>> with fl.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), fl.from_numpy):
    ...     y = x * x
    >>> y.backward(); x.grad
    tensor(6.)
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        message = getattr(_refused, "message", None)
        if message is not None:
            raise RuntimeError(message)
        _core.push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exception: Any) -> None:
        _core.pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """A block in which tensors kept for backward are held in main memory, as copies of their own."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def unpack(kept: tuple) -> Any:
            device, tensor = kept
            return tensor.to(device)

        super().__init__(lambda tensor: (tensor.device, tensor.cpu().clone()), unpack)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A block in which `saved_tensors_hooks` raises RuntimeError with this text."""
    before = getattr(_refused, "message", None)
    _refused.message = error_message
    try:
        yield
    finally:
        _refused.message = before


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """A block in which tensors kept for backward may be changed in place: what is kept are copies."""
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda kept: kept):
        yield


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable, *, mode: str = "all") -> RemovableHandle:
    """Call `fn` for several tensors in a backward pass.

    With mode "all" it is called as fn(gradients) when the gradients of all of them that take part are known, in their
    order, None for those that do not take part; with "any" as fn(gradient) for the first one. Returns a handle whose
    `remove()` ends it. Raises ValueError for another mode, RuntimeError for tensors that do not require grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    lock = threading.Lock()
    found: dict[int, list] = {}

    def collect(position: int) -> Callable:
        def hook(gradient: Any) -> None:
            run = _core.backward_pass()
            with lock:
                if run not in found:
                    for old in [key for key in found if key < run]:
                        del found[old]  # passes that ended before all gradients were there
                    wanted = _core.takes_part(list(tensors)) if mode == "all" else [True] * len(tensors)
                    found[run] = [[None] * len(tensors), sum(wanted), False]
                state = found[run]
                state[0][position] = gradient
                state[1] -= 1
                done = (state[1] == 0) if mode == "all" else not state[2]
                state[2] = True
            if done:
                fn(state[0] if mode == "all" else gradient)

        return hook

    handles = [tensor.register_hook(collect(i)) for i, tensor in enumerate(tensors)]

    class Handle(RemovableHandle):
        def remove(self) -> None:
            for handle in handles:
                handle.remove()

    return Handle(OrderedDict())
