"""The older form of spectral normalisation: a hook computes the weight before every forward.

New programs use `parametrizations.spectral_norm`.
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.convolution import _Transposed
from flambeau.nn.parameter import Parameter, is_lazy
from flambeau.nn.utils.parametrizations import as_matrix

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


class SpectralNorm:
    """The forward pre-hook that divides the weight of a module by its largest singular value."""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        """weight / σ; the two vectors move toward the singular ones first where asked to."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with flambeau.no_grad():
                fixed = matrix.detach()
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(fixed.t() @ u, dim=0, eps=self.eps))
                    u.copy_(F.normalize(fixed @ v, dim=0, eps=self.eps))
        # Copies: the vectors change in the next forward, before the backward of this one.
        return weight / flambeau.dot(u.clone(), matrix @ v.clone())

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a weight by its largest singular value, found by the power method (Miyato et al., 2018).

    Arguments: as of `parametrizations.spectral_norm`. Returns `module`, with the parameter `<name>_orig` and the
    buffers `<name>_u` and `<name>_v`. Errors: RuntimeError for a second time, ValueError.

    Example:
        >>> sorted(fl.nn.utils.spectral_norm(fl.nn.Linear(2, 3)).state_dict())
        ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    for known in module._forward_pre_hooks.values():
        if isinstance(known, SpectralNorm) and known.name == name:
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    if is_lazy(weight):
        raise ValueError(
            "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the dummy "
            "forward before applying spectral normalization"
        )
    if dim is None:
        dim = 1 if isinstance(module, _Transposed) else 0
    hook = SpectralNorm(name, n_power_iterations, dim, eps)
    matrix = as_matrix(weight.detach(), dim)
    u, v = [F.normalize(matrix.new_empty(size).normal_(0, 1), dim=0, eps=eps) for size in matrix.shape]
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.data)  # there for those who look before the first forward
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make the weight an ordinary parameter again, of the value it has. Errors: ValueError where there is no norm.

    Example:
        >>> layer = fl.nn.utils.spectral_norm(fl.nn.Linear(2, 3))
        >>> sorted(fl.nn.utils.remove_spectral_norm(layer).state_dict())
        ['bias', 'weight']
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            with flambeau.no_grad():
                weight = hook.compute_weight(module, False)
            for each in (name, name + "_u", name + "_v", name + "_orig"):
                delattr(module, each)
            module.register_parameter(name, Parameter(weight.detach()))
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
