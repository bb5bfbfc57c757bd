"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all, lazy_property
from flambeau.ops.sampling import von_mises

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles around `loc` with density exp(concentration * cos(x - loc)) / (2 pi I0(concentration)), in radians.

    `variance` is the circular one: 1 - I1 / I0.

    >>> VonMises(fl.tensor(0.0), fl.tensor(1.0)).variance
    tensor(0.5536)
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _expanded = {"loc": 0, "concentration": 0}

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        # cos - 1 goes with the Bessel function scaled by exp(-concentration), so large concentrations do not overflow
        peak = self.concentration * (fl.cos(value - self.loc) - 1)
        return peak - math.log(2 * math.pi) - fl.special.i0e(self.concentration).log()

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = tuple(self._extended_shape(sample_shape))
        return von_mises(self.loc.expand(shape), self.concentration.expand(shape))

    @property
    def mean(self) -> Any:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance."""
        return 1 - fl.special.i1e(self.concentration) / fl.special.i0e(self.concentration)
