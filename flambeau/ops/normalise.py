"""Softmax and normalisations: rows whose result has the shape of the input.

A normalisation with weights exists once without them, with a weight, and with weight and bias; the front end chooses.
"""

from __future__ import annotations

from typing import Any

from ..compiler import scalar as s
from ..compiler.declare import elementwise, row

# --- softmax ---------------------------------------------------------------------------------------------------------


def _exponentials(x):
    """exp(x - max(x)) and its sum; the shift changes nothing but keeps exp in range."""
    e = s.exp(x - s.detached(s.reduce_max(x)))
    return e, s.reduce_sum(e)


@row(accepts="floating", tolerance=8)
def softmax(x):
    """exp(x) / sum(exp(x)), without overflow."""
    e, total = _exponentials(x)
    return e * (1.0 / total)


@softmax.vjp
def _(grad, output):
    weighted = grad * output
    return weighted - output * s.reduce_sum(weighted)


@row(accepts="floating", tolerance=8)
def softmin(x):
    """exp(-x) / sum(exp(-x)), without overflow."""
    e, total = _exponentials(-x)
    return e * (1.0 / total)


@softmin.vjp
def _(grad, output):
    weighted = grad * output
    return output * s.reduce_sum(weighted) - weighted


@row(accepts="floating", tolerance=8)
def log_softmax(x):
    """x - log(sum(exp(x))), without overflow."""
    shifted = x - s.detached(s.reduce_max(x))
    return shifted - s.log(s.reduce_sum(s.exp(shifted)))


@log_softmax.vjp
def _(grad, output):
    return grad - s.exp(output) * s.reduce_sum(grad)


# --- layer, group and batch normalisation ----------------------------------------------------------------------------


def _standardised(x, eps):
    """(x - mean) / sqrt(var + eps), the reciprocal of its denominator, the mean and the variance."""
    mean = s.reduce_mean(x)
    centred = x - mean
    variance = s.reduce_mean(centred * centred)
    scale = s.rsqrt(variance + eps)
    return centred * scale, scale, mean, variance


def _standardised_gradient(grad, normal, scale):
    """The cotangent of x from the cotangent of its standardised form."""
    return scale * (grad - s.reduce_mean(grad) - normal * s.reduce_mean(grad * normal))


@row(accepts="real", tolerance=8, roles={"eps": "double"})
def layer_norm(x, eps=1e-5):
    """(x - mean) / sqrt(var + eps), with mean and (biased) variance of the row."""
    return _standardised(x, s.cast(eps, x))[0]


@layer_norm.vjp
def _(grad, x, eps):
    normal, scale, _, _ = _standardised(x, s.cast(eps, x))
    return _standardised_gradient(grad, normal, scale)


@row(accepts="real", tolerance=8, roles={"eps": "double"})
def layer_norm_weight(x, weight, eps=1e-5):
    """`layer_norm` times an elementwise weight."""
    return _standardised(x, s.cast(eps, x))[0] * weight


@layer_norm_weight.vjp
def _(grad, x, weight, eps):
    normal, scale, _, _ = _standardised(x, s.cast(eps, x))
    return _standardised_gradient(grad * weight, normal, scale), grad * normal


@row(accepts="real", tolerance=8, roles={"eps": "double"})
def layer_norm_affine(x, weight, bias, eps=1e-5):
    """`layer_norm` times an elementwise weight plus an elementwise bias."""
    return _standardised(x, s.cast(eps, x))[0] * weight + bias


@layer_norm_affine.vjp
def _(grad, x, weight, eps):
    normal, scale, _, _ = _standardised(x, s.cast(eps, x))
    return _standardised_gradient(grad * weight, normal, scale), grad * normal, grad


@row(accepts="floating", tolerance=8, roles={"eps": "double"})
def rms_norm(x, eps=1.1920928955078125e-07):
    """x / sqrt(mean(x * x) + eps)."""
    return x * s.rsqrt(s.reduce_mean(x * x) + s.cast(eps, x))


@row(accepts="floating", tolerance=8, roles={"eps": "double"})
def rms_norm_weight(x, weight, eps=1.1920928955078125e-07):
    """`rms_norm` times an elementwise weight."""
    return x * s.rsqrt(s.reduce_mean(x * x) + s.cast(eps, x)) * weight


_BATCH: dict[str, Any] = {
    "accepts": "real", "tolerance": 8, "roles": {"eps": "double"}, "outputs": ("result", "result", "result"),
}  # fmt: skip


@row(**_BATCH)
def batch_norm(x, eps=1e-5):
    """(x - mean) / sqrt(var + eps), then the mean and the biased variance of every row (a channel).

    Only the first output has a gradient.
    """
    normal, _, mean, variance = _standardised(x, s.cast(eps, x))
    return normal, mean, variance


@batch_norm.vjp
def _(grad_0, x, eps):
    normal, scale, _, _ = _standardised(x, s.cast(eps, x))
    return _standardised_gradient(grad_0, normal, scale)


@row(row_inputs=("weight", "bias"), **_BATCH)
def batch_norm_affine(x, weight, bias, eps=1e-5):
    """`batch_norm` times a weight plus a bias, one of each for every row (a channel)."""
    normal, _, mean, variance = _standardised(x, s.cast(eps, x))
    return normal * weight + bias, mean, variance


@batch_norm_affine.vjp
def _(grad_0, x, weight, eps):
    normal, scale, _, _ = _standardised(x, s.cast(eps, x))
    by_x = _standardised_gradient(grad_0, normal, scale * weight)
    return by_x, s.reduce_sum(grad_0 * normal), s.reduce_sum(grad_0)


@elementwise(accepts="real", roles={"eps": "double"}, domain=(0.2, 2.0), tolerance=8)
def batch_norm_inference(x, mean, variance, eps=1e-5):
    """(x - mean) / sqrt(variance + eps), with given statistics."""
    return (x - mean) * s.rsqrt(variance + s.cast(eps, x))


@elementwise(accepts="real", roles={"eps": "double"}, domain=(0.2, 2.0), tolerance=8)
def batch_norm_inference_affine(x, mean, variance, weight, bias, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with given statistics."""
    return (x - mean) * (s.rsqrt(variance + s.cast(eps, x)) * weight) + bias


# --- unit length -----------------------------------------------------------------------------------------------------


@row(accepts="floating", tolerance=8)
def normalize(x, eps=1e-12):
    """x / max(|x|, eps), with the Euclidean length of the row."""
    squares, eps = s.reduce_sum(s.square_size(x)), s.real(eps)
    length = s.where(squares == 0.0, 0.0, s.sqrt(s.where(squares == 0.0, 1.0, squares)))
    return x / s.where(length < eps, eps, length)


@row(accepts="floating", tolerance=64, samples=({"p": 1.0}, {"p": 3.0}))
def normalize_p(x, p=2.0, eps=1e-12):
    """x / max(sum(|x| ** p) ** (1 / p), eps)."""
    zero, p, eps = x == 0.0, s.real(p), s.real(eps)
    powers = s.where(zero, 0.0, s.power(s.where(zero, 1.0, s.absolute(x)), p))
    total = s.reduce_sum(powers)
    length = s.where(total == 0.0, 0.0, s.power(s.where(total == 0.0, 1.0, total), 1.0 / p))
    return x / s.where(length < eps, eps, length)
