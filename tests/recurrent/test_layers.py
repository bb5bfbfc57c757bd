"""RNN, LSTM and GRU: against a NumPy walk and PyTorch, gradients, packed sequences, options, threads, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as fl
from flambeau import nn
from flambeau.nn.utils import rnn as sequences

KINDS = [("LSTM", {}), ("LSTM", {"proj_size": 3}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def walk(layer, x, suffix="_l0"):
    """One layer, one direction, from zeros, in NumPy."""
    get = {name[: -len(suffix)]: p.detach().numpy() for name, p in layer.named_parameters() if name.endswith(suffix)}
    hidden, batch = layer.hidden_size, x.shape[1]
    h, c, outputs = np.zeros((batch, layer.proj_size or hidden)), np.zeros((batch, hidden)), []
    for step in x:
        gx, gh = step @ get["weight_ih"].T + get["bias_ih"], h @ get["weight_hh"].T + get["bias_hh"]
        if layer.mode == "LSTM":
            i, f, g, o = np.split(gx + gh, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            h = h @ get["weight_hr"].T if layer.proj_size else h
        elif layer.mode == "GRU":
            (a, b, n), (d, e, m) = np.split(gx, 3, -1), np.split(gh, 3, -1)
            z = sigmoid(b + e)
            h = (1 - z) * np.tanh(n + sigmoid(a + d) * m) + z * h
        else:
            h = np.tanh(gx + gh) if layer.mode == "RNN_TANH" else np.maximum(gx + gh, 0)
        outputs.append(h)
    return np.stack(outputs)


@pytest.mark.parametrize("kind, options", KINDS)
def test_against_numpy(kind, options):
    layer = getattr(nn, kind)(4, 5, bidirectional=True, dtype=fl.float64, **options)
    x = np.random.default_rng(0).standard_normal((6, 3, 4))
    output = layer(fl.from_numpy(x))[0].detach().numpy()
    want = np.concatenate((walk(layer, x), walk(layer, x[::-1], "_l0_reverse")[::-1]), -1)
    assert np.allclose(output, want, atol=1e-12)


@pytest.mark.parametrize("kind, options", KINDS)
def test_gradcheck(kind, options):
    layer = getattr(nn, kind)(2, 4, num_layers=2, dtype=fl.float64, **options)
    rng = np.random.default_rng(1)
    x = fl.from_numpy(rng.standard_normal((3, 2, 2))).requires_grad_(True)
    state = [fl.from_numpy(rng.standard_normal((2, 2, n))).requires_grad_(True) for n in (layer.proj_size or 4, 4)]
    cells = kind == "LSTM"

    def f(x, *state):
        output, last = layer(x, tuple(state) if cells else state[0])
        return (output, *last) if cells else (output, last)

    inputs = [x, *state[: 1 + cells]]
    assert fl.autograd.gradcheck(f, inputs)
    if kind != "RNN":
        assert fl.autograd.gradgradcheck(f, inputs)
    names = [name for name, _ in layer.named_parameters()][:5]

    def of_weights(*weights):
        kept = {name: p.detach() for name, p in layer.named_parameters()}
        output, _ = fl.func.functional_call(layer, kept | dict(zip(names, weights, strict=True)), (x.detach(),))
        return output

    if hasattr(fl, "func") and hasattr(fl.func, "functional_call"):
        assert fl.autograd.gradcheck(of_weights, [dict(layer.named_parameters())[name] for name in names])


@pytest.mark.parametrize("kind, options", KINDS)
@pytest.mark.parametrize("batch", [3, 40])
def test_packed_is_each_sequence_alone(kind, options, batch):
    layer = getattr(nn, kind)(4, 5, num_layers=2, bidirectional=True, dtype=fl.float64, **options)
    rng = np.random.default_rng(2)
    lengths = [int(n) for n in rng.integers(1, 7, batch)]
    x = fl.from_numpy(rng.standard_normal((max(lengths), batch, 4))).requires_grad_(True)
    packed = sequences.pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, state = layer(packed)
    padded, found = sequences.pad_packed_sequence(output)
    assert found.tolist() == lengths
    hidden = state[0] if kind == "LSTM" else state
    padded.sum().backward()
    for b, length in list(enumerate(lengths))[:6]:
        alone = x.detach()[:length, b].requires_grad_(True)
        one, last = layer(alone)
        one.sum().backward()
        assert np.allclose(padded[:length, b].detach().numpy(), one.detach().numpy(), atol=1e-12)
        assert float(padded[length:, b].abs().sum()) == 0.0
        assert np.allclose(hidden[:, b].detach().numpy(), (last[0] if kind == "LSTM" else last).detach().numpy())
        assert np.allclose(x.grad[:length, b].numpy(), alone.grad.numpy(), atol=1e-12)


def test_shapes_and_options():
    x = fl.randn(7, 2, 3)
    layer = nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
    output, (h, c) = layer(x)
    assert tuple(output.shape) == (7, 2, 8) and tuple(h.shape) == tuple(c.shape) == (4, 7, 4)
    output, h = nn.GRU(3, 4)(x[:, 0])
    assert tuple(output.shape) == (7, 4) and tuple(h.shape) == (1, 4)
    assert [tuple(p.shape) for p in nn.LSTM(3, 4, proj_size=2, bias=False).parameters()] == [(16, 3), (16, 2), (2, 4)]
    assert repr(nn.LSTM(3, 4, 2, batch_first=True)) == "LSTM(3, 4, num_layers=2, batch_first=True)"
    bound = 4**-0.5
    assert all(float(p.abs().max()) <= bound for p in nn.GRU(3, 4).parameters())


def test_dropout_between_layers():
    fl.manual_seed(0)
    layer = nn.GRU(3, 4, 2, dropout=0.5)
    x = fl.randn(5, 2, 3)
    assert not fl.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert fl.equal(layer(x)[0], layer(x)[0])


def test_trains():
    fl.manual_seed(0)
    layer, head = nn.LSTM(1, 16), nn.Linear(16, 1)
    optimizer = fl.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    x = fl.randn(8, 32, 1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((head(layer(x)[0]) - x.cumsum(0)) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_threads_change_no_bit():
    found = []
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        fl.manual_seed(0)
        layer = nn.LSTM(16, 96, 2)
        x = fl.randn(5, 37, 16, requires_grad=True)
        layer(x)[0].square().sum().backward()
        found.append([x.grad.numpy().tobytes(), *(p.grad.numpy().tobytes() for p in layer.parameters())])
    assert found[0] == found[1] == found[2]


def test_errors():
    layer = nn.LSTM(3, 4)
    with pytest.raises(RuntimeError, match="Expected 3, got 5"):
        layer(fl.zeros(2, 2, 5))
    with pytest.raises(ValueError, match="2D or 3D"):
        layer(fl.zeros(3))
    with pytest.raises(RuntimeError, match="hidden"):
        layer(fl.zeros(2, 2, 3), (fl.zeros(1, 3, 4), fl.zeros(1, 3, 4)))
    with pytest.raises(RuntimeError, match="should also be 3-D"):
        nn.GRU(3, 4)(fl.zeros(2, 2, 3), fl.zeros(1, 4))
    with pytest.raises(ValueError, match="proj_size"):
        nn.GRU(3, 4, proj_size=2)
    with pytest.raises(ValueError, match="smaller"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.warns(UserWarning, match="dropout"):
        nn.LSTM(3, 4, dropout=0.5)


def test_exchange_with_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for (kind, options), two, first in itertools.product(KINDS, (False, True), (False, True)):
        options = {**options, "num_layers": 2, "bidirectional": two, "batch_first": first}
        theirs = getattr(torch.nn, kind)(4, 5, **options).double()
        ours = getattr(nn, kind)(4, 5, dtype=fl.float64, **options)
        state = {name: fl.from_numpy(value.numpy().copy()) for name, value in theirs.state_dict().items()}
        assert list(ours.state_dict()) == list(state)
        ours.load_state_dict(state)
        x = rng.standard_normal((6, 3, 4))
        a, b = torch.tensor(x, requires_grad=True), fl.from_numpy(x.copy()).requires_grad_(True)
        want, got = theirs(a)[0], ours(b)[0]
        assert np.allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-12)
        want.square().sum().backward()
        got.square().sum().backward()
        assert np.allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-11)
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            assert np.allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells_are_one_step(kind):
    layer, cell = getattr(nn, kind)(3, 4, dtype=fl.float64), getattr(nn, f"{kind}Cell")(3, 4, dtype=fl.float64)
    cell.load_state_dict({name[: -len("_l0")]: value for name, value in layer.state_dict().items()})
    x = fl.randn(5, 2, 3, dtype=fl.float64)
    state = None
    for step, want in zip(x, layer(x)[0], strict=True):
        state = cell(step, state)
        h = state[0] if kind == "LSTM" else state
        assert np.allclose(h.detach().numpy(), want.detach().numpy(), atol=1e-13)
    single = cell(x[0, 0])
    assert tuple((single[0] if kind == "LSTM" else single).shape) == (4,)
    with pytest.raises(RuntimeError, match="input_size"):
        cell(fl.zeros(2, 5))
    with pytest.raises(ValueError, match="1D or 2D"):
        cell(fl.zeros(2, 2, 3))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients_of_cells(kind):
    cell = getattr(nn, f"{kind}Cell")(2, 3, dtype=fl.float64)
    x = fl.randn(2, 2, dtype=fl.float64, requires_grad=True)
    h, c = (fl.randn(2, 3, dtype=fl.float64, requires_grad=True) for _ in range(2))
    if kind == "LSTM":
        assert fl.autograd.gradcheck(lambda x, h, c: cell(x, (h, c)), [x, h, c])
    else:
        assert fl.autograd.gradcheck(cell, [x, h])
        assert fl.autograd.gradgradcheck(cell, [x, h])
