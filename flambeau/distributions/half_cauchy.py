"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions.cauchy import Cauchy
from flambeau.distributions.half import Half
from flambeau.distributions.transformed_distribution import of_base

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The absolute value of a Cauchy draw with median 0 and half width `scale`.

    >>> HalfCauchy(1.0).cdf(fl.tensor(1.0))
    tensor(0.5000)
    """

    _expanded: dict[str, int] = {}
    _whole = Cauchy
    scale = of_base("scale", "The half width.")

    @property
    def mean(self) -> Any:
        return fl.full_like(self.scale, math.inf)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return fl.atan(value / self.scale) * (2 / math.pi)

    def icdf(self, value: Any) -> Any:
        return self.scale * fl.tan(value * (math.pi / 2))
