"""`scaled_dot_product_attention` against its composite and NumPy: values, gradients, masks, memory, threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as fl
from flambeau.errors import DTypeError, ShapeError
from flambeau.nn import functional as F
from flambeau.ops.attention import attention_composite

SHAPES = [  # N, H, G, T, S, E, D: within one block, ragged blocks, several blocks of queries and of keys
    (2, 3, 3, 5, 7, 4, 6),
    (2, 4, 2, 70, 70, 8, 8),
    (1, 2, 1, 130, 300, 16, 20),
    (1, 1, 1, 300, 130, 8, 4),
    (1, 2, 2, 1, 600, 8, 8),
]


def tensors(shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    n, h, g, t, s, e, d = shape
    sizes = ((n, h, t, e), (n, g, s, e), (n, g, s, d))
    return [fl.from_numpy(rng.standard_normal(size).astype(dtype)).requires_grad_(True) for size in sizes]


def masks(shape, kind, dtype="float64"):
    rng = np.random.default_rng(1)
    n, h, _, t, s, _, _ = shape
    if kind == "bool":
        return fl.from_numpy(rng.random((n, h, t, s)) > 0.3)
    if kind == "row":  # whole queries see nothing; broadcast along keys
        return fl.from_numpy(rng.random((n, 1, t, 1)) > 0.3)
    if kind == "float":
        return fl.from_numpy(rng.standard_normal((t, s)).astype(dtype))
    return None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equals_the_composite(shape, dtype):
    n, h, g, t, s, e, _ = shape
    close = 1e-12 if dtype == "float64" else 3e-5
    for kind, causal, p in itertools.product((None, "bool", "row", "float"), (False, True), (0.0, 0.3)):
        if kind and causal:
            continue
        mask = masks(shape, kind, dtype)
        ours, theirs = tensors(shape, dtype), tensors(shape, dtype)
        fl.manual_seed(5)
        got = F.scaled_dot_product_attention(*ours, attn_mask=mask, is_causal=causal, dropout_p=p, enable_gqa=h != g)
        wide = None if mask is None else mask.expand(n, h, t, s)
        want = attention_composite(*theirs, wide, causal, e**-0.5, p, 5, 0)
        cotangent = fl.from_numpy(np.random.default_rng(2).standard_normal(tuple(got.shape)).astype(dtype))
        got.backward(cotangent)
        want.backward(cotangent)
        assert np.abs(got.detach().numpy() - want.detach().numpy()).max() < close
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a.grad.numpy() - b.grad.numpy()).max() < 4 * close, (kind, causal, p)


def test_against_numpy():
    q, k, v = (t.detach().numpy() for t in tensors((2, 3, 3, 6, 9, 4, 5)))
    scores = np.einsum("nhte,nhse->nhts", q, k) * 0.7
    scores = np.where(np.tril(np.ones((6, 9), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    got = F.scaled_dot_product_attention(*map(fl.from_numpy, (q, k, v)), is_causal=True, scale=0.7)
    assert np.allclose(got.numpy(), weights @ v, atol=1e-13)


def test_extreme_scores():
    q = fl.tensor([[[1e4], [-1e4]]])
    k = fl.tensor([[[1.0], [2.0], [-3.0]]])
    v = fl.tensor([[[1.0], [2.0], [3.0]]])
    assert F.scaled_dot_product_attention(q, k, v).flatten().tolist() == [2.0, 3.0]


def test_rows_that_see_nothing_are_zero():
    q, k, v = tensors((1, 1, 1, 3, 4, 2, 2))
    mask = fl.tensor([[True] * 4, [False] * 4, [True] * 4])
    out = F.scaled_dot_product_attention(q, k, v, mask)
    out.sum().backward()
    assert out[0, 0, 1].tolist() == [0.0, 0.0]
    assert q.grad[0, 0, 1].tolist() == [0.0, 0.0]
    assert np.isfinite(k.grad.numpy()).all()


@pytest.mark.parametrize("causal", [False, True])
def test_gradcheck(causal):
    inputs = tensors((1, 2, 1, 3, 4, 2, 3))
    mask = None if causal else masks((1, 2, 1, 3, 4, 2, 3), "bool")

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=True)

    assert fl.autograd.gradcheck(f, inputs)
    assert fl.autograd.gradgradcheck(f, inputs)


def test_gradient_of_a_mask():
    q, k, v = tensors((1, 2, 2, 3, 4, 2, 3))
    mask = fl.from_numpy(np.random.default_rng(3).standard_normal((3, 4))).requires_grad_(True)
    assert fl.autograd.gradcheck(lambda m: F.scaled_dot_product_attention(q, k, v, m), [mask])


def test_leading_dimensions():
    rng = np.random.default_rng(0)
    q, k, v = (fl.from_numpy(rng.standard_normal(s)) for s in ((5, 2, 3, 4, 6), (1, 3, 7, 6), (2, 1, 7, 8)))
    got = F.scaled_dot_product_attention(q, k, v)
    assert tuple(got.shape) == (5, 2, 3, 4, 8)
    one = F.scaled_dot_product_attention(q[3, 1, 2], k[0, 2], v[1, 0])
    assert np.allclose(got[3, 1, 2].numpy(), one.numpy(), atol=1e-14)
    assert tuple(F.scaled_dot_product_attention(q[:, :, :, :0], k, v).shape) == (5, 2, 3, 0, 8)


def test_dropout_keeps_the_mean():
    fl.manual_seed(0)
    q = fl.zeros(1, 4, 64, 8)
    v = fl.ones(1, 4, 512, 1)
    out = F.scaled_dot_product_attention(q, fl.zeros(1, 4, 512, 8), v, dropout_p=0.25)
    assert abs(float(out.mean()) - 1.0) < 0.02
    assert float(out.std()) > 0.01
    assert float(F.scaled_dot_product_attention(q, fl.zeros(1, 4, 512, 8), v, dropout_p=1.0).abs().max()) == 0.0


@pytest.mark.parametrize("dtype", [fl.bfloat16, fl.float16])
def test_half_precision(dtype):
    q, k, v = (t.detach().float() for t in tensors((1, 2, 2, 5, 6, 4, 4)))
    want = F.scaled_dot_product_attention(q, k, v)
    got = F.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype))
    assert got.dtype == dtype
    assert float((got.float() - want).abs().max()) < 0.03


def test_long_context_needs_no_square():
    length = 8192
    q, k, v = (fl.randn(1, 1, length, 8).requires_grad_(True) for _ in range(3))
    before = fl._core.memory_statistics()["allocated"]
    fl._core.reset_peak_memory()
    F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
    assert fl._core.memory_statistics()["peak"] - before < 16 * length * 8 * 4


def test_threads_change_no_bit():
    found = []
    before = fl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            fl.manual_seed(1)
            shape = (1, 2, 1, 200, 600, 16, 16)
            inputs = tensors(shape, "float32")
            out = F.scaled_dot_product_attention(*inputs, is_causal=True, dropout_p=0.1, enable_gqa=True)
            out.backward(tensors((1, 2, 2, 200, 1, 16, 16), "float32", 4)[0].detach())
            found.append([out.detach().numpy().tobytes(), *(t.grad.numpy().tobytes() for t in inputs)])
    finally:
        fl.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_errors():
    q = fl.zeros(1, 2, 3, 4)
    with pytest.raises(RuntimeError, match="is_causal"):
        F.scaled_dot_product_attention(q, q, q, fl.ones(3, 3), is_causal=True)
    with pytest.raises(DTypeError, match="same dtype"):
        F.scaled_dot_product_attention(q, q.double(), q)
    with pytest.raises(ShapeError, match="inner sizes"):
        F.scaled_dot_product_attention(q, fl.zeros(1, 2, 3, 5), q)
    with pytest.raises(ShapeError, match="broadcast"):
        F.scaled_dot_product_attention(q, q, q, fl.ones(2, 3))
    with pytest.raises(ShapeError, match="enable_gqa"):
        F.scaled_dot_product_attention(fl.zeros(1, 4, 3, 4), q, q)
    with pytest.raises(DTypeError, match="attn_mask"):
        F.scaled_dot_product_attention(q, q, q, fl.ones(3, 3, dtype=fl.int64))
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.scaled_dot_product_attention(q, q, q, dropout_p=1.5)


def test_a_value_changed_in_place_is_refused():
    q, k, v = tensors((1, 1, 1, 3, 3, 2, 2))
    wide = k * 1
    out = F.scaled_dot_product_attention(q, wide, v)
    wide.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.sum().backward()
