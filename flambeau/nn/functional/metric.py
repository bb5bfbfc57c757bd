"""Losses that compare samples with one another as functions: margin, embedding and triplet losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.nn.functional.distance import pairwise_distance
from flambeau.nn.functional.loss import _as_floats, _call, _legacy, _reduce, _reduction, _shapes_differ
from flambeau.ops.arguments import check_tensor, in_float32

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """input where target is 1, max(0, margin - input) where it is -1; averaged, added or kept."""
    check_tensor("hinge_embedding_loss", input)
    check_tensor("hinge_embedding_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("hinge_embedding_loss", input, target)
    reduction = _reduction("hinge_embedding_loss", reduction, size_average, reduce)
    return _call("hinge_embedding_loss", reduction, input, target, margin)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target·(input1 - input2) + margin), target 1 where input1 should be larger, else -1."""
    check_tensor("margin_ranking_loss", input1, "input1")
    check_tensor("margin_ranking_loss", input2, "input2")
    check_tensor("margin_ranking_loss", target, "target")
    for other in (input2, target):
        if other.shape != input1.shape:
            raise _shapes_differ("margin_ranking_loss", input1, other)
    reduction = _reduction("margin_ranking_loss", reduction, size_average, reduce)
    input1, input2, target = _as_floats(input1, input2, target)
    return _call("margin_ranking_loss", reduction, input1, input2, target, margin)


@in_float32
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; inputs (N, D) or (D,), target (N,) or ()."""
    check_tensor("cosine_embedding_loss", input1, "input1")
    check_tensor("cosine_embedding_loss", input2, "input2")
    check_tensor("cosine_embedding_loss", target, "target")
    reduction = _reduction("cosine_embedding_loss", reduction, size_average, reduce)
    if input1.shape != input2.shape:
        raise _shapes_differ("cosine_embedding_loss", input1, input2)
    if tuple(target.shape) != tuple(input1.shape)[:-1]:
        raise flambeau.errors.ShapeError(
            f"cosine_embedding_loss: inputs are {tuple(input1.shape)}, so target must be {tuple(input1.shape)[:-1]}, "
            f"but target is {tuple(target.shape)}"
        )
    # The small number stands inside the root, as in PyTorch, so that zero vectors have a gradient.
    tiny = 1e-12
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / squares.sqrt()
    zero = flambeau.zeros_like(cosine, requires_grad=False)
    same = flambeau.where(target == 1, 1 - cosine, zero)
    other = flambeau.where(target == -1, (cosine - margin).clamp_min(0), zero)
    return _reduce(same + other, reduction)


@in_float32
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, ‖anchor - positive‖_p - ‖anchor - negative‖_p + margin); averaged, added or kept.

    With `swap` the distance from positive to negative is used where it is the smaller one.
    """
    check_tensor("triplet_margin_loss", anchor, "anchor")
    check_tensor("triplet_margin_loss", positive, "positive")
    check_tensor("triplet_margin_loss", negative, "negative")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with a distance of one's own."""
    check_tensor("triplet_margin_with_distance_loss", anchor, "anchor")
    check_tensor("triplet_margin_with_distance_loss", positive, "positive")
    check_tensor("triplet_margin_with_distance_loss", negative, "negative")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _reduction("triplet_margin_with_distance_loss", reduction)
    for other in (positive, negative):
        if other.ndim != anchor.ndim:
            raise RuntimeError(
                "triplet_margin_loss: The anchor, positive, and negative tensors are expected to have the same "
                f"number of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
                f"{negative.ndim}D inputs"
            )
    distance = distance_function or pairwise_distance
    far = distance(anchor, negative)
    if swap:
        far = flambeau.minimum(far, distance(positive, negative))
    return _reduce((distance(anchor, positive) - far + margin).clamp_min(0), reduction)
