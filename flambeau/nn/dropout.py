"""Dropout as modules: active in training, the identity in evaluation."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    """What all dropouts have: a probability, and whether they write into their input."""

    _warned = False

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def _check_mode(self) -> None:
        """Warn once about dropout without gradient: a prediction of a model that was left in training mode."""
        if not flambeau.is_grad_enabled() and not _Dropout._warned:
            import warnings

            _Dropout._warned = True
            warnings.warn(
                f"{type(self).__name__} is in training mode while gradients are off: predictions are random; call "
                "model.eval() before predicting (this warning comes once)",
                stacklevel=4,
            )

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


def _forward(function: str, shape: str) -> Any:
    def forward(self: Any, input: Any) -> Any:
        if self.training and self.p:
            self._check_mode()
        return getattr(F, function)(input, self.p, self.training, self.inplace)

    forward.__doc__ = shape
    return forward


class Dropout(_Dropout):
    """Zero each element with probability `p` and scale the others by 1 / (1 - p), in training.

    Example:
        >>> fl.nn.Dropout(0.2).eval()(fl.ones(2))
        tensor([1., 1.])
    """

    forward = _forward("dropout", "Any shape.")


class Dropout1d(_Dropout):
    """Zero whole channels of (N, C, L) or (C, L)."""

    forward = _forward("dropout1d", "(N, C, L) or (C, L).")


class Dropout2d(_Dropout):
    """Zero whole channels of (N, C, H, W)."""

    forward = _forward("dropout2d", "(N, C, H, W).")


class Dropout3d(_Dropout):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    forward = _forward("dropout3d", "(N, C, D, H, W) or (C, D, H, W).")


class AlphaDropout(_Dropout):
    """Dropout for networks of selu: mean 0 and variance 1 stay what they are."""

    forward = _forward("alpha_dropout", "Any shape.")


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    forward = _forward("feature_alpha_dropout", "(N, C, ...).")
