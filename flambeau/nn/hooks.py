"""Hooks of modules: registering them, and the slower call that runs them.

`Module.__call__` comes here only when `_hooked` is set on the instance or, by a global hook, on the class; a module
without hooks pays for one attribute look-up. What does not live here: hooks of single tensors (the tape's business)
and hooks of state dictionaries (`state.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau import _core
from flambeau.utils.hooks import RemovableHandle

__all__ = [
    "HooksMixin",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Tensor = _core.Tensor

global_forward_hooks: OrderedDict = OrderedDict()
global_forward_pre_hooks: OrderedDict = OrderedDict()
global_forward_hooks_with_kwargs: OrderedDict = OrderedDict()
global_forward_hooks_always_called: OrderedDict = OrderedDict()
global_backward_hooks: OrderedDict = OrderedDict()
global_backward_pre_hooks: OrderedDict = OrderedDict()
_GLOBAL_HOOKS = (global_forward_hooks, global_forward_pre_hooks, global_backward_hooks, global_backward_pre_hooks)
_MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
global_parameter_registration_hooks: OrderedDict = OrderedDict()
global_buffer_registration_hooks: OrderedDict = OrderedDict()
global_module_registration_hooks: OrderedDict = OrderedDict()


def _add(hooks: OrderedDict, hook: Callable, prepend: bool = False, extra: Any = None) -> RemovableHandle:
    handle = RemovableHandle(hooks, extra_dict=extra)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class HooksMixin:
    """The hook methods of `Module`."""

    # Read by every call: an instance with hooks shadows it with True, a global hook sets it on this class for all.
    _hooked = False
    # Made by `Module.__init__`.
    _forward_hooks: OrderedDict
    _forward_hooks_with_kwargs: OrderedDict
    _forward_hooks_always_called: OrderedDict
    _forward_pre_hooks: OrderedDict
    _forward_pre_hooks_with_kwargs: OrderedDict
    _backward_hooks: OrderedDict
    _backward_pre_hooks: OrderedDict

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every forward; what it returns, unless None, replaces the arguments.

        With `with_kwargs` the hook is `hook(module, args, kwargs)` and returns None or `(args, kwargs)`. `prepend` puts
        it before the hooks that are there. Returns a handle with `remove()`.
        """
        handle = _add(self._forward_pre_hooks, hook, prepend, self._forward_pre_hooks_with_kwargs)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        self.__dict__["_hooked"] = True
        return handle

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every forward; what it returns, unless None, replaces the output.

        With `with_kwargs` the hook is `hook(module, args, kwargs, output)`. With `always_call` it also runs when
        forward raised. `prepend` puts it before the hooks that are there. Returns a handle with `remove()`.
        """
        extra = (self._forward_hooks_with_kwargs, self._forward_hooks_always_called)
        handle = _add(self._forward_hooks, hook, prepend, extra)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        self.__dict__["_hooked"] = True
        return handle

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs are known.

        What it returns, unless None, replaces `grad_input`. Both are tuples over the positional tensors of the call.
        Returns a handle with `remove()`.
        """
        handle = _add(self._backward_hooks, hook, prepend)
        self.__dict__["_hooked"] = True
        return handle

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; a returned tuple replaces `grad_output`.

        Returns a handle with `remove()`.
        """
        handle = _add(self._backward_pre_hooks, hook, prepend)
        self.__dict__["_hooked"] = True
        return handle

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older name of `register_full_backward_hook`; it sees the same full gradients."""
        return self.register_full_backward_hook(hook)


def call_with_hooks(module: Any, args: tuple, kwargs: dict) -> Any:
    """Run a module's forward between its pre-hooks and hooks, and put its backward hooks on the tape."""
    if not any(hooks for hooks in _GLOBAL_HOOKS):
        HooksMixin._hooked = False
        if not any(module.__dict__.get(name) for name in _MODULE_HOOKS):
            # The last hook is gone: calls take the short way again.
            module.__dict__.pop("_hooked", None)
            return module.forward(*args, **kwargs)
    always = {**global_forward_hooks_always_called, **module._forward_hooks_always_called}
    if not always:
        return _run(module, args, kwargs, set())
    called: set[int] = set()
    try:
        return _run(module, args, kwargs, called)
    except Exception:
        # The hooks that asked to run in any case get the output None; their own failures must not hide the first one.
        for hooks, with_kwargs in (
            (global_forward_hooks, global_forward_hooks_with_kwargs),
            (module._forward_hooks, module._forward_hooks_with_kwargs),
        ):
            for hook_id, hook in list(hooks.items()):
                if hook_id in always and hook_id not in called:
                    try:
                        hook(module, args, kwargs, None) if hook_id in with_kwargs else hook(module, args, None)
                    except Exception as failure:
                        import warnings

                        warnings.warn(
                            f"a forward hook with always_call=True failed after forward itself had failed: {failure}",
                            stacklevel=2,
                        )
        raise


def _run(module: Any, args: tuple, kwargs: dict, called: set[int]) -> Any:
    for hook in list(global_forward_pre_hooks.values()):
        result = hook(module, args)
        if result is not None:
            args = result if isinstance(result, tuple) else (result,)
    for hook_id, hook in list(module._forward_pre_hooks.items()):
        if hook_id in module._forward_pre_hooks_with_kwargs:
            result = hook(module, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        "forward pre-hook with_kwargs: return None or a tuple (new_args, new_kwargs), "
                        f"but got {type(result).__name__}"
                    )
                args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)

    gate = None
    backward_hooks = [*global_backward_hooks.values(), *module._backward_hooks.values()]
    backward_pre_hooks = [*global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
    if backward_hooks or backward_pre_hooks:
        gate = _BackwardGate(module, backward_hooks, backward_pre_hooks)
        args = gate.enter(args)
    output = module.forward(*args, **kwargs)
    for hooks, with_kwargs in (
        (global_forward_hooks, global_forward_hooks_with_kwargs),
        (module._forward_hooks, module._forward_hooks_with_kwargs),
    ):
        for hook_id, hook in list(hooks.items()):
            called.add(hook_id)
            if hook_id in with_kwargs:
                result = hook(module, args, kwargs, output)
            else:
                result = hook(module, args, output)
            if result is not None:
                output = result
    if gate is not None:
        output = gate.leave(output)
    return output


class _BackwardGate:
    """Two identity nodes around one call of a module: they see all gradients of its outputs, then of its inputs."""

    def __init__(self, module: Any, hooks: list, pre_hooks: list) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_output: tuple | None = None
        self.has_inputs = False

    def enter(self, args: tuple) -> tuple:
        positions = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        if not any(args[i].requires_grad for i in positions):
            return args
        self.has_inputs = True
        passed = _identity([args[i] for i in positions], self.on_inputs)
        result = list(args)
        for i, tensor in zip(positions, passed, strict=True):
            result[i] = tensor
        return tuple(result)

    def leave(self, output: Any) -> Any:
        values, rebuild = ([output], lambda new: new[0]) if isinstance(output, Tensor) else _sequence(output)
        positions = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
        if not any(values[i].requires_grad for i in positions):
            return output
        passed = _identity([values[i] for i in positions], self.on_outputs)
        for i, tensor in zip(positions, passed, strict=True):
            values[i] = tensor
        return rebuild(values)

    def on_outputs(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            result = hook(self.module, grads)
            if result is not None:
                grads = _as_gradients(result, len(grads), "full backward pre-hook", "grad_output")
        self.grad_output = grads
        if not self.has_inputs:
            # No input needs a gradient: the hooks still learn what arrives at the outputs.
            for hook in self.hooks:
                if hook(self.module, (None,), grads) is not None:
                    raise RuntimeError(
                        "full backward hook: returned a grad_input, but no input of the module requires grad; return "
                        "None"
                    )
        return grads

    def on_inputs(self, grads: tuple) -> tuple:
        for hook in self.hooks:
            result = hook(self.module, grads, self.grad_output)
            if result is not None:
                grads = _as_gradients(result, len(grads), "full backward hook", "grad_input")
        return grads


def _as_gradients(result: Any, count: int, who: str, name: str) -> tuple:
    if not isinstance(result, tuple):
        result = (result,)
    if len(result) != count:
        raise RuntimeError(f"{who}: returned {len(result)} gradients, but {name} has {count}; return one for each")
    return result


def _sequence(output: Any) -> tuple[list, Callable]:
    """The tensors of a tuple, list or dictionary, and how to put them back."""
    if isinstance(output, tuple):
        if hasattr(output, "_fields"):
            return list(output), lambda new: type(output)(*new)
        return list(output), lambda new: type(output)(new)
    if isinstance(output, list):
        return list(output), lambda new: new
    if isinstance(output, dict):
        keys = list(output)
        return list(output.values()), lambda new: type(output)(zip(keys, new, strict=True))
    return [], lambda new: output


_identity_function: Any = None


def _identity(tensors: list, callback: Callable) -> tuple:
    """Views of the tensors behind one tape node whose backward passes the gradients through `callback`."""
    global _identity_function
    if _identity_function is None:
        from flambeau.autograd import Function

        class Identity(Function):
            """Passes tensors through, and their gradients through a callback."""

            @staticmethod
            def forward(ctx: Any, callback: Callable, *tensors: Any) -> tuple:
                ctx.callback = callback
                ctx.set_materialize_grads(False)
                return tuple(tensor.view_as(tensor) for tensor in tensors)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> tuple:
                return (None, *ctx.callback(grads))

        _identity_function = Identity
    result = _identity_function.apply(callback, *tensors)
    return result if isinstance(result, tuple) else (result,)


def _register_global(hooks: OrderedDict, hook: Callable, extra: Any = None) -> RemovableHandle:
    HooksMixin._hooked = True
    return _add(hooks, hook, extra=extra)


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; for debugging and profiling."""
    return _register_global(global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module; for debugging and profiling."""
    extra = (global_forward_hooks_with_kwargs, global_forward_hooks_always_called)
    handle = _register_global(global_forward_hooks, hook, extra)
    if with_kwargs:
        global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        global_forward_hooks_always_called[handle.id] = True
    return handle


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in the backward of every module."""
    return _register_global(global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _register_global(global_backward_pre_hooks, hook)


register_module_backward_hook = register_module_full_backward_hook


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, parameter)` when any module registers a parameter; a returned one replaces it."""
    return _add(global_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, buffer)` when any module registers a buffer; a returned one replaces it."""
    return _add(global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, submodule)` when any module registers a child; a returned one replaces it."""
    return _add(global_module_registration_hooks, hook)
