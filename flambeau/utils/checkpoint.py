"""`flambeau.utils.checkpoint`: intermediate values are computed again in backward instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.autograd import Function
from flambeau.nn.dropout import _Dropout

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Again(Function):
    """Forward without a tape; backward runs the function again with one and goes through it."""

    @staticmethod
    def forward(ctx: Any, function: Callable, keywords: dict, state: Any, *inputs: Any) -> Any:
        ctx.function, ctx.keywords, ctx.state = function, keywords, state
        ctx.narrow = _core.autocast_dtype()
        ctx.places = [i for i, value in enumerate(inputs) if isinstance(value, _core.Tensor)]
        ctx.others = [None if isinstance(value, _core.Tensor) else value for value in inputs]
        ctx.save_for_backward(*(inputs[i] for i in ctx.places))
        warned, _Dropout._warned = _Dropout._warned, True  # gradients are only off until backward runs it again
        try:
            return function(*inputs, **keywords)
        finally:
            _Dropout._warned = warned

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors):
            inputs[place] = tensor.detach().requires_grad_(tensor.requires_grad)
        current = None if ctx.state is None else flambeau.get_rng_state()
        if ctx.state is not None:
            flambeau.set_rng_state(ctx.state)
        narrow = _core.set_autocast(ctx.narrow)
        try:
            with flambeau.enable_grad():
                outputs = ctx.function(*inputs, **ctx.keywords)
        finally:
            _core.set_autocast(narrow)
            if current is not None:
                flambeau.set_rng_state(current)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, gradients) if isinstance(o, _core.Tensor) and o.requires_grad]
        if pairs:
            flambeau.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, None, *(value.grad if isinstance(value, _core.Tensor) else None for value in inputs))


def checkpoint(
    function: Callable, *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """function(*args, **kwargs), its intermediate values not kept: backward runs the function a second time.

    Arguments: tensors among `args` receive gradients; `preserve_rng_state`, the second run draws the same random
    numbers; `use_reentrant` is accepted and makes no difference. Parameters inside the function receive gradients too.
    """
    if not flambeau.is_grad_enabled():
        return function(*args, **kwargs)
    if not any(isinstance(value, _core.Tensor) and value.requires_grad for value in args):
        # The tape needs one input that requires grad; parameters inside the function are not seen from here.
        anchor = flambeau.zeros((), requires_grad=True)

        def anchored(_: Any, *inputs: Any, **keywords: Any) -> Any:
            return function(*inputs, **keywords)

        return checkpoint(anchored, anchor, *args, preserve_rng_state=preserve_rng_state, **kwargs)
    state = flambeau.get_rng_state() if preserve_rng_state else None
    return _Again.apply(function, kwargs, state, *args)


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
