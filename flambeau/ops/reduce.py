"""Reductions: operations that turn a row of elements into one number, over any dimensions.

Sums are blocked by the kernel, so that their error does not grow with the length. The variance is taken around the
mean in a second pass. Sorting reductions (median, mode, quantile) live in `sort`.
"""

from __future__ import annotations

import math

from ..compiler import scalar as s
from ..compiler.declare import row


@row(promotion="sum", name="sum")
def sum(x):
    """The sum of the elements; integers and bool are summed as int64."""
    return s.reduce_sum(x)


@row(accepts="ordered", promotion="sum")
def nansum(x):
    """The sum of the elements that are not NaN."""
    return s.reduce_sum(s.where(s.isnan(x), 0, x))


@row(accepts="floating")
def mean(x):
    """The arithmetic mean: sum / count; NaN for an empty row."""
    return s.reduce_mean(x)


@row(accepts="real")
def nanmean(x):
    """The mean of the elements that are not NaN."""
    missing = s.isnan(x)
    count = s.reduce_sum(s.cast(~missing, "int64"))
    return s.reduce_sum(s.where(missing, 0.0, x)) / s.cast(count, x)


@row(promotion="sum", tolerance=32)
def prod(x):
    """The product of the elements; integers and bool are multiplied as int64. The gradient is right at zeros too."""
    return s.reduce_prod(x)


@row(tolerance=0)
def amax(x):
    """The largest element; NaN if there is one. The gradient is shared evenly among equal largest elements."""
    return s.reduce_max(x)


@row(tolerance=0)
def amin(x):
    """The smallest element; NaN if there is one. The gradient is shared evenly among equal smallest elements."""
    return s.reduce_min(x)


@row(outputs=("result", "result"), tolerance=0)
def aminmax(x):
    """The smallest and the largest element. The gradient is shared evenly among equal ones."""
    return s.reduce_min(x), s.reduce_max(x)


@row(outputs=("int64",))
def argmax(x):
    """The position of the first largest element; a NaN counts as the largest."""
    return s.reduce_argmax(x)


@row(outputs=("int64",))
def argmin(x):
    """The position of the first smallest element; a NaN counts as the smallest."""
    return s.reduce_argmin(x)


@row(outputs=("result", "int64"), tolerance=0)
def max_with_index(x):
    """The largest element and the position of the first one, which also gets the whole gradient."""
    return s.reduce_max(x), s.reduce_argmax(x)


@max_with_index.vjp
def _(grad_0, output_1):
    return s.where(s.index() == output_1, grad_0, 0.0)


@row(outputs=("result", "int64"), tolerance=0)
def min_with_index(x):
    """The smallest element and the position of the first one, which also gets the whole gradient."""
    return s.reduce_min(x), s.reduce_argmin(x)


@min_with_index.vjp
def _(grad_0, output_1):
    return s.where(s.index() == output_1, grad_0, 0.0)


@row(promotion="test")
def any(x):
    """Whether an element is not zero; false for an empty row."""
    return s.reduce_any(x)


@row(promotion="test")
def all(x):
    """Whether all elements are not zero; true for an empty row."""
    return s.reduce_all(x)


@row(outputs=("int64",))
def count_nonzero(x):
    """How many elements are not zero."""
    return s.reduce_sum(s.cast(x != 0, "int64"))


# --- spread ----------------------------------------------------------------------------------------------------------


def _squares(x):
    """The mean, and the sum of squared differences from it."""
    mean = s.reduce_mean(x)
    difference = x - mean
    return mean, s.reduce_sum(s.square_size(difference))


def _freedom(x, correction):
    return s.maximum(s.length(s.real(x)) - s.real(correction), 0.0)


@row(accepts="floating", outputs=("real",), tolerance=8)
def var(x, correction=1):
    """The variance: sum((x - mean) ** 2) / max(0, n - correction)."""
    return _squares(x)[1] / _freedom(x, correction)


@var.vjp(complex=True)
def _(grad, x, correction):
    return (2.0 / _freedom(x, correction)) * grad * (x - s.reduce_mean(x))


@row(accepts="floating", outputs=("real",), tolerance=8)
def std(x, correction=1):
    """The standard deviation: the square root of `var`. Its gradient is 0 where it is 0."""
    return s.sqrt(_squares(x)[1] / _freedom(x, correction))


@std.vjp(complex=True)
def _(grad, x, output, correction):
    return _std_gradient(grad, x, output, correction)


def _std_gradient(grad, x, output, correction):
    scale = s.where(output == 0.0, 0.0, grad / s.where(output == 0.0, 1.0, output))
    return scale / _freedom(x, correction) * (x - s.reduce_mean(x))


@row(accepts="floating", outputs=("real", "result"), tolerance=8)
def var_mean(x, correction=1):
    """The variance and the mean."""
    mean, squares = _squares(x)
    return squares / _freedom(x, correction), mean


@var_mean.vjp(complex=True)
def _(grad_0, grad_1, x, correction):
    return (2.0 / _freedom(x, correction)) * grad_0 * (x - s.reduce_mean(x)) + grad_1 / s.length(x)


@row(accepts="floating", outputs=("real", "result"), tolerance=8)
def std_mean(x, correction=1):
    """The standard deviation and the mean. The first one's gradient is 0 where it is 0."""
    mean, squares = _squares(x)
    return s.sqrt(squares / _freedom(x, correction)), mean


@std_mean.vjp(complex=True)
def _(grad_0, grad_1, x, output_0, correction):
    return _std_gradient(grad_0, x, output_0, correction) + grad_1 / s.length(x)


# --- logarithms and norms --------------------------------------------------------------------------------------------


@row(promotion="float", tolerance=8)
def logsumexp(x):
    """log(sum(exp(x))), without overflow. The gradient of a row of -inf is 0."""
    largest = s.reduce_max(s.real(x))
    shift = s.detached(s.where(s.isinf(largest), 0.0, largest))
    return s.log(s.reduce_sum(s.exp(x - shift))) + shift


@logsumexp.vjp
def _(grad, x, output):
    return grad * s.exp(x - s.where(output == -math.inf, 0.0, output))


@row(accepts="floating", outputs=("real",))
def norm_zero(x):
    """How many elements are not zero, as a float; the gradient is 0."""
    return s.cast(s.reduce_sum(s.cast(x != 0.0, "int64")), x)


@row(accepts="floating", outputs=("real",), kinks=(0.0,))
def norm_one(x):
    """The sum of the absolute values. The gradient at an element 0 is 0."""
    return s.reduce_sum(s.absolute(x))


@row(accepts="floating", outputs=("real",), tolerance=4)
def norm_two(x):
    """The Euclidean length: sqrt(sum(x * x)). The gradient at the origin is 0."""
    return s.sqrt(s.reduce_sum(s.square_size(x)))


@norm_two.vjp(complex=True)
def _(grad, x, output):
    return x * s.where(output == 0.0, 0.0, grad / s.where(output == 0.0, 1.0, output))


@row(accepts="floating", outputs=("real",), tolerance=0)
def norm_infinity(x):
    """The largest absolute value. The gradient is shared evenly among equal ones."""
    return s.reduce_max(s.absolute(x))


@row(accepts="floating", outputs=("real",), tolerance=0)
def norm_negative_infinity(x):
    """The smallest absolute value. The gradient is shared evenly among equal ones."""
    return s.reduce_min(s.absolute(x))


@row(accepts="floating", outputs=("real",), tolerance=64, samples=({"p": 3.0}, {"p": 1.5}, {"p": -2.0}))
def norm_p(x, p=2.0):
    """sum(|x| ** p) ** (1 / p). The gradient at an element 0, and at the origin, is 0."""
    p = s.real(p)
    return s.power(s.reduce_sum(s.power(s.absolute(x), p)), 1.0 / p)


@norm_p.vjp(complex=True)
def _(grad, x, output, p):
    zero, origin, p = x == 0.0, output == 0.0, s.real(p)
    element = s.where(zero, 0.0, s.sgn(x) * s.power(s.where(zero, 1.0, s.absolute(x)), p - 1.0))
    return element * s.where(origin, 0.0, grad * s.power(s.where(origin, 1.0, output), 1.0 - p))


@row(accepts="real")
def sum_of_squares(x):
    """sum(x * x)."""
    return s.reduce_sum(x * x)


@row(accepts="floating")
def dot(x, y):
    """sum(x * y)."""
    return s.reduce_sum(x * y)


@row(accepts="floating", tolerance=8, samples=({"eps": 1e-8},))
def cosine_similarity(x, y, eps=1e-8):
    """sum(x * y) / (max(|x|, eps) * max(|y|, eps)), lengths taken over the row."""

    def length(v):
        squares = s.reduce_sum(v * v)
        return s.where(squares == 0.0, 0.0, s.sqrt(s.where(squares == 0.0, 1.0, squares)))

    def held(v):
        size = length(v)
        return s.where(size < eps, eps, size)

    return s.reduce_sum((x / held(x)) * (y / held(y)))
