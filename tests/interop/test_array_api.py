"""The array API namespace against NumPy, which implements the same standard: every function, by random arrays.

One case is one function: a strategy for its arguments and NumPy's function of the same name. What NumPy computes in
higher precision or in a dtype that is not there is said in the case.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import flambeau as fl

xp = fl.ones(1).__array_namespace__()
FLOATS = ["float32", "float64"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS = [*SIGNED, *UNSIGNED]
COMPLEX = ["complex64", "complex128"]
REAL = [*FLOATS, *INTEGERS]
ALL = [*REAL, "bool", *COMPLEX]
checked = settings(
    max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
covered: set[str] = set()


def tensor(a: np.ndarray) -> fl.Tensor:
    return fl.tensor(np.ascontiguousarray(a)) if a.ndim else fl.tensor(a.item(), dtype=getattr(fl, a.dtype.name))


def elements(dtype: np.dtype, low: float = -50, high: float = 50, special: bool = False) -> st.SearchStrategy:
    if dtype.kind == "f":
        numbers = st.floats(low, high, width=dtype.itemsize * 8, allow_subnormal=False)
        return numbers | st.sampled_from([np.nan, np.inf, -np.inf, -0.0]) if special else numbers
    if dtype.kind == "c":
        part = elements(np.dtype(f"float{4 * dtype.itemsize}"), low, high)
        return st.builds(complex, part, part)
    if dtype.kind == "b":
        return st.booleans()
    limits = np.iinfo(dtype)
    return st.integers(max(int(low), limits.min), min(int(high), limits.max))


@st.composite
def arrays(
    draw: Any, dtypes: list[str] = FLOATS, low: float = -50, high: float = 50, min_dims: int = 0, max_dims: int = 3,
    min_side: int = 0, special: bool = False, shape: Any = None,
) -> np.ndarray:  # fmt: skip
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = (
        draw(hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4))
        if shape is None
        else shape
    )
    return draw(hnp.arrays(dtype, shape, elements=elements(dtype, low, high, special)))


def check(actual: Any, expected: Any, rtol: float | None = None, dtype: bool = True) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected):
            check(one, other, rtol, dtype)
        return
    expected = np.asarray(expected)
    assert isinstance(actual, fl.Tensor), type(actual)
    assert tuple(actual.shape) == expected.shape
    if dtype:
        assert actual.dtype.name == expected.dtype.name, (actual.dtype, expected.dtype)
    if rtol is None:
        rtol = {"float32": 2e-5, "float64": 1e-12, "complex64": 2e-5, "complex128": 1e-12}.get(actual.dtype.name, 0)
    got = np.asarray(actual.detach().tolist(), dtype=complex if expected.dtype.kind == "c" else None)
    got = got.reshape(expected.shape)
    if expected.dtype.kind in "fc":
        np.testing.assert_allclose(
            got, expected.astype(got.dtype if got.dtype.kind in "fc" else float), rtol=rtol, atol=rtol
        )
    else:
        np.testing.assert_array_equal(got, expected)


def run(name: str, arguments: tuple[Any, ...], options: dict[str, Any], reference: Any = None, **how: Any) -> None:
    """The same call of both libraries: the same value and dtype, or an error of both."""
    covered.add(name)
    target = xp
    for part in name.split("."):
        target = getattr(target, part)
    reference = operator.attrgetter(name)(np) if reference is None else reference

    def mine(a: Any) -> Any:
        if isinstance(a, np.ndarray):
            return tensor(a)
        if isinstance(a, np.dtype):
            return getattr(xp, a.name)
        return [mine(each) for each in a] if isinstance(a, list) else a

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = reference(*arguments, **options)
        except Exception:
            with pytest.raises(Exception):  # noqa: B017
                target(*map(mine, arguments), **{key: mine(value) for key, value in options.items()})
            return
    check(target(*map(mine, arguments), **{key: mine(value) for key, value in options.items()}), expected, **how)


# ------------------------------------------------------------------------------------------------ elementwise

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


# --------------------------------------------------------------------------------------------------- creation


@checked
@given(st.data())
def test_filled_tensors(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    name = data.draw(st.sampled_from(ALL))
    dtype, like = np.dtype(name), np.ones(shape, name)
    run("zeros", (shape,), {"dtype": dtype})
    run("ones", (shape,), {"dtype": dtype})
    run("full", (shape, 1), {"dtype": dtype})
    run("zeros_like", (like,), {})
    run("ones_like", (like,), {"dtype": dtype})
    run("full_like", (like, 1), {})
    covered.update({"empty", "empty_like"})
    assert xp.empty(shape, dtype=getattr(xp, name)).shape == shape and xp.empty_like(tensor(like)).dtype.name == name
    assert xp.zeros(3).dtype is fl.float32 and xp.full(3, 2).dtype is fl.int64 and xp.full((), True).dtype is fl.bool


@checked
@given(st.integers(-6, 6), st.none() | st.integers(-6, 6), st.sampled_from([-3, -2, -1, 1, 2, 3, 0.5, -0.75]))
def test_arange(start: int, stop: int | None, step: float) -> None:
    run("arange", (start, stop, step) if stop is not None else (start,), {}, dtype=False)
    assert xp.arange(start).dtype is fl.int64 and xp.arange(0.0, 1.0).dtype is fl.float32


@checked
@given(st.floats(-9, 9), st.floats(-9, 9), st.integers(0, 7), st.booleans())
def test_linspace(start: float, stop: float, count: int, endpoint: bool) -> None:
    run("linspace", (start, stop, count), {"endpoint": endpoint, "dtype": np.dtype("float64")}, rtol=1e-9)


@checked
@given(st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(-6, 6))
def test_eye_and_triangles(rows: int, columns: int | None, k: int) -> None:
    run("eye", (rows, columns), {"k": k, "dtype": np.dtype("float32")})
    a = np.arange(2 * rows * (columns or 1)).reshape(2, rows, columns or 1)
    run("tril", (a,), {"k": k})
    run("triu", (a,), {"k": k})


@checked
@given(st.lists(st.integers(1, 3), max_size=3), st.sampled_from(["xy", "ij"]))
def test_meshgrid(sizes: list[int], indexing: str) -> None:
    run("meshgrid", tuple(np.arange(n) for n in sizes), {"indexing": indexing})


@checked
@given(arrays(dtypes=ALL))
def test_asarray_and_from_dlpack(a: np.ndarray) -> None:
    covered.update({"asarray", "from_dlpack"})
    for copy in (None, True):
        if a.size:
            check(xp.asarray(a.tolist(), dtype=getattr(xp, a.dtype.name), copy=copy), a)
        check(xp.asarray(tensor(a), copy=copy), a)
        check(xp.from_dlpack(a, copy=copy), a)
    x = xp.asarray(np.zeros(3))
    same, other = xp.asarray(x, copy=False), xp.asarray(x, copy=True)
    x[0] = 5
    assert same[0].item() == 5 and other[0].item() == 0
    for needs in ([1.0], 3):
        with pytest.raises(ValueError, match="copy"):
            xp.asarray(needs, copy=False)
    with pytest.raises(ValueError, match="copy"):
        xp.asarray(x, dtype=xp.float32, copy=False)
    assert xp.asarray([fl.tensor(1.0), fl.tensor(2.0)]).tolist() == [1.0, 2.0]


# ------------------------------------------------------------------------------------------------- data types


def test_dtypes_and_promotion() -> None:
    covered.update({"isdtype", "result_type", "can_cast", "finfo", "iinfo", "astype"})
    names = [name for name in ALL if hasattr(xp, name)]
    kinds = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]
    for a in names:
        for kind in kinds:
            assert xp.isdtype(getattr(xp, a), kind) == np.isdtype(np.dtype(a), kind), (a, kind)
        assert xp.isdtype(getattr(xp, a), ("bool", "integral")) == np.isdtype(np.dtype(a), ("bool", "integral"))
        for b in names:
            if "".join(sorted({np.dtype(a).kind, np.dtype(b).kind})) not in ("b", "c", "f", "i", "u", "cf", "iu"):
                continue
            expected = np.result_type(np.dtype(a), np.dtype(b)).name
            if expected == "float64" and "uint64" in (a, b):  # the standard has no dtype for both
                assert not xp.can_cast(getattr(xp, a), getattr(xp, b))
                with pytest.raises(TypeError, match="no common dtype"):
                    xp.result_type(getattr(xp, a), getattr(xp, b))
                continue
            assert xp.result_type(getattr(xp, a), fl.ones((), dtype=getattr(xp, b))).name == expected
            assert xp.can_cast(getattr(xp, a), getattr(xp, b)) == (expected == b)
    assert xp.result_type(xp.float32, 1j) is xp.complex64 and xp.result_type(xp.float64, 1j) is xp.complex128
    assert xp.add(fl.ones(2, dtype=fl.float64), 1j).dtype is xp.complex128
    assert xp.result_type(xp.float32, 1, 2.5) is xp.float32 and xp.result_type(xp.int8, 1) is xp.int8
    for name in FLOATS:
        mine, theirs = xp.finfo(getattr(xp, name)), np.finfo(name)
        for field in ("bits", "eps", "max", "min", "smallest_normal"):
            assert getattr(mine, field) == getattr(theirs, field), field
        assert mine.dtype is getattr(xp, name) and xp.finfo(fl.ones(1, dtype=getattr(xp, name))) == mine
    for name in INTEGERS:
        mine, theirs = xp.iinfo(getattr(xp, name)), np.iinfo(name)
        assert (mine.bits, mine.min, mine.max) == (theirs.bits, theirs.min, theirs.max)
    with pytest.raises(ValueError, match="kind"):
        xp.isdtype(xp.int8, "whole")


@checked
@given(arrays(dtypes=ALL, low=0, high=100), st.sampled_from(ALL), st.booleans())
def test_astype(a: np.ndarray, name: str, copy: bool) -> None:
    x = tensor(a)
    y = xp.astype(x, getattr(xp, name), copy=copy)
    check(y, a.astype(name))
    assert (y is x) == (not copy and a.dtype.name == name)


# ----------------------------------------------------------------------------------------------- manipulation


@checked
@given(st.data())
def test_joining(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    kind = data.draw(st.sampled_from([FLOATS, SIGNED]))
    parts = [data.draw(arrays(dtypes=kind, shape=shape)) for _ in range(data.draw(st.integers(1, 3)))]
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    run("concat", (parts,), {"axis": None if axis == len(shape) else axis})
    run("stack", (parts,), {"axis": axis})
    a = parts[0]
    run("unstack", (a,), {"axis": axis})
    run("expand_dims", (a,), {"axis": axis})
    run("flip", (a,), {"axis": None if axis == len(shape) else axis})


@checked
@given(st.data())
def test_rearranging(data: Any) -> None:
    a = data.draw(arrays(dtypes=ALL, min_dims=1))
    order = tuple(data.draw(st.permutations(range(a.ndim))))
    run("permute_dims", (a, order), {})
    run("moveaxis", (a, order[0], order[-1]), {})
    shift, axis = data.draw(st.integers(-5, 5)), data.draw(st.none() | st.sampled_from(order))
    run("roll", (a, shift), {"axis": axis})
    if a.ndim > 1:
        run("roll", (a, (shift, 1)), {"axis": order[:2]})
    run("tile", (a, tuple(data.draw(st.lists(st.integers(0, 3), max_size=4)))), {})
    run("repeat", (a, data.draw(st.integers(0, 3))), {"axis": axis})
    counts = np.asarray(data.draw(st.lists(st.integers(0, 3), min_size=a.shape[0], max_size=a.shape[0])), dtype="int64")
    run("repeat", (a, counts), {"axis": 0})
    for copy in (None, True, False):
        run("reshape", (a, (-1,) if a.size else a.shape), {"copy": copy})
    b = np.expand_dims(a, order[0])
    run("squeeze", (b, order[0]), {})
    run("squeeze", (a, order[0]), {})
    if a.ndim >= 2:
        run("matrix_transpose", (a,), {})


@checked
@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_broadcasting(shapes: Any) -> None:
    made = [np.arange(int(np.prod(s))).reshape(s) for s in shapes.input_shapes]
    covered.add("broadcast_shapes")
    assert xp.broadcast_shapes(*shapes.input_shapes) == shapes.result_shape
    run("broadcast_arrays", tuple(made), {}, reference=lambda *a: list(np.broadcast_arrays(*a)))
    run("broadcast_to", (made[0], shapes.result_shape), {})


def test_what_cannot_be_a_view_says_so() -> None:
    with pytest.raises(ValueError, match="copy=False"):
        xp.reshape(fl.ones(2, 3).T, (6,), copy=False)
    with pytest.raises(ValueError, match="not 1"):
        xp.squeeze(fl.ones(2, 1), 0)


# -------------------------------------------------------------------- searching, sorting, sets and statistics


@st.composite
def reductions(draw: Any, a: np.ndarray) -> dict[str, Any]:
    places = list(range(-a.ndim, a.ndim))
    axis = draw(st.none() | st.sampled_from(places)) if places else None
    if a.ndim and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(range(a.ndim)), unique=True, max_size=a.ndim))
        axis = tuple(chosen)
    return {"axis": axis, "keepdims": draw(st.booleans())}


REDUCTIONS: dict[str, dict[str, Any]] = {
    "sum": {"dtypes": [*REAL, *COMPLEX]},
    "prod": {"dtypes": [*REAL, *COMPLEX], "low": -2, "high": 2},
    "mean": {"dtypes": [*FLOATS, *COMPLEX], "min_side": 1},
    "var": {"min_side": 2},
    "std": {"min_side": 2},
    "max": {"dtypes": REAL, "min_side": 1, "special": True},
    "min": {"dtypes": REAL, "min_side": 1, "special": True},
    "all": {"dtypes": ALL, "low": -1, "high": 1},
    "any": {"dtypes": ALL, "low": -1, "high": 1},
    "count_nonzero": {"dtypes": ALL, "low": -1, "high": 1},
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    @checked
    @given(st.data())
    def compare(data: Any) -> None:
        a = data.draw(arrays(**REDUCTIONS[name]))
        options = data.draw(reductions(a))
        if name in ("var", "std"):
            options["correction"] = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
            if options["correction"] == 1.0 and options["axis"] == ():
                return
        if name in ("sum", "prod") and data.draw(st.booleans()):
            options["dtype"] = np.dtype("float64")
        run(name, (a,), options, rtol=1e-3 if a.dtype == "float32" else 1e-10 if a.dtype == "float64" else None)

    compare()


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_of_extremes(name: str) -> None:
    @checked
    @given(st.data())
    def compare(data: Any) -> None:
        a = data.draw(arrays(dtypes=REAL, low=-3, high=3, min_side=1))
        axis = data.draw(st.none() | st.integers(-a.ndim, a.ndim - 1)) if a.ndim else None
        run(name, (a,), {"axis": axis, "keepdims": data.draw(st.booleans())})

    compare()


@checked
@given(st.data())
def test_sorting(data: Any) -> None:
    a = data.draw(arrays(dtypes=REAL, low=-3, high=3, min_dims=1))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    down = data.draw(st.booleans())

    def order(x: np.ndarray, axis: int) -> np.ndarray:
        if not down:
            return np.argsort(x, axis=axis, kind="stable")
        turned = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
        return x.shape[axis] - 1 - turned

    run("argsort", (a,), {"axis": axis, "descending": down}, reference=lambda x, axis, descending: order(x, axis))
    run(
        "sort",
        (a,),
        {"axis": axis, "descending": down},
        reference=lambda x, axis, descending: np.take_along_axis(x, order(x, axis), axis),
    )


@checked
@given(st.data())
def test_running_values_and_differences(data: Any) -> None:
    a = data.draw(arrays(dtypes=REAL, low=-2, high=2, min_dims=1))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    how = {"axis": axis, "include_initial": data.draw(st.booleans())}
    run("cumulative_sum", (a,), how, rtol=1e-4 if a.dtype == "float32" else None)
    run("cumulative_prod", (a,), how, rtol=1e-4 if a.dtype == "float32" else None)
    options = {"axis": axis, "n": data.draw(st.integers(0, 3))}
    if data.draw(st.booleans()):
        options["prepend"] = options["append"] = np.take(a, [0] if a.shape[axis] else [], axis=axis)
    if a.dtype == "bool":
        return
    run("diff", (a,), options, rtol=1e-4 if a.dtype == "float32" else None)


@checked
@given(arrays(dtypes=[*REAL, "bool"], low=-3, high=3, special=True))
def test_sets(a: np.ndarray) -> None:
    for name in ("unique_values", "unique_counts", "unique_inverse", "unique_all"):
        reference = (lambda x: np.unique(x, equal_nan=False)) if name == "unique_values" else getattr(np, name)
        run(name, (a,), {}, reference=reference)
    found = xp.unique_all(tensor(a))
    assert (*found,) == (found.values, found.indices, found.inverse_indices, found.counts)


@checked
@given(st.data())
def test_searching(data: Any) -> None:
    a = data.draw(arrays(dtypes=ALL, low=-2, high=2, min_dims=1))
    run("nonzero", (a,), {})
    kind = data.draw(st.sampled_from([FLOATS, SIGNED]))
    sides = [data.draw(arrays(dtypes=kind, low=-3, high=3, shape=a.shape)) for _ in range(2)]
    run("where", (a != 0, *sides), {})
    run("where", (a != 0, sides[0], 2), {})
    run("isin", tuple(sides), {"invert": data.draw(st.booleans())})
    vector = sides[0].reshape(-1)
    side = data.draw(st.sampled_from(["left", "right"]))
    run("searchsorted", (np.sort(vector), sides[1]), {"side": side})
    run("searchsorted", (vector, sides[1]), {"side": side, "sorter": np.argsort(vector, kind="stable")})


@checked
@given(st.data())
def test_taking(data: Any) -> None:
    a = data.draw(arrays(dtypes=ALL, min_dims=1, min_side=1))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    places = data.draw(st.lists(st.integers(-a.shape[axis], a.shape[axis] - 1), max_size=4))
    run("take", (a, np.asarray(places, dtype="int64")), {"axis": axis})
    run("take", (a, np.asarray([places], dtype="int64")), {"axis": axis})
    order = np.argsort(a, axis=axis, kind="stable")
    run("take_along_axis", (a, order), {"axis": axis})
    run("take_along_axis", (a, order - a.shape[axis]), {"axis": axis})


# -------------------------------------------------------------------------------------------- linear algebra


@st.composite
def matrices(draw: Any, square: bool = True, kind: list[str] = FLOATS, symmetric: bool = False) -> np.ndarray:
    batch = draw(st.sampled_from([(), (2,), (2, 1)]))
    rows = draw(st.integers(1, 4))
    columns = rows if square else draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    a = random.standard_normal((*batch, rows, columns))
    if square:
        a = a + 4 * np.eye(rows)
    if symmetric:
        a = a @ np.swapaxes(a, -1, -2)
    return a.astype(draw(st.sampled_from(kind)))


def tolerance(a: np.ndarray) -> float:
    return 2e-3 if a.dtype == "float32" else 1e-8


@checked
@given(matrices(), st.integers(-2, 3))
def test_square_matrices(a: np.ndarray, n: int) -> None:
    how = {"rtol": tolerance(a)}
    run("linalg.det", (a,), {}, **how)
    run("linalg.inv", (a,), {}, **how)
    run("linalg.slogdet", (a,), {}, **how)
    run("linalg.matrix_power", (a, n), {}, **how)
    run("linalg.trace", (a,), {"offset": n}, **how)
    run("linalg.diagonal", (a,), {"offset": n}, **how)
    run("linalg.solve", (a, a), {}, **how)
    run("linalg.solve", (a, a[..., 0, :].reshape(-1)[: a.shape[-1]]), {}, **how)
    run("linalg.matrix_transpose", (a,), {})


@checked
@given(matrices(symmetric=True), st.booleans())
def test_symmetric_matrices(a: np.ndarray, upper: bool) -> None:
    how = {"rtol": tolerance(a)}
    run("linalg.cholesky", (a,), {"upper": upper}, **how)
    run("linalg.eigvalsh", (a,), {}, **how)
    covered.add("linalg.eigh")
    values, vectors = xp.linalg.eigh(tensor(a))
    check(vectors @ fl.diag_embed(values) @ vectors.mT, a, rtol=10 * tolerance(a))


@checked
@given(matrices(square=False), st.sampled_from(["reduced", "complete"]))
def test_factors(a: np.ndarray, mode: str) -> None:
    covered.update({"linalg.qr", "linalg.svd"})
    how = {"rtol": tolerance(a)}
    q, r = xp.linalg.qr(tensor(a), mode=mode)
    check(q @ r, a, **how)
    assert q.shape == np.linalg.qr(a, mode).Q.shape
    u, s, vh = xp.linalg.svd(tensor(a), full_matrices=False)
    check(u @ fl.diag_embed(s) @ vh, a, **how)
    assert xp.linalg.svd(tensor(a)).U.shape == np.linalg.svd(a).U.shape
    run("linalg.svdvals", (a,), {}, **how)
    run("linalg.pinv", (a,), {"rtol": 1e-4}, **how)
    run("linalg.matrix_rank", (a,), {})
    for kind in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        run("linalg.matrix_norm", (a,), {"ord": kind, "keepdims": mode == "complete"}, **how)


@checked
@given(st.data())
def test_products(data: Any) -> None:
    kind = data.draw(st.sampled_from([FLOATS, SIGNED]))
    n, m, k = (data.draw(st.integers(0, 3)) for _ in range(3))
    a = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(2, n, k)))
    b = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(k, m)))
    for prefix in ("", "linalg."):
        run(prefix + "matmul", (a, b), {}, rtol=1e-3)
        run(prefix + "tensordot", (a, b), {"axes": 1}, rtol=1e-3)
        run(prefix + "tensordot", (a, b), {"axes": ((2,), (0,))}, rtol=1e-3)
        run(prefix + "vecdot", (a, a[:1]), {}, rtol=1e-3)
        run(prefix + "vecdot", (a, a), {"axis": -2}, rtol=1e-3)
    run("linalg.outer", (a.reshape(-1), b.reshape(-1)), {})
    three = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(n, 3)))
    run("linalg.cross", (three, three[::-1].copy()), {}, rtol=1e-3)
    run("matmul", (a, np.asarray(2, a.dtype)), {})


@checked
@given(st.data())
def test_vector_norms(data: Any) -> None:
    a = data.draw(arrays(min_side=1, min_dims=1))
    options = data.draw(reductions(a))
    options["ord"] = data.draw(st.sampled_from([2, 1, 3, 0, np.inf, -np.inf]))
    if options["axis"] == ():
        return
    run("linalg.vector_norm", (a,), options, rtol=1e-4 if a.dtype == "float32" else None)


def test_transforms() -> None:
    random = np.random.default_rng(0)
    x, z = random.standard_normal((3, 6)), random.standard_normal((3, 6)) + 1j * random.standard_normal((3, 6))
    for name in ("fft", "ifft", "hfft", "irfft"):
        run("fft." + name, (z,), {"axis": 0, "norm": "ortho"}, rtol=1e-9)
    for name in ("fftn", "ifftn", "irfftn"):
        run("fft." + name, (z,), {"axes": (0, 1)}, rtol=1e-9)
    for name in ("rfft", "ihfft"):
        run("fft." + name, (x,), {"n": 5}, rtol=1e-9)
    run("fft.rfftn", (x,), {"axes": (0, 1)}, rtol=1e-9)
    for name in ("fftfreq", "rfftfreq"):
        run("fft." + name, (7,), {"d": 0.5}, dtype=False)
    for name in ("fftshift", "ifftshift"):
        run("fft." + name, (x,), {"axes": (1,)})


# ---------------------------------------------------------------------------------------------- the namespace


def test_the_namespace_of_a_tensor() -> None:
    x = fl.ones(2)
    assert x.__array_namespace__(api_version="2024.12") is xp and xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match="api_version"):
        x.__array_namespace__(api_version="1999.01")
    assert x.to_device("cpu") is x and x.device == xp.__array_namespace_info__().default_device()
    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (np.e, np.pi, np.inf, None) and xp.nan != xp.nan


def test_what_the_namespace_says_of_itself() -> None:
    covered.add("__array_namespace_info__")
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 15}
    every = info.dtypes()
    assert set(every) <= set(dir(np)) and all(getattr(xp, name) is dtype for name, dtype in every.items())
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert set(info.dtypes(kind=("bool", "signed integer"))) == {"bool", *SIGNED}
    assert set(info.dtypes(kind=("complex floating", "unsigned integer"))) == {*COMPLEX, *UNSIGNED}
    assert info.default_dtypes()["complex floating"] is fl.complex64
    assert info.devices() == [fl.device("cpu")]
    assert info.default_dtypes()["integral"] is fl.int64
    with pytest.raises(AttributeError):
        _ = xp.no_such_function


def test_gradients_pass_through() -> None:
    x = fl.tensor([1.0, 2.0, 4.0], requires_grad=True)
    xp.sum(xp.std(x, correction=1.0) + xp.remainder(x, 3.0) + xp.clip(x, 0.0, 3.0)).backward()
    assert x.grad is not None and bool(xp.all(xp.isfinite(x.grad)))


def test_the_arguments_before_the_slash_are_positional_only() -> None:
    for name in sorted(set(BINARY) | set(UNARY)):
        kinds = [p.kind for p in inspect.signature(getattr(xp, name)).parameters.values()]
        assert kinds and all(kind is inspect.Parameter.POSITIONAL_ONLY for kind in kinds), name


def test_every_function_has_a_case() -> None:
    """Runs last: the names that the cases above called are all the functions there are."""
    names = {n for n in xp.__all__ if callable(getattr(xp, n)) and not isinstance(getattr(xp, n), fl.dtype)}
    names |= {"linalg." + n for n in xp.linalg.__all__} | {"__array_namespace_info__"}
    names |= {"fft." + n for n in xp.fft.__all__}
    if len(covered) < 20:
        pytest.skip("the cases were not run")
    assert not names - covered
