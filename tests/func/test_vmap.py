"""vmap itself: dimensions, structures, chunks, nesting, randomness, errors, modules and custom functions."""

from __future__ import annotations

import pytest

import flambeau as fl
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.func import functional_call, grad, replace_all_batch_norm_modules_, stack_module_state, vmap


def test_structures_and_out_dims():
    x, y = fl.randn(3, 4), fl.randn(4, 3)

    def function(first, second):
        a, scale = first
        return {"sum": a["x"] + second, "scaled": (a["x"] * scale,)}

    found = vmap(function, in_dims=(({"x": 0}, None), 1), out_dims={"sum": 1, "scaled": (0,)})(({"x": x}, 2.0), y)
    assert fl.equal(found["sum"], (x + y.T).T) and fl.equal(found["scaled"][0], x * 2)


def test_keywords_are_shared():
    assert vmap(lambda x, k: x + k)(fl.zeros(2), k=fl.ones(3)).shape == (2, 3)


def test_results_that_no_input_reaches():
    assert vmap(lambda x: fl.ones(2))(fl.zeros(3)).shape == (3, 2)
    shared = fl.randn(2)
    assert vmap(lambda x: shared, out_dims=None)(fl.zeros(3)) is shared
    assert fl.equal(vmap(lambda x: shared, out_dims=1)(fl.zeros(3)), shared.unsqueeze(1).expand(2, 3))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 50])
def test_chunks(chunk_size):
    x = fl.randn(7, 3)
    found = vmap(lambda a: (a.sin(), a.sum()), out_dims=(1, 0), chunk_size=chunk_size)(x)
    assert fl.equal(found[0], x.sin().T) and fl.allclose(found[1], x.sum(1))


def test_nested():
    x, y = fl.randn(3, 4), fl.randn(5, 4)
    found = vmap(lambda a: vmap(lambda b: (a * b).sum())(y))(x)
    assert fl.allclose(found, x @ y.T, atol=1e-6)
    third = vmap(vmap(vmap(lambda a, b, c: a * b + c, (None, None, 0)), (None, 0, None)), (0, None, None))
    a, b, c = fl.randn(2), fl.randn(3), fl.randn(4)
    assert fl.allclose(third(a, b, c), a[:, None, None] * b[:, None] + c)


def test_randomness():
    x = fl.zeros(4, 8)
    for draw in (
        lambda x: x + fl.rand(8), fl.randn_like, lambda x: F.dropout(x + 1), lambda x: x + fl.randint(0, 99, (8,)),
        lambda x: fl.bernoulli(x + 0.5), lambda x: fl.randperm(8), lambda x: x.clone().normal_(),
    ):  # fmt: skip
        same = vmap(draw, randomness="same")(x)
        assert all(fl.equal(row, same[0]) for row in same)
        different = vmap(draw, randomness="different")(x)
        assert not any(fl.equal(row, different[0]) for row in different[1:])
        with pytest.raises(RuntimeError, match="randomness error mode"):
            vmap(draw)(x)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: vmap(fl.sum)(3), ValueError, "non-Tensor"),
        (lambda: vmap(fl.add)(fl.ones(2), fl.ones(3)), ValueError, "same size in the mapped dimension"),
        (lambda: vmap(fl.sin, in_dims=3)(fl.ones(2)), ValueError, "dimensionality 1"),
        (lambda: vmap(fl.sin, in_dims=(0, 0))(fl.ones(2)), ValueError, "not compatible with the structure"),
        (lambda: vmap(fl.sin, in_dims=None)(fl.ones(2)), ValueError, "expected `in_dims` to be int or"),
        (lambda: vmap(fl.sin, in_dims=(None,))(fl.ones(2)), ValueError, "no mapped inputs"),
        (lambda: vmap(lambda x: 1)(fl.ones(2)), ValueError, "must only return Tensors"),
        (lambda: vmap(lambda x: x, out_dims=None)(fl.ones(2)), ValueError, "out_dim is None"),
        (lambda: vmap(fl.sin, randomness="no")(fl.ones(2)), RuntimeError, "Only allowed values"),
        (lambda: vmap(fl.sin, chunk_size=0)(fl.ones(2)), ValueError, "chunk_size"),
        (lambda: vmap(lambda x: x.item())(fl.ones(2)), RuntimeError, r"\.item\(\)"),
        (lambda: vmap(lambda x: x if x > 0 else -x)(fl.ones(2)), RuntimeError, "control flow"),
        (lambda: vmap(lambda x: x.numpy())(fl.ones(2)), RuntimeError, r"\.numpy\(\)"),
        (lambda: vmap(fl.nonzero)(fl.ones(2, 3)), RuntimeError, "dynamic"),
        (lambda: vmap(lambda x: x[x > 0])(fl.ones(2, 3)), RuntimeError, "dynamic"),
        (lambda: vmap(lambda x, y: y.add_(x), (0, None))(fl.ones(2), fl.ones(3)), RuntimeError, "not batched"),
        (lambda: vmap(lambda x, y: y.copy_(x), (0, None))(fl.ones(2), fl.ones(())), RuntimeError, "outside of vmap"),
        (lambda: vmap(lambda x: x.sum().backward())(fl.ones(2)), RuntimeError, "func.grad"),
        (lambda: vmap(lambda x: x + fl.ones(4))(fl.ones(2, 3)), ValueError, "shape"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert fl.equal(vmap(fl.neg)(fl.ones(2)), -fl.ones(2))  # nothing is left behind


def test_a_tensor_that_leaks_is_refused():
    kept = []
    vmap(lambda x: kept.append(x) or x)(fl.ones(2))
    with pytest.raises((RuntimeError, TypeError)):
        fl.sin(kept[0])
    with pytest.raises(RuntimeError, match="has returned"):
        vmap(lambda x: x + fl.sin(kept[0]))(fl.ones(2))


def test_in_place_on_views_of_the_batch():
    x = fl.zeros(3, 4)
    vmap(lambda row: row[1:].add_(2))(x)
    assert fl.equal(x, fl.tensor([[0.0, 2, 2, 2]] * 3))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.GroupNorm(2, 4)
        self.out = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return F.log_softmax(self.out(x.flatten(1)), 1)


def test_per_sample_gradients():
    fl.manual_seed(0)
    net = Net()
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    data, targets = fl.randn(6, 1, 8, 8), fl.randint(0, 5, (6,))

    def loss(parameters, x, target):
        return F.nll_loss(functional_call(net, parameters, (x.unsqueeze(0),)), target.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, data, targets)
    for i in range(6):
        one = grad(loss)(parameters, data[i], targets[i])
        for name, value in one.items():
            assert fl.allclose(found[name][i], value, rtol=1e-4, atol=1e-6), name
    net.zero_grad()
    F.nll_loss(net(data), targets).backward()
    for name, p in net.named_parameters():
        assert fl.allclose(found[name].mean(0), p.grad, rtol=1e-4, atol=1e-6), name


@pytest.fixture
def no_loop(monkeypatch):
    """No function may be called for each example by itself."""
    from flambeau.func import batching, methods, rules

    def refuse(function, args, kwargs, level, name=""):
        raise AssertionError(f"{name or function} is called for each example")

    for module in (batching, methods, rules):
        monkeypatch.setattr(module, "each", refuse)


def test_whole_models_run_without_a_loop(no_loop):
    data, targets = fl.randn(4, 1, 8, 8), fl.randint(0, 5, (4,))
    tokens, layer = fl.randn(4, 1, 5, 4), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    for model, x in ((Net(), data.unsqueeze(1)), (layer, tokens)):
        parameters = {name: p.detach() for name, p in model.named_parameters()}

        def loss(parameters, x, target, model=model):
            return F.cross_entropy(functional_call(model, parameters, (x,)).flatten()[None], target[None])

        found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, targets)
        assert all(found[name].shape == (4, *p.shape) for name, p in parameters.items())


def test_an_ensemble():
    models = [Net() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    base, data = Net(), fl.randn(4, 1, 8, 8)

    def call(parameters, buffers, x):
        return functional_call(base, (parameters, buffers), (x,))

    shared = vmap(call, in_dims=(0, 0, None))(parameters, buffers, data)
    assert fl.allclose(shared, fl.stack([m(data) for m in models]), rtol=1e-4, atol=1e-6)
    own = vmap(call)(parameters, buffers, fl.stack([data, data * 2, data * 3]))
    assert fl.allclose(own, fl.stack([m(data * (i + 1)) for i, m in enumerate(models)]), rtol=1e-4, atol=1e-6)
    own.sum().backward()
    assert parameters["conv.weight"].grad.shape == (3, 4, 1, 3, 3)


@pytest.mark.parametrize(
    "module",
    [
        lambda: nn.LSTM(4, 4, 2, batch_first=True), lambda: nn.GRU(4, 4), lambda: nn.RNN(4, 4, bidirectional=True),
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), lambda: nn.LayerNorm(4),
    ],
)  # fmt: skip
def test_per_sample_gradients_of_sequence_layers(module):
    fl.manual_seed(1)
    layer = module()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = fl.randn(3, 2, 5, 4)

    def loss(parameters, x):
        result = functional_call(layer, parameters, (x,))
        return (result[0] if isinstance(result, tuple) else result).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for i in range(3):
        for name, value in grad(loss)(parameters, x[i]).items():
            assert fl.allclose(found[name][i], value, rtol=1e-4, atol=1e-5), name


class Cube(fl.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x, scale)
        return x**3 * scale

    @staticmethod
    def backward(ctx, gradient):
        x, scale = ctx.saved_tensors
        return gradient * 3 * x * x * scale, (gradient * x**3).sum()


def test_custom_functions():
    x, scale = fl.randn(4, 3), fl.tensor(2.0, requires_grad=True)
    found = vmap(Cube.apply, in_dims=(0, None))(x, scale)
    assert fl.allclose(found, x**3 * 2)
    found.sum().backward()
    assert fl.allclose(scale.grad, (x**3).sum())
    fixed = fl.tensor(2.0)
    assert fl.allclose(vmap(grad(lambda x: Cube.apply(x, fixed).sum()))(x), 6 * x * x)


def test_a_custom_function_with_its_own_rule():
    class Own(fl.autograd.Function):
        @staticmethod
        def forward(x):
            return x + 1

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x):
            return Own.apply(x) + 100 * info.batch_size, in_dims[0]

    assert fl.equal(vmap(Own.apply)(fl.arange(3.0)), fl.tensor([301.0, 302.0, 303.0]))


def test_gradients_inside_by_a_shared_tensor():
    weight = fl.randn(3, requires_grad=True)
    x = fl.randn(4, 3)
    found = vmap(lambda a: fl.autograd.grad((a * weight).sin().sum(), weight)[0])(x)
    assert fl.allclose(found, (x * weight.detach()).cos() * x)


def test_stack_module_state_refuses_what_does_not_match():
    with pytest.raises(RuntimeError, match="at least one model"):
        stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        stack_module_state([nn.Linear(2, 2), nn.ReLU()])
    with pytest.raises(RuntimeError, match="training/eval"):
        stack_module_state([nn.Linear(2, 2), nn.Linear(2, 2).eval()])


def test_batch_norm():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    x = fl.randn(5, 6, 3)
    with pytest.raises(RuntimeError, match="inplace"):
        vmap(net)(x)

    def loss(parameters, x):
        return functional_call(net, parameters, (x,)).square().sum()

    assert replace_all_batch_norm_modules_(net) is net
    found = vmap(grad(loss), (None, 0))(parameters, x)
    for i in range(5):
        for name, value in grad(loss)(parameters, x[i]).items():
            assert fl.allclose(found[name][i], value, rtol=1e-4, atol=1e-5), name


def test_strided_views_count_from_each_example():
    x = fl.randn(3, 2, 4)
    found = vmap(lambda a: a.as_strided((2, 2), (1, 2), 1))(x)
    assert fl.equal(found, fl.stack([a.clone().as_strided((2, 2), (1, 2), 1) for a in x]))
