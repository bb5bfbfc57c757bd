"""Steps that people write: two optimizers, micro-batches, hooks, second derivatives, averages, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fl

F, nn = fl.nn.functional, fl.nn
Scenario = tuple[Callable[[Any, Any], Any], list[Any]]


def adversaries() -> Scenario:
    one, two = nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
    first, second = fl.optim.Adam(one.parameters()), fl.optim.Adam(two.parameters())

    def step(x: Any, y: Any) -> Any:
        second.zero_grad()
        fake = one(fl.randn(8, 6))
        judged = F.softplus(-two(x)).mean() + F.softplus(two(fake.detach())).mean()
        judged.backward()
        second.step()
        first.zero_grad()
        fooled = F.softplus(-two(fake)).mean()
        fooled.backward()
        first.step()
        return judged, fooled

    return step, [*one.parameters(), *two.parameters()]


def micro_batches() -> Scenario:
    model = nn.Linear(6, 1)
    optimizer = fl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        total = 0
        for a, b in zip(x.split(4), y.split(4), strict=True):
            loss = F.mse_loss(model(a), b) / 2
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    return step, list(model.parameters())


def hooks() -> Scenario:
    model = nn.Linear(6, 1)
    model.weight.register_hook(lambda gradient: gradient * 2)
    optimizer = fl.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=False)
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, list(model.parameters())


def second_derivatives() -> Scenario:
    model = nn.Linear(6, 1)

    def step(x: Any, y: Any) -> Any:
        (gradient,) = fl.autograd.grad(F.mse_loss(model(x), y), [model.weight], create_graph=True)
        penalty = (gradient * gradient).sum()
        penalty.backward()
        with fl.no_grad():
            model.weight -= 0.1 * model.weight.grad
        model.weight.grad = model.bias.grad = None
        return penalty

    return step, list(model.parameters())


def running_average() -> Scenario:
    model, average = nn.Linear(6, 3), nn.Linear(6, 3)
    optimizer = fl.optim.Adamax(model.parameters())

    def step(x: Any, y: Any) -> Any:
        target = (y[:, 0] * 2.99).long()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        with fl.no_grad():
            for p, q in zip(average.parameters(), model.parameters(), strict=True):
                p.mul_(0.9).add_(q, alpha=0.1)
        return loss, (average(x).argmax(1) == target).float().mean().detach()

    return step, [*model.parameters(), *average.parameters()]


def draws() -> Scenario:
    return lambda x, y: (x + fl.randn_like(x), fl.rand(6) + fl.rand(6), fl.randint(0, 5, (4,)), F.dropout(x, 0.5)), []


@pytest.mark.parametrize(
    "scenario",
    [adversaries, micro_batches, hooks, second_derivatives, running_average, draws],
    ids=lambda f: f.__name__,
)
def test_scenario(scenario: Callable[[], Scenario]) -> None:
    found: list[Any] = [[], []]
    for side in range(2):
        fl.manual_seed(0)
        step, parameters = scenario()
        call = fl.compile(step) if side else step
        fl.manual_seed(1)
        for i in range(6):
            source = fl.Generator().manual_seed(i)
            result = call(fl.rand(8, 6, generator=source), fl.rand(8, 1, generator=source))
            result = result if isinstance(result, tuple) else (result,)
            found[side].append([t.tolist() for t in (*result, *parameters)])
    assert found[0] == found[1]
    assert call.plans <= 2
