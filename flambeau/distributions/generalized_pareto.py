"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all, uniform

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Exceedances: P(x > t) = (1 + concentration * z) ** (-1 / concentration) with z = (t - loc) / scale.

    Concentration 0 is the exponential distribution; a negative one has an upper end.

    >>> GeneralizedPareto(0.0, 1.0, 0.5).mean
    tensor(2.)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _expanded = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        bounded = self.concentration < 0
        end = self.loc - self.scale / fl.where(bounded, self.concentration, -1.0)
        return constraints.interval(self.loc, fl.where(bounded, end, math.inf))

    def _shape(self) -> tuple[Any, Any]:
        """(where the concentration is next to 0, the concentration with 1 there).

        There the formulas take their expansions to the first order, which have the right derivative.
        """
        zero = self.concentration.abs() < 1e-8
        return zero, fl.where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        zero, c = self._shape()
        power = 1 / c + 1
        tail = fl.where(power == 0, 0.0, power * fl.log1p(c * z))  # concentration -1 is uniform up to its end
        near = z + self.concentration * (z - 0.5 * z.square())
        return -self.scale.log() - fl.where(zero, near, tail)

    def log_survival_function(self, value: Any) -> Any:
        """log P(x > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        zero, c = self._shape()
        return -fl.where(zero, z - 0.5 * self.concentration * z.square(), fl.log1p(c * z) / c)

    def log_cdf(self, value: Any) -> Any:
        """log P(x <= value)."""
        return fl.log(self.cdf(value))

    def cdf(self, value: Any) -> Any:
        return -fl.expm1(self.log_survival_function(value))

    def icdf(self, value: Any) -> Any:
        log_rest = fl.log1p(-value)
        zero, c = self._shape()
        near = 0.5 * self.concentration * log_rest.square() - log_rest
        return self.loc + self.scale * fl.where(zero, near, fl.expm1(-c * log_rest) / c)

    @property
    def mean(self) -> Any:
        valid = self.concentration < 1
        return fl.where(valid, self.loc + self.scale / (1 - fl.where(valid, self.concentration, 0.5)), math.nan)

    @property
    def variance(self) -> Any:
        valid = self.concentration < 0.5
        c = fl.where(valid, self.concentration, 0.25)
        return fl.where(valid, self.scale.square() / ((1 - c).square() * (1 - 2 * c)), math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1
