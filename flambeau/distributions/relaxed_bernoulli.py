"""Relaxed (concrete) Bernoulli distributions: differentiable numbers in (0, 1) instead of 0 and 1."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.transforms import SigmoidTransform
from flambeau.distributions.utils import (
    BinaryOdds,
    broadcast_all,
    clamp_probs,
    exactly_one,
    probs_to_logits,
    softplus,
    uniform,
)

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(BinaryOdds, Distribution):
    """The logits of `RelaxedBernoulli` draws: (logistic noise + logits) / temperature (Maddison et al., 2017).

    >>> LogitRelaxedBernoulli(fl.tensor(1.0), probs=0.5).log_prob(fl.tensor(0.0))
    tensor(-1.3863)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True
    _expanded = {"probs": 0, "logits": 0, "_param": 0}
    _kept = ("temperature",)

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = exactly_one(probs=probs, logits=logits)
        (self._param,) = broadcast_all(probs if name == "probs" else logits)
        setattr(self, name, self._param)
        self.temperature = fl.as_tensor(temperature, dtype=self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = tuple(self._extended_shape(sample_shape))
        noise = clamp_probs(uniform(shape, self._param))
        odds = probs_to_logits(self.probs.expand(shape), is_binary=True)
        return (noise.log() - (-noise).log1p() + odds) / self.temperature

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value * self.temperature
        return self.temperature.log() + difference - 2 * softplus(difference)


class RelaxedBernoulli(TransformedDistribution):
    """Draws in (0, 1) that come near 0 and 1 as `temperature` goes to 0, differentiable in `probs` or `logits`.

    >>> RelaxedBernoulli(fl.tensor(1.0), probs=0.5).log_prob(fl.tensor(0.5))
    tensor(0.)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _expanded: dict[str, int] = {}

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs
