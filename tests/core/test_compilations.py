"""Kernels take sizes and strides when they run: a new shape compiles nothing."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau import nn


def kernels() -> int:
    return sum(fl.compilations().values())


def test_compilations_counts_what_was_compiled_and_what_was_read():
    found = fl.compilations()
    assert set(found) >= {"compiled", "loaded"} and all(isinstance(n, int) for n in found.values())
    found["compiled"] += 100
    assert fl.compilations() != found, "the caller gets a copy"


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_training_step_at_a_hundred_batch_sizes_needs_no_new_kernel(optimizer):
    fl.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.LayerNorm(16), nn.Dropout(0.1), nn.GELU(), nn.Linear(16, 3))
    steps = getattr(fl.optim, optimizer)(model.parameters(), lr=1e-3)

    def step(size: int) -> None:
        x, y = fl.randn(size, 7), fl.randint(0, 3, (size,))
        steps.zero_grad()
        (
            nn.functional.cross_entropy(model(x), y) + nn.functional.mse_loss(model(x).softmax(-1), fl.rand(size, 3))
        ).backward()
        steps.step()

    for size in (1, 2, 33):
        step(size)
    before = kernels()
    for size in range(1, 101):
        step(size)
    assert kernels() == before


def test_numbers_are_arguments_of_kernels_not_part_of_them():
    x = fl.ones(5)
    for number in (2.0, 3.0):
        x * number + number, fl.add(x, x, alpha=number), x.clamp(max=number), nn.functional.leaky_relu(x, number)
    before = kernels()
    for number in range(4, 40):
        n = float(number)
        assert (x * n + n)[0].item() == 2 * n
        fl.add(x, x, alpha=n), x.clamp(max=n), nn.functional.leaky_relu(x, n)
    assert kernels() == before


def test_new_shapes_of_few_layouts_need_no_new_kernel():
    def work(n: int, m: int) -> None:
        x, v = fl.rand(n, m), fl.rand(m)
        (x + v).sum(), (x * x.clone()).mean(0), x.exp().amax(1), (x @ x.T).softmax(1)

    work(2, 3), work(4, 5)
    before = kernels()
    for n in range(2, 20):
        work(n, 22 - n)
    assert kernels() == before


def test_a_learning_rate_that_changes_every_step_compiles_nothing():
    p = nn.Parameter(fl.ones(3))
    optimizer = fl.optim.Adam([p], lr=0.1)

    def step() -> None:
        p.grad = fl.ones(3)
        optimizer.step()

    step(), step()
    before = kernels()
    for i in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 / (i + 2)
        step()
    assert kernels() == before
