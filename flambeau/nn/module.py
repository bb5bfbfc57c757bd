"""`Module`, the base class of every layer and model: what it owns, how it is walked, moved, called and shown.

Hooks are in `hooks.py`, state dictionaries in `state.py`. Parameters, buffers and children live in the dictionaries
`_parameters`, `_buffers` and `_modules`, as in PyTorch, and are mirrored into the instance's `__dict__`, so that
`self.fc1` is an ordinary attribute look-up. The three dictionaries keep that mirror true when programs write to them
directly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from flambeau import _core
from flambeau.nn import hooks as _hooks
from flambeau.nn.locate import locate
from flambeau.nn.members import KINDS, Registry, replace_registry
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.nn.state import IncompatibleKeys, StateMixin
from flambeau.ops.arguments import check_dtype

__all__ = ["Module"]

Tensor = _core.Tensor
_IncompatibleKeys = IncompatibleKeys  # PyTorch's name
_MISSING = object()


class Module(_hooks.HooksMixin, StateMixin):
    """The base class of layers and models.

    A subclass calls `super().__init__()`, assigns parameters, buffers and child modules as attributes, and defines
    `forward`. Calling the instance calls `forward`, with its hooks.

    Example:
        >>> class Net(fl.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = fl.nn.Linear(4, 1)
        ...     def forward(self, x):
        ...         return self.fc(x).relu()
        >>> Net()(fl.zeros(2, 4)).shape
        Size([2, 1])
    """

    dump_patches: bool = False
    training: bool
    call_super_init: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            given = next(iter(kwargs)) if kwargs else None
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected keyword argument '{given}'"
                if given
                else f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )
        # Written past __setattr__, which looks for parameters and modules in every value.
        self.__dict__.update(
            training=True,
            _parameters=Registry(self),
            _buffers=Registry(self),
            _modules=Registry(self),
            _non_persistent_buffers_set=set(),
            _forward_hooks=OrderedDict(),
            _forward_hooks_with_kwargs=OrderedDict(),
            _forward_hooks_always_called=OrderedDict(),
            _forward_pre_hooks=OrderedDict(),
            _forward_pre_hooks_with_kwargs=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
            _state_dict_hooks=OrderedDict(),
            _state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
        )
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function; define forward(self, ...)'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooked:
                return _hooks.call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            locate(error, self)
            raise

    # -- members ------------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Reached only when ordinary look-up found nothing; members are normally found there, by their mirror.
        attributes = self.__dict__
        for kind in KINDS:
            members = attributes.get(kind)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in attributes:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            _forget(attributes, name, "_parameters")
            self.register_parameter(name, value)
            return
        if isinstance(value, Module):
            modules = attributes.get("_modules")
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            _forget(attributes, name, "_modules")
            for hook in list(_hooks.global_module_registration_hooks.values()):
                result = hook(self, name, value)
                if result is not None:
                    value = result
            modules[name] = value
            attributes[name] = value
            return
        parameters = attributes.get("_parameters")
        if parameters is not None:
            if name in parameters:
                if value is not None:
                    raise TypeError(
                        f"cannot assign '{_type_name(value)}' as parameter '{name}' (nn.Parameter or None expected); "
                        f"wrap it in nn.Parameter(...), or write the values with {name}.data.copy_(...)"
                    )
                self.register_parameter(name, None)
                return
            if name in attributes["_modules"]:
                if value is not None:
                    raise TypeError(
                        f"cannot assign '{_type_name(value)}' as child module '{name}' (nn.Module or None expected)"
                    )
                for hook in list(_hooks.global_module_registration_hooks.values()):
                    hook(self, name, None)
                attributes["_modules"][name] = None
                attributes[name] = None
                return
            if isinstance(value, Buffer):
                persistent = value.persistent
                if name in attributes["_buffers"]:
                    _set_buffer(self, name, value)
                    (set.discard if persistent else set.add)(self._non_persistent_buffers_set, name)
                else:
                    _forget(attributes, name, "_buffers")
                    self.register_buffer(name, value, persistent)
                return
            if name in attributes["_buffers"]:
                if value is not None and not isinstance(value, Tensor):
                    raise TypeError(
                        f"cannot assign '{_type_name(value)}' as buffer '{name}' (Tensor or None expected); "
                        "convert it with flambeau.as_tensor(...)"
                    )
                _set_buffer(self, name, value)
                return
            if name in KINDS and type(value) is not Registry:
                replace_registry(self, name, value)
                return
        elif isinstance(value, Buffer):
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        attributes = self.__dict__
        for kind in KINDS:
            members = attributes.get(kind)
            if members is not None and name in members:
                del members[name]
                attributes.pop(name, None)
                attributes["_non_persistent_buffers_set"].discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[:1].isdigit())

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name free of gradient and out of `parameters()`."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_type_name(param)}' object to parameter '{name}' (nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"cannot assign non-leaf Tensor to parameter '{name}': it is the result of a computation; "
                    "a parameter is a leaf, so pass nn.Parameter(value.detach())"
                )
        for hook in list(_hooks.global_parameter_registration_hooks.values()):
            result = hook(self, name, param)
            if result is not None:
                param = result
        self._parameters[name] = param
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not trained, such as a running mean.

        Arguments: `persistent`, whether it is part of `state_dict()`. Errors: TypeError; KeyError for a taken name.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' (Tensor or None required)")
        _set_buffer(self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        if "_modules" not in self.__dict__:
            raise AttributeError("cannot assign module before Module.__init__() call")
        _check_name(self, name, "module", "_modules")
        for hook in list(_hooks.global_module_registration_hooks.values()):
            result = hook(self, name, module)
            if result is not None:
                module = result
        self._modules[name] = module
        self.__dict__[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The other name of `add_module`."""
        self.add_module(name, module)

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path such as "layers.3.fc1"; the empty path is the module itself.

        Errors: AttributeError that names the step that is missing.
        """
        module = self
        for step in target.split(".") if target else ():
            child = getattr(module, step, _MISSING)
            if child is _MISSING:
                raise AttributeError(f"{type(module).__name__} has no attribute `{step}`")
            if not isinstance(child, Module):
                raise AttributeError(f"`{step}` is not an nn.Module")
            module = child
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted path; with `strict` something must be there already."""
        if not target:
            raise ValueError("set_submodule: the empty path is the module itself; give the path of a child")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: {_type_name(module)} is not an nn.Module")
        if strict and not isinstance(getattr(parent, name, None), Module):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}` that is an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        value = getattr(module, name, _MISSING)
        if value is _MISSING:
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return value

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if getattr(module, name, _MISSING) is _MISSING:
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return module._buffers[name]

    # -- walking ------------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Every module of the tree with its dotted path, itself first; a shared one once unless told otherwise."""
        if memo is None:
            memo = set()
        if self not in memo:
            if remove_duplicate:
                memo.add(self)
            yield prefix, self
            for name, module in self._modules.items():
                if module is not None:
                    path = f"{prefix}.{name}" if prefix else name
                    yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Every module of the tree, itself first; a shared one once unless told otherwise."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, with their names, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, get_members: Callable, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in get_members(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter of the tree with its dotted path; a shared one once unless `remove_duplicate` is False."""
        return self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter of the tree, for an optimizer."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every buffer of the tree with its dotted path."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer of the tree."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def apply(self, fn: Callable[[Module], None]) -> Module:
        """Call `fn` on every module of the tree, children first; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- moving and converting
    # ------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        """Replace the memory of every parameter, gradient and buffer by `fn` of it; parameters keep their identity."""
        import flambeau

        if recurse:
            for module in self.children():
                module._apply(fn, True)
        with flambeau.no_grad():
            for parameter in self._parameters.values():
                if parameter is None:
                    continue
                gradient = parameter.grad
                data = parameter.data
                new = fn(data)
                if new is not data:
                    if gradient is not None:
                        parameter.grad = None  # a gradient of another dtype or device cannot stay while data changes
                    parameter.data = new
                if gradient is not None:
                    parameter.grad = fn(gradient.detach()).requires_grad_(gradient.requires_grad)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    new = fn(buffer)
                    if new is not buffer:
                        _set_buffer(self, name, new)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Module:
        """Move the module in place: `to(device)`, `to(dtype)`, `to(device, dtype)` or `to(tensor)`.

        Only floating-point and complex parameters and buffers change dtype. Returns the module. Errors: TypeError for a
        dtype that is neither.

        Example:
            >>> fl.nn.Linear(2, 1).to(fl.float64).weight.dtype
            flambeau.float64
        """
        order = kwargs.pop("memory_format", None)
        device, dtype, non_blocking = _destination(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def move(tensor: Tensor) -> Tensor:
            # A loop over tensor kinds: integer buffers move but never change dtype.
            wanted = (
                dtype if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()) else tensor.dtype
            )
            moved = tensor.to(tensor.device if device is None else device, wanted, non_blocking)
            return moved.contiguous(memory_format=order) if order is not None and tensor.ndim in (4, 5) else moved

        return self._apply(move)

    def cuda(self, device: Any = None) -> Module:
        """Move the module to a GPU, in place."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """Move the module to `device` without its values, in place."""
        import flambeau

        return self._apply(lambda tensor: flambeau.empty_like(tensor, device=device), recurse)

    def cpu(self) -> Module:
        """Move the module to the CPU, in place."""
        return self._apply(lambda tensor: tensor.cpu())

    def type(self, dst_type: Any) -> Module:
        """Cast every parameter and buffer to `dst_type`, in place."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def _cast(self, name: str) -> Module:
        import flambeau

        dtype = getattr(flambeau, name)
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def float(self) -> Module:
        """Cast floating-point parameters and buffers to float32, in place."""
        return self._cast("float32")

    def double(self) -> Module:
        """Cast floating-point parameters and buffers to float64, in place."""
        return self._cast("float64")

    def half(self) -> Module:
        """Cast floating-point parameters and buffers to float16, in place."""
        return self._cast("float16")

    def bfloat16(self) -> Module:
        """Cast floating-point parameters and buffers to bfloat16, in place."""
        return self._cast("bfloat16")

    def share_memory(self) -> Module:
        """The module itself: worker processes receive tensors by value."""
        return self

    # -- modes and gradients ------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Put the whole tree into training mode (dropout drops, batch norm uses the batch), or out of it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Put the whole tree into evaluation mode: for predictions."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze every parameter, in place."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or with `set_to_none=False` fill it with zeros."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if gradient.grad_fn is not None:
                    gradient = parameter.grad = gradient.detach()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile this module's forward in place with `flambeau.compile`."""
        import flambeau

        self.__dict__["forward"] = flambeau.compile(self.forward, *args, **kwargs)

    # -- showing, copying
    # -----------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's line; override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [_indent(f"({name}): {module!r}") for name, module in self._modules.items()]
        head = self._get_name()
        if not lines:
            return f"{head}({_indent(extra, first=False) if chr(10) in extra else extra})"
        rows = [*(f"  {line}" for line in extra.split("\n") if line), *(f"  {line}" for line in lines)]
        return f"{head}(\n" + "\n".join(rows) + "\n)"

    def __getstate__(self) -> dict:
        # The mirrored members are in the three dictionaries; keeping them twice would let a copy disagree with itself.
        attributes = self.__dict__
        members = {name for kind in KINDS for name in attributes.get(kind, ())}
        state = {name: value for name, value in attributes.items() if name not in members}
        for kind in KINDS:
            if kind in state:
                state[kind] = dict(state[kind])
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        for kind in KINDS:
            replace_registry(self, kind, state.get(kind, {}))


def _forget(attributes: dict, name: str, keep: str) -> None:
    """Take `name` out of everything but the dictionary `keep`: it is about to become a member there."""
    for kind in KINDS:
        if kind != keep and name in attributes[kind]:
            del attributes[kind][name]
    attributes["_non_persistent_buffers_set"].discard(name)
    if name in attributes and name not in attributes[keep]:
        del attributes[name]


def _check_name(module: Module, name: Any, what: str, kind: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} name should be a string. Got {_type_name(name)}")
    if "." in name:
        raise KeyError(f'{what} name can\'t contain ".", got: {name}')
    if name == "":
        raise KeyError(f'{what} name can\'t be empty string ""')
    if name not in module.__dict__[kind] and hasattr(module, name):
        raise KeyError(f"attribute '{name}' already exists")


def _set_buffer(module: Module, name: str, value: Tensor | None) -> None:
    for hook in list(_hooks.global_buffer_registration_hooks.values()):
        result = hook(module, name, value)
        if result is not None:
            value = result
    module._buffers[name] = value
    module.__dict__[name] = value


def _type_name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__


def _destination(args: tuple, kwargs: dict) -> tuple[Any, Any, bool]:
    """Device, dtype and `non_blocking` of a call of `to`."""
    import flambeau

    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    non_blocking = kwargs.pop("non_blocking", False)
    kwargs.pop("memory_format", None)
    other = kwargs.pop("tensor", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    for value in args:
        if isinstance(value, Tensor):
            other = value
        elif isinstance(value, (flambeau.dtype, type)):
            dtype = check_dtype("to", value)
        elif isinstance(value, bool):
            non_blocking = value
        elif isinstance(value, (str, int, flambeau.device)):
            device = value
        elif value is not None:
            raise TypeError(f"to() received {_type_name(value)}; give a device, a dtype or a tensor")
    if other is not None:
        device, dtype = other.device, other.dtype
    return (None if device is None else flambeau.device(device)), dtype, non_blocking


def _indent(text: str, first: bool = True) -> str:
    return text.replace("\n", "\n  ")
