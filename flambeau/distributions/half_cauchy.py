"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.cauchy import Cauchy
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.transforms import AbsTransform

__all__ = ["HalfCauchy"]


class HalfCauchy(TransformedDistribution):
    """The absolute value of a Cauchy draw with median 0 and half width `scale`.

    >>> HalfCauchy(1.0).cdf(fl.tensor(1.0))
    tensor(0.5000)
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _expanded: dict[str, int] = {}

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Any:
        """The half width."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return fl.full_like(self.scale, math.inf)

    @property
    def mode(self) -> Any:
        return fl.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return fl.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return fl.atan(value / self.scale) * (2 / math.pi)

    def icdf(self, value: Any) -> Any:
        return self.scale * fl.tan(value * (math.pi / 2))

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
