"""The graph as programs see it: names and types of nodes, edges, hooks over several tensors, metadata."""

from __future__ import annotations

import gc

import pytest

import flambeau as fl
from flambeau.autograd import graph


def test_types_carry_the_names():
    x = fl.ones(2, requires_grad=True)
    y = (x * 2).sum()
    node = y.grad_fn
    assert type(node).__name__ == node.name() == "SumBackward0" and isinstance(node, graph.Node)
    assert [type(n).__name__ for n, _ in node.next_functions] == ["MulBackward0"]
    leaf = node.next_functions[0][0].next_functions[0][0]
    assert type(leaf).__name__ == "AccumulateGrad" and leaf.variable is x
    assert type((x * 3).grad_fn) is type(node.next_functions[0][0])
    assert repr(node).startswith("<SumBackward0 object at ")
    with pytest.raises(TypeError):
        type(node)()


def test_a_custom_function_shows_its_ctx():
    class Scale(fl.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x)
            ctx.k = k
            return x * k

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.k, None

    x = fl.ones(2, requires_grad=True)
    y = Scale.apply(x, 3.0)
    assert type(y.grad_fn).__name__ == "ScaleBackward" and y.grad_fn.k == 3.0
    assert y.grad_fn.saved_tensors[0] is x
    with pytest.raises(AttributeError, match="nothing"):
        _ = y.grad_fn.nothing
    y.sum().backward()
    with pytest.raises(AttributeError):
        _ = y.grad_fn.k  # freed with the graph


def test_metadata_lives_as_long_as_the_node():
    x = fl.ones(2, requires_grad=True)
    y = x * 2
    y.grad_fn.metadata["mark"] = 1
    gc.collect()
    assert y.grad_fn.metadata == {"mark": 1}
    assert (x * 2).grad_fn.metadata == {}


def test_hooks_on_tensors_run_before_those_on_nodes():
    log = []
    x = fl.ones(2, requires_grad=True)
    y = x * 2
    y.grad_fn.register_prehook(lambda g: log.append(("node", g[0].tolist())))
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    assert log == [("node", [2.0, 2.0])] and fl.equal(x.grad, fl.tensor([4.0, 4.0]))


def test_multi_grad_hooks():
    log, first = [], []
    a, b = fl.ones(2, requires_grad=True), fl.ones(2, requires_grad=True)
    c = a * 2
    handle = graph.register_multi_grad_hook((a, b, c), lambda gs: log.append([g is not None for g in gs]))
    graph.register_multi_grad_hook((a, b), lambda g: first.append(g), mode="any")
    (c + b).sum().backward()
    (a * 3).sum().backward()
    assert log == [[True, True, True], [True, False, False]] and len(first) == 2
    handle.remove()
    (a * 3).sum().backward()
    assert len(log) == 2
    with pytest.raises(ValueError, match="mode"):
        graph.register_multi_grad_hook((a,), print, mode="some")


def test_gradient_edges():
    x = fl.ones(2, requires_grad=True)
    y = x * 2
    edge = graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0
    assert fl.equal(fl.autograd.grad((y * 3).sum(), edge)[0], fl.tensor([3.0, 3.0]))
    leaf = graph.get_gradient_edge(x)
    assert leaf.node.variable is x
    assert fl.equal(fl.autograd.grad((y * 3).sum(), [leaf])[0], fl.tensor([6.0, 6.0]))
    with pytest.raises(RuntimeError, match="require"):
        graph.get_gradient_edge(fl.ones(1))


def test_anomaly_names_the_module():
    class Root(fl.nn.Module):
        def forward(self, x):
            return fl.sqrt(x * 0)

    class Net(fl.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = fl.nn.ModuleList([fl.nn.Identity(), Root()])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x * 0

    x = fl.ones(2, requires_grad=True)
    with fl.autograd.detect_anomaly():
        assert fl.is_anomaly_enabled()
        y = Net()(x).sum()
        with pytest.raises(RuntimeError, match=r"SqrtBackward0.*test_graph.py:\d+.*Net\.layers\.1 \(Root\)"):
            y.backward()
    assert not fl.is_anomaly_enabled()
    with fl.autograd.set_detect_anomaly(True, check_nan=False):
        assert fl.is_anomaly_enabled() and not fl.is_anomaly_check_nan_enabled()
    assert not fl.is_anomaly_enabled()


def test_high_orders_of_operations_with_two_operands():
    x = fl.tensor([1.5], dtype=fl.float64, requires_grad=True)
    value = x.sin() / (1 + x * x)
    for order in range(1, 6):
        value = fl.autograd.grad(value.sum(), x, create_graph=True)[0]
        step = 1e-4
        if order == 1:
            f = lambda v: (fl.tensor(v, dtype=fl.float64).sin() / (1 + v * v)).item()  # noqa: E731
            assert abs(value.item() - (f(1.5 + step) - f(1.5 - step)) / (2 * step)) < 1e-7
    # The fifth derivative of sin(x) / (1 + x^2) at 1.5, from its series in exact arithmetic.
    assert abs(value.item() - _fifth()) < 1e-6 * abs(_fifth())


def _fifth():
    """By Leibniz's rule: derivatives of the sine are known, those of g = 1 / (1 + x^2) follow from g (1 + x^2) = 1."""
    import math

    x = 1.5
    g = [1 / (1 + x * x)]
    for n in range(1, 6):
        earlier = 2 * x * n * g[n - 1] + (n * (n - 1) * g[n - 2] if n > 1 else 0)
        g.append(-earlier / (1 + x * x))
    sines = [math.sin(x + k * math.pi / 2) for k in range(6)]
    return sum(math.comb(5, k) * sines[k] * g[5 - k] for k in range(6))
