"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.ops.sampling import sample_dirichlet

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Points (*, K) of the simplex with concentrations (*, K).

    >>> Dirichlet(fl.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _expanded = {"concentration": 1}

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional; got a 0-dim tensor")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return sample_dirichlet(self.concentration.expand(tuple(self._extended_shape(sample_shape))))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return fl.xlogy(a - 1.0, value).sum(-1) + fl.lgamma(a.sum(-1)) - fl.lgamma(a).sum(-1)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Any:
        """The mode; where every concentration is below 1, the corner of the largest."""
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, keepdim=True)
        corners = fl.nn.functional.one_hot(mode.argmax(-1), self.concentration.shape[-1]).to(mode.dtype)
        return fl.where((self.concentration < 1).all(-1, keepdim=True), corners, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def entropy(self) -> Any:
        a, total = self.concentration, self.concentration.sum(-1)
        return (
            fl.lgamma(a).sum(-1)
            - fl.lgamma(total)
            - (a.shape[-1] - total) * fl.digamma(total)
            - ((a - 1.0) * fl.digamma(a)).sum(-1)
        )

    @property
    def _natural_params(self) -> Any:
        return (self.concentration,)

    def _log_normalizer(self, x: Any) -> Any:
        return x.lgamma().sum(-1) - fl.lgamma(x.sum(-1))
