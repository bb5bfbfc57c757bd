"""`cross_entropy(linear(input, weight), target)` as one function that need not hold the whole matrix of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import ShapeError
from flambeau.nn.functional.classification import _check_classes, _check_targets, cross_entropy
from flambeau.nn.functional.linear import linear
from flambeau.nn.functional.loss import _check_reduction
from flambeau.ops import loss as _loss
from flambeau.ops.arguments import check_tensor, with_gradient

__all__ = ["linear_cross_entropy"]


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How `linear_cross_entropy` cuts the batch: logits of one piece at a time, computed again in backward.

    Fields: `batch_chunk_size`, rows of a piece; `chunking_method`, 'aspect_ratio' or 'aspect_ratio:n' choose them so
    that the logits of a piece take about as much memory as the input, or an n-th of it, 'auto' is 'aspect_ratio:2',
    None takes `batch_chunk_size` alone. `allow_retain_graph`, `acc_policy` and `acc_dtype` are accepted: backward may
    always run again, and half precision is always summed in float32. Errors: ValueError.

    Example:
        >>> fl.nn.LinearCrossEntropyOptions(batch_chunk_size=256).batch_chunk_size
        256
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        _factor(self.chunking_method)
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")


def _factor(method: str | None) -> int:
    """The n of 'aspect_ratio:n'."""
    if method is None or method == "auto":
        return 2
    name, colon, factor = method.partition(":")
    if name != "aspect_ratio" or (colon and not (factor.isdigit() and int(factor) > 0)):
        raise ValueError(f"invalid chunking_method: {method!r}; use 'auto', 'aspect_ratio' or 'aspect_ratio:n'")
    return int(factor) if colon else 1


def _rows(options: Any, count: int, features: int, classes: int) -> int:
    """How many rows of the batch are taken at a time."""
    if not (hasattr(options, "batch_chunk_size") and hasattr(options, "chunking_method")):
        raise TypeError(
            "linear_cross_entropy(): argument 'options' must be LinearCrossEntropyOptions, not "
            f"{type(options).__name__}; make one with nn.LinearCrossEntropyOptions(...)"
        )
    given, method = options.batch_chunk_size, options.chunking_method
    if given is not None and method == "auto":
        method = None
    if method is None:
        return min(given or count, count)
    wanted = -(-count // max(1, -(-classes // max(features, 1))))
    rows = max(1, min((1 << (wanted - 1).bit_length()) // _factor(method), count))
    if given is not None and given != rows:
        raise ValueError(
            f"linear_cross_entropy: batch_chunk_size (={given}) and chunking_method ({method!r}) give different chunk "
            f"sizes ({given} vs {rows}); pass only one"
        )
    return rows


def _check(input: Any, linear_weight: Any, target: Any, linear_bias: Any, ignore_index: int | None) -> None:
    name = "linear_cross_entropy"
    named = {"input": input, "linear_weight": linear_weight, "target": target}
    if linear_bias is not None:
        named["linear_bias"] = linear_bias
    for argument, tensor in named.items():
        check_tensor(name, tensor, argument)
    if input.ndim not in (1, 2):
        raise ShapeError(f"{name}: expected input with dimensionality 1 or 2, got {input.ndim}: {tuple(input.shape)}")
    if linear_weight.ndim < 2:
        raise ShapeError(
            f"{name}: expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}: "
            f"{tuple(linear_weight.shape)}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            f"{name}: expected equal input and linear_weight last dimensions (in_features), got {input.shape[-1]} and "
            f"{linear_weight.shape[-1]}, respectively"
        )
    outputs = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise ShapeError(f"{name}: expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise ShapeError(
            f"{name}: K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched "
            f"input, (N, {input.shape[0]}), got unbatched input with shape {tuple(input.shape)}"
        )
    if ignore_index is not None and target.dtype.is_floating_point:
        raise RuntimeError(f"{name}: ignore_index cannot be specified when target contains probabilities")


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """cross_entropy(linear(input, linear_weight, linear_bias), target): the loss of a last layer and its classes.

    Arguments: `input` (N, in) or (in,); `linear_weight` (C, in), or (C, d1, ..., in) for a loss of K dimensions, which
    needs a batch; `target`, `weight`, `reduction`, `label_smoothing` as of `cross_entropy`; `ignore_index`, a class
    that does not count (-100 by default), for class numbers only; `options`, a `LinearCrossEntropyOptions`, computes
    the logits of a few rows at a time, again in backward, so that the (N, C) matrix never exists. Errors: ShapeError.

    Example:
        >>> F.linear_cross_entropy(fl.zeros(2, 3), fl.zeros(4, 3), fl.tensor([0, 3]))
        tensor(1.3863)
    """
    _check(input, linear_weight, target, linear_bias, ignore_index)
    _check_reduction("linear_cross_entropy", reduction)
    ignore = -100 if ignore_index is None else ignore_index
    named = {"weight": weight, "ignore_index": ignore, "label_smoothing": label_smoothing}
    outputs = tuple(linear_weight.shape[:-1])
    if options is not None and len(outputs) == 1 and input.ndim == 2 and input.shape[0]:
        rows = _rows(options, input.shape[0], input.shape[1], outputs[0])
        return _in_pieces(input, linear_weight, target, linear_bias, reduction, rows, named)
    if len(outputs) == 1:
        return cross_entropy(linear(input, linear_weight, linear_bias), target, reduction=reduction, **named)
    flat = linear_weight.reshape((-1, input.shape[-1]))
    logits = linear(input, flat, None if linear_bias is None else linear_bias.reshape((-1,)))
    return cross_entropy(logits.reshape((input.shape[0], *outputs)), target, reduction=reduction, **named)


def _in_pieces(
    input: Any, matrix: Any, target: Any, bias: Any, reduction: str, rows: int, named: dict[str, Any]
) -> Any:
    """The loss from the logits of `rows` samples at a time."""
    name, count = "linear_cross_entropy", input.shape[0]
    weight, ignore = named["weight"], named["ignore_index"]
    probabilities = target.dtype.is_floating_point
    if not probabilities:
        like = _core.empty((1, 1), input.dtype).expand((count, matrix.shape[0]))  # the shape the logits would have
        _check_classes(name, like, target, weight)
        _check_targets(name, target, matrix.shape[0], ignore)
    half = input.dtype.name in ("float16", "bfloat16")

    def piece(start: int, part: Any, *others: Any) -> Any:
        """The losses of the samples `part`, which begin at number `start`."""
        if half:
            part, others = part.float(), tuple([t.float() for t in others])
        losses = cross_entropy(linear(part, *others), target.narrow(0, start, part.shape[0]), reduction="none", **named)
        return losses.to(input.dtype) if half else losses

    def whole() -> Any:
        pieces = [piece(i, input.narrow(0, i, min(rows, count - i)), *leaves[1:]) for i in range(0, count, rows)]
        return _core.cat(pieces, 0)

    leaves = (input, matrix) if bias is None else (input, matrix, bias)
    if target.requires_grad:  # the target's gradient needs the logits
        losses = whole()
    else:
        with flambeau.no_grad():
            losses = whole()

        def vjp(gradient: Any) -> tuple[Any, ...]:
            if not _core.is_grad_enabled():
                return _gradients(piece, leaves, gradient, rows)
            wanted = [t for t in leaves if t.requires_grad]  # to be differentiated again: all pieces keep their history
            found = iter(flambeau.autograd.grad(whole(), wanted, gradient, create_graph=True))
            return tuple([next(found) if t.requires_grad else None for t in leaves])

        losses = with_gradient(losses, leaves, vjp, name)
    if reduction != "mean":
        return losses.sum() if reduction == "sum" else losses
    if probabilities:
        return losses.mean()
    if weight is None:
        return _loss.mean_of_valid(losses, target, ignore)
    counted = target != ignore
    weights = weight.detach().to(losses.dtype)[flambeau.where(counted, target, 0)] * counted
    return _loss.mean_by_weight(losses, weights)


def _gradients(piece: Any, leaves: tuple[Any, ...], gradient: Any, rows: int) -> tuple[Any, ...]:
    """The gradients of input, matrix and bias; those of the last two are summed over the pieces."""
    count = leaves[0].shape[0]
    fresh = [t.detach().requires_grad_(t.requires_grad) for t in leaves]
    wanted = [i for i, t in enumerate(leaves) if t.requires_grad]
    parts: list[list[Any]] = [[] for _ in leaves]
    for start in range(0, count, rows):
        with flambeau.enable_grad():
            part = leaves[0].detach().narrow(0, start, min(rows, count - start))
            fresh[0] = part.requires_grad_(leaves[0].requires_grad)
            losses = piece(start, *fresh)
            found = flambeau.autograd.grad(losses, [fresh[i] for i in wanted], gradient.narrow(0, start, part.shape[0]))
        for i, each in zip(wanted, found, strict=True):
            if i == 0 or not parts[i]:
                parts[i].append(each.float() if i and each.dtype.name in ("float16", "bfloat16") else each)
            else:
                parts[i][0].add_(each)
    results = [None if not each else _core.cat(each, 0) if i == 0 else each[0] for i, each in enumerate(parts)]
    return tuple([each if each is None else each.to(t.dtype) for each, t in zip(results, leaves, strict=True)])
