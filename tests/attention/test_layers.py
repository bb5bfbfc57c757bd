"""MultiheadAttention, the transformer layers and EmbeddingBag: values, masks, options, PyTorch's parameters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as fl
from flambeau import nn
from flambeau.nn import functional as F


def test_heads_against_numpy():
    rng = np.random.default_rng(0)
    layer = nn.MultiheadAttention(8, 2, dtype=fl.float64)
    x = rng.standard_normal((5, 3, 8))
    hidden = np.triu(np.ones((5, 5), bool), 1)
    inputs = fl.from_numpy(x)
    output, weights = layer(inputs, inputs, inputs, attn_mask=fl.from_numpy(hidden))
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    q, k, v = np.split(x @ p["in_proj_weight"].T + p["in_proj_bias"], 3, -1)
    q, k, v = (t.reshape(5, 3, 2, 4).transpose(1, 2, 0, 3) for t in (q, k, v))
    scores = np.where(hidden, -np.inf, q @ k.transpose(0, 1, 3, 2) / 2)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    want = (e @ v).transpose(2, 0, 1, 3).reshape(5, 3, 8) @ p["out_proj.weight"].T + p["out_proj.bias"]
    assert np.allclose(output.detach().numpy(), want, atol=1e-12)
    assert np.allclose(weights.detach().numpy(), e.mean(1), atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"kdim": 5, "vdim": 7},
        {"bias": False},
        {"batch_first": True},
    ],
)
def test_weights_or_not_is_the_same(options):
    rng = np.random.default_rng(1)
    layer = nn.MultiheadAttention(8, 2, dtype=fl.float64, **options)
    first = options.get("batch_first", False)

    def made(length, size):
        return fl.from_numpy(rng.standard_normal((3, length, size) if first else (length, 3, size)))

    q, k, v = made(4, 8), made(6, options.get("kdim", 8)), made(6, options.get("vdim", 8))
    padding = rng.random((3, 6)) > 0.6
    padding[:, 0] = False
    for mask in (None, rng.random((4, 6)) > 0.8, rng.standard_normal((4, 6)), rng.standard_normal((6, 4, 6))):
        more = {} if mask is None else {"attn_mask": fl.from_numpy(mask)}
        more["key_padding_mask"] = fl.from_numpy(padding)
        a, weights = layer(q, k, v, average_attn_weights=False, **more)
        b, nothing = layer(q, k, v, need_weights=False, **more)
        assert nothing is None and tuple(weights.shape[:3]) == (3, 2, 4)
        assert np.allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)


def test_unbatched_and_causal():
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype=fl.float64)
    x = fl.randn(1, 5, 8, dtype=fl.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=fl.float64)
    a = layer(x, x, x, attn_mask=mask)[0]
    b = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
    c = layer(x[0], x[0], x[0], attn_mask=mask)[0]
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-13)
    assert np.allclose(a[0].detach().numpy(), c.detach().numpy(), atol=1e-13)
    with pytest.raises(RuntimeError, match="Need attn_mask"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(fl.errors.ShapeError, match="attn_mask"):
        layer(x, x, x, attn_mask=fl.zeros(4, 5))
    with pytest.raises(AssertionError, match="divisible"):
        nn.MultiheadAttention(8, 3)


def test_gradcheck():
    layer = nn.MultiheadAttention(4, 2, dtype=fl.float64)
    x = fl.randn(3, 2, 4, dtype=fl.float64, requires_grad=True)
    assert fl.autograd.gradcheck(lambda x: layer(x, x, x, need_weights=False)[0], [x])


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer_is_its_text(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, activation="gelu", norm_first=norm_first)
    x = fl.randn(5, 3, 8)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(F.gelu(layer.linear1(x)))

    if norm_first:
        want = x + attend(layer.norm1(x))
        want = want + feed(layer.norm2(want))
    else:
        want = layer.norm1(x + attend(x))
        want = layer.norm2(want + feed(want))
    assert float((layer(x) - want).abs().max()) < 1e-5


def test_transformer():
    model = nn.Transformer(8, 2, 2, 2, 12, dropout=0.0, batch_first=True)
    source, target = fl.randn(3, 5, 8), fl.randn(3, 4, 8)
    mask = model.generate_square_subsequent_mask(4)
    out = model(source, target, tgt_mask=mask)
    again = model(source, target, tgt_mask=mask, tgt_is_causal=True)
    assert float((out - again).abs().max()) < 1e-6
    changed = fl.cat((target[:, :3], target[:, 3:] + 1), 1)
    assert float((model(source, changed, tgt_mask=mask)[:, :3] - out[:, :3]).abs().max()) < 1e-6
    names = list(model.state_dict())
    assert names[0] == "encoder.layers.0.self_attn.in_proj_weight" and names[-1] == "decoder.norm.bias"
    with pytest.raises(RuntimeError, match="batch number"):
        model(source, target[:2])
    with pytest.raises(RuntimeError, match="d_model"):
        model(source[..., :4], target)
    with pytest.raises(RuntimeError, match="relu/gelu"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, about its nested tensors
def test_exchange_with_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for norm_first, first, bias in itertools.product((False, True), repeat=3):
        options = {"dropout": 0.0, "norm_first": norm_first, "batch_first": first, "bias": bias}
        theirs = torch.nn.Transformer(8, 2, 1, 1, 12, **options).double()
        ours = nn.Transformer(8, 2, 1, 1, 12, dtype=fl.float64, **options)
        state = {name: fl.from_numpy(value.numpy().copy()) for name, value in theirs.state_dict().items()}
        assert list(ours.state_dict()) == list(state)
        ours.load_state_dict(state)
        source, target = rng.standard_normal((5, 5, 8)), rng.standard_normal((5, 5, 8))
        want = theirs(torch.tensor(source), torch.tensor(target))
        got = ours(fl.from_numpy(source), fl.from_numpy(target))
        assert np.allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-11)
        want.square().sum().backward()
        got.square().sum().backward()
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            assert np.allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-9)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    rng = np.random.default_rng(0)
    table = rng.standard_normal((7, 3))
    weight = fl.from_numpy(table.copy()).requires_grad_(True)
    numbers, starts = [1, 2, 2, 5, 0, 6], [0, 3, 3, 5]
    bags = [numbers[a:b] for a, b in zip(starts, [*starts[1:], 6], strict=True)]
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]

    def want(bag):
        return reduce(table[bag], axis=0) if bag else np.zeros(3)

    got = F.embedding_bag(fl.tensor(numbers), weight, fl.tensor(starts), mode=mode)
    assert np.allclose(got.detach().numpy(), [want(bag) for bag in bags])
    last = F.embedding_bag(fl.tensor(numbers), weight, fl.tensor([*starts, 6]), mode=mode, include_last_offset=True)
    assert fl.equal(last, got)
    padded = F.embedding_bag(fl.tensor(numbers), weight, fl.tensor(starts), mode=mode, padding_idx=2)
    assert np.allclose(padded.detach().numpy(), [want([i for i in bag if i != 2]) for bag in bags])
    square = F.embedding_bag(fl.tensor([numbers[:3], numbers[3:]]), weight, mode=mode)
    assert np.allclose(square.detach().numpy(), [want(numbers[:3]), want(numbers[3:])])
    index, offsets = fl.tensor(numbers), fl.tensor(starts)
    assert fl.autograd.gradcheck(lambda w: F.embedding_bag(index, w, offsets, mode=mode), [weight])


def test_embedding_bag_weights_and_errors():
    weight, numbers = fl.eye(3), fl.tensor([0, 1, 2])
    got = F.embedding_bag(numbers, weight, fl.tensor([0, 2]), mode="sum", per_sample_weights=fl.tensor([2.0, 3.0, 4.0]))
    assert got.tolist() == [[2.0, 3.0, 0.0], [0.0, 0.0, 4.0]]
    layer = nn.EmbeddingBag(10, 3, padding_idx=2)
    assert layer.weight[2].tolist() == [0.0] * 3 and repr(layer) == "EmbeddingBag(10, 3, mode='mean', padding_idx=2)"
    with pytest.raises(ValueError, match="offsets"):
        F.embedding_bag(numbers, weight)
    with pytest.raises(ValueError, match="mode"):
        F.embedding_bag(numbers, weight, fl.tensor([0]), mode="median")
    with pytest.raises(RuntimeError, match=r"offsets\[0\]"):
        F.embedding_bag(numbers, weight, fl.tensor([1]))
    with pytest.raises(NotImplementedError, match="per_sample_weights"):
        F.embedding_bag(numbers, weight, fl.tensor([0]), per_sample_weights=fl.ones(3))
