"""Each way a convolution is computed, on shapes that take it: pixels or channels as rows, channels in lanes, few rows.

Values and gradients against the definition, and the same bits at every number of threads.
"""

import numpy as np
import pytest

import flambeau as fl
from flambeau.nn import functional as F

from .reference import convolution, input_gradient

#: name: input, weight, stride, padding, dilation, groups
SHAPES = {
    "pixels, whole lines": ((3, 16, 9, 20), (40, 16, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    "pixels, padded": ((2, 20, 10, 17), (18, 20, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "pixels, two short lines": ((5, 32, 5, 5), (64, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "pixels, groups": ((2, 32, 8, 8), (48, 16, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    "pixels, strides": ((2, 16, 13, 12), (32, 16, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "pixels, depth": ((2, 8, 4, 6, 7), (16, 8, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    "weight, a panel and a half": ((2, 48, 14, 13), (20, 48, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "weight, samples in blocks": ((2, 32, 19, 31), (24, 32, 3, 1), (1, 1), (1, 0), (1, 1), 1),
    "weight, samples together": ((70, 32, 4, 4), (24, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "weight, one position": ((3, 64, 12, 12), (33, 64, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    "packed, few pixels": ((1, 40, 3, 3), (70, 40, 2, 2), (2, 2), (1, 1), (1, 1), 1),
    "packed, many pixels": ((4, 20, 24, 24), (34, 20, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one line": ((2, 12, 150), (20, 12, 3), (1,), (2,), (2,), 1),
    "few channels": ((4, 6, 11, 10), (3, 6, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "few channels in": ((4, 2, 11, 10), (24, 2, 3, 3), (2, 1), (1, 0), (1, 2), 1),
    "lanes": ((3, 19, 7, 7), (19, 1, 3, 3), (1, 1), (1, 1), (1, 1), 19),
    "lanes, wide": ((2, 16, 40, 45), (16, 1, 3, 5), (1, 1), (1, 2), (1, 1), 16),
    "lanes, strides": ((2, 33, 11, 14), (33, 1, 3, 3), (2, 3), (1, 1), (1, 1), 33),
    "lanes, dilation": ((2, 8, 12, 13), (8, 1, 4, 3), (1, 2), (3, 2), (2, 3), 8),
    "lanes, padding beyond": ((2, 8, 5, 5), (8, 1, 1, 2), (2, 1), (2, 3), (1, 1), 8),
    "lanes, one dimension": ((2, 24, 31), (24, 1, 4), (2,), (1,), (1,), 24),
    "depthwise, two out": ((2, 8, 9, 9), (16, 1, 3, 3), (1, 1), (1, 1), (1, 1), 8),
    "depthwise, depth": ((2, 8, 4, 5, 6), (8, 1, 2, 3, 3), (1, 1, 2), (0, 1, 1), (1, 1, 1), 8),
}


def operands(name, dtype):
    x_shape, w_shape, *options = SHAPES[name]
    r = np.random.default_rng(len(name))
    x, w, b = (r.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, w_shape[:1]))
    return x, w, b, options, r


def results(x, w, b, options, g):
    tx, tw, tb = (fl.tensor(a, requires_grad=True) for a in (x, w, b))
    y = getattr(F, f"conv{w.ndim - 2}d")(tx, tw, tb, *options)
    y.backward(fl.tensor(g))
    return [t.detach().numpy() for t in (y, tx.grad, tw.grad, tb.grad)]


def close(found, expected, dtype):
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=scale * (2e-5 if dtype == "float32" else 1e-12))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients(name, dtype):
    x, w, b, options, r = operands(name, dtype)
    wide = [a.astype("float64") for a in (x, w, b)]
    expected = convolution(*wide, *options)
    g = r.standard_normal(expected.shape).astype(dtype)
    y, dx, dw, db = results(x, w, b, options, g)
    close(y, expected, dtype)
    close(dx, input_gradient(g.astype("float64"), wide[1], x.shape, *options), dtype)
    close(db, g.sum(tuple(i for i in range(g.ndim) if i != 1), dtype="float64"), dtype)
    for _ in range(3):  # by linearity: the product with any weight is that of its convolution with the gradient
        other = r.standard_normal(w.shape)
        product = (convolution(wide[0], other, None, *options) * g).sum()
        size = np.sqrt((g**2).sum() * (x**2).mean() * (other**2).sum())
        assert abs((dw.astype("float64") * other).sum() - product) <= size * (1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_threads_change_no_bit(name):
    x, w, b, options, r = operands(name, "float32")
    x, b = np.concatenate([x] * 8), b  # enough work to be shared
    g = r.standard_normal(convolution(x[:1], w, b, *options).shape).astype("float32")
    g = np.concatenate([g] * len(x))
    before, found = fl.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            found.append([a.tobytes() for a in results(x, w, b, options, g)])
    finally:
        fl.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("shape", [(3, 24, 16, 16), (40, 16, 4, 5)])
def test_weight_and_bias_of_a_gradient_in_pieces(shape):
    r = np.random.default_rng(3)
    x, w, b = (r.standard_normal(s).astype("float32") for s in (shape, (21, shape[1], 3, 3), (21,)))
    options = [(1, 1), (1, 1), (1, 1), 1]
    g = r.standard_normal((shape[0], 21, shape[3], shape[2])).astype("float32")
    tensors = [fl.tensor(a, requires_grad=True) for a in (x, w, b)]
    turned = fl.tensor(g).transpose(2, 3)  # its lines are not contiguous
    found = fl.autograd.grad(F.conv2d(*tensors, *options), tensors, turned)
    expected = results(x, w, b, options, g.swapaxes(2, 3).copy())[1:]
    for one, two in zip(found, expected, strict=True):
        assert np.array_equal(one.numpy(), two)


@pytest.mark.parametrize("name", ["lanes", "lanes, strides", "depthwise, two out", "depthwise, depth"])
def test_an_infinity_stays_where_it_is(name):
    x, w, b, options, r = operands(name, "float32")
    g = r.standard_normal(convolution(x, w, b, *options).shape).astype("float32")
    clean = results(x, w, b, options, g)[2]
    inside = tuple(n // 2 for n in x.shape[2:])
    x[(0, 1, *inside)] = np.inf
    dw = results(x, w, b, options, g)[2]
    many = w.shape[0] // x.shape[1]
    assert not np.isnan(dw).any()
    assert np.isinf(dw[many : 2 * many]).any()
    others = np.delete(np.arange(w.shape[0]), np.arange(many, 2 * many))
    np.testing.assert_array_equal(dw[others], clean[others])
