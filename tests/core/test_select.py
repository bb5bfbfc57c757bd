"""The few largest or smallest of each row equal the first of a stable sort: dtypes, ties, NaN, long rows, threads."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

NUMBERS = ["int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def expected(values: np.ndarray, k: int, largest: bool) -> np.ndarray:
    """By a stable sort in which NaN is the largest number."""
    keys = np.where(np.isnan(values), np.inf, values) if values.dtype.kind == "f" else values.astype(np.int64)
    nan = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    ranks = np.lexsort((keys, nan), axis=-1)
    if largest:  # the first of equal elements stays the first
        ranks = values.shape[-1] - 1 - np.lexsort((keys[..., ::-1], nan[..., ::-1]), axis=-1)[..., ::-1]
    return ranks[..., :k]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_rows(dtype: str, largest: bool) -> None:
    for rows, length, k in ((3, 7, 7), (4, 100, 5), (1, 1000, 1), (50, 2000, 17), (2, 1, 1), (3, 5000, 0)):
        t = fl.randint(-20, 20, (rows, length), generator=fl.Generator().manual_seed(length))
        t = t.abs().to(getattr(fl, dtype)) if dtype == "uint8" else t.to(getattr(fl, dtype))
        values = t.double().numpy() if t.is_floating_point() else t.numpy()
        assert (t.topk(k, largest=largest).indices.numpy() == expected(values, k, largest)).all()


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_nan(share: float, largest: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((20, 300)).astype("float32").round(1)
    values[rng.random(values.shape) < share] = np.nan
    assert (fl.tensor(values).topk(9, largest=largest).indices.numpy() == expected(values, 9, largest)).all()


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("order", ["random", "rising", "falling", "equal"])
def test_long_rows_are_cut_and_merged(order: str, largest: bool) -> None:
    values = np.random.default_rng(4).integers(0, 1000, (2, 200_003)).astype("float32")
    values = {"random": values, "rising": np.sort(values), "falling": -np.sort(values), "equal": values * 0}[order]
    found = []
    threads = fl.get_num_threads()
    try:
        for count in (1, 2):
            fl.set_num_threads(count)
            found.append(fl.tensor(values).topk(100, largest=largest).indices.numpy())
    finally:
        fl.set_num_threads(threads)
    assert (found[0] == expected(values, 100, largest)).all()
    assert (found[0] == found[1]).all()


def test_another_dimension_and_its_gradient() -> None:
    t = fl.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 9.0]], requires_grad=True)
    values, indices = t.topk(1, dim=0)
    assert values.tolist() == [[4, 5, 9]]
    assert indices.tolist() == [[1, 0, 1]]
    values.sum().backward()
    assert t.grad.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_rows_added_by_several_threads() -> None:
    """Positions that come again and again, in one order whatever the number of threads."""
    generator = fl.Generator().manual_seed(5)
    source = fl.randn(30_000, 16, generator=generator)
    places = fl.randint(0, 1000, (30_000,), generator=generator)
    exact = np.zeros((1000, 16))
    np.add.at(exact, places.numpy(), source.double().numpy())
    threads, found = fl.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            fl.set_num_threads(count)
            found.append(fl.zeros(1000, 16).index_add(0, places, source).numpy())
    finally:
        fl.set_num_threads(threads)
    np.testing.assert_allclose(found[0], exact, atol=1e-4)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


@pytest.mark.parametrize("width", [5, 16, 67, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex64"])
def test_rows_of_any_width_are_added_whole(width, dtype):
    places = np.arange(40) % 7
    source = np.random.default_rng(0).integers(-9, 9, (40, width)).astype(dtype)
    exact = np.zeros((9, width), dtype)
    np.add.at(exact, places, source)
    found = fl.zeros(9, width, dtype=getattr(fl, dtype)).index_add(0, fl.from_numpy(places), fl.from_numpy(source))
    np.testing.assert_array_equal(found.numpy(), exact)
