"""Losses: each as a map (one number an element) and reduced, as one row program, to its sum and its mean.

The reduced form runs in one kernel forward and one backward; nothing of the size of the input is written in between.
Losses over classes (`cross_entropy`, `nll_loss`) are rows over the class dimension, one number for each sample.
"""

from __future__ import annotations

import math
from typing import Any

from ..compiler import scalar as s
from ..compiler.declare import elementwise, row
from .elementwise import xlogy


def _loss(function, gradient=None, **options):
    """A loss as a map, and the sum and the mean of it over a row; `gradient` is its stated vjp."""
    name, doc = function.__name__.strip("_"), (function.__doc__ or "").strip().rstrip(".")
    options.setdefault("accepts", "real")
    loss = elementwise(function, name=name, **options)
    if gradient is not None:
        loss.vjp(gradient)
    inline = loss.declaration.inline

    def total(*args):
        return s.reduce_sum(s.spread(inline(*args)))

    def mean(*args):
        return s.reduce_mean(s.spread(inline(*args)))

    return (
        loss,
        row(total, name=name + "_sum", signature=function, doc=doc + "; its sum over the row.", **options),
        row(mean, name=name + "_mean", signature=function, doc=doc + "; its mean over the row.", **options),
    )


# --- regression ------------------------------------------------------------------------------------------------------


def _mse_loss(x, target):
    """The squared difference: (x - target) ** 2."""
    difference = x - target
    return difference * difference


mse_loss, mse_loss_sum, mse_loss_mean = _loss(_mse_loss)


def _l1_loss(x, target):
    """The absolute difference: |x - target|; its gradient at 0 is 0."""
    return s.absolute(x - target)


l1_loss, l1_loss_sum, l1_loss_mean = _loss(_l1_loss, accepts="floating", outputs=("real",))


def _smooth_l1_loss(x, target, beta=1.0):
    """With d = |x - target|: d ** 2 / (2 beta) where d < beta, else d - beta / 2."""
    size = s.absolute(x - target)
    return s.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def _smooth_l1_gradient(grad, x, target, beta):
    difference = x - target
    near = s.absolute(difference) < beta
    by_x = grad * s.where(near, difference / s.where(near, beta, 1.0), s.sign(difference))
    return by_x, -by_x


smooth_l1_loss, smooth_l1_loss_sum, smooth_l1_loss_mean = _loss(
    _smooth_l1_loss, _smooth_l1_gradient, samples=({"beta": 1.0}, {"beta": 0.3})
)


def _huber_loss(x, target, delta=1.0):
    """With d = |x - target|: d ** 2 / 2 where d <= delta, else delta * (d - delta / 2)."""
    size = s.absolute(x - target)
    return s.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


huber_loss, huber_loss_sum, huber_loss_mean = _loss(_huber_loss, samples=({"delta": 1.0}, {"delta": 0.4}))


def _gaussian_nll_loss(x, target, variance, full=False, eps=1e-06):
    """(log(v) + (x - target) ** 2 / v) / 2 with v = max(variance, eps), plus log(2 pi) / 2 if `full`.

    The gradient by the variance passes where it is below eps.
    """
    held = s.stated(s.maximum(variance, eps), (variance,), lambda grad, y: (grad,))
    difference = x - target
    loss = 0.5 * (s.log(held) + difference * difference / held)
    return s.where(full, loss + 0.5 * math.log(2.0 * math.pi), loss)


gaussian_nll_loss, gaussian_nll_loss_sum, gaussian_nll_loss_mean = _loss(
    _gaussian_nll_loss, roles={"full": "bool"}, domain=(0.3, 2.0), tolerance=16
)


def _stirling(target):
    safe = s.where(target > 1.0, target, 2.0)
    term = safe * s.log(safe) - safe + 0.5 * s.log(2.0 * math.pi * safe)
    return s.where(target > 1.0, term, 0.0)


def _poisson_nll_loss(x, target, full=False, eps=1e-08):
    """x - target * log(x + eps), plus Stirling's term where target > 1 if `full`."""
    loss = x - target * s.log(x + eps)
    return s.where(full, loss + _stirling(target), loss)


poisson_nll_loss, poisson_nll_loss_sum, poisson_nll_loss_mean = _loss(
    _poisson_nll_loss, roles={"full": "bool"}, domain=(0.3, 2.0), tolerance=16
)


def _poisson_nll_log_loss(x, target, full=False):
    """exp(x) - target * x, plus Stirling's term where target > 1 if `full`."""
    loss = s.exp(x) - target * x
    return s.where(full, loss + _stirling(target), loss)


poisson_nll_log_loss, poisson_nll_log_loss_sum, poisson_nll_log_loss_mean = _loss(
    _poisson_nll_log_loss, roles={"full": "bool"}, domain=(0.3, 2.0), tolerance=16
)


# --- two classes -----------------------------------------------------------------------------------------------------


def _logarithm(x):
    """log(x), not below -100."""
    return s.maximum(s.log(x), -100.0)


def _binary_cross_entropy(x, target):
    """-(target * log(x) + (1 - target) * log(1 - x)), logarithms not below -100."""
    return (target - 1.0) * s.maximum(s.log1p(-x), -100.0) - target * _logarithm(x)


def _binary_cross_entropy_gradient(grad, x, target):
    by_x = grad * (x - target) / s.maximum((1.0 - x) * x, 1e-12)
    return by_x, grad * (s.maximum(s.log1p(-x), -100.0) - _logarithm(x))


binary_cross_entropy, binary_cross_entropy_sum, binary_cross_entropy_mean = _loss(
    _binary_cross_entropy, _binary_cross_entropy_gradient, domain=(0.05, 0.95), tolerance=8
)


def _binary_cross_entropy_weighted(x, target, weight):
    """`binary_cross_entropy` times a weight."""
    return binary_cross_entropy(x, target) * weight


binary_cross_entropy_weighted, binary_cross_entropy_weighted_sum, binary_cross_entropy_weighted_mean = _loss(
    _binary_cross_entropy_weighted, domain=(0.05, 0.95), tolerance=8
)


def _binary_cross_entropy_with_logits(x, target):
    """`binary_cross_entropy` of sigmoid(x), without overflow: (1 - target) * x + log(1 + exp(-x))."""
    return (1.0 - target) * x + s.softplus(-x)


def _binary_cross_entropy_with_logits_gradient(grad, x, target):
    return grad * (s.sigmoid(x) - target), -grad * x


binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_sum, binary_cross_entropy_with_logits_mean = _loss(
    _binary_cross_entropy_with_logits, _binary_cross_entropy_with_logits_gradient, tolerance=16
)


def _binary_cross_entropy_with_logits_weighted(x, target, weight, pos_weight):
    """weight * ((1 - target) * x + (1 + (pos_weight - 1) * target) * log(1 + exp(-x)))."""
    return weight * ((1.0 - target) * x + ((pos_weight - 1.0) * target + 1.0) * s.softplus(-x))


(
    binary_cross_entropy_with_logits_weighted,
    binary_cross_entropy_with_logits_weighted_sum,
    binary_cross_entropy_with_logits_weighted_mean,
) = _loss(_binary_cross_entropy_with_logits_weighted, tolerance=16)


def _soft_margin_loss(x, target):
    """log(1 + exp(-target * x)), for targets -1 and 1."""
    return s.softplus(-target * x)


soft_margin_loss, soft_margin_loss_sum, soft_margin_loss_mean = _loss(_soft_margin_loss, tolerance=8)


def _hinge_embedding_loss(x, target, margin=1.0):
    """x for targets 1, max(0, margin - x) for targets -1."""
    gap = margin - x
    near = s.where(gap < 0.0, 0.0, gap)
    return s.where(target != 1.0, near, 0.0) + s.where(target != -1.0, x, 0.0)


hinge_embedding_loss, hinge_embedding_loss_sum, hinge_embedding_loss_mean = _loss(_hinge_embedding_loss)


def _margin_ranking_loss(x1, x2, target, margin=0.0):
    """max(0, margin - target * (x1 - x2)), for targets -1 and 1."""
    gap = margin - target * (x1 - x2)
    return s.where(gap < 0.0, 0.0, gap)


margin_ranking_loss, margin_ranking_loss_sum, margin_ranking_loss_mean = _loss(_margin_ranking_loss)


# --- distributions ---------------------------------------------------------------------------------------------------


def _kl_div(x, target):
    """target * (log(target) - x), where x is a logarithm; 0 where the target is 0."""
    return xlogy(target, target) - target * x


kl_div, kl_div_sum, kl_div_mean = _loss(_kl_div, domain=(0.05, 0.95), tolerance=16)


def _kl_div_log(x, target):
    """exp(target) * (target - x), where both are logarithms."""
    return s.exp(target) * (target - x)


kl_div_log, kl_div_log_sum, kl_div_log_mean = _loss(_kl_div_log, tolerance=16)


# --- classes ---------------------------------------------------------------------------------------------------------


def _at(target, values):
    """The element of the row whose position is `target`."""
    return s.reduce_sum(s.where(s.index() == target, values, 0.0))


def _valid(target, loss, ignore_index):
    """`loss`, 0 where the target is ignored, NaN where it is no class."""
    known = (target >= 0) & (target < s.length())
    return s.where(target == ignore_index, 0.0, s.where(known, loss, s.NAN))


def _log_probabilities(x):
    """The logarithm of softmax(x), by element."""
    shifted = x - s.detached(s.reduce_max(x))
    return shifted - s.log(s.reduce_sum(s.exp(shifted)))


_CLASSES: dict[str, Any] = {
    "accepts": "real", "row_inputs": ("target",), "tolerance": 16,
    "roles": {"target": "int64", "ignore_index": "int64"},
}  # fmt: skip


@row(**_CLASSES, samples=({"label_smoothing": 0.0}, {"label_smoothing": 0.1}))
def cross_entropy(x, target, ignore_index=-100, label_smoothing=0.0):
    """log(sum(exp(x))) - x[target] for every row of logits, mixed with the mean over all classes by label_smoothing.

    0 where the target is `ignore_index`; NaN where it is not a class.
    """
    shifted = x - s.detached(s.reduce_max(x))
    logarithm = s.log(s.reduce_sum(s.exp(shifted)))
    loss = logarithm - _at(target, shifted)
    smooth = logarithm - s.reduce_mean(shifted)
    loss = s.where(label_smoothing == 0.0, loss, loss * (1.0 - label_smoothing) + smooth * label_smoothing)
    return _valid(target, loss, ignore_index)


@cross_entropy.vjp
def _(grad, x, target, ignore_index, label_smoothing):
    shifted = x - s.detached(s.reduce_max(x))
    e = s.exp(shifted)
    wanted = s.where(s.index() == target, 1.0 - label_smoothing, 0.0) + label_smoothing / s.length(x)
    scale = s.where(target == ignore_index, 0.0, grad)
    return scale * (e * (1.0 / s.reduce_sum(e)) - wanted)


@row(**_CLASSES, nondifferentiable=("weight",), outputs=("result", "result"))
def cross_entropy_weighted(x, target, weight, ignore_index=-100, label_smoothing=0.0):
    """`cross_entropy` with a weight for every class; also returns the weight of the target (0 if ignored).

    The mean of the loss is the sum of the first output over the sum of the second. Only the first has a gradient.
    """
    logarithms = _log_probabilities(x)
    share = _shares(target, weight, label_smoothing, x)
    loss = -s.reduce_sum(s.where(share == 0.0, 0.0, share * logarithms))
    of_target = s.where(target == ignore_index, 0.0, _at(target, weight))
    return _valid(target, loss, ignore_index), of_target


def _shares(target, weight, label_smoothing, x):
    """How much each class counts in the loss."""
    return s.where(s.index() == target, weight * (1.0 - label_smoothing), 0.0) + weight * (
        label_smoothing / s.length(x)
    )


@cross_entropy_weighted.vjp
def _(grad_0, x, target, weight, ignore_index, label_smoothing):
    e = s.exp(x - s.detached(s.reduce_max(x)))
    share = _shares(target, weight, label_smoothing, x)
    scale = s.where(target == ignore_index, 0.0, grad_0)
    return scale * (e * (1.0 / s.reduce_sum(e)) * s.reduce_sum(share) - share)


@row(accepts="floating", tolerance=16, domain=(0.1, 0.9))
def cross_entropy_soft(x, target, label_smoothing=0.0):
    """-sum(target * log(softmax(x))) for probabilities as target, mixed with the uniform ones by label_smoothing."""
    share = target * (1.0 - label_smoothing) + label_smoothing / s.length(x)
    return -s.reduce_sum(s.where(share == 0.0, 0.0, share * _log_probabilities(x)))


@row(accepts="floating", tolerance=16, nondifferentiable=("weight",), domain=(0.1, 0.9))
def cross_entropy_soft_weighted(x, target, weight, label_smoothing=0.0):
    """`cross_entropy_soft` with a weight for every class."""
    share = weight * (target * (1.0 - label_smoothing) + label_smoothing / s.length(x))
    return -s.reduce_sum(s.where(share == 0.0, 0.0, share * _log_probabilities(x)))


@row(**_CLASSES)
def nll_loss(x, target, ignore_index=-100):
    """-x[target] for every row of log-probabilities; 0 where the target is ignored, NaN where it is not a class."""
    return _valid(target, -_at(target, x), ignore_index)


@row(**_CLASSES, nondifferentiable=("weight",), outputs=("result", "result"))
def nll_loss_weighted(x, target, weight, ignore_index=-100):
    """`nll_loss` times the weight of the target's class; also returns that weight (0 if ignored)."""
    of_target = _at(target, weight)
    loss = _valid(target, -(of_target * _at(target, x)), ignore_index)
    return loss, s.where(target == ignore_index, 0.0, of_target)


@nll_loss_weighted.vjp
def _(grad_0, target, weight, ignore_index):
    scale = s.where(target == ignore_index, 0.0, grad_0)
    return s.where(s.index() == target, -(scale * weight), 0.0)


@row(accepts="real", roles={"target": "int64", "ignore_index": "int64"})
def mean_of_valid(x, target, ignore_index=-100):
    """The mean of the elements whose target is not ignored: what turns losses of samples into one loss."""
    valid = target != ignore_index
    return s.reduce_sum(s.where(valid, x, 0.0)) / s.cast(s.reduce_sum(s.cast(valid, "int64")), x)


@row(accepts="real", nondifferentiable=("weight",))
def mean_by_weight(x, weight):
    """sum(x) / sum(weight): the mean of losses that are already weighted."""
    return s.reduce_sum(x) / s.reduce_sum(weight)


@row(accepts="floating", row_inputs=("target",), roles={"target": "int64", "squared": "bool"})
def multi_margin_loss(x, target, margin=1.0, squared=False):
    """sum(max(0, margin - x[target] + x)) / classes over the other classes, the terms squared if asked."""
    gap = margin - _at(target, x) + x
    held = s.where(gap < 0.0, 0.0, gap)
    terms = s.where(s.index() == target, 0.0, s.where(squared, held * held, held))
    return s.reduce_mean(terms)


@row(
    accepts="floating",
    row_inputs=("target",),
    roles={"target": "int64", "squared": "bool"},
    nondifferentiable=("weight",),
)
def multi_margin_loss_weighted(x, target, weight, margin=1.0, squared=False):
    """`multi_margin_loss` times the weight of the target's class."""
    gap = margin - _at(target, x) + x
    held = s.where(gap < 0.0, 0.0, gap)
    terms = s.where(s.index() == target, 0.0, s.where(squared, held * held, held))
    return s.reduce_mean(terms) * _at(target, weight)
