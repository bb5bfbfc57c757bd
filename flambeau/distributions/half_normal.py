"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions.half import Half
from flambeau.distributions.normal import Normal
from flambeau.distributions.transformed_distribution import of_base

__all__ = ["HalfNormal"]


class HalfNormal(Half):
    """The absolute value of a normal draw with mean 0 and standard deviation `scale`.

    >>> HalfNormal(1.0).mean
    tensor(0.7979)
    """

    _expanded: dict[str, int] = {}
    _whole = Normal
    scale = of_base("scale", "The standard deviation before the absolute value.")

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.square() * (1 - 2 / math.pi)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return fl.erf(value / self.scale * math.sqrt(0.5))

    def icdf(self, value: Any) -> Any:
        return self.scale * (math.sqrt(2) * fl.erfinv(value))
