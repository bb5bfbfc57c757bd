"""The array API namespace against NumPy: functions of single elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import flambeau as fl

from .array_api import (
    ALL,
    COMPLEX,
    FLOATS,
    INTEGERS,
    REAL,
    SIGNED,
    UNSIGNED,
    arrays,
    check,
    checked,
    run,
    tensor,
    xp,
)

UNARY = {
    "abs": {"dtypes": [*FLOATS, *SIGNED], "special": True},
    "acos": {"low": -1, "high": 1},
    "acosh": {"low": 1},
    "asin": {"low": -1, "high": 1},
    "asinh": {"special": True},
    "atan": {"special": True},
    "atanh": {"low": -0.984375, "high": 0.984375},
    "bitwise_invert": {"dtypes": [*INTEGERS, "bool"]},
    "ceil": {"dtypes": REAL, "special": True},
    "conj": {"dtypes": FLOATS},
    "cos": {"special": True},
    "cosh": {"special": True},
    "exp": {"special": True},
    "expm1": {"special": True},
    "floor": {"dtypes": REAL, "special": True},
    "isfinite": {"dtypes": REAL, "special": True},
    "isinf": {"dtypes": REAL, "special": True},
    "isnan": {"dtypes": REAL, "special": True},
    "log": {"special": True},
    "log10": {"special": True},
    "log1p": {"special": True},
    "log2": {"special": True},
    "logical_not": {"dtypes": ALL},
    "negative": {"dtypes": [*FLOATS, *SIGNED], "special": True},
    "positive": {"dtypes": REAL, "special": True},
    "real": {"dtypes": FLOATS},
    "reciprocal": {"special": True},
    "round": {"dtypes": REAL, "special": True},
    "sign": {"dtypes": REAL, "special": True},
    "signbit": {"special": True},
    "sin": {"special": True},
    "sinh": {"special": True},
    "sqrt": {"special": True},
    "square": {"dtypes": REAL, "low": -10, "high": 10},
    "tan": {"low": -1.5, "high": 1.5},
    "tanh": {"special": True},
    "trunc": {"dtypes": REAL, "special": True},
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_element(name: str) -> None:
    @checked
    @given(arrays(**UNARY[name]))
    def compare(a: np.ndarray) -> None:
        run(name, (a,), {})

    compare()


BINARY = {
    "add": {"dtypes": REAL},
    "atan2": {"special": True},
    "bitwise_and": {"dtypes": [*INTEGERS, "bool"]},
    "bitwise_left_shift": {"dtypes": INTEGERS, "low": 0, "high": 6},
    "bitwise_or": {"dtypes": [*INTEGERS, "bool"]},
    "bitwise_right_shift": {"dtypes": INTEGERS, "low": 0, "high": 6},
    "bitwise_xor": {"dtypes": [*INTEGERS, "bool"]},
    "copysign": {"special": True},
    "divide": {"special": True},
    "equal": {"dtypes": ALL, "low": -2, "high": 2, "special": True},
    "floor_divide": {"dtypes": REAL, "low": 1, "high": 20},
    "greater": {"dtypes": REAL, "low": -2, "high": 2, "special": True},
    "greater_equal": {"dtypes": REAL, "low": -2, "high": 2, "special": True},
    "hypot": {"special": True},
    "less": {"dtypes": REAL, "low": -2, "high": 2, "special": True},
    "less_equal": {"dtypes": REAL, "low": -2, "high": 2, "special": True},
    "logaddexp": {},
    "logical_and": {"dtypes": ["bool"]},
    "logical_or": {"dtypes": ["bool"]},
    "logical_xor": {"dtypes": ["bool"]},
    "maximum": {"dtypes": REAL, "special": True},
    "minimum": {"dtypes": REAL, "special": True},
    "multiply": {"dtypes": REAL, "low": -5, "high": 5},
    "nextafter": {},
    "not_equal": {"dtypes": ALL, "low": -2, "high": 2, "special": True},
    "pow": {"dtypes": FLOATS, "low": 0.25, "high": 4},
    "remainder": {"dtypes": REAL, "low": 1, "high": 20},
    "subtract": {"dtypes": REAL},
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_elements(name: str) -> None:
    options = BINARY[name]
    kinds = [k for k in (FLOATS, SIGNED, UNSIGNED, ["bool"]) if set(k) <= set(options.get("dtypes", FLOATS))]

    @checked
    @given(st.data())
    def compare(data: Any) -> None:
        # Two dtypes of one kind: the standard leaves promotion across kinds open. Either may have no dimensions.
        kind = data.draw(st.sampled_from(kinds))
        shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)).input_shapes
        a, b = (data.draw(arrays(**{**options, "dtypes": kind, "shape": shape})) for shape in shapes)
        # NumPy rounds bitwise shifts and unsigned subtraction the same way; int8 overflow wraps in both.
        run(name, (a, b), {})

    compare()


@checked
@given(
    arrays(dtypes=["float32", "float64", "int32", "int64"]),
    st.integers(1, 5),
    st.sampled_from(sorted(set(BINARY) - {"nextafter"})),
)
def test_a_number_takes_the_dtype_of_the_tensor(a: np.ndarray, number: int, name: str) -> None:
    try:
        expected = getattr(np, name)(a, number)
    except TypeError:
        return
    if name in ("logical_and", "logical_or", "logical_xor") or (a.dtype.kind == "i" and expected.dtype.kind == "f"):
        return
    with np.errstate(all="ignore"):
        check(getattr(xp, name)(tensor(a), number), getattr(np, name)(a, number))


COMPLEX_UNARY = (
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "conj", "cos", "cosh", "exp", "expm1", "imag", "isfinite",
    "isinf", "isnan", "log", "log10", "log1p", "log2", "negative", "positive", "real", "reciprocal", "sign", "sin",
    "sinh", "sqrt", "square", "tan", "tanh",
)  # fmt: skip
COMPLEX_BINARY = ("add", "divide", "equal", "multiply", "not_equal", "pow", "subtract")


@pytest.mark.parametrize("name", [*COMPLEX_UNARY, *COMPLEX_BINARY])
def test_functions_of_complex_elements(name: str) -> None:
    @checked
    @given(arrays(dtypes=COMPLEX, low=0.25, high=2, shape=(3,)), arrays(dtypes=COMPLEX, low=-2, high=2, shape=(2, 3)))
    def compare(a: np.ndarray, b: np.ndarray) -> None:
        rtol = 1e-4 if "complex64" in (a.dtype, b.dtype) else 1e-11
        exact = {"isfinite", "isinf", "isnan", "equal", "not_equal"}
        b = np.where(np.abs(b) < 0.01, b.dtype.type(0.5 + 0.25j), b)  # poles and branch points
        run(name, (a, b) if name in COMPLEX_BINARY else (b,), {}, rtol=None if name in exact else rtol)

    compare()


def test_zero_dimensional_tensors_promote_like_others() -> None:
    a, b = fl.ones(3), fl.tensor(2.0, dtype=fl.float64)
    assert xp.add(a, b).dtype is fl.float64 and xp.add(b, a).dtype is fl.float64 and (a + b).dtype is fl.float32
    assert xp.where(a > 0, a, b).dtype is fl.float64
    assert xp.multiply(fl.ones(3, dtype=fl.int8), fl.tensor(3)).dtype is fl.int64


def test_imag_is_of_complex_numbers() -> None:
    with pytest.raises(TypeError, match="complex"):
        xp.imag(fl.ones(2))


@checked
@given(arrays(special=True), st.sampled_from([1.0, -2.5, 0.0, np.inf, -np.inf]))
def test_a_remainder_of_zero_has_the_sign_of_the_divisor(a: np.ndarray, divisor: float) -> None:
    with np.errstate(all="ignore"):
        b = np.asarray(divisor, dtype=a.dtype)
        if np.isinf(divisor) or divisor == 0:
            return
        expected = np.remainder(a, b)
    got = np.asarray(xp.remainder(tensor(a), tensor(b)))
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[expected == 0]))


@checked
@given(arrays(dtypes=REAL, low=-5, high=5, special=True), st.data())
def test_clip(a: np.ndarray, data: Any) -> None:
    low, high = sorted(data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
    kind = data.draw(st.sampled_from(["numbers", "low", "high", "arrays"]))
    bounds: tuple[Any, Any] = (low, high)
    if kind == "arrays":
        bounds = (np.full((1,), low, a.dtype), np.full((1,), high, a.dtype))
    bounds = (None if kind == "high" else bounds[0], None if kind == "low" else bounds[1])
    run("clip", (a, *bounds), {})
