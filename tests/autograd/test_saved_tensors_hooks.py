"""saved_tensors_hooks and what is built on them: save_on_cpu, checkpoint, changes of saved tensors."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau import nn
from flambeau.autograd import graph
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def test_what_is_kept_goes_through_the_hooks():
    log = []

    def pack(tensor):
        log.append("pack")
        assert not tensor.requires_grad
        return tensor.numpy().copy()

    def unpack(array):
        log.append("unpack")
        return fl.from_numpy(array)

    x = fl.randn(4, 3, requires_grad=True)
    w = fl.randn(5, 3, requires_grad=True)
    with graph.saved_tensors_hooks(pack, unpack):
        y = (nn.functional.linear(x, w).tanh().softmax(1) * x.sum()).square().mean()
    wanted = fl.autograd.grad((nn.functional.linear(x, w).tanh().softmax(1) * x.sum()).square().mean(), (x, w))
    found = fl.autograd.grad(y, (x, w))
    assert all(fl.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert log.count("pack") >= log.count("unpack") > 3


def test_gradients_of_gradients_through_the_hooks():
    a = fl.tensor([2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t.numpy(), fl.from_numpy):
        first = fl.autograd.grad((a**3 + a.exp()).sum(), a, create_graph=True)[0]
        second = fl.autograd.grad(first, a, create_graph=True)[0]
        third = fl.autograd.grad(second, a)[0]
    e = a.detach().exp()
    assert fl.allclose(first, 12 + e) and fl.allclose(second, 12 + e) and fl.allclose(third, 6 + e)


def test_the_innermost_pair_counts_and_custom_functions_use_it():
    class Square(fl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0] * gradient

    log = []
    x = fl.tensor(3.0, requires_grad=True)
    with (
        graph.saved_tensors_hooks(lambda t: log.append("outer"), lambda t: t),
        graph.saved_tensors_hooks(lambda t: log.append("inner") or t, lambda t: t),
    ):
        y = Square.apply(x)
    y.backward()
    assert x.grad == 6 and log == ["inner"]


def test_errors():
    x = fl.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="two functions"), graph.saved_tensors_hooks(1, 2):
        pass
    with graph.saved_tensors_hooks(lambda t: None, lambda t: None):
        y = (x * x).sum()
    with pytest.raises(TypeError, match="unpack_hook returns must be a Tensor"):
        y.backward()

    def bad(tensor):
        raise KeyError("pack")

    with graph.saved_tensors_hooks(bad, bad), pytest.raises(KeyError):
        x * x
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        graph.save_on_cpu().__enter__()
    assert fl.equal(fl.autograd.grad((x * x).sum(), x)[0], fl.tensor([2.0, 2.0]))


def test_save_on_cpu_and_changes_of_what_is_kept():
    a = fl.ones(2, requires_grad=True)
    with graph.save_on_cpu():
        y = (a.exp() * a).sum()
    y.backward()
    assert fl.allclose(a.grad, 2 * fl.ones(2).exp())
    with graph.allow_mutation_on_saved_tensors():
        b = a.clone()
        c = (b**2).sum()
        b.sin_()
    assert fl.equal(fl.autograd.grad(c, a)[0], 2 * a.detach())


def _segment():
    fl.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.LayerNorm(8), nn.Linear(8, 3))


def test_checkpoint_gives_the_same_gradients():
    net, x = _segment(), fl.randn(5, 4, requires_grad=True)
    fl.manual_seed(1)
    wanted = fl.autograd.grad(net(x).square().sum(), [x, *net.parameters()])
    fl.manual_seed(1)
    y = checkpoint(net, x, use_reentrant=False)
    fl.rand(3)  # moves the generator on: the second run draws the numbers of the first
    found = fl.autograd.grad(y.square().sum(), [x, *net.parameters()])
    assert all(fl.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_checkpoint_runs_again_once_and_keeps_nothing():
    runs = []
    kept = []

    def function(x):
        runs.append(1)
        y = x.exp()
        kept.append(y)
        return y.sin().exp()

    x = fl.ones(3, requires_grad=True)
    y = checkpoint(function, x)
    import weakref

    inner = weakref.ref(kept.pop())
    assert inner() is None and len(runs) == 1
    y.sum().backward()
    assert len(runs) == 2
    kept.clear()


def test_checkpoint_composes():
    x = fl.tensor([2.0], requires_grad=True)
    first = fl.autograd.grad(checkpoint(lambda x: x**3, x), x, create_graph=True)[0]
    assert fl.equal(first, fl.tensor([12.0])) and fl.equal(fl.autograd.grad(first, x)[0], fl.tensor([12.0]))
    nested = checkpoint(lambda x: checkpoint(lambda y: y.exp().sin(), x * 2) * x, x)
    plain = (x * 2).exp().sin() * x
    assert fl.equal(fl.autograd.grad(nested, x)[0], fl.autograd.grad(plain, x)[0])
    twice = checkpoint(lambda x: x.exp() * x, x)
    twice.backward(retain_graph=True)
    before = x.grad.clone()
    twice.backward()
    assert fl.equal(x.grad, 2 * before)
    tree = checkpoint(lambda d, *, k: {"y": d["x"] * d["x"] * k, "n": 4}, {"x": x}, k=3.0)
    assert tree["n"] == 4 and fl.equal(fl.autograd.grad(tree["y"], x)[0], fl.tensor([12.0]))


def test_checkpoint_refuses_what_does_not_repeat():
    runs = []

    def grows(x):
        runs.append(1)
        return x.exp().exp() if len(runs) == 1 else x.exp().exp().exp()

    x = fl.ones(2, requires_grad=True)
    with pytest.raises(CheckpointError, match="same both times"):
        checkpoint(grows, x).sum().backward()
    given = fl.ones(2)
    y = checkpoint(lambda a, b: (a * b).exp(), x, given)
    given.add_(1)
    with pytest.raises(CheckpointError, match="inplace"):
        y.sum().backward()


def test_checkpoint_sequential():
    net, x = _segment().eval(), fl.randn(5, 4, requires_grad=True)
    found = fl.autograd.grad(checkpoint_sequential(net, 2, x).sum(), x)[0]
    assert fl.equal(found, fl.autograd.grad(net(x).sum(), x)[0])
