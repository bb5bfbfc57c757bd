"""float32 functions by tables in vector registers: their errors, special values, and the two instructions they need."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
from kernel_runner import TARGETS, program, run_map, value

from flambeau.compiler import emit, interpret, mathematics_tables, scalar
from flambeau.compiler.emit import emit_map
from flambeau.compiler.mathematics import ERROR_BOUNDS, lower_program
from flambeau.compiler.mathematics_arithmetic import lookup, scale
from flambeau.compiler.program import Program, Value

pytestmark = pytest.mark.skipif("avx512" not in TARGETS, reason="no CPU here that picks from tables in registers")
REFERENCES: dict[str, Callable[..., np.ndarray]] = {"exp": np.exp, "exp2": np.exp2, "erf": scipy.special.erf}
INF, NAN = math.inf, math.nan
LIMITS = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (3e38, INF), (-3e38, 0.0), (89.0, INF), (-104.0, 0.0)],
    "exp2": [(0.0, 1.0), (INF, INF), (-INF, 0.0), (3e38, INF), (-3e38, 0.0), (128.0, INF), (-149.0, 2.0**-149)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (7.0, 1.0), (3.93, 1.0), (1e-45, 1e-45)],
}


def lowered(op: str) -> Program:
    x = value(0, "float32")
    return lower_program(program("map", [x], Value(op, (x,), "float32")), tables=True)


def run(made: Program, *arrays: np.ndarray) -> np.ndarray:
    result = np.empty(arrays[0].shape, made.outputs[0].dtype)
    run_map(made, [result, *arrays], name="avx512")
    return result


def samples() -> np.ndarray:
    """One bit pattern in 40,009 of all, and dense numbers where the functions are neither 0 nor 1 nor infinite."""
    patterns = np.arange(0, 2**32, 40009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    random = np.random.default_rng(5)
    ordinary = [random.uniform(-size, size, 50000).astype(np.float32) for size in (0.3, 4, 20, 150)]
    return np.concatenate([patterns[~np.isnan(patterns)], *ordinary])


@pytest.mark.parametrize("op", REFERENCES)
def test_error_and_range(op: str) -> None:
    x = samples()
    result = run(lowered(op), x)
    with np.errstate(all="ignore"):
        expected = REFERENCES[op](x.astype(np.float64))
    infinite = expected >= 2.0**128 * (1 - 2.0**-25)
    np.testing.assert_array_equal(np.isinf(result), infinite)
    result, expected, x = result[~infinite], expected[~infinite], x[~infinite]
    exponent = np.frexp(expected)[1] - 1
    unit = np.ldexp(1.0, np.maximum(exponent, -126) - 23)
    error = np.abs(result - expected) / unit
    worst = error.argmax()
    assert error[worst] <= ERROR_BOUNDS[op, "float32"], x[worst]
    if op == "erf":
        assert np.abs(result).max() == 1.0
    else:
        assert result.min() >= 0.0


@pytest.mark.parametrize("op", REFERENCES)
def test_limits_signed_zeros_and_nan(op: str) -> None:
    points, expected = (np.array(column, np.float32) for column in zip(*LIMITS[op], strict=True))
    result = run(lowered(op), points)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))
    assert np.isnan(run(lowered(op), np.array([NAN, -NAN], np.float32))).all()


@pytest.mark.parametrize("op", REFERENCES)
def test_same_bits_at_every_position_and_in_numpy(op: str) -> None:
    x = np.linspace(-90, 90, 300, dtype=np.float32) ** 3 / 8100
    together = run(lowered(op), x)
    alone = np.concatenate([run(lowered(op), x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_array_equal(together, alone)
    (oracle,) = interpret.run(lowered(op), [x])
    # NumPy's fma rounds float32 products in float64: the last bit may differ.
    np.testing.assert_array_max_ulp(together, oracle, 1)


def test_scaling_rounds_once_and_floors_the_exponent() -> None:
    a, b = value(0, "float32"), value(1, "float32")
    made = program("map", [a, b], scale(a, b))
    x = np.array([1.0, 1.9999999, -1.5, 1.0, 1.0, 1.25, NAN, 1.0000001, 1.9999999], np.float32)
    n = np.array([3.9, -0.1, -149.0, 128.0, -150.0, 127.5, 0.0, -130.0, -149.0], np.float32)
    with np.errstate(over="ignore"):
        expected = np.ldexp(x, np.floor(n).astype(int))
    np.testing.assert_array_equal(run(made, x, n), expected)
    np.testing.assert_array_equal(interpret.run(made, [x, n])[0], expected)


def test_lookups_read_the_low_four_bits_of_one_lane_too() -> None:
    table = [float(k * k) for k in range(16)]
    index = np.arange(-40, 41, dtype=np.int32)
    expected = np.array(table)[index & 15]
    i = value(0, "int32")
    made = program("map", [i], lookup(i, table))
    np.testing.assert_array_equal(run(made, index), expected)
    np.testing.assert_array_equal(interpret.run(made, [index])[0], expected)
    # One lane: a value that is the same for a whole loop.
    for k in range(4):
        np.testing.assert_array_equal(run(made, np.broadcast_to(index[k], (1, 5))), np.full((1, 5), expected[k]))


@pytest.mark.parametrize("lanes", [2, 4, 8, 32, 64])
def test_any_number_of_lanes_gives_the_same_bits(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-9, 9, 200, dtype=np.float32)
    for op in REFERENCES:
        expected = run(lowered(op), x)
        with monkeypatch.context() as patch:
            patch.setattr(emit, "choose_lanes", lambda target, values: lanes)
            made = lowered(op)._replace(name=f"lanes {lanes}")
            np.testing.assert_array_equal(run(made, x), expected)


def test_other_cpus_refuse_what_they_do_not_have() -> None:
    for target in TARGETS.values():
        if not target.tables:
            with pytest.raises(NotImplementedError, match="lower without"):
                emit_map(lowered("exp"), "cc", target)


def test_a_difference_from_the_maximum_needs_one_limit_less() -> None:
    x = value(0, "float32")
    top = scalar.reduce_max(x)
    below = lower_program(program("row", [x], scalar.exp(x - top)), tables=True)
    above = lower_program(program("row", [x], scalar.exp(top - x)), tables=True)
    assert sum(v.op == "lt" for v in below.topological()) + 1 == sum(v.op == "lt" for v in above.topological())


def test_documentation_counts_operations() -> None:
    for op in REFERENCES:
        (line,) = [s.split() for s in (mathematics_tables.__doc__ or "").splitlines() if s.split()[:1] == [op]]
        count = sum(v.op not in ("input", "const", "bitcast") for v in lowered(op).topological())
        assert (float(line[1]) <= ERROR_BOUNDS[op, "float32"], int(line[2])) == (True, count)
