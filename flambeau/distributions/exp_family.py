"""Exponential families: densities exp(<natural parameters, statistics of x> - log normaliser + carrier measure)."""

from __future__ import annotations

from typing import Any

import flambeau as fl
from flambeau.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution with natural parameters and a log normaliser, from which the entropy follows.

    Subclasses define `_natural_params`, `_log_normalizer(*natural)` and `_mean_carrier_measure`.
    """

    @property
    def _natural_params(self) -> Any:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy by the derivative of the log normaliser: A(t) - <t, A'(t)> - mean carrier measure."""
        carrier = self._mean_carrier_measure
        with fl.enable_grad():
            natural = [t.detach().requires_grad_() for t in self._natural_params]
            normaliser = self._log_normalizer(*natural)
            gradients = fl.autograd.grad(normaliser.sum(), natural, create_graph=True)
        result = normaliser - carrier
        for parameter, gradient in zip(natural, gradients):
            result = result - (parameter * gradient).reshape((*self._batch_shape, -1)).sum(-1)
        return result
