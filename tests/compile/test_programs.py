"""Random programs of 5 to 40 operations: compiled equals eager, bit for bit, in values and gradients."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as fl

F = fl.nn.functional

UNARY = [
    lambda t: t.tanh(), lambda t: t.sigmoid(), lambda t: F.gelu(t), lambda t: t.relu(), lambda t: -t, lambda t: t.abs(),
    lambda t: t * 0.5, lambda t: t + 1, lambda t: 2 - t, lambda t: (t * 0.1).exp(), lambda t: (t.abs() + 1).log(),
    lambda t: t.square(), lambda t: t.sin(), lambda t: t.clamp(-1, 1), lambda t: fl.where(t > 0, t, t * 0.1),
    lambda t: t.softmax(-1), lambda t: t - t.mean(-1, keepdim=True), lambda t: t / (1 + t.abs().sum(0, keepdim=True)),
    lambda t: F.layer_norm(t, t.shape[-1:]), lambda t: t.amax(1, keepdim=True) + t, lambda t: t.double().float(),
    lambda t: t.T.contiguous().T * 2, lambda t: t.cos(),
    lambda t: (t > 0.2).float() + t, lambda t: t.half().float(), lambda t: fl.cat([t[:1], t[1:]]),
    lambda t: t.detach() + t,
]  # fmt: skip
BINARY = [
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: fl.maximum(a, b),
    lambda a, b: a / (1 + b.abs()),
    lambda a, b: fl.where(a < b, a, b), lambda a, b: a + b.mean(), lambda a, b: a * b[0], lambda a, b: a + b[:, :1],
    lambda a, b: a @ b.T @ b * 0.05, lambda a, b: fl.atan2(a, 1 + b.abs()),
]  # fmt: skip
IN_PLACE = [
    lambda t: t.add_(1), lambda t: t.mul_(0.5), lambda t: t[0].zero_(), lambda t: t[:, 1].copy_(t[:, 0]),
    lambda t: t.T.mul_(2),
]  # fmt: skip


@st.composite
def programs(draw: Any) -> list[tuple[int, int, int]]:
    steps = []
    for i in range(draw(st.integers(5, 40))):
        kind = draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
        operation = draw(st.integers(0, len((UNARY, BINARY, IN_PLACE)[kind]) - 1))
        steps.append((kind, operation, draw(st.integers(0, i)), draw(st.integers(0, i))))
    return steps


def build(steps: list[Any], train: bool) -> Any:
    def function(x: Any, w: Any) -> Any:
        w.grad = None
        values = [x * w if train else x + 0]
        for kind, operation, a, b in steps:
            if kind == 0:
                values.append(UNARY[operation](values[a]))
            elif kind == 1:
                values.append(BINARY[operation](values[a], values[b]))
            else:
                with fl.no_grad():
                    fresh = values[a].detach().clone()
                    IN_PLACE[operation](fresh)
                values.append(fresh + values[a])
        if train:
            (values[-1].sum() + values[len(values) // 2].mean()).backward()
        return values[-1], [values[1], values[len(values) // 2]]

    return function


def bits(t: Any) -> Any:
    return t.dtype, t.shape, t.numpy().tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.booleans(), st.integers(2, 5), st.integers(2, 9))
def test_random_programs(steps: list[Any], train: bool, rows: int, columns: int) -> None:
    function = build(steps, train)
    compiled = fl.compile(function)
    sides = [fl.full((rows, columns), 0.7, requires_grad=train) for _ in range(2)]
    for i in range(4):
        x = fl.randn(rows, columns, generator=fl.Generator().manual_seed(i))
        one, two = function(x.clone(), sides[0]), compiled(x.clone(), sides[1])
        for a, b in zip([one[0], *one[1]], [two[0], *two[1]], strict=True):
            assert bits(a.detach()) == bits(b)
        if train:
            assert bits(sides[0].grad) == bits(sides[1].grad)
    assert compiled.plans == 1


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(2, 5), st.integers(2, 9))
def test_random_programs_with_backward_outside(steps: list[Any], rows: int, columns: int) -> None:
    body = build(steps, False)

    def function(x: Any, w: Any) -> Any:
        last, others = body(x * w, Box)
        return last, others[1]

    compiled = fl.compile(function)
    sides = [fl.full((rows, columns), 0.7, requires_grad=True) for _ in range(2)]
    for i in range(4):
        x = fl.randn(rows, columns, generator=fl.Generator().manual_seed(i))
        found = []
        for call, w in zip((function, compiled), sides, strict=True):
            w.grad = None
            given = x.clone().requires_grad_()
            one, two = call(given * 2, w)
            (one.sum() + (two * two).mean()).backward()
            found.append([bits(t) for t in (one.detach(), two.detach(), given.grad, w.grad)])
        assert found[0] == found[1]
    assert compiled.plans == 1


class Box:
    grad = None
