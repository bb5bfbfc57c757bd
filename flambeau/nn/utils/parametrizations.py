"""Ready-made parametrisations: `weight_norm`, `spectral_norm`. How they are attached is in `parametrize`."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.convolution import _Transposed
from flambeau.nn.module import Module
from flambeau.nn.utils import parametrize
from flambeau.ops.norms import norm_except_dim, weight_normalised

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """g · v / ‖v‖, each slice of dimension `dim` by itself."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """The weight from its lengths and directions."""
        return weight_normalised(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """Lengths and directions of a weight."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the lengths and the directions of a weight apart: w = g · v / ‖v‖ (Salimans and Kingma, 2016).

    Arguments: `name` of the parameter; `dim`, the dimension with one length for each slice, None for one in all.
    Returns `module`, with `parametrizations.weight.original0` (g) and `original1` (v). State dictionaries of the older
    `nn.utils.weight_norm` load.

    Example:
        >>> layer = fl.nn.utils.parametrizations.weight_norm(fl.nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        flambeau.Size([40, 1])
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: dict, prefix: str, *ignored: Any) -> None:
        if f"{prefix}{name}_g" in state_dict and f"{prefix}{name}_v" in state_dict:
            for i, letter in enumerate("gv"):
                key = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[key] = state_dict.pop(f"{prefix}{name}_{letter}")

    module._register_load_state_dict_pre_hook(rename)
    return module


def as_matrix(weight: Any, dim: int) -> Any:
    """The weight with `dim` in front and all others in one."""
    if dim:
        weight = weight.permute([dim, *[d for d in range(weight.ndim) if d != dim]])
    return weight.reshape((weight.shape[0], -1))


class _SpectralNorm(Module):
    """weight / σ, with the largest singular value σ found by the power method; training goes on with it."""

    _u: Any
    _v: Any

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps, self.n_power_iterations = dim % ndim, eps, n_power_iterations
        if ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, F.normalize(matrix.new_empty(size).normal_(0, 1), dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Any, count: int) -> None:
        with flambeau.no_grad():
            for _ in range(count):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t() @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        """The weight over its largest singular value."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        # Copies: the vectors change in the next forward, before the backward of this one.
        u, v = self._u.clone(), self._v.clone()
        return weight / flambeau.dot(u, matrix @ v)

    def right_inverse(self, value: Any) -> Any:
        """The value itself."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value, found by the power method (Miyato et al., 2018).

    Arguments: `name` of the parameter; `n_power_iterations` in every training forward; `eps`, the least length of a
    vector that is normalised; `dim`, the rows of the weight as a matrix (1 for transposed convolutions, else 0).
    Returns `module`. Errors: ValueError without such a parameter.

    Example:
        >>> layer = fl.nn.utils.parametrizations.spectral_norm(fl.nn.Linear(20, 40))
        >>> bool((fl.linalg.matrix_norm(layer.weight, 2) - 1).abs() < 0.1)
        True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, flambeau.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if isinstance(module, _Transposed) else 0
    parametrization = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, parametrization)
