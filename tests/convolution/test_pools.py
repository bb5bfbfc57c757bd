"""Pools, patches and changes of size against plain NumPy, and their gradients."""

import numpy as np
import pytest

import flambeau as fl
from flambeau.nn import functional as F

from .reference import pool

OPTIONS = [
    ((2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 2), (2, 1), (1, 1), (1, 1)),
    ((3, 3), (1, 2), (1, 0), (2, 1)),
    ((2, 3), (3, 4), (0, 1), (1, 2)),
]


def data(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), OPTIONS)
def test_max_pool(kernel, stride, padding, dilation):
    x = data(2, 3, 9, 10)
    y, places = F.max_pool2d(fl.tensor(x), kernel, stride, padding, dilation, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), pool(x, kernel, stride, padding, dilation, np.max, -np.inf))
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, places.numpy().reshape(2, 3, -1), 2).reshape(y.shape), y.numpy()
    )
    t = fl.tensor(data(1, 2, 7, 8), requires_grad=True)
    run = lambda t: F.max_pool2d(t, kernel, stride, padding, dilation)  # noqa: E731
    assert fl.autograd.gradcheck(run, (t,))
    assert fl.autograd.gradgradcheck(run, (t,))


@pytest.mark.parametrize("dtype", [fl.float32, fl.float64])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("width", [7, 35, 71])
def test_max_pool_of_wide_lines(width, stride, dtype):
    """Whole vectors and what is left of a line; values, gradient and bits at any number of threads."""
    x = data(3, 5, 11, width).astype("float32")
    x[0, 0, 4, 3] = np.nan
    t = fl.tensor(x, dtype=dtype, requires_grad=True)
    results = []
    for threads in (1, 2):
        fl.set_num_threads(threads)
        y, places = F.max_pool2d(t, 3, stride, 1, return_indices=True)
        weights = fl.arange(y.numel(), dtype=dtype).reshape(y.shape)
        (grad,) = fl.autograd.grad((y * weights).nan_to_num().sum(), t)
        results.append([each.detach().numpy() for each in (y, places, grad)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    y, places, grad = results[0]
    np.testing.assert_array_equal(y, pool(x, (3, 3), (stride, stride), (1, 1), (1, 1), np.max, -np.inf))
    expected = np.zeros((15, 11 * width))
    flows = np.where(np.isnan(y), 0, np.arange(y.size).reshape(y.shape)).reshape(15, -1)
    for plane in range(15):
        np.add.at(expected[plane], places.reshape(15, -1)[plane], flows[plane])
    np.testing.assert_allclose(grad, expected.reshape(x.shape), rtol=1e-6)


def test_max_pool_of_windows_beyond_the_input():
    x = fl.arange(5, dtype=fl.float32).reshape(1, 1, 5)
    assert F.max_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[[1, 3, 4]]]
    # Both positions of the window lie in the padding.
    assert F.max_pool1d(fl.ones(1, 1, 1), 2, 1, 1, 2).tolist() == [[[-np.inf]]]


def test_max_pool_compiled():
    x = fl.tensor(data(2, 3, 12, 26).astype("float32"), requires_grad=True)

    def step():
        y = F.max_pool2d(x, 2)
        return y.detach(), fl.autograd.grad((y * y).sum(), x)[0]

    compiled = fl.compile(step)
    for _ in range(3):
        for found, expected in zip(compiled(), step(), strict=True):
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), OPTIONS)
def test_avg_pool(kernel, stride, padding, dilation):
    x = data(2, 3, 9, 10)
    y = F.avg_pool2d(fl.tensor(x), kernel, stride, padding)
    np.testing.assert_allclose(y.numpy(), pool(x, kernel, stride, padding, (1, 1), np.mean, 0.0), atol=1e-12)
    inside = F.avg_pool2d(fl.tensor(x), kernel, stride, padding, count_include_pad=False)
    expected = pool(x, kernel, stride, padding, (1, 1), np.nanmean, np.nan)
    np.testing.assert_allclose(inside.numpy(), expected, atol=1e-12)
    t = fl.tensor(data(1, 2, 7, 8), requires_grad=True)
    run = lambda t: F.avg_pool2d(t, kernel, stride, padding, True, False)  # noqa: E731
    assert fl.autograd.gradcheck(run, (t,))
    assert fl.autograd.gradgradcheck(run, (t,))


def test_max_pool_keeps_nan_and_infinity():
    x = fl.tensor([[[1.0, float("nan"), 2.0, -float("inf"), -float("inf"), -float("inf")]]])
    y, places = F.max_pool1d(x, 3, return_indices=True)
    assert np.isnan(y[0, 0, 0].item()) and y[0, 0, 1].item() == -float("inf")
    assert places.tolist() == [[[1, 3]]]


@pytest.mark.parametrize("out", [(2, 5), (4, 3), (1, 1), (7, 10), (None, 4)])
def test_adaptive_pools(out):
    x = data(2, 3, 7, 10)
    sizes = [o or n for o, n in zip(out, (7, 10), strict=True)]
    mean, most = np.zeros((2, 3, *sizes)), np.zeros((2, 3, *sizes))
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            window = x[
                :, :, i * 7 // sizes[0] : -((i + 1) * 7 // -sizes[0]), j * 10 // sizes[1] : -((j + 1) * 10 // -sizes[1])
            ]
            mean[:, :, i, j], most[:, :, i, j] = window.mean((2, 3)), window.max((2, 3))
    np.testing.assert_allclose(F.adaptive_avg_pool2d(fl.tensor(x), out).numpy(), mean, atol=1e-12)
    y, places = F.adaptive_max_pool2d(fl.tensor(x), out, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), most)
    np.testing.assert_array_equal(
        np.take_along_axis(x.reshape(2, 3, -1), places.numpy().reshape(2, 3, -1), 2).reshape(y.shape), most
    )
    t = fl.tensor(x[:1], requires_grad=True)
    assert fl.autograd.gradcheck(lambda t: F.adaptive_avg_pool2d(t, out), (t,))
    assert fl.autograd.gradcheck(lambda t: F.adaptive_max_pool2d(t, out), (t,))


def test_fold_counts_what_unfold_saw():
    x = fl.tensor(data(2, 3, 6, 7), requires_grad=True)
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (2, 1)}
    columns = F.unfold(x, **options)
    back = F.fold(columns, (6, 7), **options)
    seen = F.fold(F.unfold(fl.ones(1, 3, 6, 7, dtype=fl.float64), **options), (6, 7), **options)
    np.testing.assert_allclose(back.detach().numpy(), (x * seen).detach().numpy(), atol=1e-12)
    c = fl.tensor(data(1, *columns.shape[1:]), requires_grad=True)
    assert fl.autograd.gradcheck(lambda c: F.fold(c, (6, 7), **options), (c,))
    assert fl.autograd.gradgradcheck(lambda c: F.fold(c, (6, 7), **options), (c,))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest", "area"])
def test_interpolate_gradients(mode):
    t = fl.tensor(data(1, 2, 4, 5), requires_grad=True)
    corners = {"align_corners": True} if mode.startswith("bi") else {}
    assert fl.autograd.gradcheck(lambda t: F.interpolate(t, (7, 3), mode=mode, **corners), (t,))
    assert fl.autograd.gradcheck(lambda t: F.interpolate(t, scale_factor=1.5, mode=mode), (t,))


@pytest.mark.parametrize(
    ("mode", "name"), [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_pad(mode, name):
    x = data(2, 3, 5, 6)
    found = F.pad(fl.tensor(x), (1, 2, 3, 0), mode)
    np.testing.assert_array_equal(found.numpy(), np.pad(x, [(0, 0), (0, 0), (3, 0), (1, 2)], mode=name))
    t = fl.tensor(x[:1], requires_grad=True)
    assert fl.autograd.gradcheck(lambda t: F.pad(t, (1, 2, 3, 0), mode), (t,))


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 6), (2, 3, 4, 5)])
def test_batch_norm(shape):
    x, w, b = data(*shape), data(3, seed=1), data(3, seed=2)
    axes = tuple(i for i in range(len(shape)) if i != 1)
    each = (3, *(1,) * (len(shape) - 2))
    mean, var = x.mean(axes).reshape(each), x.var(axes).reshape(each)
    expected = (x - mean) / np.sqrt(var + 1e-5) * w.reshape(each) + b.reshape(each)
    running, spread = fl.zeros(3, dtype=fl.float64), fl.ones(3, dtype=fl.float64)
    tx, tw, tb = (fl.tensor(a, requires_grad=True) for a in (x, w, b))
    y = F.batch_norm(tx, running, spread, tw, tb, True, 0.1)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-10)
    np.testing.assert_allclose(running.numpy(), 0.1 * mean.reshape(-1), atol=1e-12)
    np.testing.assert_allclose(spread.numpy(), 0.9 + 0.1 * x.var(axes, ddof=1), atol=1e-12)
    assert fl.autograd.gradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (tx, tw, tb))
    assert fl.autograd.gradgradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (tx, tw, tb))
    still = F.batch_norm(tx, running, spread, tw, tb, False)
    known = (x - running.numpy().reshape(each)) / np.sqrt(spread.numpy().reshape(each) + 1e-5)
    np.testing.assert_allclose(still.detach().numpy(), known * w.reshape(each) + b.reshape(each), atol=1e-10)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        F.batch_norm(fl.zeros(1, 3), None, None, training=True)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [((2, 2), (2, 2), (6, 8)), ((2, 2), (2, 2), (7, 9)), ((3, 3), (1, 1), (6, 7)),
                                   ((2, 3), (3, 4), (8, 12)), ((1, 4), (1, 4), (3, 13))],
)  # fmt: skip
def test_max_pool_takes_the_first_of_equal_values(kernel, stride, size):
    x = np.random.default_rng(0).integers(0, 3, (2, 3, *size)).astype("float32")
    t = fl.tensor(x, requires_grad=True)
    y, places = F.max_pool2d(t, kernel, stride, return_indices=True)
    g = data(*y.shape, seed=1).astype("float32")
    y.backward(fl.tensor(g))
    expected = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*y.shape):
        window = x[n, c, i * stride[0] : i * stride[0] + kernel[0], j * stride[1] : j * stride[1] + kernel[1]]
        h, w = np.unravel_index(window.argmax(), window.shape)
        h, w = h + i * stride[0], w + j * stride[1]
        assert places[n, c, i, j].item() == h * size[1] + w
        expected[n, c, h, w] += g[n, c, i, j]
    np.testing.assert_allclose(t.grad.numpy(), expected, rtol=0, atol=1e-6)


def test_max_pool_takes_the_nan_of_a_window():
    x = fl.tensor([[[[1.0, 2.0, 5.0, 6.0], [float("nan"), 9.0, 7.0, 8.0]]]], requires_grad=True)
    y, places = F.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(y[0, 0, 0, 0].item()) and y[0, 0, 0, 1].item() == 8.0
    assert places.tolist() == [[[[4, 7]]]]
