"""Dropout as functions: zeros at random places, the rest scaled so that the mean stays."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.ops.arguments import Tensor, check_tensor, not_tensor
from flambeau.ops.random import random_dropout

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _check(name: str, p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")


def _times_mask(input: Any, shape: tuple, p: float, inplace: bool) -> Any:
    """The input times 0 with probability p, else times 1 / (1 - p); one draw for each element of `shape`."""
    mask = flambeau.empty(shape, dtype=input.dtype, device=input.device)
    mask = mask.bernoulli_(1.0 - p).div_(1.0 - p) if p < 1.0 else mask.zero_()
    return input.mul_(mask) if inplace else input * mask


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero each element with probability `p`, and scale the others by 1 / (1 - p); nothing out of training."""
    if not isinstance(input, Tensor):
        raise not_tensor("dropout", input)
    _check("dropout", p)
    if not training or p == 0.0:
        return input
    if inplace or p == 1.0:
        return _times_mask(input, tuple(input.shape), p, inplace)
    return random_dropout(input, p)


def _feature_dropout(name: str, input: Any, p: float, training: bool, inplace: bool, batched: bool) -> Any:
    _check(name, p)
    if not training or p == 0.0:
        return input
    kept = 2 if batched else 1
    shape = tuple(input.shape[:kept]) + (1,) * (input.ndim - kept)
    return _times_mask(input, shape, p, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, L) or (C, L) with probability `p`."""
    check_tensor("dropout1d", input)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input.")
    return _feature_dropout("dropout1d", input, p, training, inplace, input.ndim == 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, H, W) with probability `p`; a (C, H, W) input is read as (N, C, L)."""
    check_tensor("dropout2d", input)
    if input.ndim not in (3, 4):
        raise RuntimeError(f"dropout2d: Expected 3D or 4D input, but received a {input.ndim}D input.")
    return _feature_dropout("dropout2d", input, p, training, inplace, True)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability `p`."""
    check_tensor("dropout3d", input)
    if input.ndim not in (4, 5):
        raise RuntimeError(f"dropout3d: Expected 4D or 5D input, but received a {input.ndim}D input.")
    return _feature_dropout("dropout3d", input, p, training, inplace, input.ndim == 5)


def _alpha(input: Any, shape: tuple, p: float, inplace: bool) -> Any:
    """Dropped elements take selu's lowest value, and an affine map then restores mean 0 and variance 1."""
    lowest = -1.7580993408473766
    if p == 1.0:
        return input.zero_() if inplace else flambeau.zeros_like(input) * input
    scale = ((1.0 - p) * (1.0 + p * lowest * lowest)) ** -0.5
    mask = flambeau.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1.0 - p)
    added = (1.0 - mask) * (lowest * scale) - scale * p * lowest
    factor = mask * scale
    return input.mul_(factor).add_(added) if inplace else input * factor + added


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for networks of selu: mean 0 and variance 1 stay what they are."""
    check_tensor("alpha_dropout", input)
    _check("alpha_dropout", p)
    if not training or p == 0.0:
        return input
    return _alpha(input, tuple(input.shape), p, inplace)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels (dimension 1)."""
    check_tensor("feature_alpha_dropout", input)
    _check("feature_alpha_dropout", p)
    if not training or p == 0.0:
        return input
    return _alpha(input, tuple(input.shape[:2]) + (1,) * (input.ndim - 2), p, inplace)
