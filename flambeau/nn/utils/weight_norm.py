"""The older form of weight normalisation: a hook computes the weight before every forward.

New programs use `parametrizations.weight_norm`.
"""

from __future__ import annotations

from typing import Any

from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter, is_lazy
from flambeau.ops.norms import norm_except_dim, weight_normalised

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


class WeightNorm:
    """The forward pre-hook that sets the weight of a module from its lengths and directions."""

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Any) -> Any:
        """g · v / ‖v‖."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return weight_normalised(v, g, self.dim)

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Train the lengths `<name>_g` and the directions `<name>_v` of a weight apart: w = g · v / ‖v‖.

    Arguments: `name` of the parameter; `dim`, the dimension with one length for each slice, None for one in all.
    Returns `module`. Errors: RuntimeError for a second time, ValueError for a parameter without shape.

    Example:
        >>> sorted(fl.nn.utils.weight_norm(fl.nn.Linear(2, 3)).state_dict())
        ['bias', 'weight_g', 'weight_v']
    """
    for known in module._forward_pre_hooks.values():
        if isinstance(known, WeightNorm) and known.name == name:
            raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, -1 if dim is None else dim)
    weight = getattr(module, name)
    if is_lazy(weight):
        raise ValueError(
            "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure to run the dummy forward "
            "before applying weight normalization"
        )
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except_dim(weight.detach(), 2, hook.dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, of the value it has. Errors: ValueError where there is no norm.

    Example:
        >>> layer = fl.nn.utils.weight_norm(fl.nn.Linear(2, 3))
        >>> sorted(fl.nn.utils.remove_weight_norm(layer).state_dict())
        ['bias', 'weight']
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            weight = hook.compute_weight(module).detach()
            for each in (name, name + "_g", name + "_v"):
                delattr(module, each)
            setattr(module, name, Parameter(weight))
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
