"""The continuous Bernoulli distribution (Loaiza-Ganem and Cunningham, 2019)."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import holds
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.utils import (
    BinaryOdds,
    broadcast_all,
    clamp_probs,
    exactly_one,
    lazy_property,
    logits_to_probs,
    uniform,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(BinaryOdds, ExponentialFamily):
    """Numbers in [0, 1] with a density proportional to probs ** x * (1 - probs) ** (1 - x).

    Between the two `lims` around 1/2, where the closed forms are 0 / 0, Taylor series take their place.

    >>> ContinuousBernoulli(probs=0.5).mean
    tensor(0.5000)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _expanded = {"probs": 0, "logits": 0, "_param": 0}
    _kept = ("_lims",)

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        name = exactly_one(probs=probs, logits=logits)
        (param,) = broadcast_all(probs if name == "probs" else logits)
        if name == "probs":
            checked = self._validate_args if validate_args is None else validate_args
            if checked and not holds(self.arg_constraints["probs"].check(param.detach())):
                raise ValueError(f"The parameter probs has invalid values: it must lie in [0, 1], got {param}")
            param = clamp_probs(param)
        self._param, self._lims = param, lims
        setattr(self, name, param)
        super().__init__(param.shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities, clamped."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _parts(self) -> tuple[Any, Any]:
        """(where the closed forms hold, probs there and the lower limit elsewhere)."""
        closed = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        return closed, fl.where(closed, self.probs, self._lims[0])

    def _cont_bern_log_norm(self) -> Any:
        closed, p = self._parts()
        log_odds = fl.log1p(-p) - fl.log(p)
        log_norm = log_odds.abs().log() - (1.0 - 2.0 * p).abs().log()
        x = (self.probs - 0.5).square()
        return fl.where(closed, log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Any:
        closed, p = self._parts()
        mean = p / (2.0 * p - 1.0) + 1.0 / (fl.log1p(-p) - fl.log(p))
        x = self.probs - 0.5
        return fl.where(closed, mean, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x * x) * x)

    @property
    def variance(self) -> Any:
        closed, p = self._parts()
        variance = p * (p - 1.0) / (1.0 - 2.0 * p).square() + (fl.log1p(-p) - fl.log(p)).pow(-2)
        x = (self.probs - 0.5).square()
        return fl.where(closed, variance, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        entropy = fl.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return self._cont_bern_log_norm() - entropy

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        closed, p = self._parts()
        inside = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        return fl.where(closed, inside, value).clamp(min=0.0, max=1.0)

    def icdf(self, value: Any) -> Any:
        closed, p = self._parts()
        rest = fl.log1p(-p)
        inside = (fl.log1p(-p + value * (2.0 * p - 1.0)) - rest) / (fl.log(p) - rest)
        return fl.where(closed, inside, value)

    def entropy(self) -> Any:
        rest = fl.log1p(-self.probs)
        return self.mean * (rest - fl.log(self.probs)) - self._cont_bern_log_norm() - rest

    @property
    def _natural_params(self) -> Any:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:
        """log((exp(x) - 1) / x)."""
        closed = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        safe = fl.where(closed, x, self._lims[0] - 0.5)
        log_norm = fl.expm1(safe).abs().log() - safe.abs().log()
        return fl.where(closed, log_norm, 0.5 * x + x.square() / 24.0 - x.pow(4) / 2880.0)
