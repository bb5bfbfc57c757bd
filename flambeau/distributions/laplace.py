"""The Laplace distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions.location_scale import LocationScale
from flambeau.distributions.utils import uniform

__all__ = ["Laplace"]


class Laplace(LocationScale):
    """Two exponential distributions back to back: exp(-|x - loc| / scale) / (2 scale).

    >>> Laplace(0.0, 1.0).entropy()
    tensor(1.6931)
    """

    _expanded = {"loc": 0, "scale": 0}

    @property
    def variance(self) -> Any:
        return 2 * self.scale.square()

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        # 2 u - 1 above -1, so that the logarithm is finite
        eps = fl.finfo(self.loc.dtype).eps
        place = (2 * uniform(self._extended_shape(sample_shape), self.loc) - 1).clamp(min=eps - 1)
        return self.loc - self.scale * place.sign() * fl.log1p(-place.abs())

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return -fl.log(2 * self.scale) - (value - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * fl.expm1(-distance.abs() / self.scale)

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * fl.log1p(-2 * term.abs())

    def entropy(self) -> Any:
        return 1 + math.log(2) + self.scale.log()
