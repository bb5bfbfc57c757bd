"""Random programs of 5 to 40 operations: compiled equals eager, bit for bit, and both equal NumPy in float64.

Every operation is a pair: how flambeau says it and how NumPy does. Values and gradients are compared with eager's bits
in float32 and float64; in float64 also with NumPy, the gradient of smooth programs along one direction by a central
difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as fl

F = fl.nn.functional
erf = np.vectorize(math.erf, otypes=["float64"])


class Pair(NamedTuple):
    """An operation, as flambeau and as NumPy say it; `smooth` if a difference quotient finds its gradient."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    smooth: bool = True


def softmax(t: Any) -> Any:
    e = np.exp(t - t.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def standardised(t: Any) -> Any:
    return (t - t.mean(-1, keepdims=True)) / np.sqrt(t.var(-1, keepdims=True) + 0.1)


def positions(rows: int) -> list[int]:
    return [(i * i + 1) % rows for i in range(rows)]


def index_add(t: Any) -> Any:
    result = t.copy()
    np.add.at(result, positions(len(t)), np.sin(t))
    return result


UNARY = [
    Pair(lambda t: t.tanh(), np.tanh),
    Pair(lambda t: t.sigmoid(), lambda t: 1 / (1 + np.exp(-t))),
    Pair(lambda t: F.gelu(t), lambda t: t * 0.5 * (1 + erf(t / math.sqrt(2)))),
    Pair(lambda t: t.relu(), lambda t: np.maximum(t, 0), False),
    Pair(lambda t: -t, lambda t: -t),
    Pair(lambda t: t.abs(), np.abs, False),
    Pair(lambda t: t * 0.5, lambda t: t * 0.5),
    Pair(lambda t: 2 - t, lambda t: 2 - t),
    Pair(lambda t: (t * 0.1).exp().clamp(max=9), lambda t: np.minimum(np.exp(t * 0.1), 9), False),
    Pair(lambda t: (t.square() + 1).log(), lambda t: np.log(t * t + 1)),
    Pair(lambda t: t.sin() + t.cos(), lambda t: np.sin(t) + np.cos(t)),
    Pair(lambda t: t.clamp(-1, 1), lambda t: np.clip(t, -1, 1), False),
    Pair(lambda t: fl.where(t > 0, t, t * 0.1), lambda t: np.where(t > 0, t, t * 0.1), False),
    Pair(lambda t: t.softmax(-1), softmax),
    Pair(lambda t: t - t.mean(-1, keepdim=True), lambda t: t - t.mean(-1, keepdims=True)),
    Pair(lambda t: t / (1 + t.square().sum(0, keepdim=True)), lambda t: t / (1 + (t * t).sum(0, keepdims=True))),
    Pair(lambda t: F.layer_norm(t, t.shape[-1:], eps=0.1), standardised),
    Pair(lambda t: t.amax(1, keepdim=True) + t, lambda t: t.max(1, keepdims=True) + t, False),
    Pair(lambda t: t.T.contiguous().T * 2, lambda t: t * 2),
    Pair(lambda t: t.reshape(-1).reshape(t.shape[1], -1).T.tanh(), lambda t: np.tanh(t.reshape(t.shape[1], -1).T)),
    Pair(lambda t: (t > 0.2).to(t.dtype) + t, lambda t: (t > 0.2) + t, False),
    Pair(lambda t: (t * 4).long().to(t.dtype) * 0.25 + t, lambda t: np.trunc(t * 4) * 0.25 + t, False),
    Pair(lambda t: t.bool().sum(1, keepdim=True) + t, lambda t: (t != 0).sum(1, keepdims=True) + t, False),
    Pair(lambda t: fl.cat([t[1:], t[:1]]), lambda t: np.concatenate([t[1:], t[:1]])),
    Pair(lambda t: t.flip(1).roll(1, 0), lambda t: np.roll(t[:, ::-1], 1, 0)),
    Pair(lambda t: t.detach() + t, lambda t: t + t, False),
    Pair(lambda t: t[fl.tensor(positions(len(t)))], lambda t: t[positions(len(t))]),
    Pair(lambda t: t.index_add(0, fl.tensor(positions(len(t))), t.sin()), index_add),
    Pair(lambda t: t.gather(1, t.argsort(1)), lambda t: np.sort(t, 1), False),
    Pair(lambda t: t.cumsum(1).tanh(), lambda t: np.tanh(t.cumsum(1))),
    Pair(lambda t: t.logsumexp(1, keepdim=True) + t, lambda t: np.log(np.exp(t).sum(1, keepdims=True)) + t),
    Pair(lambda t: t.var(0, keepdim=True).tanh() + t, lambda t: np.tanh(t.var(0, ddof=1, keepdims=True)) + t),
]
BINARY = [
    Pair(lambda a, b: a + b, np.add),
    Pair(lambda a, b: a * b.tanh(), lambda a, b: a * np.tanh(b)),
    Pair(lambda a, b: a - b, np.subtract),
    Pair(lambda a, b: fl.maximum(a, b), np.maximum, False),
    Pair(lambda a, b: a / (1 + b.square()), lambda a, b: a / (1 + b * b)),
    Pair(lambda a, b: fl.where(a < b, a, b), lambda a, b: np.where(a < b, a, b), False),
    Pair(lambda a, b: a + b.mean(), lambda a, b: a + b.mean()),
    Pair(lambda a, b: a * b[0].sigmoid(), lambda a, b: a / (1 + np.exp(-b[0]))),
    Pair(lambda a, b: a + b[:, :1], lambda a, b: a + b[:, :1]),
    Pair(lambda a, b: (a @ b.T @ b * 0.05).tanh(), lambda a, b: np.tanh(a @ b.T @ b * 0.05)),
    Pair(lambda a, b: fl.atan2(a, 1 + b.square()), lambda a, b: np.arctan2(a, 1 + b * b)),
    Pair(lambda a, b: fl.stack([a, b], 1).mean(1), lambda a, b: (a + b) / 2),
    Pair(lambda a, b: F.linear(a, b, b[:, 0]).tanh() @ b, lambda a, b: np.tanh(a @ b.T + b[:, 0]) @ b),
    Pair(lambda a, b: fl.bmm(a[None], b.T[None])[0].sin() @ a, lambda a, b: np.sin(a @ b.T) @ a),
]


def written(t: Any, place: Any, value: Any) -> Any:
    result = t.copy()
    result[place] = value
    return result


def set_(t: Any, place: Any, value: Any) -> None:
    t[place] = value


# On a fresh copy; what is left is the result.
IN_PLACE = [
    Pair(lambda t: t.add_(1), lambda t: t + 1),
    Pair(lambda t: t.mul_(0.5), lambda t: t * 0.5),
    Pair(lambda t: t[0].zero_(), lambda t: written(t, 0, 0.0)),
    Pair(lambda t: t[:, 1].copy_(t[:, 0].clone()), lambda t: written(t, (slice(None), 1), t[:, 0])),
    Pair(lambda t: t.T.mul_(2), lambda t: t * 2),
    Pair(lambda t: set_(t, slice(0, 1), 0.5), lambda t: written(t, 0, 0.5)),
    Pair(lambda t: set_(t, fl.tensor([1, 0]), t[:2] * 3), lambda t: written(t, [1, 0], t[:2] * 3)),
    Pair(lambda t: t.masked_fill_(t.detach() > 1, 1.0), lambda t: np.where(t > 1, 1.0, t), False),
    Pair(lambda t: t.sub_(0.25).tanh_(), lambda t: np.tanh(t - 0.25)),
]
KINDS = (UNARY, BINARY, IN_PLACE)
Program = list[tuple[int, int, int, int]]


@st.composite
def programs(draw: Any) -> Program:
    steps = []
    for i in range(draw(st.integers(5, 40))):
        kind = draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
        operation = draw(st.integers(0, len(KINDS[kind]) - 1))
        steps.append((kind, operation, draw(st.integers(max(0, i - 6), i)), draw(st.integers(0, i))))
    return steps


def ours(steps: Program, first: Any) -> list[Any]:
    values = [first]
    for kind, operation, a, b in steps:
        if kind == 2:
            fresh = values[a] * 1.5
            IN_PLACE[operation].ours(fresh)
            values.append(fresh)
        else:
            values.append(KINDS[kind][operation].ours(*(values[a], values[b])[: 1 + kind]))
    return values


def theirs(steps: Program, first: Any) -> list[Any]:
    values = [first]
    for kind, operation, a, b in steps:
        pair = KINDS[kind][operation]
        if kind == 2:
            values.append(pair.theirs(values[a] * 1.5))
        else:
            values.append(pair.theirs(*(values[a], values[b])[: 1 + kind]))
    return values


def bits(t: Any) -> Any:
    return t.dtype, t.shape, t.detach().numpy().tobytes()


def check_against_numpy(steps: Program, x: Any, w: Any, result: list[Any], gradient: Any) -> None:
    """Values, and the gradient of `result[0].sum() + result[1].mean()` along a direction."""
    middle = (len(steps) + 1) // 2

    def outputs(w: Any) -> list[Any]:
        with np.errstate(all="ignore"):
            values = theirs(steps, x * w)
        return [values[-1], values[middle], values[1]]

    for mine, other in zip(result, outputs(w), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other, rtol=1e-7, atol=1e-9)
    if gradient is not None and all(KINDS[kind][operation].smooth for kind, operation, _, _ in steps):
        direction = np.cos(np.arange(w.size)).reshape(w.shape)
        sides = [outputs(w + sign * 1e-6 * direction) for sign in (1, -1)]
        slope = sum((a - b).sum() / n for a, b, n in zip(*(s[:2] for s in sides), (1, w.size), strict=True)) / 2e-6
        found = (gradient.numpy() * direction).sum()
        assert abs(slope - found) <= 1e-4 * max(1.0, float(np.abs(gradient.numpy()).sum()))


SETTINGS = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
DTYPES = st.sampled_from([fl.float32, fl.float64])


@settings(max_examples=145, **SETTINGS)
@given(programs(), st.booleans(), DTYPES, st.integers(2, 5), st.integers(2, 9))
def test_random_programs(steps: Program, train: bool, dtype: Any, rows: int, columns: int) -> None:
    middle = (len(steps) + 1) // 2

    def function(x: Any, w: Any) -> Any:
        w.grad = None
        values = ours(steps, x * w)
        if train:
            (values[-1].sum() + values[middle].mean()).backward()
        return values[-1], values[middle], values[1]

    compiled = fl.compile(function)
    sides = [fl.full((rows, columns), 0.7, dtype=dtype, requires_grad=train) for _ in range(2)]
    for i in range(3):
        x = fl.randn(rows, columns, dtype=dtype, generator=fl.Generator().manual_seed(i))
        one, two = function(x.clone(), sides[0]), compiled(x.clone(), sides[1])
        for a, b in zip(one, two, strict=True):
            assert bits(a) == bits(b)
        if train:
            assert bits(sides[0].grad) == bits(sides[1].grad)
        if dtype is fl.float64 and i == 2:
            weight = sides[1].detach().numpy()
            check_against_numpy(steps, x.numpy(), weight, list(two), sides[1].grad if train else None)
    assert compiled.plans == 1


@settings(max_examples=60, **SETTINGS)
@given(programs(), DTYPES, st.integers(2, 5), st.integers(2, 9))
def test_random_programs_with_backward_outside(steps: Program, dtype: Any, rows: int, columns: int) -> None:
    middle = (len(steps) + 1) // 2

    def function(x: Any, w: Any) -> Any:
        values = ours(steps, x * w)
        return values[-1], values[middle], values[1]

    compiled = fl.compile(function)
    sides = [fl.full((rows, columns), 0.7, dtype=dtype, requires_grad=True) for _ in range(2)]
    for i in range(3):
        x = fl.randn(rows, columns, dtype=dtype, generator=fl.Generator().manual_seed(i))
        found = []
        for call, w in zip((function, compiled), sides, strict=True):
            w.grad = None
            given = x.clone().requires_grad_()
            result = call(given * 2, w)
            (result[0].sum() + result[1].mean()).backward()
            found.append([bits(t) for t in (*result, given.grad, w.grad)])
        assert found[0] == found[1]
        if dtype is fl.float64 and i == 2:
            check_against_numpy(steps, x.numpy() * 2, w.detach().numpy(), list(result), w.grad)
    assert compiled.plans == 1
