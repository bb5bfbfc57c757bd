"""The array API namespace against NumPy: creation, dtypes, manipulation, searching, sets and statistics."""

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
    arrays,
    check,
    checked,
    covered,
    reductions,
    run,
    tensor,
    xp,
)

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
