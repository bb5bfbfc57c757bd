"""The multinomial distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all
from flambeau.ops.sampling import multinomial_counts

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each of K outcomes came up in `total_count` draws, from `probs` (*, K) or `logits` (*, K).

    `log_prob` takes any total count, so `total_count` may be left out where only that is asked.

    >>> Multinomial(8, fl.tensor([1.0, 3.0])).mean
    tensor([2., 6.])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    total_count: int
    _expanded = {"_categorical": 0}
    _kept = ("total_count",)

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported; pass one int")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits, validate_args=validate_args)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def logits(self) -> Any:
        """The log probabilities."""
        return self._categorical.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        probs = self.probs.detach()
        return multinomial_counts(self.total_count, probs.expand(tuple(self._extended_shape(sample_shape))))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        impossible = ((value == 0) & (logits == -math.inf)).detach()  # 0 times -inf counts 0
        powers = (fl.where(impossible, 0.0, logits) * value).sum(-1)
        return fl.lgamma(value.sum(-1) + 1) - fl.lgamma(value + 1).sum(-1) + powers

    def entropy(self) -> Any:
        n = self.total_count
        counts = Binomial(n, probs=self.probs, validate_args=False)  # of each outcome alone
        support = counts.enumerate_support(expand=False)[1:]
        factorials = (counts.log_prob(support).exp() * fl.lgamma(support + 1)).sum([0, -1])
        return n * self._categorical.entropy() - math.lgamma(n + 1) + factorials
