"""Contractions against NumPy: every dtype, sizes around the tile's edges, any strides, one thread and several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as fl

SIZES = (1, 2, 3, 7, 14, 15, 16, 17, 31, 33, 64, 87, 100)
FLOATS = {"float32": 6e-8, "float64": 1.2e-16, "float16": 5e-4, "bfloat16": 4e-3}
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Leave the number of threads as it was."""
    before = fl.get_num_threads()
    yield
    fl.set_num_threads(before)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers that `dtype` holds exactly, as NumPy's nearest dtype."""
    if dtype in INTEGERS:
        low = 0 if dtype.startswith("u") else -100
        return rng.integers(low, 100, shape).astype(dtype)
    numbers = rng.standard_normal(shape).astype("float64" if dtype == "float64" else "float32")
    if dtype == "float16":
        return numbers.astype("float16").astype("float32")
    if dtype == "bfloat16":
        return (numbers.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return numbers


def tensor(array: np.ndarray, dtype: str) -> Any:
    """A tensor of `dtype` with the array's values."""
    return fl.from_numpy(array).to(getattr(fl, dtype))


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "strided": lambda x: fl.stack([x, x], -1).reshape(x.shape[0], 2 * x.shape[1])[:, ::2],
    "offset": lambda x: fl.cat([x[..., :1], x], -1)[..., 1:],
}


def check(result: Any, a: np.ndarray, b: np.ndarray, dtype: str, bias: np.ndarray | None = None) -> None:
    """Compare with NumPy in a wider dtype; the bound grows with the terms' sizes and slowly with their number."""
    if dtype in INTEGERS:
        expected = a.astype("int64") @ b.astype("int64") + (0 if bias is None else bias.astype("int64"))
        assert np.array_equal(result.numpy(), expected.astype(dtype))
        return
    a, b = a.astype("float64"), b.astype("float64")
    expected = a @ b + (0 if bias is None else bias.astype("float64"))
    sums = np.abs(a) @ np.abs(b) + (0 if bias is None else np.abs(bias))
    error = np.abs(result.to(fl.float64).numpy() - expected)
    computed = FLOATS["float64" if dtype == "float64" else "float32"]
    bound = sums * computed * (4 + np.sqrt(a.shape[-1]) / 4) + np.abs(expected) * FLOATS[dtype] * 2 + 1e-300
    if dtype == "float16":
        bound = bound + 6e-8  # half a step of the smallest numbers
    assert np.all(error <= bound), f"error {np.max(error / bound):.2f} times the bound"


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_sizes_around_the_tile(dtype: str) -> None:
    rng = np.random.default_rng(1)
    for m, n, k in itertools.islice(zip(*(rng.permutation(SIZES * 6) for _ in range(3))), 60):
        a, b = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        check(tensor(a, dtype) @ tensor(b, dtype), a, b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32", "int8"])
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_layouts(dtype: str, left: str, right: str) -> None:
    rng = np.random.default_rng(2)
    for m, n, k in ((5, 70, 33), (40, 9, 20), (1, 50, 30), (50, 1, 30), (130, 300, 40), (1, 1, 100)):
        a, b = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        check(LAYOUTS[left](tensor(a, dtype)) @ LAYOUTS[right](tensor(b, dtype)), a, b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_linear_with_bias(dtype: str) -> None:
    rng = np.random.default_rng(3)
    for m, n, k in ((32, 64, 87), (32, 1, 32), (1, 40, 20), (1, 1, 9), (200, 10, 64), (3, 300, 500)):
        x, w, bias = values(rng, (m, k), dtype), values(rng, (n, k), dtype), values(rng, (n,), dtype)
        result = fl.nn.functional.linear(tensor(x, dtype), tensor(w, dtype), tensor(bias, dtype))
        check(result, x, w.T, dtype, bias)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_batches_and_broadcasting(dtype: str) -> None:
    rng = np.random.default_rng(4)
    for left, right in (((7, 5, 9), (7, 9, 4)), ((7, 5, 9), (9, 40)), ((5, 9), (7, 9, 4)), ((2, 1, 3, 8), (5, 8, 6))):
        a, b = values(rng, left, dtype), values(rng, right, dtype)
        check(tensor(a, dtype) @ tensor(b, dtype), a, b, dtype)


@pytest.mark.parametrize("m, n, k", [(3, 4, 0), (0, 4, 3), (3, 0, 4), (1, 5, 0), (5, 1, 0)])
def test_nothing_to_sum(m: int, n: int, k: int) -> None:
    result = fl.ones(m, k) @ fl.ones(k, n)
    assert result.shape == (m, n) and np.array_equal(result.numpy(), np.zeros((m, n)))
    biased = fl.nn.functional.linear(fl.ones(m, k), fl.ones(n, k), fl.full((n,), 2.5))
    assert np.array_equal(biased.numpy(), np.full((m, n), 2.5))


SHARED = [
    (300, 200, 900),
    (20, 3000, 100),
    (2000, 40, 60),
    (1, 3000, 400),
    (3000, 1, 400),
    (64, 87, 4096),
    (1, 1, 200_000),
]


@pytest.mark.parametrize("m, n, k", SHARED)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_threads_change_no_bit(m: int, n: int, k: int, dtype: str) -> None:
    rng = np.random.default_rng(5)
    a, b = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
    for right in (tensor(b, dtype), tensor(np.ascontiguousarray(b.T), dtype).T):
        results = []
        for count in (1, 2, 5):
            fl.set_num_threads(count)
            results.append((tensor(a, dtype) @ right).to(fl.float64 if dtype in FLOATS else fl.int64).numpy().tobytes())
        assert results[0] == results[1] == results[2]
    fl.set_num_threads(2)
    check(tensor(a, dtype) @ tensor(b, dtype), a, b, dtype)


def test_an_element_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(6)
    a, b = (tensor(values(rng, shape, "float32"), "float32") for shape in ((150, 90), (90, 70)))
    whole = (a @ b).numpy()
    for rows in (2, 13, 29, 131):
        assert np.array_equal((a[:rows] @ b).numpy(), whole[:rows])


def test_special_values_stay_in_their_row_and_column() -> None:
    a, b = np.ones((40, 20), "float32"), np.ones((20, 50), "float32")
    a[7, 3], b[5, 9] = np.nan, np.inf
    result = (fl.from_numpy(a) @ fl.from_numpy(b)).numpy()
    expected = np.full((40, 50), 20, "float32")
    expected[:, 9], expected[7] = np.inf, np.nan
    np.testing.assert_array_equal(result, expected)
