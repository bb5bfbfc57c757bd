"""Map kernels against NumPy: every dtype, every class of operand, every length, on every kind of vector unit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_runner import MEMORY, TARGETS, each_target, guarded, program, run_map, untouched, value

from flambeau.compiler import emit, interpret, jit, registers, scalar
from flambeau.compiler.program import COMPLEX, DTYPES, Program, Value

FLOATING = ("float32", "float64")
INTEGRAL = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
REAL = tuple(name for name in DTYPES if name not in COMPLEX)


def samples(dtype: str, count: int, seed: int = 0) -> np.ndarray:
    """Values as they lie in memory, the special ones first."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.integers(0, 2, count).astype("?")
    if dtype in INTEGRAL:
        info = np.iinfo(dtype)
        special = [info.min, info.max, 0, 1, -1 if info.min else 2, 7]
        rest = random.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
        return np.concatenate([np.array(special, dtype), rest])[:count]
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -1.5, 2.5, 1e-40, 6e-8]
    rest = random.standard_normal(count) * 10.0 ** random.integers(-3, 4, count)
    both = np.concatenate([special, rest])[:count].astype("f4" if dtype == "bfloat16" else dtype)
    return (both.view("u4") >> 16).astype("u2") if dtype == "bfloat16" else both


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal with NaN equal to NaN, and zeros of either sign to each other."""
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


@each_target
def test_every_length_and_no_byte_more(name: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    made = program("map", (a, b), scalar.add(a, b))
    for n in (*range(71), 127, 128, 129, 1000):
        x, y = np.arange(n, dtype="f4"), np.full(n, 0.5, "f4")
        out, memory = guarded((n,), "f4")
        run_map(made, [out, x, y], "ccc", name)
        assert (out == x + y).all() and untouched(memory, out), n


@each_target
@pytest.mark.parametrize("classes", ["".join(c) for c in itertools.product("cs", "czs", "czs")])
def test_every_class_in_two_dimensions(name: str, classes: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    made = program("map", (a, b), scalar.add(scalar.mul(a, 2.0), b))
    random = np.random.default_rng(1)
    for outer, inner in ((1, 1), (3, 5), (2, 16), (3, 33), (2, 70)):
        arrays = []
        for letter in classes:
            wide = random.standard_normal((outer, inner * 3)).astype("f4")
            if letter == "c":
                arrays.append(wide[:, 1 : inner + 1])
            elif letter == "z":
                arrays.append(np.broadcast_to(wide[:, :1], (outer, inner)))
            else:
                arrays.append(wide[:, ::-3] if inner > 1 else wide[:, ::3])
        out, x, y = arrays
        before = out.base.copy() if out.base is not None else out.copy()
        run_map(made, arrays, classes, name)
        assert same(out, x * np.float32(2) + y)
        after = out.base if out.base is not None else out
        assert (before != after).sum() <= outer * inner, "wrote between the elements"


def test_every_class_in_a_dear_program() -> None:
    a, b = value(0, "float32"), value(1, "float32")
    total = a
    for _ in range(8):
        total = scalar.div(scalar.add(total, b), scalar.add(scalar.mul(b, b), 1.5))
    made = program("map", (a, b), total)
    random = np.random.default_rng(2)
    for n in (1, 7, 16, 17, 50):
        x, y = (random.standard_normal(4 * n).astype("f4") for _ in range(2))
        for u, v in itertools.product((x[:n], x[::4], x[::-4]), (y[:n], y[::4])):
            for out in (np.zeros(n, "f4"), np.zeros(2 * n, "f4")[::2]):
                run_map(made, [out, u, v])
                assert same(out, interpret.run(made, [u, v])[0])


@each_target
@pytest.mark.parametrize("dtype", REAL)
def test_arithmetic_of_every_dtype(name: str, dtype: str) -> None:
    a, b = value(0, dtype), value(1, dtype)
    x, y = samples(dtype, 67), samples(dtype, 67, 1)[::-1].copy()
    half = dtype in ("float16", "bfloat16")
    u, v = (scalar.cast(a, "float32"), scalar.cast(b, "float32")) if half else (a, b)
    results = [scalar.maximum(u, v), scalar.minimum(u, v), scalar.lt(u, v), scalar.le(u, v), scalar.eq(u, v)]
    results += [scalar.ne(u, v), scalar.where(scalar.lt(u, v), u, v)]
    if dtype == "bool":
        results += [scalar.bitwise_and(u, v), scalar.bitwise_or(u, v), scalar.bitwise_xor(u, v), scalar.bitwise_not(u)]
    else:
        results += [scalar.add(u, v), scalar.sub(u, v), scalar.mul(u, v), scalar.neg(u), scalar.absolute(u)]
        results += [Value("sign", (u,), u.dtype)]
    if dtype in INTEGRAL:
        results += [scalar.bitwise_not(u), scalar.bitwise_xor(u, v)]
    elif dtype != "bool":
        results += [scalar.div(u, v), scalar.floor(u), scalar.ceil(u), scalar.round_even(u), scalar.trunc(u)]
        results += [scalar.sqrt(scalar.absolute(u)), scalar.isnan(u), scalar.copysign(u, v)]
    made = program("map", (a, b), *results)
    outputs = [np.zeros(67, MEMORY[r.dtype]) for r in results]
    run_map(made, [*outputs, x, y], name=name)
    wide = [(v.astype("u4") << 16).view("f4") if dtype == "bfloat16" else v for v in (x, y)]
    with np.errstate(all="ignore"):
        expected = interpret.run(made, wide)
    for result, found, right in zip(results, outputs, expected, strict=True):
        assert same(found, right), (result.op, found, right)


@each_target
@pytest.mark.parametrize("dtype", INTEGRAL)
def test_integer_division_never_traps(name: str, dtype: str) -> None:
    a, b = value(0, dtype), value(1, dtype)
    info = np.iinfo(dtype)
    negative = [-1, -7] if info.min else []
    edges = np.array([info.min, info.max, 0, 1, 2, 7, info.max - 1, info.min + 1, *negative], dtype)
    x, y = (m.ravel() for m in np.meshgrid(np.concatenate([edges, samples(dtype, 20)]), edges))
    results = [Value("idiv", (a, b), dtype), Value("irem", (a, b), dtype)]
    results += [scalar.truncated_divide(a, b), scalar.fmod(a, b), scalar.floor_divide(a, b), scalar.remainder(a, b)]
    outputs = [np.zeros(len(x), dtype) for _ in results]
    run_map(program("map", (a, b), *results), [*outputs, x, y], name=name)
    expected = []
    for p, q in zip(x.tolist(), y.tolist(), strict=True):
        quotient = 0 if q == 0 else abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)
        expected.append([quotient, p - quotient * q if q else 0, *([p // q, p % q] if q else [0, 0])])
    wrapped = [[(q - info.min) % (1 << info.bits) + info.min for q in row] for row in expected]
    right = np.array(wrapped, dtype)
    for found, column in zip(outputs, (0, 1, 0, 1, 2, 3), strict=True):
        assert (found == right[:, column]).all(), (column, found, right[:, column])


def _converted(x: np.ndarray, source: str, to: str) -> np.ndarray:
    """What C on x86 gives."""
    if source == "bfloat16":
        x, source = (x.astype("u4") << 16).view("f4"), "float32"
    if to == "bool":
        return x != 0
    with np.errstate(all="ignore"):
        if to == "bfloat16":
            bits = x.astype("f4").view("u4").astype("u8")
            rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
            return np.where(np.isnan(x.astype("f4")), 0x7FC0, rounded).astype("u2")
        if to == "float16":
            return x.astype("f4").astype("f2")
        if to in ("float32", "float64") or x.dtype.kind != "f":
            return x.astype(to)
        middle = "int64" if to in ("int64", "uint8", "uint32", "uint64") else "int32"
        limit = 2.0 ** (np.iinfo(middle).bits - 1)
        whole = x.astype("f8")
        if to == "uint64":
            upper = (whole >= 2.0**63) & (whole < 2.0**64)
            lower = np.where((np.abs(whole) < 2.0**63), whole, 0).astype("i8").astype("u8")
            rest = np.where(upper, whole - 2.0**63, 0).astype("u8") + np.uint64(1 << 63)
            beyond = np.where(whole >= 2.0**64, np.uint64(0), np.uint64(1 << 63))  # NaN and large negative numbers
            return np.where(np.abs(whole) < 2.0**63, lower, np.where(upper, rest, beyond))
        fits = np.abs(whole) < limit
        return np.where(fits, np.where(fits, whole, 0).astype(middle), np.iinfo(middle).min).astype(to)


@each_target
@pytest.mark.parametrize("source", REAL)
def test_every_conversion(name: str, source: str) -> None:
    a = value(0, source)
    x = samples(source, 200)
    if source in FLOATING:
        more = [3e9, -3e9, 300, -300, 2**31, -(2**31), 2.0**31 + 263, 2.0**63, 1e30, 65519, 65520]
        x = np.concatenate([x, np.array(more, source)])
    made = program("map", (a,), *[Value("cast", (a,), to) for to in REAL])
    outputs = [np.zeros(len(x), MEMORY[to]) for to in REAL]
    run_map(made, [*outputs, x], name=name)
    for to, found in zip(REAL, outputs, strict=True):
        right = x if to == source else _converted(x, source, to)
        assert same(found, right), (to, x[found != right], found[found != right], right[found != right])


@each_target
def test_all_half_precision_numbers(name: str) -> None:
    bits = np.arange(1 << 16, dtype="u4").astype("u2")
    for dtype in ("float16", "bfloat16"):
        a = value(0, dtype)
        wide, back = np.zeros(1 << 16, "f4"), np.zeros(1 << 16, MEMORY[dtype])
        run_map(program("map", (a,), scalar.cast(a, "float32")), [wide, bits.view(MEMORY[dtype])], name=name)
        right = bits.view("f2").astype("f4") if dtype == "float16" else (bits.astype("u4") << 16).view("f4")
        assert same(wide, right)
        b = value(0, "float32")
        run_map(program("map", (b,), Value("cast", (b,), dtype)), [back, wide], name=name)
        known = ~np.isnan(right)
        assert (back.view("u2")[known] == bits[known]).all()
        assert np.isnan(back.view("f2") if dtype == "float16" else (back.astype("u4") << 16).view("f4"))[~known].all()


@each_target
def test_rounding_to_half_precision(name: str) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype="u4")
    x = np.concatenate([bits.view("f4"), np.linspace(-7e-5, 7e-5, 4001, dtype="f4"), (bits & 0x3FFFE000).view("f4")])
    b = value(0, "float32")
    for dtype in ("float16", "bfloat16"):
        found = np.zeros(len(x), MEMORY[dtype])
        run_map(program("map", (b,), Value("cast", (b,), dtype)), [found, x], name=name)
        right = _converted(x, "float32", dtype)
        known = ~np.isnan(x)
        assert (found.view("u2")[known] == right.view("u2")[known]).all()


@each_target
@pytest.mark.parametrize("dtype", ("uint8", "int16", "int32", "int64", "uint32", "uint64"))
def test_shifts_of_any_amount(name: str, dtype: str) -> None:
    kept = dtype.replace("uint32", "int32").replace("uint64", "int64")
    a, b = value(0, kept), value(1, kept)
    u, v = (Value("bitcast", (i,), dtype) if kept != dtype else i for i in (a, b))
    results = [Value("bitcast", (Value(op, (u, v), dtype),), kept) for op in ("shl", "shr")]
    bits = np.iinfo(dtype).bits
    x = samples(kept, 60)
    y = np.resize(np.array([0, 1, 3, bits - 1, bits, bits + 5, -1 if kept != "uint8" else 255], kept), 60)
    outputs = [np.zeros(60, kept) for _ in results]
    run_map(program("map", (a, b), *results), [*outputs, x, y], name=name)
    inside = (y >= 0) & (y < bits)
    amount = np.where(inside, y, 0).astype(dtype)
    typed = x.view(dtype)
    left = np.where(inside, typed << amount, 0).astype(dtype).view(kept)
    outside = np.where(typed < 0, -1, 0).astype(dtype) if dtype[0] == "i" else np.zeros(60, dtype)
    right = np.where(inside, typed >> amount, outside).astype(dtype).view(kept)
    assert (outputs[0] == left).all() and (outputs[1] == right).all()


@each_target
def test_an_output_may_be_an_input(name: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    made = program("map", (a, b), scalar.sub(a, b), scalar.add(a, b))
    for n in (1, 15, 16, 40, 64, 200):
        x, y = np.arange(n, dtype="f4"), np.arange(n, dtype="f4")[::-1].copy() * 3
        difference, total = x - y, x + y
        run_map(made, [x, y, x, y], "cccc", name)
        assert (x == difference).all() and (y == total).all()


@each_target
def test_a_result_does_not_depend_on_its_place(name: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    result = scalar.fma(a, b, scalar.div(a, scalar.add(scalar.mul(b, b), 1.0)))
    made = program("map", (a, b), scalar.add(scalar.sqrt(scalar.absolute(result)), scalar.mul(a, b)))
    random = np.random.default_rng(3)
    x, y = random.standard_normal((2, 200)).astype("f4")
    whole = np.zeros(200, "f4")
    run_map(made, [whole, x, y], name=name)
    for start in range(37):
        part = np.zeros(200 - start, "f4")
        run_map(made, [part, x[start:], y[start:]], name=name)
        assert (part.view("u4") == whole[start:].view("u4")).all()
    one = np.zeros(1, "f4")
    for i in range(0, 200, 13):
        run_map(made, [one, x[i : i + 1], y[i : i + 1]], name=name)
        assert one.view("u4")[0] == whole.view("u4")[i]


@each_target
def test_run_time_numbers_and_constants(name: str) -> None:
    a, alpha = value(0, "float32"), value(1, "float64")
    made = program(
        "map", (a, alpha), scalar.mul(a, scalar.cast(alpha, "float32")), scalar.constant(2.5, "float64"),
        scalar.cast(scalar.add(alpha, 1.0), "int16"),
    )  # fmt: skip
    for n in (1, 5, 64, 99):
        x = np.arange(n, dtype="f4")
        outputs = [np.zeros(n, d) for d in ("f4", "f8", "i2")]
        run_map(made, [*outputs, x, np.array(0.1)], "ccccz", name)
        assert (outputs[0] == x * np.float32(0.1)).all()
        assert (outputs[1] == 2.5).all() and (outputs[2] == 1).all()


@each_target
@pytest.mark.parametrize("step", (1, 3))
def test_the_index_counts_elements(name: str, step: int) -> None:
    made = program("map", (), scalar.index(), scalar.cast(scalar.index(), "float32"))
    for outer, inner in ((1, 3), (2, 17), (3, 70)):
        outputs = [np.zeros((outer, inner), "i8"), np.zeros((outer, inner), "f4")]
        run_map(made, outputs, name=name, index=(5, step, 1000))
        right = 5 + np.arange(outer)[:, None] * 1000 + np.arange(inner) * step
        assert (outputs[0] == right).all() and (outputs[1] == right).all()


@pytest.mark.parametrize("dtype", ("float32", "int8", "bool", "float64"))
def test_streamed_outputs(dtype: str) -> None:
    a, b = value(0, "float32"), value(1, "float32")
    result = scalar.lt(a, b) if dtype == "bool" else Value("cast", (scalar.add(a, b),), dtype)
    made = program("map", (a, b), result)
    x, y = np.arange(1000, dtype="f4") / 9, np.full(1000, 50, "f4")
    for offset in (0, 1):
        for n in (0, 1, 63, 64, 500, 1000):
            out, memory = guarded((n,), MEMORY[dtype], offset)
            run_map(made, [out, x[:n], y[:n]], "ncc")
            right = x[:n] < y[:n] if dtype == "bool" else (x[:n] + y[:n]).astype(dtype)
            assert (out == right).all() and untouched(memory, out)


def test_fma_rounds_once() -> None:
    a, b, c = (value(i, "float64") for i in range(3))
    x, y = np.array([1 + 2.0**-30] * 9), np.array([1 - 2.0**-30] * 9)
    out = np.zeros(9)
    run_map(program("map", (a, b, c), scalar.fma(a, b, c)), [out, x, y, np.full(9, -1.0)])
    assert (out == -(2.0**-60)).all()


def test_multiplication_and_addition_are_not_contracted() -> None:
    a, b, c = (value(i, "float64") for i in range(3))
    x, y = np.array([1 + 2.0**-30] * 9), np.array([1 - 2.0**-30] * 9)
    out = np.ones(9)
    run_map(program("map", (a, b, c), scalar.add(scalar.mul(a, b), c)), [out, x, y, np.full(9, -1.0)])
    assert (out == 0).all()


def test_what_is_not_a_primitive_is_refused() -> None:
    a = value(0, "float32")
    with pytest.raises(NotImplementedError, match="exp on float32"):
        emit.emit_map(program("map", (a,), scalar.exp(a)), "cc", TARGETS[next(iter(TARGETS))])


def test_code_that_calls_outside_itself_is_refused() -> None:
    text = """declare float @sinf(float)
        define float @kernel(float %x) {
            %y = call float @sinf(float %x)
            ret float %y
        }"""
    with pytest.raises(jit.LinkError, match="sinf"):
        jit.compile_ir(text)


@pytest.mark.parametrize("number", (0.1, -0.0, float("inf"), float("nan"), 1e300, 1e-45, 3.4028236e38))
def test_float_literals(number: float) -> None:
    made: Program = program("map", (), Value("const", (), "float32", number), Value("const", (), "float64", number))
    outputs = [np.zeros(2, "f4"), np.zeros(2, "f8")]
    run_map(made, outputs, "cc")
    with np.errstate(over="ignore"):
        assert same(outputs[0], np.full(2, number).astype("f4")) and same(outputs[1], np.full(2, number))


def test_lanes() -> None:
    wide = TARGETS[next(iter(TARGETS))]
    a, b, c = value(0, "float32"), value(1, "float64"), value(2, "int8")
    assert registers.choose_lanes(wide, [a]) == wide.vector_bytes // 4
    assert registers.choose_lanes(wide, [b]) == wide.vector_bytes // 8
    assert registers.choose_lanes(wide, [c]) == wide.vector_bytes
    assert registers.choose_lanes(wide, [a, b]) == wide.vector_bytes // 4
