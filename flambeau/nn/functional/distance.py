"""Distances and similarities as functions."""

from __future__ import annotations

from typing import Any

from flambeau.ops import reduce as _reduce
from flambeau.ops.arguments import check_tensor
from flambeau.ops.norms import pdist

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1·x2 / (max(‖x1‖, eps)·max(‖x2‖, eps)) along `dim`, of broadcast inputs.

    Example:
        >>> F.cosine_similarity(fl.tensor([[1.0, 0.0]]), fl.tensor([[2.0, 0.0]]))
        tensor([1.])
    """
    return _reduce.cosine_similarity(x1, x2, eps, dim=dim)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """‖x1 - x2 + eps‖_p along the last dimension."""
    check_tensor("pairwise_distance", x1, "x1")
    check_tensor("pairwise_distance", x2, "x2")
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)
