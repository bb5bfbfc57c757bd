"""`flambeau.utils.checkpoint`: intermediate values are computed again in backward instead of being kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.autograd.graph import saved_tensors_hooks
from flambeau.errors import AutogradError
from flambeau.nn.dropout import _Dropout

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]


class CheckpointError(AutogradError):
    """The function did something else when it was run again."""


class _Place:
    """What the graph holds in the place of a kept value."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class _Segment:
    """One checkpointed call: its function and arguments, and the values that a second run gave.

    Arguments are kept as they are, so a second run sees the tensors themselves; one that was changed in place since is
    an error.
    """

    def __init__(self, function: Callable, args: tuple, kwargs: dict[str, Any], preserve_rng_state: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.state = flambeau.get_rng_state() if preserve_rng_state else None
        self.narrow = _core.autocast_dtype()
        self.versions = [(t, t._version) for t in _tensors((args, kwargs))]
        self.places: list[weakref.ref[_Place]] = []
        self.shapes: list[tuple] = []
        self.values: dict[int, Any] = {}

    def pack(self, tensor: Any) -> _Place:
        place = _Place(len(self.places))
        self.places.append(weakref.ref(place))
        self.shapes.append((tuple(tensor.shape), tensor.dtype))
        return place

    def unpack(self, place: _Place) -> Any:
        if place.number not in self.values:
            self.run_again()
        return self.values.pop(place.number)

    def run_again(self) -> None:
        for tensor, version in self.versions:
            if tensor._version != version:
                raise CheckpointError(
                    f"checkpoint: an argument of shape {tuple(tensor.shape)} has been modified by an inplace operation "
                    "since the function ran, so it cannot be run again; clone() it before changing it"
                )
        count = 0

        def keep(tensor: Any) -> None:
            nonlocal count
            number, count = count, count + 1
            if number >= len(self.places):
                raise CheckpointError(
                    f"checkpoint: more values are needed for backward when the function runs again than the "
                    f"{len(self.places)} of the first time; it must do the same both times"
                )
            if (tuple(tensor.shape), tensor.dtype) != self.shapes[number]:
                raise CheckpointError(
                    f"checkpoint: value {number} kept for backward was {self.shapes[number]} and is "
                    f"{(tuple(tensor.shape), tensor.dtype)} when the function runs again; it must do the same twice"
                )
            if self.places[number]() is not None:
                self.values[number] = tensor

        def unused(_: Any) -> Any:
            raise CheckpointError("checkpoint: the function differentiates inside; checkpoint the inner part only")

        current = None if self.state is None else flambeau.get_rng_state()
        if self.state is not None:
            flambeau.set_rng_state(self.state)
        warned, _Dropout._warned = _Dropout._warned, True
        narrow = _core.set_autocast(self.narrow)
        try:
            with flambeau.enable_grad(), saved_tensors_hooks(keep, unused):
                self.function(*_fresh(self.args), **_fresh(self.kwargs))
        finally:
            _core.set_autocast(narrow)
            _Dropout._warned = warned
            if current is not None:
                flambeau.set_rng_state(current)
        if count < len(self.places):
            raise CheckpointError(
                f"checkpoint: {len(self.places)} values were kept for backward and {count} when the function ran "
                "again; it must do the same both times"
            )


def _tensors(tree: Any) -> list[Any]:
    if isinstance(tree, _core.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (tuple, list)):
        return [tensor for item in tree for tensor in _tensors(item)]
    return []


def _fresh(tree: Any) -> Any:
    """Arguments for the second run: the same values without their history."""
    if isinstance(tree, _core.Tensor):
        return tree.detach().requires_grad_(tree.requires_grad) if tree.grad_fn is not None else tree
    if type(tree) is dict:
        return {key: _fresh(value) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_fresh(value) for value in tree)
    return tree


def checkpoint(
    function: Callable, *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """function(*args, **kwargs), its intermediate values not kept: backward runs the function a second time.

    Arguments: `args` and `kwargs` may hold tensors anywhere, and parameters inside the function receive gradients too;
    `preserve_rng_state`, the second run draws the same random numbers; `use_reentrant`, `determinism_check`, `debug`,
    `early_stop` and `context_fn` are accepted and make no difference. Gradients of gradients, `autograd.grad` and
    nesting work. Raises CheckpointError in backward where the function does something else the second time, or an
    argument was changed in place.

    >>> x = fl.tensor(2.0, requires_grad=True)
    >>> fl.utils.checkpoint.checkpoint(lambda x: (x * x).exp(), x).backward(); x.grad
    tensor(218.3926)
    """
    for option in ("determinism_check", "debug", "early_stop", "context_fn"):
        kwargs.pop(option, None)
    if not flambeau.is_grad_enabled():
        return function(*args, **kwargs)
    segment = _Segment(function, args, kwargs, preserve_rng_state)
    with saved_tensors_hooks(segment.pack, segment.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """A Sequential (or a list of functions) run in `segments` checkpointed parts, the last one kept as usual."""
    parts = list(functions.children()) if isinstance(functions, flambeau.nn.Module) else list(functions)
    size = len(parts) // segments
    if size == 0:
        raise ValueError(f"checkpoint_sequential: {len(parts)} functions cannot make {segments} segments")

    def runner(start: int, end: int) -> Callable:
        def run(value: Any) -> Any:
            for part in parts[start:end]:
                value = part(value)
            return value

        return run

    for segment in range(segments - 1):
        run = runner(segment * size, (segment + 1) * size)
        input = checkpoint(run, input, preserve_rng_state=preserve_rng_state)
    return runner((segments - 1) * size, len(parts))(input)
