"""Long and wide graphs: forward, backward and release without recursion, in time linear in their length."""

from __future__ import annotations

import gc
import time

import flambeau as fl

LENGTH = 1_000_000


def seconds(length: int) -> float:
    """The time of a chain of `length` operations: forward, backward and release."""
    start = time.perf_counter()
    x = fl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y
    return time.perf_counter() - start


def test_a_million_operations_in_linear_time():
    seconds(1000)
    enabled = gc.isenabled()
    gc.disable()
    try:
        blocks = fl.memory_statistics()["blocks"]
        # Caches make long chains dearer and other processes disturb, so the best of a few counts; quadratic would be
        # 16.
        ratios: list[float] = []
        while len(ratios) < 6 and not (ratios and ratios[-1] < 5):
            ratios.append(1 / seconds(LENGTH // 4) * seconds(LENGTH))
    finally:
        if enabled:
            gc.enable()
    assert min(ratios) < 6, f"four times the operations took {ratios} times as long"
    assert fl.memory_statistics()["blocks"] == blocks


def test_a_long_chain_can_be_released_without_backward():
    x = fl.tensor(1.0, requires_grad=True)
    before = fl.memory_statistics()["blocks"]
    y = x
    for _ in range(200_000):
        y = y * 1.0000001
    del y
    assert fl.memory_statistics()["blocks"] == before


def test_long_chains_of_views_in_place_changes_and_functions():
    class Add(fl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + 1

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = fl.ones(2, requires_grad=True)
    for step in (
        lambda y: y.view(2, 1).view(2),
        lambda y: y.mul_(1),
        lambda y: Add.apply(y),
        lambda y: y.unsqueeze(0)[0],
        lambda y: y.clone(),
    ):
        y = x * 1
        for _ in range(20_000):
            y = step(y)
        x.grad = None
        y.sum().backward()
        assert x.grad.tolist() == [1, 1]
        y = x * 1
        for _ in range(20_000):
            y = step(y)
        del y


def test_a_long_chain_of_changes_through_views():
    x = fl.ones(2, requires_grad=True)
    y = x * 1
    for _ in range(5_000):
        y[0].add_(1)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    y = x * 1
    for _ in range(5_000):
        y[0] = 1.0
    del y


def test_a_long_chain_is_differentiable_twice():
    x = fl.tensor(1.0, dtype=fl.float64, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.00001
    (first,) = fl.autograd.grad(y * x, x, create_graph=True)
    first.backward()
    assert abs(x.grad.item() - 2 * 1.00001**20_000) < 1e-9


def test_a_node_with_many_users_is_walked_once():
    x = fl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100):  # 2^100 paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**100
    assert fl.autograd.grad((x + x + x).sum(), x)[0].item() == 3


def test_a_wide_graph_of_many_leaves():
    leaves = [fl.tensor(1.0, requires_grad=True) for _ in range(20_000)]
    fl.stack(leaves).sum().backward()
    assert all(leaf.grad.item() == 1 for leaf in leaves)


def test_a_deep_graph_reached_by_autograd_grad_with_inputs():
    x = fl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    assert fl.autograd.grad(y, x)[0].item() == 1
