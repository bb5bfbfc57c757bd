"""What plans merge, share, run block by block and compute again: always eager's bits, at any number of threads."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau as fl
from flambeau import _core

F = fl.nn.functional


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = fl.get_num_threads()
    yield
    fl.set_num_threads(before)


def bits(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [bits(each) for each in value]
    return value.detach().double().numpy().tobytes()


def same(function: Callable[..., Any], *arguments: Any, counts: tuple[int, ...] = (1, 2, 3)) -> Any:
    """The compiled function, after checking it against eager with several thread counts."""
    expected = bits(function(*arguments))
    compiled = fl.compile(function)
    for count in (1, 1, *counts):
        fl.set_num_threads(count)
        assert bits(compiled(*arguments)) == expected
    return compiled


def network(width: int = 96, seed: int = 0) -> dict[str, Any]:
    fl.manual_seed(seed)
    return {
        "up": fl.nn.Linear(width, 4 * width), "down": fl.nn.Linear(4 * width, width),
        "norm": fl.nn.LayerNorm(width), "qkv": fl.nn.Linear(width, 3 * width), "scale": fl.randn(width),
    }  # fmt: skip


def block(net: dict[str, Any], x: Any) -> Any:
    with fl.no_grad():
        x = x + net["down"](F.gelu(net["up"](net["norm"](x)))) * net["scale"]
        return x, net["qkv"](net["norm"](x))


@pytest.mark.parametrize("rows", [64, 100, 257])
def test_layers_run_block_by_block(rows: int) -> None:
    net = network()
    compiled = same(lambda x: block(net, x), fl.randn(rows, 96))
    text = compiled.explain()
    assert "together, block by block" in text and "results never stored" in text
    assert ("kept while unchanged" in text) == (rows <= 512)


def test_packed_weights_follow_every_change() -> None:
    net = network()
    x = fl.randn(64, 96)
    compiled = same(lambda x: block(net, x), x)
    assert "(3 kept while unchanged)" in compiled.explain()
    weight = net["up"].weight
    optimizer = fl.optim.SGD(net["up"].parameters(), lr=0.1)

    def step() -> None:
        weight.grad = fl.ones_like(weight)
        optimizer.step()

    def unseen() -> None:
        net["down"].weight.detach().numpy()[:] += 1

    def again() -> None:
        memory[:] *= 0.5

    changes: list[Callable[[], Any]] = [
        lambda: weight.detach().mul_(2), step, lambda: weight.detach()[3].zero_(), unseen,
    ]  # fmt: skip
    for change in changes:
        change()
        assert bits(compiled(x)) == bits(block(net, x))
    memory = net["qkv"].weight.detach().numpy()
    assert bits(compiled(x)) == bits(block(net, x))
    again()
    assert bits(compiled(x)) == bits(block(net, x))


def test_columns_of_one_memory_and_a_broadcast_operand_in_a_chain() -> None:
    net = network()
    shift = fl.randn(96)

    def function(x: Any) -> Any:
        with fl.no_grad():
            q, k, v = net["qkv"](x).split(96, dim=1)
            return net["up"](q * shift + k.relu() - v), k + 1

    assert "together" in same(function, fl.randn(200, 96)).explain()


def test_a_value_changed_between_two_steps_of_a_chain() -> None:
    net = network()

    def function(x: Any, y: Any) -> Any:
        with fl.no_grad():
            y = y.clone()
            first = net["up"](y).relu()
            y.mul_(3)
            second = net["up"](y).relu()
            y[5:40] += second[:35, :96]  # other rows than those it is made of
            return first + second, net["up"](y)

    same(function, fl.randn(128, 96), fl.randn(128, 96))


def test_sums_over_rows_end_a_chain() -> None:
    net = network()

    def function(x: Any) -> Any:
        with fl.no_grad():
            y = net["up"](x)
            return y - y.mean(0), net["down"](y / (1 + y.abs().amax(0, keepdim=True)))

    same(function, fl.randn(150, 96))


def test_training_step_of_a_deep_network() -> None:
    def make() -> Any:
        fl.manual_seed(1)
        nn = fl.nn
        model = nn.Sequential(
            nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(128, 8),
        )  # fmt: skip
        optimizer = fl.optim.AdamW(model.parameters(), lr=0.01)
        x, y = fl.randn(192, 64), fl.randint(0, 8, (192,))

        def step() -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step, model

    eager, theirs = make()
    compiled, ours = make()
    compiled = fl.compile(compiled)
    fl.manual_seed(5)
    expected = [eager().item() for _ in range(8)]
    fl.manual_seed(5)
    found = []
    for i in range(8):
        fl.set_num_threads(1 + i % 3)
        found.append(compiled().item())
    assert found == expected
    assert bits(list(ours.parameters())) == bits(list(theirs.parameters()))
    assert "together" in compiled.explain() and "side by side" in compiled.explain()


ROWS: dict[str, tuple[Callable[..., Any], str]] = {
    "before": (lambda x, y: (x * 2 + y).softmax(-1), "mul+add+softmax"),
    "before and read later": (lambda x, y: ((s := x + y), F.layer_norm(s, (37,)), s * 3), "add+"),
    "after": (lambda x, y: x.softmax(-1) * y + 1, "softmax+mul+add"),
    "one value a row": (lambda x, y: x / x.exp().sum(-1, keepdim=True), "exp+sum+div"),
    "a cast between": (lambda x, y: x.to(fl.float64).mul(0.1).sum(-1), "mul+sum"),
    "narrowing": (lambda x, y: (x.to(fl.float64) * y).to(fl.float32).softmax(-1), "softmax"),
    "a broadcast operand": (lambda x, y: (x * y[0] + y[:, :1]).softmax(-1), "softmax"),
    "one memory in two layouts": (lambda x, y: (x.add(1).relu() * x.add(1).relu()[0]).sum(-1), ""),
    "whole products": (lambda x, y: (x[:, :1] * y[0]).sum(-1), ""),
    "all dimensions": (lambda x, y: ((x - y) ** 2).mean(), "mean"),
    "the first dimension": (lambda x, y: (x * y + 1).sum(0), ""),
    "a mask": (lambda x, y: x.masked_fill(y > 0, -1e9).softmax(-1), "softmax"),
    "bfloat16": (lambda x, y: (x.bfloat16() * 2).softmax(-1), ""),
    "positions": (lambda x, y: (x * 2).argmax(-1), ""),
    "transposed": (lambda x, y: (x.t() * 2).softmax(-1), ""),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("rows", [3, 210])
def test_maps_merge_into_rows(name: str, rows: int) -> None:
    function, text = ROWS[name]
    fl.manual_seed(2)
    compiled = same(function, fl.randn(rows, 37), fl.randn(rows, 37), counts=(2,))
    assert text in compiled.explain()


@pytest.mark.parametrize("length", [5, 64, 1000, 5000])
def test_merged_sums_add_in_the_order_of_the_row_alone(length: int) -> None:
    fl.manual_seed(3)
    x, y = fl.randn(20, length), fl.randn(20, length)
    same(lambda x, y: ((x.exp() * y.sin() + x.tanh()).sum(-1), F.layer_norm(x * y + 1, (length,))), x, y, counts=(2,))


def test_in_place_around_a_row() -> None:
    def function(x: Any) -> Any:
        x = x.clone()
        before = (x + 1).softmax(-1)
        x.mul_(before)
        after = x.softmax(-1)
        x.sub_(after.sum(-1, keepdim=True))
        return before, after, x

    same(function, fl.randn(33, 50))


def test_equal_steps_run_once() -> None:
    compiled = same(lambda x, w: ((x @ w).exp().sum(-1), (x @ w).exp().amax(-1)), fl.randn(8, 9), fl.randn(9, 10))
    text = compiled.explain()
    assert "computed once: contract" in text and text.count(" contract -> ") == 1


def test_equal_steps_over_changed_memory_both_run() -> None:
    def function(x: Any, w: Any) -> Any:
        y = x.clone()
        first = y @ w
        y.add_(1)
        return first + y @ w

    assert "computed once" not in same(function, fl.randn(8, 9), fl.randn(9, 10)).explain()


def test_equal_results_stay_apart() -> None:
    def function(x: Any) -> Any:
        changed = x.exp().sum(-1)
        kept = x.exp().sum(-1)
        changed.mul_(2)
        return changed, kept, x.exp(), x.exp()

    compiled = same(function, fl.randn(6, 7))
    *_, third, fourth = compiled(fl.randn(6, 7))
    third.zero_()
    assert fourth.abs().sum() > 0


def far(x: Any, change: bool = False) -> Any:
    """A large map whose result is read at once and much later."""
    if change:
        x = x.clone()
    y = x.sigmoid()
    small = (y @ y[0]).clone()
    for _ in range(30):
        small = (small.softmax(0) @ fl.eye(len(x))).cumsum(0)
    if change:
        x.mul_(2)
    return small, (y.t() @ x).clone()


def test_large_maps_are_computed_again() -> None:
    x = fl.randn(600, 1000)
    compiled = same(far, x)
    assert "computed again instead of kept: sigmoid" in compiled.explain()
    assert "computed again" not in same(lambda x: far(x, True), x).explain()


def test_plans_keep_no_memory_of_records() -> None:
    fl.manual_seed(0)
    model = fl.nn.Linear(600, 600)
    x = fl.randn(700, 600)  # too many rows for packed operands to be kept

    def step() -> Any:
        for p in model.parameters():
            p.grad = None
        loss = (model(x) ** 2).sum()
        loss.backward()
        return loss.detach()

    compiled = fl.compile(step)
    step()
    before = _core.memory_statistics()["allocated"]
    gc.disable()
    try:
        for _ in range(4):
            compiled()
        after = _core.memory_statistics()["allocated"]
    finally:
        gc.enable()
    assert after - before < 500_000  # less than half of one gradient
    assert model.weight.grad is not None


def test_explain_times_steps() -> None:
    net = network()
    x = fl.randn(64, 96)
    compiled = same(lambda x: block(net, x), x)
    assert "no run was timed yet" in compiled.explain(timings=True)
    compiled(x)
    text = compiled.explain(timings=True)
    assert " us" in text and "flop" in text and "kB" in text
    assert " us" not in compiled.explain()


def test_a_new_batch_size_compiles_nothing() -> None:
    net = network()
    function = fl.compile(lambda x: block(net, x))
    for _ in range(3):
        function(fl.randn(64, 96))
    before = fl.compilations()
    for rows in (65, 300, 640):
        for _ in range(3):
            function(fl.randn(rows, 96))
    assert fl.compilations() == before
