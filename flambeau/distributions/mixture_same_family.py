"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A draw from one of K components, chosen by a categorical distribution.

    The components lie along the last batch dimension of `component_distribution`, of size K.

    >>> from flambeau.distributions.normal import Normal
    >>> MixtureSameFamily(Categorical(fl.ones(2)), Normal(fl.tensor([-1.0, 1.0]), 1.0)).variance
    tensor(2.)
    """

    arg_constraints: dict[str, Any] = {}
    has_rsample = False
    _expanded: dict[str, int] = {"_mixture_distribution": 0}
    _kept = ("_num_component", "_event_ndims")

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "The Mixture distribution needs to be an instance of flambeau.distributions.Categorical, got "
                f"{type(mixture_distribution).__name__}"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of flambeau.distributions.Distribution, got "
                f"{type(component_distribution).__name__}"
            )
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        mixture_shape, component_shape = mixture_distribution.batch_shape, component_distribution.batch_shape
        for i, j in zip(reversed(mixture_shape), reversed(component_shape[:-1])):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_shape}) is not compatible with "
                    f"`component_distribution.batch_shape`({component_shape[:-1]})"
                )
        self._num_component = mixture_distribution.param_shape[-1]
        if not component_shape or component_shape[-1] != self._num_component:
            raise ValueError(
                f"`mixture_distribution component` ({self._num_component}) does not equal "
                f"`component_distribution.batch_shape[-1]` of {component_shape}"
            )
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(component_shape[:-1], event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Any:
        """The distribution of the component's number."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components, along the last batch dimension."""
        return self._component_distribution

    def _weights(self) -> Any:
        """The probabilities with the event dimensions added."""
        probs = self._mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * self._event_ndims)

    def _pad(self, value: Any) -> Any:
        return value.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self) -> Any:
        return (self._weights() * self._component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Any:
        """The mean of the components' variances and the variance of their means."""
        parts = self._component_distribution
        spread = parts.variance + (parts.mean - self._pad(self.mean)).square()
        return (self._weights() * spread).sum(-1 - self._event_ndims)

    def cdf(self, value: Any) -> Any:
        return (self._component_distribution.cdf(self._pad(value)) * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        parts = self._component_distribution.log_prob(self._pad(value))
        return fl.logsumexp(parts + fl.log_softmax(self._mixture_distribution.logits, dim=-1), dim=-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with fl.no_grad():
            sample_shape = fl.Size(sample_shape)
            places = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            dim = len(sample_shape) + len(self._batch_shape)
            places = places.reshape(places.shape + (1,) * (1 + self._event_ndims))
            places = places.expand((*drawn.shape[:dim], 1, *drawn.shape[dim + 1 :]))
            return drawn.gather(dim, places).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
