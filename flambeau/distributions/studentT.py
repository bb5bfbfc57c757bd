"""Student's t distribution."""

# ruff: noqa: N999  (the name by which torch.distributions has this module)

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.chi2 import Chi2
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all, standard_normal

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t distribution with `df` degrees of freedom, shifted by `loc` and scaled by `scale`.

    >>> StudentT(4.0).variance
    tensor(2.)
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _expanded = {"df": 0, "loc": 0, "scale": 0, "_chi2": 0}

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=validate_args)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return fl.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        df = fl.where(self.df > 2, self.df, 3.0)
        finite = self.scale.square() * df / (df - 2)
        return fl.where(self.df > 2, finite, fl.where(self.df > 1, math.inf, fl.full_like(df, math.nan)))

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.df)
        return self.loc + self.scale * noise * fl.rsqrt(self._chi2.rsample(sample_shape) / self.df)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        half = 0.5 * self.df
        normaliser = (
            self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi) + fl.lgamma(half) - fl.lgamma(half + 0.5)
        )
        return -(half + 0.5) * fl.log1p(y * y / self.df) - normaliser

    def entropy(self) -> Any:
        half = 0.5 * self.df
        log_beta = fl.lgamma(half) + math.lgamma(0.5) - fl.lgamma(half + 0.5)
        spread = (half + 0.5) * (fl.digamma(half + 0.5) - fl.digamma(half))
        return self.scale.log() + spread + 0.5 * self.df.log() + log_beta
