"""Autocast: which operation runs in which dtype, gradients, nesting, threads, checkpoints, plans; the scaler."""

from __future__ import annotations

import threading

import pytest

import flambeau as fl
from flambeau.nn import functional as F

BF16, F32, F64 = fl.bfloat16, fl.float32, fl.float64


def values():
    fl.manual_seed(0)
    return fl.randn(4, 8), fl.randn(5, 8), fl.randn(5)


X, W, B = values()
H = X.bfloat16()
CLASSES = fl.tensor([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (lambda: F.linear(X, W, B), BF16), (lambda: X @ W.t(), BF16), (lambda: fl.mm(H, W.t()), BF16),
        (lambda: fl.bmm(X[None], W.t()[None]), BF16), (lambda: fl.addmm(B, X, W.t()), BF16),
        (lambda: fl.baddbmm(fl.zeros(1, 4, 5), X[None], W.t()[None]), BF16), (lambda: F.linear(H, W, B), BF16),
        (lambda: fl.einsum("ij,kj->ik", H, W), BF16), (lambda: fl.mm(X.double(), W.t().double()), F64),
        (lambda: F.conv1d(X[None], fl.ones(2, 4, 3)), BF16), (lambda: F.conv1d(H[None], fl.ones(2, 4, 3)), BF16),
        (lambda: F.conv_transpose1d(X[None], fl.ones(4, 2, 3)), BF16),
        (lambda: F.scaled_dot_product_attention(X[None], H[None], X[None]), BF16),
        (lambda: fl.nn.LSTM(8, 3)(X[None])[0], BF16), (lambda: fl.nn.GRU(8, 3)(X[None])[0], F32),
        (lambda: fl.nn.MultiheadAttention(8, 2)(X[None], X[None], X[None])[0], BF16),
        (lambda: X + H, F32), (lambda: F.relu(H), BF16), (lambda: fl.softmax(H, -1), BF16), (lambda: fl.exp(X), F32),
        (lambda: F.layer_norm(X, (8,)), F32), (lambda: H.sum(), BF16), (lambda: H.prod(), F32),
        (lambda: fl.dot(X[0], X[1]), F32), (lambda: fl.mv(X, X[0]), F32), (lambda: fl.cdist(H, H), F32),
        (lambda: F.cross_entropy(H, CLASSES), F32), (lambda: F.cross_entropy(input=H, target=CLASSES), F32),
        (lambda: F.nll_loss(H, CLASSES), F32), (lambda: F.mse_loss(H, H), F32), (lambda: F.l1_loss(H, H), F32),
        (lambda: F.kl_div(H, H.sigmoid(), reduction="sum"), F32), (lambda: F.huber_loss(H, H, reduction="none"), F32),
        (lambda: F.binary_cross_entropy_with_logits(H, H.sigmoid()), F32),
        (lambda: F.cosine_embedding_loss(H, H, fl.ones(4)), F32),
        (lambda: fl.linalg.inv(fl.eye(3, dtype=BF16)), F32), (lambda: fl.linalg.svdvals(H), F32),
        (lambda: H.trace(), F32),
        (lambda: fl.linalg.solve(fl.eye(4, dtype=BF16), H), F32), (lambda: H.quantile(0.5), F32),
        (lambda: F.pad(H[None], (1, 1), mode="reflect"), F32), (lambda: F.pad(H[None], (1, 1)), BF16),
        (lambda: F.avg_pool3d(fl.ones(1, 2, 2, 2, dtype=BF16), 2), F32), (lambda: F.avg_pool2d(H[None], 2), BF16),
        (lambda: F.multilabel_margin_loss(H, fl.zeros(4, 8, dtype=fl.int64)), F32),
        (lambda: F.ctc_loss(H[:, None].log_softmax(-1), fl.tensor([[1, 2]]), (4,), (2,)), F32),
        (lambda: F.grid_sample(H[None, None], fl.zeros(1, 2, 2, 2).bfloat16(), align_corners=False), F32),
    ],
)  # fmt: skip
def test_dtypes_are_pytorchs(call, dtype):
    with fl.autocast("cpu"):
        assert call().dtype is dtype
    with fl.autocast("cpu", enabled=False):
        assert fl._core.autocast_dtype() is None


def test_products_are_those_of_rounded_operands():
    with fl.autocast("cpu"):
        y, c = X @ W.t(), F.conv1d(X[None], fl.ones(2, 4, 3))
    assert fl.equal(y, X.bfloat16() @ W.t().bfloat16())
    assert fl.equal(c, F.conv1d(X[None].bfloat16(), fl.ones(2, 4, 3).bfloat16()))


def test_gradients_come_back_in_the_dtype_of_parameters():
    net = fl.nn.Sequential(fl.nn.Linear(8, 6), fl.nn.Tanh(), fl.nn.Linear(6, 3))
    with fl.autocast("cpu"):
        loss = F.cross_entropy(net(X), fl.tensor([0, 1, 2, 0]))
        loss.backward()  # in the dtypes of forward, inside of the region as well
    inside = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with fl.autocast("cpu"):
        loss = F.cross_entropy(net(X), fl.tensor([0, 1, 2, 0]))
    loss.backward()
    for parameter, grad in zip(net.parameters(), inside, strict=True):
        assert parameter.grad.dtype is F32 and fl.equal(parameter.grad, grad)
    net.zero_grad()
    F.cross_entropy(net(X), fl.tensor([0, 1, 2, 0])).backward()
    assert all(fl.allclose(p.grad, g, atol=3e-2) for p, g in zip(net.parameters(), inside, strict=True))


def test_regions_nest_and_end_with_errors_and_belong_to_threads():
    seen = []
    with fl.autocast("cpu"):
        with fl.autocast("cpu", dtype=fl.float16):
            seen.append(fl.get_autocast_dtype("cpu"))
            assert (X @ W.t()).dtype is fl.float16
        thread = threading.Thread(target=lambda: seen.append((X @ W.t()).dtype))
        thread.start()
        thread.join()
        with pytest.raises(KeyError), fl.autocast("cpu", enabled=False):
            assert (X @ W.t()).dtype is F32
            raise KeyError
        assert fl.is_autocast_enabled("cpu") and not fl.is_autocast_enabled("cuda")
    assert seen == [fl.float16, F32] and not fl.is_autocast_cpu_enabled() and (X @ W.t()).dtype is F32
    with pytest.warns(UserWarning, match="CUDA is not available"), fl.autocast("cuda"):
        assert (X @ W.t()).dtype is F32
    with pytest.raises(RuntimeError, match="unsupported autocast device_type"):
        fl.autocast("toaster")


def test_checkpoints_run_again_as_they_ran():
    layer = fl.nn.Linear(8, 8)
    found = []
    for again in (True, False):
        layer.zero_grad()
        x = X.clone().requires_grad_()
        with fl.autocast("cpu"):
            y = fl.utils.checkpoint.checkpoint(layer, x) if again else layer(x)
        y.float().pow(2).sum().backward()
        found.append((x.grad, layer.weight.grad.clone()))
    assert all(fl.equal(a, b) for a, b in zip(*found, strict=True))


def test_compiled_functions_have_plans_of_their_own_in_a_region():
    layer = fl.nn.Linear(8, 3)

    @fl.compile
    def function(x):
        return F.relu(layer(x)) * 2

    for _ in range(3):
        with fl.no_grad():
            full = function(X)
            with fl.autocast("cpu"):
                half = function(X)
                expected = F.relu(layer(X)) * 2
        assert full.dtype is F32 and half.dtype is BF16 and fl.equal(half, expected)


def test_the_scale_follows_what_overflows():
    weight = fl.nn.Parameter(fl.ones(2))
    optimizer = fl.optim.SGD([weight], lr=1.0)
    scaler = fl.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    for bad, scale in ((False, 4.0), (False, 8.0), (True, 4.0)):
        optimizer.zero_grad()
        scaler.scale((weight * (float("inf") if bad else 0.25)).sum()).backward()
        before = weight.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == scale and fl.equal(weight.detach(), before if bad else before - 0.25)
    other = fl.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and other.get_scale() == 4.0
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    with pytest.warns(UserWarning, match="not available"):
        off = fl.amp.GradScaler("cuda")
    assert off.scale(weight) is weight and off.get_scale() == 1.0 and off.state_dict() == {}
