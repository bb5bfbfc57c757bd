"""State dictionaries of modules: saving the tree's parameters and buffers under dotted names, and loading them back.

What does not live here: files (`flambeau/serialization.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flambeau import _core
from flambeau.utils.hooks import RemovableHandle

__all__ = ["IncompatibleKeys", "StateMixin"]

Tensor = _core.Tensor
EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find and did not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    def __str__(self) -> str:
        return repr(self)


class _LoadHook:
    """A load pre-hook, with the module in front of its arguments where it asked for that."""

    __slots__ = ("hook", "module")

    def __init__(self, hook: Callable, module: Any) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args) if self.module is None else self.hook(self.module, *args)


class StateMixin:
    """The state-dictionary methods of `Module`."""

    _version: int = 1
    # Made by `Module.__init__`.
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict
    _state_dict_pre_hooks: OrderedDict
    _load_state_dict_pre_hooks: OrderedDict
    _load_state_dict_post_hooks: OrderedDict

    def get_extra_state(self) -> Any:
        """Override to add something else than tensors to the module's state, with `set_extra_state`."""
        raise RuntimeError("get_extra_state: define it together with set_extra_state in the module's class")

    def set_extra_state(self, state: Any) -> None:
        """Override to take back what `get_extra_state` gave."""
        raise RuntimeError("set_extra_state: define it together with get_extra_state in the module's class")

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Put this module's own entries, not its children's, into `destination`; a point to override."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        skipped = self._non_persistent_buffers_set
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in skipped:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not StateMixin.get_extra_state:
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and persistent buffers of the module and its children under their dotted names.

        Arguments: `prefix`, put before every name; `keep_vars`, whether entries stay connected to the graph instead of
        being detached; `destination`, a dictionary to fill. Returns an ordered dictionary whose tensors share the
        module's memory, with the attribute `_metadata` (versions by module path).

        Example:
            >>> list(fl.nn.Linear(2, 1).state_dict())
            ['weight', 'bias']
        """
        if args:  # the older positional order
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and not keep_vars else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            result = hook(self, destination, prefix, metadata)
            if result is not None:
                if getattr(hook, "_public_hook", False):
                    raise RuntimeError("state_dict post-hook: change the dictionary in place and return None")
                destination = result
        return destination

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take this module's own entries, not its children's, out of `state_dict`; a point to override."""
        import flambeau
        from flambeau.nn.parameter import is_lazy

        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        skipped = self._non_persistent_buffers_set
        own = [(name, tensor) for name, tensor in self._parameters.items() if tensor is not None]
        own += [(n, tensor) for n, tensor in self._buffers.items() if tensor is not None and n not in skipped]
        for name, current in own:
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected a Tensor from the checkpoint but received '
                    f"{type(value).__name__}; convert it with flambeau.as_tensor(...) first."
                )
                continue
            if is_lazy(current):
                continue  # a lazy module's own hook gave it a shape, unless neither has one yet
            if tuple(value.shape) == (1,) and tuple(current.shape) == ():
                value = value[0]  # scalars were once saved with one dimension
            if tuple(value.shape) != tuple(current.shape):
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {_shape(value)} from checkpoint, "
                    f"the shape in current model is {_shape(current)}."
                )
                continue
            try:
                with flambeau.no_grad():
                    if assign:
                        _assign(self, name, current, value)
                    else:
                        current.copy_(value)
            except Exception as error:
                error_msgs.append(
                    f'While copying the parameter named "{key}", whose dimensions in the model are {_shape(current)} '
                    f"and whose dimensions in the checkpoint are {_shape(value)}, an exception occurred: {error.args}."
                )
        extra = prefix + EXTRA_STATE
        if type(self).set_extra_state is not StateMixin.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            names = {name for name, _ in own}
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    head, dot, _ = key[len(prefix) :].partition(".")
                    if (dot and head not in self._modules) or (not dot and head not in names):
                        unexpected_keys.append(key)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy parameters and buffers from `state_dict` into the module and its children.

        Arguments: `strict`, whether missing and unknown names are an error; `assign`, put the given tensors in place of
        the module's own instead of copying their values. Returns `(missing_keys, unexpected_keys)`. Errors:
        RuntimeError that lists every missing and unexpected name and every shape that differs; TypeError for something
        that is not a mapping.

        Example:
            >>> model.load_state_dict(fl.load("model.safetensors"))
            <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: expected state_dict to be dict-like, got {type(state_dict)}; pass what "
                "module.state_dict() or flambeau.load(path) returned"
            )
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        # A copy: hooks and overrides may rename entries while they load.
        state: Any = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata
        _load(self, state, "", metadata or {}, strict, assign, missing, unexpected, errors)
        if strict:
            if unexpected:
                errors.insert(0, "Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
            if missing:
                errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        return IncompatibleKeys(missing, unexpected)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict()` collects this module."""
        handle = RemovableHandle(self._state_dict_pre_hooks)
        self._state_dict_pre_hooks[handle.id] = hook
        return handle

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict()` collected this module."""
        marked: Any = hook  # a function takes attributes, a Callable declares none
        marked._public_hook = True
        return self._register_state_dict_hook(hook)

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        handle = RemovableHandle(self._state_dict_hooks)
        self._state_dict_hooks[handle.id] = hook
        return handle

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> RemovableHandle:
        handle = RemovableHandle(self._load_state_dict_pre_hooks)
        self._load_state_dict_pre_hooks[handle.id] = _LoadHook(hook, self if with_module else None)
        return handle

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module was loaded; it may edit the two lists."""
        handle = RemovableHandle(self._load_state_dict_post_hooks)
        self._load_state_dict_post_hooks[handle.id] = hook
        return handle


def _load(
    module: Any,
    state: dict,
    prefix: str,
    metadata: Mapping,
    strict: bool,
    assign: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    local = dict(metadata.get(prefix[:-1], {}))
    if assign:
        local["assign_to_params_buffers"] = True
    module._load_from_state_dict(state, prefix, local, True, missing, unexpected, errors)
    for name, child in module._modules.items():
        if child is not None:
            start = f"{prefix}{name}."
            part = {key: value for key, value in state.items() if key.startswith(start)}
            _load(child, part, start, metadata, strict, assign, missing, unexpected, errors)
    for hook in list(module._load_state_dict_post_hooks.values()):
        if hook(module, IncompatibleKeys(missing, unexpected)) is not None:
            raise RuntimeError("load_state_dict post-hook: edit the two lists of keys in place and return None")


def _assign(module: Any, name: str, current: Tensor, value: Tensor) -> None:
    from flambeau.nn.parameter import Parameter

    if isinstance(current, Parameter):
        if not isinstance(value, Parameter):
            value = Parameter(value, requires_grad=current.requires_grad)
        else:
            value.requires_grad_(current.requires_grad)
    setattr(module, name, value)


def _shape(tensor: Tensor) -> str:
    return f"torch.Size({list(tensor.shape)})".replace("torch.", "")
