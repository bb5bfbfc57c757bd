"""Losses over classes as functions: `cross_entropy`, `nll_loss` and the margin losses of several classes."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import DTypeError, ShapeError
from flambeau.nn.functional.loss import _check_reduction, _legacy, _reduce, _shapes_differ
from flambeau.ops import loss as _loss
from flambeau.ops.arguments import Tensor, check_tensor, in_float32, not_tensor

__all__ = [
    "cross_entropy",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
]


def _check_classes(name: str, input: Any, target: Any, weight: Any) -> int:
    """The class dimension, after the shapes of input, target (class numbers) and weight were found to fit."""
    shape, found = tuple(input.shape), tuple(target.shape)
    if not shape:
        raise ShapeError(f"{name}: input must be (C,), (N, C) or (N, C, d1, ...), but it has no dimensions")
    dim = 0 if len(shape) == 1 else 1
    wanted = shape[:dim] + shape[dim + 1 :]
    if found != wanted:
        fix = (
            "use target.squeeze()"
            if len(found) == len(wanted) + 1 and 1 in found
            else f"give one class for each of {wanted}"
        )
        raise ShapeError(
            f"{name}: input is {shape}, so target must be {wanted} class indices (dimension {dim} of input is "
            f"classes), but target is {found}; {fix}"
        )
    if target.dtype.is_floating_point or target.dtype == flambeau.bool:
        raise DTypeError(
            f"{name}: expected class indices of dtype int64, but target is {target.dtype}; use target.long()"
        )
    if weight is not None and tuple(weight.shape) != (shape[dim],):
        raise ShapeError(
            f"{name}: weight must have one value for each of the {shape[dim]} classes, but its shape is "
            f"{tuple(weight.shape)}"
        )
    return dim


def _check_targets(name: str, target: Any, classes: int, ignore_index: int) -> None:
    """IndexError for a class that is not there; the kernels could only answer NaN."""
    if not target.is_cuda:  # reading the numbers would wait for the device
        _core.check_classes(name, target, classes, ignore_index)


def _mean(values: Any, target: Any, ignore_index: int) -> Any:
    """The mean of the samples that count."""
    return _loss.mean_of_valid(values, target, ignore_index)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-input[class of the sample], `input` holding logarithms of probabilities; averaged, added or kept.

    Arguments: `input` (C,), (N, C) or (N, C, d1, ...); `target`, class numbers without the C; `weight` (C,), factors of
    the classes, by whose sum the mean divides; `ignore_index`, a target that does not count.
    """
    if not isinstance(input, Tensor):
        raise not_tensor("nll_loss", input)
    if not isinstance(target, Tensor):
        raise not_tensor("nll_loss", target, "target")
    if weight is not None:
        check_tensor("nll_loss", weight, "weight")
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    _check_reduction("nll_loss", reduction)
    dim = _check_classes("nll_loss", input, target, weight)
    _check_targets("nll_loss", target, input.shape[dim], ignore_index)
    if weight is None:
        values = _loss.nll_loss(input, target, ignore_index, dim=dim)
        return _mean(values, target, ignore_index) if reduction == "mean" else _reduce(values, reduction)
    values, weights = _loss.nll_loss_weighted(input, target, _along(weight, dim, input.ndim), ignore_index, dim=dim)
    return _loss.mean_by_weight(values, weights) if reduction == "mean" else _reduce(values, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log(softmax(input))[class of the sample]; averaged, added or kept.

    Arguments: `input` (C,), (N, C) or (N, C, d1, ...), any real numbers; `target`, class numbers without the C, or
    probabilities of the input's shape; `weight` (C,), factors of the classes, by whose sum the mean divides;
    `ignore_index`, a class number that does not count; `label_smoothing`, the share of the target spread evenly over
    all classes. Errors: ShapeError when the shapes do not fit, IndexError for a class that is not there.

    Example:
        >>> F.cross_entropy(fl.zeros(2, 4), fl.tensor([0, 3]))
        tensor(1.3863)
    """
    if not isinstance(input, Tensor):
        raise not_tensor("cross_entropy", input)
    if not isinstance(target, Tensor):
        raise not_tensor("cross_entropy", target, "target")
    if weight is not None:
        check_tensor("cross_entropy", weight, "weight")
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    _check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0, but got {label_smoothing}")
    if input.shape == target.shape and target.dtype.is_floating_point:
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    dim = _check_classes("cross_entropy", input, target, weight)
    _check_targets("cross_entropy", target, input.shape[dim], ignore_index)
    if weight is None:
        values = _loss.cross_entropy(input, target, ignore_index, label_smoothing, dim=dim)
        return _mean(values, target, ignore_index) if reduction == "mean" else _reduce(values, reduction)
    along = _along(weight, dim, input.ndim)
    values, weights = _loss.cross_entropy_weighted(input, target, along, ignore_index, label_smoothing, dim=dim)
    return _loss.mean_by_weight(values, weights) if reduction == "mean" else _reduce(values, reduction)


def _along(weight: Any, dim: int, ndim: int) -> Any:
    """A weight per class, shaped to be multiplied along the class dimension."""
    return weight.reshape((-1,) + (1,) * (ndim - dim - 1))


def _cross_entropy_of_probabilities(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(
            f"cross_entropy: weight must have one value for each of the {classes} classes, but its shape is "
            f"{tuple(weight.shape)}"
        )
    if weight is None:
        values = _loss.cross_entropy_soft(input, target, label_smoothing, dim=dim)
    else:
        along = _along(weight, dim, input.ndim)
        values = _loss.cross_entropy_soft_weighted(input, target, along, label_smoothing, dim=dim)
    # The mean divides by the number of samples, also where weights are given: the target's own sizes are probabilities.
    return _reduce(values, reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ over wrong classes of max(0, margin - x[right] + x[wrong])^p, divided by the number of classes.

    Arguments: `input` (N, C) or (C,); `target` class numbers; `p` 1 or 2; `weight` (C,), factors of the right classes.
    """
    check_tensor("multi_margin_loss", input)
    check_tensor("multi_margin_loss", target, "target")
    if weight is not None:
        check_tensor("multi_margin_loss", weight, "weight")
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    _check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError("multi_margin_loss: only p == 1 and p == 2 supported")
    if input.ndim == 0:
        input = input.reshape((1,))
    if input.ndim == 1 and target.numel() == 1:
        target = target.reshape(())
    dim = _check_classes("multi_margin_loss", input, target, weight)
    _check_targets("multi_margin_loss", target, input.shape[dim], 0)
    if weight is None:
        values = _loss.multi_margin_loss(input, target, margin, p == 2, dim=dim)
    else:
        values = _loss.multi_margin_loss_weighted(
            input, target, _along(weight, dim, input.ndim), margin, p == 2, dim=dim
        )
    return _reduce(values, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The mean over classes of `binary_cross_entropy_with_logits`, for each sample; averaged, added or kept."""
    from flambeau.nn.functional.activation import logsigmoid

    check_tensor("multilabel_soft_margin_loss", input)
    check_tensor("multilabel_soft_margin_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("multilabel_soft_margin_loss", input, target)
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    _check_reduction("multilabel_soft_margin_loss", reduction)
    values = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        values = values * weight
    return _reduce(values.mean(-1), reduction)


@in_float32
def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ over right and wrong classes of max(0, 1 - x[right] + x[wrong]), divided by the number of classes.

    Arguments: `input` (N, C) or (C,); `target` of that shape, the numbers of the right classes, ended by a -1.
    """
    check_tensor("multilabel_margin_loss", input)
    check_tensor("multilabel_margin_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("multilabel_margin_loss", input, target)
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    _check_reduction("multilabel_margin_loss", reduction)
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise ShapeError(
            f"multilabel_margin_loss: input must be (C,) or (N, C), with at least one class, but it is "
            f"{tuple(input.shape)}"
        )
    if input.ndim == 0:
        input, target = input.reshape((1,)), target.reshape((1,))
    classes = input.shape[-1]
    # A class counts until the first -1 of its row.
    listed = (target < 0).long().cumsum(-1) == 0
    safe = flambeau.where(listed, target, flambeau.zeros_like(target)).long()
    hits = flambeau.zeros_like(input, requires_grad=False).scatter_add(-1, safe, listed.to(input.dtype))
    wrong = (hits == 0).to(input.dtype)
    right = input.gather(-1, safe)
    pairs = (1 - right.unsqueeze(-1) + input.unsqueeze(-2)).clamp_min(0)
    pairs = pairs * listed.unsqueeze(-1).to(input.dtype) * wrong.unsqueeze(-2)
    return _reduce(pairs.sum((-2, -1)) / classes, reduction)
