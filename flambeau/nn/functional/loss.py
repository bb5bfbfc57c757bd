"""Losses as functions. A loss whose input and target only fit by broadcasting is an error that names both shapes."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import recording
from flambeau.errors import ShapeError
from flambeau.ops import loss as _loss
from flambeau.ops.arguments import Tensor, check_tensor, not_tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def _legacy(size_average: bool | None, reduce: bool | None, stacklevel: int = 3) -> str:
    """The `reduction` that the two older arguments stand for."""
    import warnings

    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    reduction = ("mean" if size_average else "sum") if reduce else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
        stacklevel=stacklevel,
    )
    return reduction


def _reduction(name: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The reduction that a loss was asked for, by its name or by the two older arguments; ValueError for others."""
    if size_average is not None or reduce is not None:
        return _legacy(size_average, reduce, stacklevel=4)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction; use 'mean', 'sum' or 'none'")
    return reduction


def _as_floats(*tensors: Any) -> list[Any]:
    """The tensors, integers among them in the widest floating dtype of the others or, without one, in the default."""
    if all(each.dtype.is_floating_point for each in tensors):
        return list(tensors)
    wide = flambeau.get_default_dtype()
    floats = [each.dtype for each in tensors if each.dtype.is_floating_point]
    if floats:
        wide = floats[0]
        for dtype in floats[1:]:
            wide = flambeau.promote_types(wide, dtype)
    return [each if each.dtype.category >= 2 else each.to(wide) for each in tensors]


def _shapes_differ(name: str, input: Any, target: Any) -> ShapeError:
    a, b = tuple(input.shape), tuple(target.shape)
    fix = "make both the same shape"
    if len(a) == len(b) + 1 and a[-1] == 1 and a[:-1] == b:
        fix = "use target.unsqueeze(-1), or input.squeeze(-1)"
    elif len(b) == len(a) + 1 and b[-1] == 1 and b[:-1] == a:
        fix = "use input.unsqueeze(-1), or target.squeeze(-1)"
    elif _numel(a) == _numel(b):
        fix = f"use target.reshape({a})"
    return ShapeError(
        f"{name}: input and target must have the same shape, but input is {a} and target is {b}, "
        f"which would be compared element against wrong element by broadcasting; {fix}"
    )


def _numel(shape: tuple) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


def _call(name: str, reduction: str, *operands: Any) -> Any:
    """One of the three forms of a declared loss: a number for each element, their sum, or their mean, in one kernel."""
    return _FORMS[name, reduction](*operands)


def _forms(*names: str) -> dict[tuple[str, str], Any]:
    forms = {}
    for name in names:
        forms[name, "none"] = getattr(_loss, name)
        forms[name, "sum"] = getattr(_loss, f"{name}_sum")
        forms[name, "mean"] = getattr(_loss, f"{name}_mean")
    return forms


_FORMS = _forms(
    "binary_cross_entropy",
    "binary_cross_entropy_weighted",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_weighted",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "kl_div_log",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "poisson_nll_log_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
)
_mse_mean = _FORMS["mse_loss", "mean"]


def _reduce(values: Any, reduction: str) -> Any:
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


def _weighted(values: Any, weight: Any, reduction: str) -> Any:
    """Losses times weights; their mean divides by the sum of the weights."""
    values = values * weight
    if reduction == "mean":
        return values.sum() / weight.expand_as(values).sum()
    return values.sum() if reduction == "sum" else values


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """(input - target)², averaged ("mean"), added ("sum") or kept ("none").

    Arguments: `input` and `target` of the same shape; `weight` per element. Errors: ShapeError when the shapes differ.

    Example:
        >>> F.mse_loss(fl.tensor([1.0, 2.0]), fl.tensor([1.0, 4.0]))
        tensor(2.)
    """
    if not isinstance(input, Tensor):
        raise not_tensor("mse_loss", input)
    if not isinstance(target, Tensor):
        raise not_tensor("mse_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("mse_loss", input, target)
    if reduction == "mean" and weight is None and size_average is None and reduce is None:
        return _mse_mean(input, target)
    return _elementwise("mse_loss", input, target, size_average, reduce, reduction, weight)


def _elementwise(
    name: str, input: Any, target: Any, size_average: Any, reduce: Any, reduction: str, weight: Any, *parameters: Any
) -> Any:
    """What the losses between two tensors of one shape have in common."""
    check_tensor(name, input)
    check_tensor(name, target, "target")
    if weight is not None:
        check_tensor(name, weight, "weight")
    if input.shape != target.shape:
        raise _shapes_differ(name, input, target)
    reduction = _reduction(name, reduction, size_average, reduce)
    if weight is None:
        return _call(name, reduction, input, target, *parameters)
    if weight.shape != input.shape:
        raise ShapeError(
            f"{name}: weight must have the input's shape {tuple(input.shape)}, but it is {tuple(weight.shape)}"
        )
    return _weighted(_call(name, "none", input, target, *parameters), weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """|input - target|, averaged, added or kept."""
    return _elementwise("l1_loss", input, target, size_average, reduce, reduction, weight)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """d²/(2·beta) where |d| < beta, else |d| - beta/2, with d = input - target; averaged, added or kept."""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, but it is {beta}")
    if beta == 0:
        return l1_loss(input, target, size_average, reduce, reduction)
    return _elementwise("smooth_l1_loss", input, target, size_average, reduce, reduction, None, beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d²/2 where |d| < delta, else delta·(|d| - delta/2), with d = input - target; averaged, added or kept."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, but it is {delta}")
    return _elementwise("huber_loss", input, target, None, None, reduction, weight, delta)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-(target·log(input) + (1 - target)·log(1 - input)), the logarithms not below -100; averaged, added or kept.

    Arguments: `input`, probabilities in [0, 1]; `target` of the same shape; `weight`, broadcast to it, factors of the
    elements (the mean still divides by their number). Errors: ShapeError when the shapes differ.
    """
    if not isinstance(input, Tensor):
        raise not_tensor("binary_cross_entropy", input)
    if not isinstance(target, Tensor):
        raise not_tensor("binary_cross_entropy", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("binary_cross_entropy", input, target)
    reduction = _reduction("binary_cross_entropy", reduction, size_average, reduce)
    if weight is None:
        return _call("binary_cross_entropy", reduction, input, target)
    return _call("binary_cross_entropy_weighted", reduction, input, target, weight)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy` of sigmoid(input), computed so that no input is too large.

    Arguments: `input`, any real numbers; `target` of the same shape; `weight`, broadcast to it, factors of the
    elements; `pos_weight`, broadcast to it, factors of the target's part. Errors: ShapeError when the shapes differ.

    Example:
        >>> F.binary_cross_entropy_with_logits(fl.zeros(3), fl.ones(3))
        tensor(0.6931)
    """
    if not isinstance(input, Tensor):
        raise not_tensor("binary_cross_entropy_with_logits", input)
    if not isinstance(target, Tensor):
        raise not_tensor("binary_cross_entropy_with_logits", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("binary_cross_entropy_with_logits", input, target)
    reduction = _reduction("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    if weight is None and pos_weight is None:
        return _call("binary_cross_entropy_with_logits", reduction, input, target)
    one = flambeau.ones((), dtype=input.dtype, device=input.device)
    return _call(
        "binary_cross_entropy_with_logits_weighted",
        reduction,
        input,
        target,
        one if weight is None else weight,
        one if pos_weight is None else pos_weight,
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """target·(log(target) - input), `input` holding logarithms; summed over everything and divided as `reduction` says.

    Arguments: `reduction`, also "batchmean", the sum divided by the first size; `log_target`, whether target holds
    logarithms too. Errors: ShapeError when the shapes differ.
    """
    check_tensor("kl_div", input)
    check_tensor("kl_div", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("kl_div", input, target)
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    if reduction not in ("mean", "sum", "none", "batchmean"):
        raise ValueError(
            f"kl_div: {reduction} is not a valid value for reduction; use 'mean', 'batchmean', 'sum' or 'none'"
        )
    if reduction == "mean":
        import warnings

        warnings.warn(
            "kl_div: reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' "
            "divides only by the batch size, and aligns with the KL math definition.",
            stacklevel=2,
        )
    form = "sum" if reduction == "batchmean" else reduction
    result = _call("kl_div_log" if log_target else "kl_div", form, input, target)
    return result / input.shape[0] if reduction == "batchmean" and input.ndim else result


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target·input)), target -1 or 1; averaged, added or kept."""
    return _elementwise("soft_margin_loss", input, target, size_average, reduce, reduction, None)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target·input, or with log_input=False input - target·log(input + eps); averaged, added or kept.

    `full` adds Stirling's approximation of log(target!) where target > 1.
    """
    check_tensor("poisson_nll_loss", input)
    check_tensor("poisson_nll_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("poisson_nll_loss", input, target)
    reduction = _reduction("poisson_nll_loss", reduction, size_average, reduce)
    input, target = _as_floats(input, target)
    if log_input:
        return _call("poisson_nll_log_loss", reduction, input, target, full)
    return _call("poisson_nll_loss", reduction, input, target, full, eps)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log(var) + (input - target)² / var) / 2, the variance not below eps; averaged, added or kept.

    Arguments: `var`, a number, or of the input's shape, or with the last size 1 or missing. `full` adds log(2π)/2.
    """
    check_tensor("gaussian_nll_loss", input)
    check_tensor("gaussian_nll_loss", target, "target")
    if input.shape != target.shape:
        raise _shapes_differ("gaussian_nll_loss", input, target)
    if isinstance(var, (int, float)):
        var = flambeau.full_like(input, float(var), requires_grad=False)
    elif var.shape != input.shape:
        shape, own = tuple(input.shape), tuple(var.shape)
        if shape[:-1] == own:
            var = var.unsqueeze(-1)
        elif not (shape[:-1] == own[:-1] and own[-1:] == (1,)):
            raise ShapeError(
                f"gaussian_nll_loss: var is of incorrect size: it is {own}, the input is {shape}; give one variance "
                f"for each element, or {(*shape[:-1], 1)}"
            )
    _reduction("gaussian_nll_loss", reduction)
    recording.host("gaussian_nll_loss", _check_variance, var)
    return _call("gaussian_nll_loss", reduction, input, target, var, full, eps)


def _check_variance(var: Any) -> None:
    if (var < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
