"""`Optimizer`, the base class: parameter groups, state, hooks, and the format in which both are saved.

The mathematics of each rule is an operation in `flambeau/ops/update.py`; an optimizer gathers lists of tensors and
makes one fused call for each group.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import flambeau
from flambeau import _core
from flambeau.optim.gather import share_steps
from flambeau.utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]

Tensor = _core.Tensor


class _Required:
    """Stands for an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_global_pre_hooks: OrderedDict = OrderedDict()
_global_post_hooks: OrderedDict = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before the step of every optimizer."""
    handle = RemovableHandle(_global_pre_hooks)
    _global_pre_hooks[handle.id] = hook
    return handle


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after the step of every optimizer."""
    handle = RemovableHandle(_global_post_hooks)
    _global_post_hooks[handle.id] = hook
    return handle


def _with_hooks(step: Callable) -> Callable:
    """The `step` of a class, running the hooks that were registered."""

    def hooked_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True  # schedules ask for it
        if not (self._optimizer_step_pre_hooks or _global_pre_hooks):
            result = step(self, *args, **kwargs)
        else:
            for hook in [*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()]:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            result = step(self, *args, **kwargs)
        if self._optimizer_step_post_hooks or _global_post_hooks:
            for hook in [*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()]:
                hook(self, args, kwargs)
        return result

    wrapped: Any = functools.wraps(step)(hooked_step)
    wrapped.hooked = True
    return wrapped


class Optimizer:
    """The base class of optimizers.

    Arguments: `params`, an iterable of tensors, of (name, tensor) pairs or of dictionaries, one for each parameter
    group, whose other entries are that group's options; `defaults`, the options of groups that do not give their own.
    """

    _later: dict[str, Any] = {}  # options that states saved by older versions lack, and what they stand for

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._optimizer_step_pre_hooks: OrderedDict = OrderedDict()
        self._optimizer_step_post_hooks: OrderedDict = OrderedDict()
        self._optimizer_state_dict_pre_hooks: OrderedDict = OrderedDict()
        self._optimizer_state_dict_post_hooks: OrderedDict = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks: OrderedDict = OrderedDict()
        self._optimizer_load_state_dict_post_hooks: OrderedDict = OrderedDict()
        self._hook_step()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a single "
                f"{type(params).__name__}; put it in a list"
            )
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._stepped: tuple | None = ()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list; pass model.parameters() of a model that has some")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group) if isinstance(group, dict) else group)

    def _hook_step(self) -> None:
        # Every class's own step is wrapped once, also that of classes that programs derive.
        cls: Any = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = _with_hooks(cls.step)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("step_pre", "step_post", "state_dict_pre", "state_dict_post"):
            self.__dict__.setdefault(f"_optimizer_{name}_hooks", OrderedDict())
        for name in ("load_state_dict_pre", "load_state_dict_post"):
            self.__dict__.setdefault(f"_optimizer_{name}_hooks", OrderedDict())
        for name, value in self._later.items():
            for group in self.param_groups:
                group.setdefault(name, value)
        self._stepped = ()
        self._hook_step()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for position, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {position}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter by its gradient; `closure`, when given, computes the loss anew and is called first."""
        raise NotImplementedError(f"{type(self).__name__}: define step(self, closure=None)")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        if self._stepped:
            self._stepped = ()
        if set_to_none:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None:
                    if gradient.grad_fn is not None:
                        gradient = parameter.grad = gradient.detach()
                    else:
                        gradient.requires_grad_(False)
                    gradient.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with their own options, to those that are optimized.

        Arguments: `param_group`, a dictionary with "params" (a tensor or an iterable of them) and any options. Errors:
        TypeError for things that are no tensors; ValueError for a tensor that is the result of a computation, for a
        missing option, or for a parameter that is in another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        params = list(params)
        named = [isinstance(value, tuple) for value in params]
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = [name for name, _ in params]
            params = [value for _, value in params]
        param_group["params"] = params
        for value in params:
            if not isinstance(value, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(value).__name__}")
            if not (self.defaults.get("differentiable") or value.is_leaf or value.retains_grad):
                raise ValueError(
                    f"can't optimize a non-leaf Tensor: one of shape {tuple(value.shape)} is the result of a "
                    "computation; pass the leaf it comes from, or value.detach().requires_grad_()"
                )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        own = {id(value) for value in params}
        if len(own) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each would be stepped twice",
                stacklevel=3,
            )
        if any(id(value) in own for group in self.param_groups for value in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                "cannot add param group with names to the optimizer, or the other way round"
            )
        self.param_groups.append(param_group)

    # -- saving and loading -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with parameters as numbers: `{"state": {0: {...}}, "param_groups": [{...}]}`."""
        for hook in list(self._optimizer_state_dict_pre_hooks.values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            packed["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            groups.append(packed)
        state = {
            (numbers.get(id(key), key) if isinstance(key, Tensor) else key): value for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in list(self._optimizer_state_dict_post_hooks.values()):
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict()` of an optimizer with as many groups and parameters gave.

        State tensors take the dtype and device of their parameters (step counts keep their own). Errors: ValueError
        when the numbers of groups or of their parameters differ; nothing has changed then.
        """
        state_dict = dict(state_dict)
        for hook in list(self._optimizer_load_state_dict_pre_hooks.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved = [dict(group) for group in state_dict["param_groups"]]
        if len(self.param_groups) != len(saved):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)}, but the optimizer has "
                f"{len(self.param_groups)}"
            )
        for position, (own, other) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(own["params"]) != len(other["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {position} has {len(other['params'])} parameters there and {len(own['params'])} here"
                )
        parameters: dict[Any, Tensor] = {}
        for own, other in zip(self.param_groups, saved, strict=True):
            parameters.update(zip(other["params"], own["params"], strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in parameters:
                parameter = parameters[key]
                state[parameter] = _fit(value, parameter, None)
            else:
                state[key] = value
        groups = []
        for own, other in zip(self.param_groups, saved, strict=True):
            group = {key: deepcopy(value) for key, value in other.items() if key not in ("params", "param_names")}
            group["params"] = own["params"]
            if "param_names" in own:
                group["param_names"] = own["param_names"]
            groups.append(group)
        self.__setstate__({"state": state, "param_groups": groups})
        share_steps(self)
        for hook in list(self._optimizer_load_state_dict_post_hooks.values()):
            hook(self)

    # -- hooks --------------------------------------------------------------------------------------------------------

    def _register(self, name: str, hook: Callable, prepend: bool = False) -> RemovableHandle:
        hooks = self.__dict__[f"_optimizer_{name}_hooks"]
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before `step`; it may return new (args, kwargs)."""
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after `step`."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict()`."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict()`; a returned value replaces the result."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns, unless None, is loaded instead."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return self._register("load_state_dict_post", hook, prepend)

    # -- for the rules ------------------------------------------------------------------------------------------------

    def _watch(self, gradients: list) -> None:
        """Warn once when a step uses exactly the gradients of the step before, none of them written since."""
        stepped = self._stepped
        if stepped is None or not gradients:
            return
        count = len(gradients)
        if stepped and stepped[0] == count:
            _, position, smallest, facts = stepped
            if gradients[position] is smallest and facts == _facts(gradients):
                self._stepped = None
                warnings.warn(
                    f"{type(self).__name__}.step: every gradient was used by the step before and has not changed "
                    "since; call optimizer.zero_grad() and loss.backward() before the next step (this warning comes "
                    "once)",
                    stacklevel=4,
                )
                return
        else:
            sizes = [gradient.numel() for gradient in gradients]
            position = sizes.index(min(sizes))
        # Only the smallest gradient is kept: it is enough to know that nothing was freed in between, and the memory of
        # the others must not be held.
        self._stepped = (count, position, gradients[position], _facts(gradients))


def _facts(gradients: list) -> list:
    """Where each gradient is and how often it was written."""
    return [(gradient.data_ptr(), gradient._version) for gradient in gradients]


def _fit(value: Any, parameter: Tensor, key: Any) -> Any:
    """A loaded state value on the device, and where it is no step count in the dtype, of its parameter."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.detach().clone()
        if parameter.dtype.category > 1:
            return value.to(dtype=parameter.dtype, device=parameter.device, copy=True)
        return value.to(device=parameter.device, copy=True)
    if isinstance(value, dict):
        return {name: _fit(each, parameter, name) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        build: Any = type(value)
        return build(_fit(each, parameter, key) for each in value)
    return value


def check_not_negative(name: str, value: Any) -> None:
    """ValueError for an option below zero."""
    if not 0.0 <= value:
        raise ValueError(f"Invalid {name}: {value}; it must not be negative")


def run_closure(closure: Callable[[], Any]) -> Any:
    """The loss that a closure computes, with gradient whatever the surroundings say."""
    with flambeau.enable_grad():
        return closure()


def check_options(options: dict[str, Any], *names: str) -> None:
    """ValueError for one of the named options that is negative ("betas": outside [0, 1)), or for `differentiable`.

    That option would put the step itself on the tape, and a fused step is not recorded.
    """
    for name in names:
        if name == "betas":
            check_betas(options[name])
        else:
            check_not_negative(_TITLES.get(name) or f"{name} value", options[name])
    if options["differentiable"]:
        raise ValueError(
            "differentiable=True is not supported: the step is one fused call in place; write the update with tensor "
            "operations to differentiate through it"
        )


_TITLES = {"lr": "learning rate", "eps": "epsilon value"}


def check_betas(betas: tuple) -> None:
    """ValueError for running-mean factors outside [0, 1)."""
    for position, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {position}: {beta}; it must be in [0, 1)")
