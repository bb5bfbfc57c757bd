"""Function: an operation whose forward and backward are written by the user."""

from __future__ import annotations

from typing import Any

from flambeau import _core
from flambeau.errors import AutogradError

__all__ = ["Function", "once_differentiable"]

Tensor = _core.Tensor


#: Inside vmap: applies the `vmap` of a Function; set by `flambeau.func.batching`.
batched_apply: Any = None


class FunctionContext:
    """What forward and backward share: saved tensors, flags, and attributes of the user's own."""

    needs_input_grad: tuple[bool, ...]
    _saved: tuple[Any, ...]
    _kept: tuple[Any, ...]

    def __init__(self) -> None:
        self._saved, self._kept = (), ()
        self._dirty: tuple[Any, ...] = ()
        self._without: tuple[Any, ...] = ()
        self.materialize_grads = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward; they are checked against changes in place."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(tensor).__name__}; keep "
                    "other values as attributes of ctx"
                )
        self._kept = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to save_for_backward."""
        if self._saved is None:
            raise AutogradError(
                "backward: Trying to backward through the graph a second time: the saved tensors were already freed; "
                "call backward(retain_graph=True) the first time"
            )
        return tuple(None if saved is None else saved.unpack() for saved in self._saved)

    saved_variables = saved_tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs forward changed in place; they must be returned."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no gradient."""
        self._without = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True) or None for outputs that nothing depends on."""
        self.materialize_grads = value


FunctionCtx = FunctionContext  # the name that PyTorch gives it


class _FunctionMeta(type):
    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls._label = name + "Backward"


class Function(FunctionContext, metaclass=_FunctionMeta):
    """Base class of custom operations: static `forward(ctx, *args)` and `backward(ctx, *grads)`, called by `apply`.

    With a static `setup_context(ctx, inputs, output)`, forward takes no ctx.

    >>> class Double(fl.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x): return x * 2
    ...     @staticmethod
    ...     def backward(ctx, grad): return grad * 2
    >>> x = fl.ones(1, requires_grad=True); Double.apply(x).backward(); x.grad
    tensor([2.])
    """

    _label = "FunctionBackward"
    #: A static `vmap(info, in_dims, *args)` -> (outputs, out_dims) states what happens inside vmap; without it forward
    #: and backward run on the batch like any function.
    vmap: Any = None
    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; runs without recording."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs, when forward takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient for each argument of forward (None for those without)."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record backward."""
        if batched_apply is not None and cls.vmap is not None:
            result = batched_apply(cls, args, kwargs)
            if result is not NotImplemented:
                return result
        ctx = cls()
        recording = _core.is_grad_enabled()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        previous = _core.set_grad_enabled(False)
        try:
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        finally:
            _core.set_grad_enabled(previous)
        wanted = recording and any(ctx.needs_input_grad)
        single = not isinstance(output, (tuple, list))
        outputs = (output,) if single else tuple(output)
        if not wanted:
            ctx._saved = tuple(None if t is None else _core.Saved(t, cls._label) for t in ctx._kept)
            ctx._kept = ()
            return output
        for dirty in ctx._dirty:
            _core.check_in_place(dirty, cls.__name__)
            _core.bump_version(dirty)
        fresh = []
        for out in outputs:
            if isinstance(out, Tensor) and any(out is a for a in args) and not any(out is d for d in ctx._dirty):
                out = out.detach()  # an input handed back is a new tensor of this function
            fresh.append(out)
        hidden = ctx._without
        tracked = tuple(
            out if isinstance(out, Tensor) and out.dtype.category > 1 and not any(out is h for h in hidden) else None
            for out in fresh
        )
        shapes = [None if t is None else (t.shape, t.dtype) for t in tracked]
        label = cls._label
        dirty_inputs = {id(d) for d in ctx._dirty}
        edges = tuple(a if isinstance(a, Tensor) else None for a in args)

        def run(*grads: Any) -> Any:
            if ctx.materialize_grads:
                grads = tuple(
                    _core.full(spec[0], 0, spec[1]) if g is None and spec is not None else g
                    for g, spec in zip(grads, shapes, strict=True)
                )
            result = cls.backward(ctx, *grads) if cls.backward is not Function.backward else cls.vjp(ctx, *grads)
            result = tuple(result) if isinstance(result, (tuple, list)) else (result,)
            if len(result) < len(edges) or any(r is not None for r in result[len(edges) :]):
                raise AutogradError(
                    f"function {label} returned an incorrect number of gradients "
                    f"(expected {len(edges)}, got {len(result)})"
                )
            return result[: len(edges)]

        run.ctx = ctx  # type: ignore[attr-defined]  # grad_fn shows what ctx holds
        # The tensors are kept before the outputs get their history: an output is kept without it, or it would hold
        # itself.
        _core.attach(tracked, edges, run, label)
        position = {id(t): i for i, t in enumerate(tracked) if t is not None}
        original = {id(old): i for i, old in enumerate(outputs) if isinstance(old, Tensor)}
        saved: list[Any] = []
        for tensor in ctx._kept:
            if tensor is None:
                saved.append(None)
                continue
            at = position.get(id(tensor), original.get(id(tensor)) if id(tensor) not in dirty_inputs else None)
            if at is not None and tracked[at] is not None and not any(tensor is a for a in args):
                saved.append(_core.Saved(tensor, label, at))
            else:
                saved.append(_core.Saved(tensor, label))
        ctx._saved, ctx._kept, ctx._without, ctx._dirty = tuple(saved), (), (), ()
        return fresh[0] if single else tuple(fresh)


def once_differentiable(function: Any) -> Any:
    """Mark a backward that must not be differentiated itself: its gradients raise when they are."""
    from functools import wraps

    @wraps(function)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        recording = _core.is_grad_enabled() and any(isinstance(g, Tensor) and g.requires_grad for g in grads)
        previous = _core.set_grad_enabled(False)
        try:
            outputs = function(ctx, *grads)
        finally:
            _core.set_grad_enabled(previous)
        if not recording:
            return outputs

        def refuse(*_: Any) -> Any:
            raise AutogradError("trying to differentiate twice a function that was marked with @once_differentiable")

        many = outputs if isinstance(outputs, tuple) else (outputs,)
        fresh = tuple(o.detach() if isinstance(o, Tensor) else o for o in many)
        _core.attach(fresh, tuple(grads), refuse, "NotDifferentiable")
        return fresh if isinstance(outputs, tuple) else fresh[0]

    return wrapped
