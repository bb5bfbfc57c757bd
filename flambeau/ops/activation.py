"""Activation functions. Softmax and its kin are rows (`normalise`); random activations are composites elsewhere."""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import elementwise


@elementwise(promotion="float")
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return s.sigmoid(x)


@sigmoid.vjp
def _(grad, output):
    return grad * (output * (1.0 - output))


@elementwise(accepts="floating", tolerance=4)
def logsigmoid(x):
    """log(1 / (1 + exp(-x))), without overflow."""
    return -s.softplus(-x)


@elementwise(accepts="number", tolerance=0, kinks=(0.0,))
def relu(x):
    """max(x, 0). Its gradient at 0 is 0."""
    return s.where(x <= 0, 0, x)


@relu.vjp
def _(grad, output):
    return s.where(output <= 0, 0.0, grad)


@elementwise(accepts="number", tolerance=0, kinks=(0.0, 6.0))
def relu6(x):
    """min(max(x, 0), 6). Its gradient at both bounds is 0."""
    return s.clamp(x, 0, 6)


@relu6.vjp
def _(grad, x):
    return s.where((x <= 0.0) | (x >= 6.0), 0.0, grad)


@elementwise(accepts="floating", tolerance=0, kinks=(-1.0, 1.0))
def hardtanh(x, min_val=-1.0, max_val=1.0):
    """x held between min_val and max_val. Its gradient at both bounds is 0."""
    return s.clamp(x, min_val, max_val)


@hardtanh.vjp
def _(grad, x, min_val, max_val):
    return s.where((x <= min_val) | (x >= max_val), 0.0, grad)


@elementwise(accepts="floating", kinks=(0.0,))
def leaky_relu(x, negative_slope=0.01):
    """x where positive, else negative_slope * x. Its gradient at 0 is the slope."""
    return s.where(x > 0.0, x, x * negative_slope)


@elementwise(accepts="floating", kinks=(0.0,))
def prelu(x, weight):
    """x where positive, else weight * x. Its gradient at 0 is the weight."""
    return s.where(x > 0.0, x, weight * x)


def _elu(x, alpha, scale, input_scale):
    below = x <= 0.0
    negative = s.where(below, x, 0.0)  # exp of a large positive x would spoil the gradient
    return s.where(below, s.expm1(negative * input_scale) * (alpha * scale), x * scale)


@elementwise(accepts="floating", tolerance=4, kinks=(0.0,))
def elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    """scale * x where positive, else scale * alpha * (exp(input_scale * x) - 1)."""
    return _elu(x, alpha, scale, input_scale)


@elementwise(accepts="floating", tolerance=4, kinks=(0.0,))
def selu(x):
    """`elu` with the constants that keep mean and variance: scale 1.0507..., alpha 1.6732..."""
    return _elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


@elementwise(accepts="floating", tolerance=4, kinks=(0.0,), samples=({"alpha": 1.0}, {"alpha": 0.5}))
def celu(x, alpha=1.0):
    """x where positive, else alpha * (exp(x / alpha) - 1)."""
    return _elu(x, alpha, 1.0, 1.0 / alpha)


@elementwise(accepts="floating", tolerance=64)
def gelu(x):
    """x times the normal distribution function: x / 2 * (1 + erf(x / sqrt(2)))."""
    return x * 0.5 * (1.0 + s.erf(x * math.sqrt(0.5)))


@elementwise(accepts="real", tolerance=64)
def gelu_tanh(x):
    """`gelu` by a hyperbolic tangent: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x ** 3)))."""
    return x * 0.5 * (1.0 + s.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


@elementwise(accepts="floating", tolerance=4)
def silu(x):
    """x * sigmoid(x), also called swish."""
    return x * s.sigmoid(x)


@elementwise(accepts="floating", tolerance=8)
def mish(x):
    """x * tanh(log(1 + exp(x)))."""
    return x * s.tanh(s.softplus(x))


@elementwise(accepts="floating", tolerance=4)
def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is above the threshold."""
    scaled = x * beta
    return s.where(scaled > threshold, x, s.softplus(scaled) / beta)


@elementwise(promotion="float")
def softsign(x):
    """x / (1 + |x|)."""
    return x / (1.0 + s.absolute(x))


@elementwise(accepts="floating", kinks=(-3.0, 3.0))
def hardsigmoid(x):
    """min(max(x + 3, 0), 6) / 6. Its gradient at both bounds is 0."""
    return s.clamp(x + 3.0, 0.0, 6.0) / 6.0


@hardsigmoid.vjp
def _(grad, x):
    return s.where((x > -3.0) & (x < 3.0), grad / 6.0, 0.0)


@elementwise(accepts="floating", kinks=(-3.0, 3.0), tolerance=4)
def hardswish(x):
    """x * min(max(x + 3, 0), 6) / 6. Its gradient at -3 is 0, at 3 it is 1."""
    return x * s.clamp(x + 3.0, 0.0, 6.0) / 6.0


@hardswish.vjp
def _(grad, x):
    return s.where(x <= -3.0, 0.0, s.where(x < 3.0, grad * (x / 3.0 + 0.5), grad))


@elementwise(accepts="floating", tolerance=0, kinks=(-0.5, 0.5))
def hardshrink(x, lambd=0.5):
    """x where |x| > lambd, else 0."""
    return s.where((x >= -lambd) & (x <= lambd), 0.0, x)


@elementwise(accepts="floating", kinks=(-0.5, 0.5))
def softshrink(x, lambd=0.5):
    """x moved towards zero by lambd, 0 where |x| <= lambd."""
    return s.where(x > lambd, x - lambd, s.where(x < -lambd, x + lambd, s.where(s.isnan(x), x, 0.0)))


@elementwise(promotion="float", tolerance=64)
def tanhshrink(x):
    """x - tanh(x)."""
    return x - s.tanh(x)


@elementwise(accepts="number", tolerance=0)
def threshold(x, threshold, value):
    """x where it is above the threshold, else the value. Its gradient at the threshold is 0."""
    return s.where(x <= threshold, value, x)


@threshold.vjp
def _(grad, x, threshold):
    return s.where(x <= threshold, 0.0, grad), None, s.where(x <= threshold, grad, 0.0)


@elementwise(accepts="real", promotion="float", domain=(0.05, 0.95), tolerance=4)
def logit(x):
    """The inverse of the sigmoid: log(x / (1 - x)). The gradient outside [0, 1] is NaN."""
    return s.log(x / (1.0 - x))


@logit.vjp
def _(grad, x):
    return s.where((x < 0.0) | (x > 1.0), s.NAN, grad / (x * (1.0 - x)))


@elementwise(promotion="float", domain=(0.05, 0.95), tolerance=4)
def logit_clamped(x, eps=1e-6):
    """`logit` of x held in [eps, 1 - eps]; the gradient outside is 0."""
    held = s.clamp(x, eps, 1.0 - eps)
    return s.log(held / (1.0 - held))


@logit_clamped.vjp
def _(grad, x, eps):
    return s.where((x < eps) | (x > 1.0 - eps), 0.0, grad / (x * (1.0 - x)))
