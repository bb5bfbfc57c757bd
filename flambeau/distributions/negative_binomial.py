"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.utils import BinaryOdds, broadcast_all, exactly_one

__all__ = ["NegativeBinomial"]


class NegativeBinomial(BinaryOdds, Distribution):
    """How many trials succeed, each with probability `probs` (or log odds `logits`), before `total_count` failures.

    >>> NegativeBinomial(3.0, fl.tensor(0.5)).mean
    tensor(3.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _expanded = {"total_count": 0, "probs": 0, "logits": 0, "_param": 0}

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = exactly_one(probs=probs, logits=logits)
        self.total_count, self._param = broadcast_all(total_count, probs if name == "probs" else logits)
        self.total_count = self.total_count.type_as(self._param)
        setattr(self, name, self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / fl.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Any:
        with fl.no_grad():  # a Poisson draw whose rate is a gamma draw; no trial fails for ever at total_count 0
            tiny = fl.finfo(self._param.dtype).tiny
            rates = Gamma(self.total_count.clamp(min=tiny), fl.exp(-self.logits), validate_args=False)
            return fl.poisson(rates.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        logsigmoid = fl.nn.functional.logsigmoid
        ways = fl.lgamma(n + value) - fl.lgamma(1.0 + value) - fl.lgamma(n)
        none = (n + value == 0.0).detach()
        return n * logsigmoid(-self.logits) + value * logsigmoid(self.logits) + fl.where(none, 0.0, ways)
