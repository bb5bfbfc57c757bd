"""The geometric distribution."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution, holds
from flambeau.distributions.utils import BinaryOdds, broadcast_all, exactly_one, softplus, uniform

__all__ = ["Geometric"]


class Geometric(BinaryOdds, Distribution):
    """How many trials fail before the first success, of probability `probs` (or log odds `logits`): 0, 1, 2, ...

    >>> Geometric(probs=0.25).mean
    tensor(3.)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer
    _expanded = {"probs": 0, "logits": 0, "_param": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        name = exactly_one(probs=probs, logits=logits)
        (self._param,) = broadcast_all(probs if name == "probs" else logits)
        setattr(self, name, self._param)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and name == "probs" and not holds(self._param.detach() > 0):
            raise ValueError(
                f"Expected parameter probs ({type(self._param).__name__} of shape {tuple(self._param.shape)}) of "
                f"distribution {self!r} to be positive but found invalid values:\n{self._param}"
            )

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return fl.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        with fl.no_grad():
            left = 1 - uniform(self._extended_shape(sample_shape), self.probs)  # in (0, 1]
            return (left.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return fl.special.xlog1py(value, -self.probs) + self.probs.log()

    def entropy(self) -> Any:
        return (softplus(self.logits) - self.probs * self.logits) / self.probs
