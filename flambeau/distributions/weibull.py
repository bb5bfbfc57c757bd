"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.exponential import Exponential
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.transforms import AffineTransform, PowerTransform
from flambeau.distributions.utils import broadcast_all, euler_constant

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """Life times: P(x > t) = exp(-(t / scale) ** concentration).

    >>> Weibull(2.0, 1.0).mean
    tensor(2.)
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _expanded = {"scale": 0, "concentration": 0, "concentration_reciprocal": 0}

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(fl.ones_like(self.scale), validate_args=validate_args)
        parts = [PowerTransform(self.concentration_reciprocal), AffineTransform(0, self.scale)]
        super().__init__(base, parts, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * fl.lgamma(1 + self.concentration_reciprocal).exp()

    @property
    def mode(self) -> Any:
        above = ((self.concentration - 1) / self.concentration).clamp(min=0)
        return self.scale * above.pow(self.concentration_reciprocal)

    @property
    def variance(self) -> Any:
        inverse = self.concentration_reciprocal
        return self.scale.square() * (fl.lgamma(1 + 2 * inverse).exp() - (2 * fl.lgamma(1 + inverse)).exp())

    def entropy(self) -> Any:
        inverse = self.concentration_reciprocal
        return euler_constant * (1 - inverse) + (self.scale * inverse).log() + 1
