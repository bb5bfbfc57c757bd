"""Running sums, products and extremes along any dimension, against NumPy, at one and two threads."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl


def _samples(dtype: str) -> np.ndarray:
    values = (np.arange(7 * 90 * 130).reshape(7, 90, 130) * 2654435761 % 1009 % 23).astype(dtype)
    if dtype.startswith("float"):
        values[:, 60, ::7] = np.nan
        values[:, 5, ::3] = -np.inf
        values[:, 3] *= -0.0
    return values


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_extremes(name: str, dtype: str, dim: int) -> None:
    values = _samples(dtype)
    extreme = np.maximum if name == "cummax" else np.minimum
    with np.errstate(invalid="ignore"):
        best = extreme.accumulate(values, axis=dim)
    here = (values == best) | (values != values)
    places = np.arange(values.shape[dim]).reshape([-1 if d == dim else 1 for d in range(3)])
    places = np.maximum.accumulate(np.where(here, places, 0), axis=dim)
    before = fl.get_num_threads()
    try:
        for threads in (1, 2):
            fl.set_num_threads(threads)
            found = getattr(fl, name)(fl.tensor(values), dim)
            np.testing.assert_array_equal(found.indices.numpy(), places)
            np.testing.assert_array_equal(found.values.numpy(), best)
    finally:
        fl.set_num_threads(before)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_sums_and_products(name: str, dim: int) -> None:
    values = 1 + _samples("int64") % 3
    found = getattr(fl, name)(fl.tensor(values), dim).numpy()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, getattr(np, name)(values, axis=dim))


def test_no_elements_and_no_dimensions() -> None:
    assert fl.cummax(fl.zeros((0, 3)), 0).indices.shape == (0, 3)
    found = fl.cummin(fl.tensor(3.0), 0)
    assert found.values.shape == () and found.values.item() == 3.0 and found.indices.item() == 0


def test_the_gradient_goes_where_the_extreme_is() -> None:
    x = fl.tensor([1.0, 3.0, 2.0, 3.0, 5.0], requires_grad=True)
    fl.cummax(x, 0).values.backward(fl.tensor([1.0, 2.0, 4.0, 8.0, 16.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 6.0, 0.0, 8.0, 16.0])
