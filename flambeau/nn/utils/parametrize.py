"""Parameters that are a function of others: `register_parametrization` and what goes with it.

A parametrised tensor becomes a property of the module's class, a class made for that module alone; what it is computed
from is trained instead, in `module.parametrizations`. Ready-made parametrisations are in `parametrizations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import flambeau
from flambeau.nn.container import ModuleDict, ModuleList
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip

_depth = 0
_known: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Iterator[None]:
    """A block in which every parametrised tensor is computed once, at its first use; for layers used several times.

    Example:
        >>> with fl.nn.utils.parametrize.cached():
        ...     pass
    """
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _known.clear()


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_like(found: Any, wanted: Any, who: str) -> None:
    if not isinstance(found, flambeau.Tensor):
        raise ValueError(f"{who} must return a tensor. Got {type(found).__name__}.")
    if found.dtype is not wanted.dtype or found.shape != wanted.shape:
        raise ValueError(
            f"{who} may not change dtype and shape of the tensor, unless the `unsafe` flag is enabled: it is "
            f"{wanted.dtype} {tuple(wanted.shape)}, the result {found.dtype} {tuple(found.shape)}"
        )


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor in the order they are applied, and the tensors they start from.

    `original` is that tensor, or `original0`, `original1`, ... are, where the first `right_inverse` gives several.
    """

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        with flambeau.no_grad():
            new = self._inverted(original, False)
        self.is_tensor = isinstance(new, flambeau.Tensor)
        if not self.is_tensor and not isinstance(new, (tuple, list)):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(new).__name__}"
            )
        self.ntensors = 1 if self.is_tensor else len(new)
        shape, dtype = original.detach(), original.dtype
        if self.is_tensor:
            if new.dtype is not dtype:
                raise ValueError(
                    f"When `right_inverse` outputs one tensor, it may not change the dtype: {dtype} became {new.dtype}"
                )
            original.data = new.detach()  # the same parameter, so that an optimizer keeps it
            _register(self, "original", original)
        else:
            for i, each in enumerate(new):
                if not isinstance(each, flambeau.Tensor):
                    raise ValueError(
                        f"'right_inverse' must return a Sequence of tensors (list, tuple...). Got element {i} of the "
                        f"sequence with type {type(each).__name__}."
                    )
                each = each.detach()
                each = Parameter(each.clone(), original.requires_grad) if isinstance(original, Parameter) else each
                _register(self, f"original{i}", each)
        if not unsafe:
            _check_like(self(), shape, "A parametrization")

    def _inverted(self, value: Any, strict: bool) -> Any:
        """`value` through all `right_inverse`s, the last one first; those that have none count as identities."""
        for module in reversed(list(self.children_in_order())):
            if hasattr(module, "right_inverse"):
                try:
                    value = module.right_inverse(value)
                except NotImplementedError:
                    if strict:
                        raise
            elif strict:
                raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
        return value

    def children_in_order(self) -> Iterator[Module]:
        """The parametrisations, first one first."""
        for i in range(len(self)):
            yield self[i]

    def right_inverse(self, value: Any) -> None:
        """Set the original tensors so that the parametrised one becomes `value`."""
        with flambeau.no_grad():
            value = self._inverted(value, True)
            if self.is_tensor:
                if not isinstance(value, flambeau.Tensor) or value.dtype is not self.original.dtype:
                    raise ValueError(f"`right_inverse` should return a tensor of {self.original.dtype}")
                self.original.data = value.detach()
                return
            if not isinstance(value, (tuple, list)) or len(value) != self.ntensors:
                raise ValueError(f"'right_inverse' must return a sequence of {self.ntensors} tensors")
            for i, tensor in enumerate(value):
                getattr(self, f"original{i}").data = tensor.detach()

    def forward(self) -> Any:
        """The parametrised tensor."""
        modules = self.children_in_order()
        if self.is_tensor:
            value = next(modules)(self.original)
        else:
            value = next(modules)(*[getattr(self, f"original{i}") for i in range(self.ntensors)])
        for module in modules:
            value = module(value)
        return value


def _deepcopy(self: Any, memo: dict) -> Any:
    known = memo.get(id(self))
    if known is None:
        base = type(self).__bases__[0]
        own = {name: value for name, value in vars(type(self)).items() if isinstance(value, property)}
        made = _parametrized_class(base)
        for name, value in own.items():
            setattr(made, name, value)
        known = memo[id(self)] = made.__new__(made)
        known.__setstate__(deepcopy(Module.__getstate__(self), memo))
    return known


def _refuse_pickle(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(): save model.state_dict()"
    )


def _parametrized_class(base: type) -> Any:
    return type(f"Parametrized{base.__name__}", (base,), {"__getstate__": _refuse_pickle, "__deepcopy__": _deepcopy})


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        made = self.parametrizations[name]
        if not _depth:
            return made()
        key = (id(self), name)
        if key not in _known:
            _known[key] = made()
        return _known[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put, doc=f"The parametrised `{name}`.")


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer of `module` the result of `parametrization`, a module from a tensor to a tensor.

    The trained tensor becomes `module.parametrizations.<name>.original`. A `right_inverse(tensor)` of the
    parametrisation says what to start from, and makes assignment to the attribute work.

    Arguments: `tensor_name`, of the parameter or buffer; a second parametrisation is applied to the result of the
    first; `unsafe`, do not check that dtype and shape stay. Returns `module`, its class changed. Errors: ValueError.

    Example:
        >>> class Symmetric(fl.nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).mT
        >>> layer = fl.nn.utils.parametrize.register_parametrization(fl.nn.Linear(3, 3), "weight", Symmetric())
        >>> fl.equal(layer.weight, layer.weight.mT)
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            _check_like(after, before, "A parametrization")
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(after)
                except NotImplementedError:
                    back = before
                _check_like(back, before, "parametrization.right_inverse")
        found = module.parametrizations[tensor_name]
        found.append(parametrization)
        found.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.__class__ = _parametrized_class(type(module))
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrised tensors, or one of this name.

    Example:
        >>> fl.nn.utils.parametrize.is_parametrized(fl.nn.Linear(2, 2))
        False
    """
    found = module.__dict__.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrised tensor an ordinary parameter or buffer again.

    Arguments: `leave_parametrized`, keep the value that the parametrisation gives, else the original's. Returns
    `module`, with its own class again after the last one. Errors: ValueError.

    Example:
        >>> layer = fl.nn.utils.parametrizations.weight_norm(fl.nn.Linear(2, 2))
        >>> list(fl.nn.utils.parametrize.remove_parametrizations(layer, "weight").state_dict())
        ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    found = module.parametrizations[tensor_name]
    if found.is_tensor:
        original = found.original
        if leave_parametrized:
            with flambeau.no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of a module without that of its parametrisations.

    Example:
        >>> fl.nn.utils.parametrize.type_before_parametrizations(fl.nn.Linear(2, 2)).__name__
        'Linear'
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrisations of another module, and the values of what they start from.

    Arguments: `tensor_name`, one of them instead of all. Returns `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            _register(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in source.children_in_order():
            register_parametrization(to_module, name, deepcopy(parametrization), unsafe=source.unsafe)
        target = to_module.parametrizations[name]
        keys = ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]
        for key in keys:
            getattr(target, key).data = getattr(source, key).detach().clone()
    return to_module
