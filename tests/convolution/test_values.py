"""Convolutions: values and gradients against the definition, on random problems."""

import numpy as np
import pytest

import flambeau as fl
from flambeau.nn import functional as F

from .reference import convolution, input_gradient


def problem(seed):
    """A random convolution of one to three dimensions, sometimes grouped, depthwise or wide."""
    r = np.random.default_rng(seed)
    dims = int(r.integers(1, 4))
    kind = r.choice(["plain", "groups", "depthwise", "wide"])
    groups = 1 if kind in ("plain", "wide") else int(r.integers(2, 5))
    wide = (15, 40) if kind == "wide" and dims < 3 else (1, 5)
    c = 1 if kind == "depthwise" else int(r.integers(*wide))
    o = int(r.integers(1, 4)) if kind == "depthwise" else int(r.integers(*wide))
    kernel, stride, dilation = (tuple(int(v) for v in r.integers(1, 4, dims)) for _ in range(3))
    padding = tuple(int(v) for v in r.integers(0, 4, dims))
    most = 12 if dims < 3 else 4
    sizes = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + int(r.integers(0, most))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    x = r.standard_normal((int(r.integers(1, 4)), c * groups, *sizes))
    w = r.standard_normal((o * groups, c, *kernel))
    return x, w, r.standard_normal(o * groups), stride, padding, dilation, groups, r


def function(dims, transposed=False):
    return getattr(F, f"conv{'_transpose' if transposed else ''}{dims}d")


def close(found, expected, dtype):
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=scale * (2e-5 if dtype == "float32" else 1e-12))


@pytest.mark.parametrize("seed", range(60))
def test_values_and_gradients(seed):
    x, w, b, stride, padding, dilation, groups, r = problem(seed)
    dtype = ("float32", "float64")[seed % 2]
    x, w, b = (a.astype(dtype) for a in (x, w, b))
    tx, tw, tb = (fl.tensor(a, requires_grad=True) for a in (x, w, b))
    y = function(w.ndim - 2)(tx, tw, tb, stride, padding, dilation, groups)
    expected = convolution(x, w, b, stride, padding, dilation, groups)
    close(y.detach().numpy(), expected, dtype)
    g = r.standard_normal(expected.shape).astype(dtype)
    y.backward(fl.tensor(g))
    close(tx.grad.numpy(), input_gradient(g, w, x.shape, stride, padding, dilation, groups), dtype)
    close(tb.grad.numpy(), g.sum(tuple(i for i in range(g.ndim) if i != 1)), dtype)
    # The weight's gradient by linearity: its product with any weight is the convolution's product with the gradient.
    other = r.standard_normal(w.shape).astype(dtype)
    product = (convolution(x, other, None, stride, padding, dilation, groups) * g).sum()
    scale = np.abs(g).sum() * np.abs(other).max() * np.abs(x).max()
    assert abs((tw.grad.numpy() * other).sum() - product) <= scale * (1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_transposed_is_the_gradient_of_the_input(seed):
    x, w, _, stride, padding, dilation, groups, r = problem(seed + 100)
    y = convolution(x, w, None, stride, padding, dilation, groups)
    g = r.standard_normal(y.shape)
    expected = input_gradient(g, w, x.shape, stride, padding, dilation, groups)
    extra = []
    for n, m, k, s, p, d in zip(x.shape[2:], y.shape[2:], w.shape[2:], stride, padding, dilation, strict=True):
        extra.append(n - ((m - 1) * s - 2 * p + d * (k - 1) + 1))
    bias = r.standard_normal(x.shape[1])
    found = function(w.ndim - 2, True)(
        fl.tensor(g), fl.tensor(w), fl.tensor(bias), stride, padding, tuple(extra), groups, dilation
    )
    close(found.numpy(), expected + bias.reshape(-1, *(1,) * (w.ndim - 2)), "float64")


@pytest.mark.parametrize("seed", range(8))
def test_gradcheck(seed):
    r = np.random.default_rng(seed)
    depthwise = seed % 2
    groups, c = (3, 1) if depthwise else (2, 2)
    x = fl.tensor(r.standard_normal((2, groups * c, 5, 6)), requires_grad=True)
    w = fl.tensor(r.standard_normal((groups * 2, c, 3, 2)), requires_grad=True)
    b = fl.tensor(r.standard_normal(groups * 2), requires_grad=True)
    options = [(1, 1), (2, 1), (1, 2), (2, 3)][seed // 2]
    run = lambda x, w, b: F.conv2d(x, w, b, options, 1, options[::-1], groups)  # noqa: E731
    assert fl.autograd.gradcheck(run, (x, w, b))
    assert fl.autograd.gradgradcheck(run, (x, w, b))
    y = fl.tensor(r.standard_normal((1, groups * 2, 3, 3)), requires_grad=True)
    back = lambda y, w: F.conv_transpose2d(y, w, None, options, 1, 0, groups, options[::-1])  # noqa: E731
    assert fl.autograd.gradcheck(back, (y, w))
    assert fl.autograd.gradgradcheck(back, (y, w))


@pytest.mark.parametrize("groups", [1, 64])
def test_threads_change_no_bit(groups):
    r = np.random.default_rng(0)
    x = fl.tensor(r.standard_normal((3, 64, 20, 21)).astype("float32"), requires_grad=True)
    w = fl.tensor(r.standard_normal((64, 64 // groups, 3, 3)).astype("float32"), requires_grad=True)
    before = fl.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            x.grad = w.grad = None
            y = F.conv2d(x, w, None, 2, 1, 1, groups)
            y.backward(y.detach())
            results.append((y.detach().numpy(), x.grad.numpy(), w.grad.numpy()))
    finally:
        fl.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_layouts_and_half_types():
    r = np.random.default_rng(1)
    x, w = r.standard_normal((2, 8, 9, 7)).astype("float32"), r.standard_normal((5, 8, 3, 3)).astype("float32")
    expected = F.conv2d(fl.tensor(x), fl.tensor(w), padding=1)
    last = fl.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    turned = fl.tensor(np.ascontiguousarray(w.transpose(3, 2, 1, 0))).permute(3, 2, 1, 0)
    assert (F.conv2d(last, turned, padding=1) == expected).all()
    for dtype in (fl.float16, fl.bfloat16):
        half = F.conv2d(fl.tensor(x).to(dtype), fl.tensor(w).to(dtype), padding=1)
        assert half.dtype is dtype
        assert (half.float() - expected).abs().max().item() < 0.3
    whole = F.conv2d(fl.tensor(x).long(), fl.tensor(w).long(), padding=1)
    assert whole.dtype is fl.int64


def test_same_and_unbatched():
    x, w = fl.randn(2, 3, 10), fl.randn(4, 3, 4)
    assert tuple(F.conv1d(x, w, padding="same").shape) == (2, 4, 10)
    assert (F.conv1d(x, w, padding="same") == F.conv1d(F.pad(x, (1, 2)), w)).all()
    assert tuple(F.conv1d(x[0], w, padding="valid").shape) == (4, 7)
    assert tuple(F.conv2d(fl.zeros(0, 3, 8, 8), fl.zeros(4, 3, 3, 3)).shape) == (0, 4, 6, 6)


def test_errors_say_what_is_wrong():
    with pytest.raises(
        fl.ShapeError, match=r"conv2d: .*expects input to have 3 channels.*\(1, 4, 8, 8\).*in_channels=4"
    ):
        F.conv2d(fl.zeros(1, 4, 8, 8), fl.zeros(2, 3, 3, 3))
    with pytest.raises(fl.ShapeError, match="Kernel size can't be greater than actual input size"):
        F.conv2d(fl.zeros(1, 3, 2, 2), fl.zeros(2, 3, 3, 3))
    with pytest.raises(fl.DTypeError, match="same dtype"):
        F.conv1d(fl.zeros(1, 3, 8, dtype=fl.float64), fl.zeros(2, 3, 3))
    with pytest.raises(RuntimeError, match="not supported for strided"):
        F.conv1d(fl.zeros(1, 3, 8), fl.zeros(2, 3, 3), stride=2, padding="same")
    with pytest.raises(RuntimeError, match="output padding must be smaller"):
        F.conv_transpose1d(fl.zeros(1, 3, 8), fl.zeros(3, 2, 3), output_padding=1)
    with pytest.raises(fl.ShapeError, match=r"in .*0 \(Conv2d\)"):
        fl.nn.Sequential(fl.nn.Conv2d(3, 4, 3))(fl.zeros(1, 2, 8, 8))
