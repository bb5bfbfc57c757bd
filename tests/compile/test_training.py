"""Whole training steps: compiled equals eager, bit for bit, in values, gradients, state and random numbers."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fl

F = fl.nn.functional


def network(dropout: float = 0.0) -> Any:
    fl.manual_seed(7)
    layers = [
        fl.nn.Linear(87, 64),
        fl.nn.ReLU(),
        fl.nn.Dropout(dropout),
        fl.nn.Linear(64, 32),
        fl.nn.ReLU(),
        fl.nn.Linear(32, 1),
    ]
    return fl.nn.Sequential(*(layer for layer in layers if dropout or not isinstance(layer, fl.nn.Dropout)))


OPTIMIZERS = {
    "sgd": lambda p: fl.optim.SGD(p, lr=0.05),
    "momentum": lambda p: fl.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: fl.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: fl.optim.Adam(p, lr=1e-2),
    "amsgrad": lambda p: fl.optim.Adam(p, lr=1e-2, amsgrad=True, weight_decay=0.1),
    "adamw": lambda p: fl.optim.AdamW(p, lr=1e-2),
    "rmsprop": lambda p: fl.optim.RMSprop(p, lr=1e-3),
    "adagrad": lambda p: fl.optim.Adagrad(p, lr=1e-2),
}


def step_of(model: Any, optimizer: Any, clip: float | None = None) -> Any:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        if clip is not None:
            fl.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    return step


def batches(count: int, sizes: tuple[int, ...] = (32,)) -> list[Any]:
    source = fl.Generator().manual_seed(3)
    return [
        (fl.rand(sizes[i % len(sizes)], 87, generator=source), fl.rand(sizes[i % len(sizes)], 1, generator=source))
        for i in range(count)
    ]


def same(a: Any, b: Any) -> None:
    assert a.shape == b.shape and a.dtype == b.dtype
    assert a.tolist() == b.tolist()


def same_training(one: tuple[Any, Any], two: tuple[Any, Any]) -> None:
    for p, q in zip(one[0].parameters(), two[0].parameters(), strict=True):
        same(p, q)
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            same(p.grad, q.grad)
        for key, value in one[1].state[p].items():
            if isinstance(value, fl.Tensor):
                same(value, two[1].state[q][key])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_step(name: str) -> None:
    sides = []
    for _ in range(2):
        model = network()
        sides.append((model, OPTIMIZERS[name](model.parameters())))
    eager, compiled = step_of(*sides[0]), fl.compile(step_of(*sides[1]))
    for x, y in batches(8):
        same(eager(x, y), compiled(x, y))
        same_training(*sides)
    assert compiled.plans == 1


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_schedulers_do_not_make_plans(name: str) -> None:
    sides, losses = [], []
    for side in range(2):
        model = network()
        optimizer = OPTIMIZERS[name](model.parameters())
        schedule = fl.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        step = step_of(model, optimizer)
        if side:
            step = fl.compile(step)
        sides.append((model, optimizer))
        losses.append([])
        for x, y in batches(10):
            losses[-1].append(step(x, y).item())
            schedule.step()
    assert losses[0] == losses[1] and step.plans == 1
    same_training(*sides)


def test_clipping() -> None:
    sides = []
    for _ in range(2):
        model = network()
        sides.append((model, fl.optim.SGD(model.parameters(), lr=0.1)))
    eager, compiled = step_of(*sides[0], clip=0.1), fl.compile(step_of(*sides[1], clip=0.1))
    for x, y in batches(6):
        same(eager(x, y), compiled(x, y))
    same_training(*sides)


def test_dropout_draws_the_same_numbers() -> None:
    found = []
    for side in range(2):
        model = network(0.4)
        optimizer = fl.optim.Adam(model.parameters())
        step = step_of(model, optimizer)
        if side:
            step = fl.compile(step)
        fl.manual_seed(11)
        found.append([step(x, y).item() for x, y in batches(8)] + [fl.rand(3).tolist()])
        fl.manual_seed(12)
        found[-1] += [step(x, y).item() for x, y in batches(3)]
    assert found[0] == found[1] and step.plans == 1


def test_two_batch_sizes_alternate() -> None:
    sides = []
    for _ in range(2):
        model = network()
        sides.append((model, fl.optim.Adam(model.parameters())))
    eager, compiled = step_of(*sides[0]), fl.compile(step_of(*sides[1]))
    for x, y in batches(14, (32, 17)):
        same(eager(x, y), compiled(x, y))
    same_training(*sides)
    assert compiled.plans == 2


def test_gradients_accumulate_over_calls() -> None:
    models = [network(), network()]

    def accumulate(model: Any) -> Any:
        def run(x: Any, y: Any) -> Any:
            loss = F.mse_loss(model(x), y)
            loss.backward()
            return loss

        return run

    eager, compiled = accumulate(models[0]), fl.compile(accumulate(models[1]))
    for i, (x, y) in enumerate(batches(9)):
        same(eager(x, y), compiled(x, y))
        for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
            same(p.grad, q.grad)
            if i == 5:
                p.grad = q.grad = None


def test_an_old_gradient_keeps_its_values() -> None:
    model = network()
    step = fl.compile(step_of(model, fl.optim.SGD(model.parameters(), lr=0.1)))
    x, y = batches(1)[0]
    for _ in range(4):
        step(x, y)
    gradient = next(model.parameters()).grad
    before = gradient.tolist()
    step(x, y)
    assert gradient.tolist() == before and next(model.parameters()).grad is not gradient


def test_loading_a_state_dict_is_seen() -> None:
    sides = []
    for _ in range(2):
        model = network()
        sides.append((model, fl.optim.Adam(model.parameters())))
    eager, compiled = step_of(*sides[0]), fl.compile(step_of(*sides[1]))
    data = batches(8)
    for x, y in data[:4]:
        eager(x, y), compiled(x, y)
    for model, optimizer in sides:
        model.load_state_dict(network().state_dict())
        optimizer.load_state_dict(optimizer.state_dict())
    for x, y in data:
        same(eager(x, y), compiled(x, y))
    same_training(*sides)


def test_memory_is_flat() -> None:
    model = network(0.1)
    step = fl.compile(step_of(model, fl.optim.Adam(model.parameters())))
    x, y = batches(1)[0]
    for _ in range(10):
        step(x, y)
    before = fl.memory_statistics()["allocated"]
    for _ in range(2000):
        step(x, y)
    assert fl.memory_statistics()["allocated"] <= before + 4096


def test_backward_outside() -> None:
    sides = []
    for _ in range(2):
        model = network(0.3)
        sides.append((model, fl.optim.Adam(model.parameters())))
    forwards = [sides[0][0], fl.compile(sides[1][0])]
    found: list[list[float]] = [[], []]
    for side, (_, optimizer) in enumerate(sides):
        fl.manual_seed(4)
        for x, y in batches(7, (32, 16)):
            optimizer.zero_grad()
            x = (x * 2).requires_grad_()
            loss = F.mse_loss(forwards[side](x.tanh()), y)
            loss.backward()
            optimizer.step()
            found[side] += [loss.item(), *x.grad[0].tolist()]
    assert found[0] == found[1]
    same_training(*sides)


def test_backward_outside_checks() -> None:
    w = fl.ones(2, requires_grad=True)
    compiled = fl.compile(lambda x: ((x * w).tanh(), x + 1))
    for _ in range(4):
        x = fl.ones(2)
        y, z = compiled(x)
        assert y.requires_grad and not z.requires_grad
        with fl.no_grad():
            x.add_(0.0)
        with pytest.raises(RuntimeError, match="inplace"):
            y.sum().backward()
        w.grad = None
        compiled(x)[0].sum().backward()
        assert w.grad is not None
        with pytest.raises(RuntimeError, match="differentiated once"):
            compiled(x)[0].sum().backward(create_graph=True)
