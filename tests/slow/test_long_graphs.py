"""Graphs longer than any that a program makes, of every kind of operation."""

from __future__ import annotations

import pytest

import flambeau as fl

pytestmark = pytest.mark.slow

STEPS = {
    "add": lambda y, x: y + 1,
    "mul": lambda y, x: y * 1.0000001,
    "tanh": lambda y, x: y.tanh(),
    "view": lambda y, x: y.view(2, 1).view(2),
    "in place": lambda y, x: y.add_(x),
    "cat": lambda y, x: fl.cat([y[:1], y[1:]]),
    "matmul": lambda y, x: y @ fl.eye(2),
    "index": lambda y, x: y[[0, 1]],
    "sort": lambda y, x: y.sort().values,
}


@pytest.mark.parametrize("name", STEPS)
def test_three_hundred_thousand_operations_of_one_kind(name):
    before = fl.memory_statistics()["blocks"]
    x = fl.ones(2, requires_grad=True)
    for walk in (True, False):
        y = x * 1
        for _ in range(300_000):
            y = STEPS[name](y, x)
        if walk:
            y.sum().backward()
            assert x.grad.isfinite().all()
        del y
    del x
    assert fl.memory_statistics()["blocks"] == before


def test_five_million_operations():
    x = fl.tensor(0.0, dtype=fl.float64, requires_grad=True)
    y = x
    for _ in range(5_000_000):
        y = y + 1
    y.backward()
    assert y.item() == 5_000_000 and x.grad.item() == 1
