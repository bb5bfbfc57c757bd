"""Row kernels against NumPy: both schedules, every reduction and dtype, on every kind of vector unit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_runner import MEMORY, TARGETS, each_target, guarded, program, run_row, untouched, value

from flambeau.compiler import emit_row, interpret, scalar
from flambeau.compiler.program import ROW, Program, Value

each_schedule = pytest.mark.parametrize("schedule", ("inner", "outer"))
REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
LENGTHS = (0, 1, 2, 7, 15, 16, 17, 31, 33, 64, 70, 129, 300)


def element(rows: int, length: int, dtype: str, schedule: str, step: int = 1) -> np.ndarray:
    """An element operand whose memory is contiguous along the schedule's lanes, or `step` apart."""
    if schedule == "inner":
        return np.zeros((rows, max(1, length * step)), dtype)[:, : length * step : step]
    return np.zeros((max(1, length), rows * step), dtype)[:length, ::step].T


def reduction(kind: str, dtype: str) -> Program:
    """One reduction of one input, in the dtype it accumulates in."""
    a = value(0, dtype)
    made = getattr(scalar, "reduce_" + kind)(scalar.cast(a, "float32") if dtype in ("float16", "bfloat16") else a)
    return program("row", [a], made)


@each_target
@each_schedule
@pytest.mark.parametrize("dtype", ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"))
def test_every_reduction_of_every_dtype(name: str, schedule: str, dtype: str) -> None:
    random = np.random.default_rng(0)
    for kind in REDUCTIONS:
        made = reduction(kind, dtype)
        for length in LENGTHS:
            if length == 0 and kind not in ("sum", "prod"):
                continue
            x = element(5, length, dtype, schedule)
            if dtype == "bool":
                x[...] = random.integers(0, 2, x.shape)
            elif np.dtype(dtype).kind in "iu":
                x[...] = random.integers(0 if dtype[0] == "u" else -3, 4, x.shape)
            else:
                x[...] = random.uniform(0.8, 1.2, x.shape) if kind == "prod" else random.standard_normal(x.shape)
            out, memory = guarded((5,), MEMORY[made.outputs[0].dtype])
            run_row(made, [out, x], schedule, 5, length, name)
            (right,) = interpret.run(made, [x])
            assert untouched(memory, out)
            if kind in ("sum", "prod") and out.dtype.kind == "f":
                np.testing.assert_allclose(out, right, rtol=3e-6 if out.itemsize == 4 else 1e-13, atol=1e-5)
            else:
                assert (out == right).all(), (kind, length)


@each_target
@each_schedule
@pytest.mark.parametrize("step", (1, 2))
def test_any_number_of_rows(name: str, schedule: str, step: int) -> None:
    random = np.random.default_rng(1)
    made = reduction("sum", "float32")
    for rows in (0, 1, 2, 15, 16, 17, 33, 64, 65, 130, 200):
        x = element(rows, 3, "f4", schedule, step)
        x[...] = random.integers(-9, 9, x.shape)
        out, memory = guarded((rows,), "f4")
        run_row(made, [out, x], schedule, rows, 3, name)
        assert (out == x.sum(1)).all() and untouched(memory, out)


@each_target
@each_schedule
def test_the_first_extreme_wins_and_nan_before_all(name: str, schedule: str) -> None:
    random = np.random.default_rng(2)
    for kind, dtype in itertools.product(("argmax", "argmin", "max", "min"), ("float32", "float64", "int64")):
        made = reduction(kind, dtype)
        for length in (1, 5, 16, 33, 64, 100, 200):
            x = element(9, length, dtype, schedule)
            x[...] = random.integers(-2, 3, x.shape)
            if dtype != "int64":
                x[1] = -np.inf
                x[2] = np.inf
                x[3, length // 2 :] = np.nan
                x[4, -1] = np.nan
                x[5] = np.nan
            out = np.zeros(9, MEMORY[made.outputs[0].dtype])
            run_row(made, [out, x], schedule, 9, length, name)
            right = getattr(np, kind)(x, axis=1)
            assert np.array_equal(out, right, equal_nan=out.dtype.kind == "f"), (kind, dtype, length)


def normalise(dtype: str = "float32") -> Program:
    """(x - mean) / sqrt(var + eps) * weight + shift, with the mean and the deviation as outputs too."""
    a, weight, shift, eps = (value(0, dtype), value(1, dtype), value(2, dtype, ROW), value(3, "float64", ROW))
    x = scalar.cast(a, "float32") if dtype == "float16" else a
    mean = scalar.reduce_mean(x)
    centred = scalar.sub(x, mean)
    deviation = scalar.sqrt(scalar.add(scalar.reduce_mean(scalar.mul(centred, centred)), scalar.cast(eps, x.dtype)))
    w, s = (scalar.cast(v, x.dtype) for v in (weight, shift))
    result = scalar.add(scalar.mul(scalar.div(centred, deviation), w), s)
    return program("row", [a, weight, shift, eps], scalar.cast(result, dtype), mean, scalar.cast(deviation, dtype))


@each_target
@each_schedule
@pytest.mark.parametrize("dtype", ("float16", "float32", "float64"))
def test_three_passes_with_every_level_of_operand(name: str, schedule: str, dtype: str) -> None:
    made = normalise(dtype)
    random = np.random.default_rng(3)
    for (rows, length), step in itertools.product(((1, 1), (3, 17), (20, 5), (37, 70), (2, 1000)), (1, 3)):
        x, out = (element(rows, length, dtype, schedule, step) for _ in range(2))
        x[...] = random.standard_normal(x.shape)
        weight = np.broadcast_to(random.standard_normal(length).astype(dtype), (rows, length))
        shift, eps = random.standard_normal(rows).astype(dtype), np.broadcast_to(np.array(0.1), (rows,))
        mean = np.zeros(rows, "f4" if dtype == "float16" else dtype)
        deviation = np.zeros(rows * 2, dtype)[::2]
        run_row(made, [out, mean, deviation, x, weight, shift, eps], schedule, rows, length, name)
        tolerance = {"float16": 4e-3, "float32": 1e-5, "float64": 1e-12}[dtype]
        expected = interpret.run(made, [x, weight, shift, eps], precise=True)
        for found, right in zip((out, mean, deviation), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance)


def soft(dtype: str = "float32") -> Program:
    """Like softmax, with something dear in the place of exp: its values are kept in scratch."""
    a = value(0, dtype)
    d = scalar.sub(a, scalar.reduce_max(a))
    e = scalar.div(1.0, scalar.add(scalar.mul(d, d), scalar.div(2.0, scalar.add(1.0, scalar.absolute(d)))))
    return program("row", [a], scalar.div(e, scalar.reduce_sum(e)), scalar.lt(e, 0.2))


@each_target
@each_schedule
def test_dear_values_are_kept_in_scratch(name: str, schedule: str) -> None:
    made = soft()
    _, scratch = emit_row.emit_row(made, schedule, "ccc", TARGETS[name])
    assert scratch > 0
    random = np.random.default_rng(4)
    for rows, length in ((1, 1), (3, 17), (20, 5), (37, 70), (70, 37), (2, 1000)):
        x, out = (element(rows, length, "f4", schedule) for _ in range(2))
        low = element(rows, length, "?", schedule)
        x[...] = random.standard_normal(x.shape)
        right = interpret.run(made, [x], precise=True)
        run_row(made, [out, low, x], schedule, rows, length, name)
        np.testing.assert_allclose(out, right[0], rtol=1e-5)
        assert (low == right[1]).all()
        run_row(made, [x, low, x], schedule, rows, length, name)  # in place
        assert (x == out).all()


@each_target
@each_schedule
def test_index_and_length(name: str, schedule: str) -> None:
    a, target = value(0, "float32"), value(1, "int64", ROW)
    chosen = scalar.reduce_sum(scalar.where(scalar.eq(scalar.index(), target), a, 0.0))
    scaled = scalar.mul(scalar.cast(scalar.index(), "float32"), a)
    made = program("row", [a, target], chosen, scalar.length("float32"), scaled)
    random = np.random.default_rng(5)
    for rows, length in ((1, 1), (5, 16), (18, 9), (3, 100)):
        x, out = (element(rows, length, "f4", schedule) for _ in range(2))
        x[...] = random.standard_normal(x.shape)
        where = random.integers(0, length, rows)
        picked, count = np.zeros(rows, "f4"), np.zeros(rows, "f4")
        run_row(made, [picked, count, out, x, where], schedule, rows, length, name)
        assert (picked == x[np.arange(rows), where]).all() and (count == length).all()
        assert (out == x * np.arange(length, dtype="f4")).all()


@each_schedule
def test_long_sums_stay_accurate(schedule: str) -> None:
    made = reduction("sum", "float32")
    length = 1 << 21
    x = np.full((1, length), 0.1, "f4")
    out = np.zeros(1, "f4")
    run_row(made, [out, x], schedule, 1, length)
    exact = float(np.float32(0.1)) * length
    assert abs(out[0] - exact) / exact < 140 * 2.0**-24


@each_target
def test_a_row_does_not_depend_on_its_neighbours(name: str) -> None:
    made = normalise()
    random = np.random.default_rng(6)
    x = random.standard_normal((70, 300)).astype("f4").T.copy().T
    one, eps = np.broadcast_to(np.float32(1), (70, 300)), np.broadcast_to(np.array(0.1), (70,))
    zero = np.zeros(70, "f4")
    whole, mean, deviation = np.zeros((300, 70), "f4").T, np.zeros(70, "f4"), np.zeros(70, "f4")
    run_row(made, [whole, mean, deviation, x, one, zero, eps], "outer", 70, 300, name)
    for first, last in ((0, 1), (3, 20), (69, 70), (1, 67)):
        n = last - first
        part, m, d = np.zeros((300, n), "f4").T, np.zeros(n, "f4"), np.zeros(n, "f4")
        run_row(made, [part, m, d, x[first:last], one[first:last], zero[:n], eps[:n]], "outer", n, 300, name)
        assert (part == whole[first:last]).all() and (m == mean[first:last]).all()


@each_target
@each_schedule
def test_rows_of_length_zero(name: str, schedule: str) -> None:
    made = normalise()
    empty = np.zeros((4, 0), "f4")
    mean, deviation = np.zeros(4, "f4"), np.zeros(4, "f4")
    eps = np.broadcast_to(np.array(0.1), (4,))
    run_row(made, [empty, mean, deviation, empty, empty, np.zeros(4, "f4"), eps], schedule, 4, 0, name)
    assert np.isnan(mean).all()


@each_target
def test_an_empty_row_is_not_read(name: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    made = program("row", [a, b], scalar.add(scalar.reduce_sum(scalar.mul(a, b)), 1.0))
    out = np.zeros(2, "f4")
    nothing = np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), (2, 0), (0, 0))
    run_row(made, [out, nothing, nothing], "inner", 2, 0, name, null=(1, 2))
    assert (out == 1).all()


@each_target
@each_schedule
def test_scratch_of_several_dtypes(name: str, schedule: str) -> None:
    a, b = value(0, "float32"), value(1, "float64")
    dear = scalar.div(scalar.div(a, 3.0), scalar.add(a, 2.0))
    dearer = scalar.div(scalar.div(b, 3.0), scalar.add(b, 2.0))
    small = scalar.lt(scalar.div(scalar.div(a, 7.0), scalar.add(a, 4.0)), 0.05)
    total = scalar.add(scalar.reduce_sum(scalar.cast(dear, "float64")), scalar.reduce_sum(dearer))
    total = scalar.add(total, scalar.cast(scalar.reduce_any(small), "float64"))
    results = [scalar.mul(scalar.cast(total, "float32"), dear), scalar.mul(total, dearer)]
    results.append(scalar.bitwise_and(small, scalar.lt(scalar.spread(total), 1e9)))
    made = program("row", [a, b], *results)
    assert emit_row.InnerRow(made, "ccccc", TARGETS[name]).scratch == 13
    for rows, length in ((1, 1), (3, 70), (70, 33)):
        x, y = (element(rows, length, d, schedule) for d in ("f4", "f8"))
        x[...], y[...] = np.random.default_rng(8).uniform(0.1, 1, (2, rows, length))
        outputs = [element(rows, length, d, schedule) for d in ("f4", "f8", "?")]
        run_row(made, [*outputs, x, y], schedule, rows, length, name)
        for found, right in zip(outputs, interpret.run(made, [x, y], precise=True), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-5)


@each_target
@each_schedule
def test_several_reductions_share_a_pass(name: str, schedule: str) -> None:
    a = value(0, "float32")
    results = [getattr(scalar, "reduce_" + k)(a) for k in ("sum", "max", "argmin")] + [scalar.reduce_any(a)]
    results.append(scalar.reduce_sum(scalar.mul(a, a)))
    made = program("row", [a], *results)
    kernel = emit_row.InnerRow(made, "-----c", TARGETS[name])
    assert len(kernel.passes) == 1 and len(kernel.passes[0].reductions) == 5
    x = element(20, 77, "f4", schedule)
    x[...] = np.random.default_rng(7).integers(-50, 50, x.shape)
    outputs = [np.zeros(20, MEMORY[r.dtype]) for r in results]
    run_row(made, [*outputs, x], schedule, 20, 77, name)
    for found, right in zip(outputs, interpret.run(made, [x]), strict=True):
        assert (found == right).all()


def test_bfloat16_rows() -> None:
    a = value(0, "bfloat16")
    made = program("row", [a], Value("cast", (scalar.reduce_sum(scalar.cast(a, "float32")),), "bfloat16", None, ROW))
    x = np.full((3, 100), 0x3F80, "u2")  # ones
    for schedule in ("inner", "outer"):
        out = np.zeros(3, "u2")
        run_row(made, [out, x], schedule, 3, 100)
        assert (out == 0x42C8).all()  # 100
