"""What the tests of the array API namespace share: random arrays, and one call made of both libraries.

One case is one function: a strategy for its arguments and NumPy's function of the same name. What NumPy computes in
higher precision or in a dtype that is not there is said in the case.
"""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
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


@st.composite
def reductions(draw: Any, a: np.ndarray) -> dict[str, Any]:
    places = list(range(-a.ndim, a.ndim))
    axis = draw(st.none() | st.sampled_from(places)) if places else None
    if a.ndim and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(range(a.ndim)), unique=True, max_size=a.ndim))
        axis = tuple(chosen)
    return {"axis": axis, "keepdims": draw(st.booleans())}
