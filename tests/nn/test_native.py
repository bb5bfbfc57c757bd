"""The lower-level normalisations against the layers' functions, local response norm, grouped products, attention's
backends."""

from __future__ import annotations

import numpy
import pytest

import flambeau
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.autograd import gradcheck


def close(a, b, tolerance=1e-12):
    numpy.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_normalisations():
    x = flambeau.randn(3, 4, 5, dtype=flambeau.float64)
    w, b = flambeau.randn(2, 4, dtype=flambeau.float64)
    out, mean, rstd = flambeau.native_layer_norm(x, (4, 5), None, None, 1e-5)
    close(out, F.layer_norm(x, (4, 5)))
    close(mean, x.mean((1, 2), keepdim=True))
    close(rstd, (x.var((1, 2), correction=0, keepdim=True) + 1e-5).rsqrt())
    out, mean, _ = flambeau.native_group_norm(x, w, b, 3, 4, 5, 2, 1e-5)
    close(out, F.group_norm(x, 2, w, b))
    assert tuple(mean.shape) == (3, 2)
    states = [(flambeau.zeros(4, dtype=flambeau.float64), flambeau.ones(4, dtype=flambeau.float64)) for _ in range(2)]
    out, mean, _ = flambeau.native_batch_norm(x, w, b, *states[0], True, 0.3, 1e-5)
    close(out, F.batch_norm(x, *states[1], w, b, True, 0.3))
    close(mean, x.mean((0, 2)))
    for one, other in zip(*states, strict=True):
        close(one, other)
    out, mean, _ = flambeau.native_batch_norm(x, w, b, *states[0], False, 0.3, 1e-5)
    close(out, F.batch_norm(x, *states[1], w, b))
    assert mean.numel() == 0
    with pytest.raises(flambeau.ShapeError):
        flambeau.native_layer_norm(x, (5, 4), None, None, 1e-5)


def test_dropout():
    flambeau.manual_seed(0)
    x = flambeau.ones(1000).requires_grad_()
    out, mask = flambeau.native_dropout(x, 0.25, True)
    assert mask.dtype is flambeau.bool and 700 < mask.sum().item() < 800
    close(out, mask / 0.75, 1e-6)
    out.sum().backward()
    close(x.grad, flambeau.native_dropout_backward(flambeau.ones(1000), mask, 1 / 0.75), 1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_local_response_norm(size):
    x = flambeau.randn(2, 4, 3, 2, dtype=flambeau.float64)
    found = nn.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=1.5)(x).numpy()
    values = x.numpy()
    for c in range(4):
        near = values[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        expected = values[:, c] / (1.5 + 0.3 / size * (near**2).sum(1)) ** 0.6
        numpy.testing.assert_allclose(found[:, c], expected, rtol=1e-12)
    assert gradcheck(lambda x: F.local_response_norm(x, size), (x.requires_grad_(),))
    with pytest.raises(ValueError, match="3D"):
        F.local_response_norm(x[0, 0], 2)


def test_grouped_mm():
    ends = flambeau.tensor([1, 1, 4], dtype=flambeau.int32)
    a, b, w = flambeau.randn(5, 3), flambeau.randn(3, 5), flambeau.randn(3, 3, 2)
    found = F.grouped_mm(a, w, offs=ends)
    close(found, flambeau.cat([a[:1] @ w[0], a[1:4] @ w[2], flambeau.zeros(1, 2)]), 1e-6)
    found = F.grouped_mm(w.mT.contiguous(), b, offs=ends)
    close(found, flambeau.cat([w[0].T @ b[:, :1], w[2].T @ b[:, 1:4], flambeau.zeros(2, 1)], 1), 1e-6)
    found = F.grouped_mm(b, a, offs=ends)
    close(found, flambeau.stack([b[:, :1] @ a[:1], flambeau.zeros(3, 3), b[:, 1:4] @ a[1:4]]), 1e-6)
    close(F.grouped_mm(w.mT, w), w.mT @ w, 1e-6)
    with pytest.raises(RuntimeError, match="increasing"):
        F.grouped_mm(a, w, offs=ends.flip(0))
    with pytest.raises(RuntimeError, match="offs"):
        F.grouped_mm(a, w)
    with pytest.raises(flambeau.ShapeError, match="inner sizes"):
        F.grouped_mm(b, w, offs=ends)


def test_sdpa_kernel():
    from flambeau.nn.attention import SDPBackend, sdpa_kernel

    q = flambeau.randn(1, 2, 3, 4)
    plain = F.scaled_dot_product_attention(q, q, q)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        assert flambeau.equal(F.scaled_dot_product_attention(q, q, q), plain)
    with pytest.raises(TypeError, match="SDPBackend"), sdpa_kernel("flash"):
        pass
