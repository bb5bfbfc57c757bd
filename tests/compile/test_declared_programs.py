"""Random programs of 5 to 40 declared operations: compiled equals eager bit for bit, and the interpreter's result.

The interpreter runs each operation's own program in NumPy's float64, one operation after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flambeau as fl
from flambeau.compiler import declare

from ..operations import cases

#: Parts of larger operations, and steps that jump where a quotient is whole.
LEFT_OUT = (
    "ctc",
    "grid",
    "max_pool",
    "floor_divide",
    "trunc_divide",
    "remainder",
    "fmod",
    "lstm",
    "gru",
    "running_mean",
)
SETTINGS = {"deadline": None, "derandomize": True, "database": None, "phases": [Phase.generate]}
SHAPE = (3, 7)


def usable(name: str) -> bool:
    """Whether the operation takes floats of one shape (and plain numbers) and gives floats."""
    declaration = declare.table[name]
    if name.startswith(LEFT_OUT) or (declaration.kind == "row" and set(declaration.output_levels) != {declare.ELEMENT}):
        return False
    rng = np.random.default_rng(0)
    try:
        tensors, exact = cases.operands(declaration, rng, SHAPE, "float64", cases.samples(declaration)[0])
        results = cases.call(name, tensors)
        expected, _ = cases.oracle(declaration, tensors, exact, SHAPE)
    except (TypeError, fl.errors.DTypeError):
        return False
    floats = [t for t in tensors if isinstance(t, fl.Tensor)]
    return (
        len(floats) <= 3
        and all(t.dtype is fl.float64 and tuple(t.shape) == SHAPE for t in [*floats, *results])
        and all(e.shape == SHAPE for e in expected)
    )


@pytest.fixture(scope="module")
def names() -> list[str]:
    found = [name for name in cases.OPERATIONS if usable(name)]
    assert len(found) >= 80
    return found


def bits(t: Any) -> bytes:
    """The bits; every NaN is one: its sign depends on the order of a kernel's operands."""
    return np.where(np.isnan(t.numpy()), np.nan, t.numpy()).tobytes()


def ours(name: str, values: list[Any], numbers: list[Any]) -> Any:
    result = cases.call(name, [*values, *numbers])[0]
    return result.tanh() * 0.4 + 0.5  # between 0.1 and 0.9, where nearly every operation is defined and smooth


def interpreted(name: str, values: list[Any], numbers: list[Any]) -> Any:
    declaration = declare.table[name]
    given = [*map(fl.from_numpy, values), *numbers]
    expected, _ = cases.oracle(declaration, given, [*values, *map(np.asarray, numbers)], SHAPE)
    return np.tanh(expected[0]) * 0.4 + 0.5


@settings(max_examples=200, suppress_health_check=list(HealthCheck), **SETTINGS)
@given(st.data())
def test_compiled_equals_eager_and_the_interpreter(names: list[str], data: Any) -> None:
    steps = []
    for i in range(data.draw(st.integers(5, 40))):
        name = data.draw(st.sampled_from(names))
        declaration = declare.table[name]
        numbers = cases.settings(declaration, data.draw(st.sampled_from(list(cases.samples(declaration)))))
        tensors = len(declaration.inputs)
        steps.append((name, [data.draw(st.integers(max(0, i - 6), i)) for _ in range(tensors)], numbers))

    def run(operation: Any, first: Any) -> Any:
        values = [first]
        for name, places, numbers in steps:
            values.append(operation(name, [values[place] for place in places], numbers))
        return values[-1], values[(len(values) + 1) // 2]

    compiled = fl.compile(lambda x: run(ours, x))
    for i in range(3):
        x = fl.rand(SHAPE, dtype=fl.float64, generator=fl.Generator().manual_seed(i)) * 0.8 + 0.1
        eager, plan, exact = run(ours, x), compiled(x.clone()), run(interpreted, x.numpy())
        for one, two, true in zip(eager, plan, exact, strict=True):
            assert bits(one) == bits(two)
            np.testing.assert_allclose(two.numpy(), true, rtol=1e-7, atol=1e-9)
    assert compiled.plans == 1
