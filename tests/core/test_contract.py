"""Contractions against NumPy: every dtype, sizes around the tile's edges, any strides, one thread and several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as fl
from flambeau import _core
from flambeau.compiler import service
from flambeau.compiler.program import CODES
from flambeau.ops import elementwise

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
    (5000, 3, 300),
    (8, 9, 20_000),
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


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int32"])
@pytest.mark.parametrize("left", LAYOUTS)
def test_few_columns_and_long_sums(dtype: str, left: str) -> None:
    rng = np.random.default_rng(7)
    for m, n, k in ((9, 3, 200), (3, 30, 331), (2, 7, 128), (41, 5, 1000), (6, 11, 5000), (40, 33, 4099)):
        a, b = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        check(LAYOUTS[left](tensor(a, dtype)) @ tensor(b, dtype), a, b, dtype)
        right = tensor(np.ascontiguousarray(b.T), dtype)
        bias = values(rng, (n,), dtype)
        if dtype != "int32":
            linear = fl.nn.functional.linear(LAYOUTS[left](tensor(a, dtype)), right, tensor(bias, dtype))
            check(linear, a, b, dtype, bias)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("m, n, k", [(8, 9, 9000), (40, 33, 4099), (7, 3, 500), (103, 5, 800)])
def test_rows_alone_have_the_bits_of_the_whole(m: int, n: int, k: int, dtype: str) -> None:
    rng = np.random.default_rng(8)
    a, b = tensor(values(rng, (m + 300, k), dtype), dtype), tensor(values(rng, (k, n), dtype), dtype)
    whole = (a @ b).float().numpy()
    for start, end in ((0, m), (1, m), (m // 2, m + 1)):
        assert np.array_equal((a[start:end] @ b).float().numpy(), whole[start:end])


@pytest.mark.parametrize("k", [1, 2, 3, 30, 31, 1501])
def test_pairs_keep_infinities_apart(k: int) -> None:
    """An odd sum is filled up with zeros on both sides: what lies behind the operands must not be read."""
    a = fl.full((20, k + 1), float("nan")).to(fl.bfloat16)
    b = fl.full((k + 1, 40), float("inf")).to(fl.bfloat16)
    a[:, :k], b[:k] = 1.0, 2.0
    expected = fl.full((20, 40), 2.0 * k).to(fl.bfloat16).float().numpy()
    for left in (a[:, :k], a[:, :k].T.contiguous().T):
        for right in (b[:k], b[:k].T.contiguous().T):
            assert np.array_equal((left @ right).float().numpy(), expected)


SHAPES = [
    (1, 30, 50, 20), (3, 40, 70, 33), (2, 200, 300, 40), (1, 300, 200, 1300), (4, 1, 60, 90), (4, 60, 1, 90),
    (2, 9, 3, 400), (2, 3, 9, 400), (1, 20, 30, 5000), (2, 5, 6, 0), (1, 700, 40, 100),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("columns_first", [False, True])
@pytest.mark.parametrize("batch, m, n, k", SHAPES)
def test_a_map_runs_once_on_every_element(batch: int, m: int, n: int, k: int, columns_first: bool, dtype: str) -> None:
    rng = np.random.default_rng(9)
    a, b = (tensor(values(rng, shape, dtype), dtype) for shape in ((batch, m, k), (batch, k, n)))
    factor, row, bias = (tensor(values(rng, shape, dtype), dtype) for shape in ((batch, m, n), (n,), (n,)))
    declaration = elementwise.addcmul.declaration
    code = CODES[dtype]
    weight = fl.full((), 0.25, dtype=fl.float64)
    codes, outputs, compute = declaration.resolve([(code, 0)] * 3 + [(CODES["float64"], 2)])
    kernel = service.compile_map(declaration, codes, outputs, compute, "ssssz")

    def place() -> Any:
        return fl.zeros(batch, n, m, dtype=getattr(fl, dtype)).mT if columns_first else fl.zeros_like(factor)

    for added in (None, bias):
        plain, c = place(), place()
        _core.contract_with_map(0, plain, a, b, added)
        _core.contract_with_map(kernel, c, a, b, added, c, c, factor, row, weight)
        expected = fl.addcmul(plain, factor, row, value=0.25)
        assert np.array_equal(c.to(fl.float64).numpy(), expected.to(fl.float64).numpy())
        if added is None:
            check(plain, a.double().numpy(), b.double().numpy(), dtype)
