"""Copies whose source runs along another dimension: every element size, whole and partial squares, small and large."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

SHAPES = [(64, 64), (100, 70), (1000, 17), (16, 4096), (333, 200), (65, 129), (2000, 40), (128, 127), (191, 320)]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "bool", "complex64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matrix(shape: tuple[int, int], dtype: str) -> None:
    values = (np.arange(shape[0] * shape[1]).reshape(shape) * 2654435761 % 251).astype(dtype)
    turned = fl.tensor(values).T.contiguous()
    assert turned.is_contiguous()
    np.testing.assert_array_equal(turned.numpy(), values.T)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
def test_further_dimensions(dtype: str) -> None:
    values = (np.arange(5 * 70 * 3 * 80).reshape(5, 70, 3, 80) % 241).astype(dtype)
    for order in [(0, 2, 3, 1), (3, 0, 2, 1), (2, 3, 1, 0), (0, 3, 2, 1)]:
        np.testing.assert_array_equal(fl.tensor(values).permute(*order).contiguous().numpy(), values.transpose(order))


def test_nothing_beside_the_target_is_written() -> None:
    frame = fl.full((90, 120), -1.0)
    source = fl.arange(80 * 70, dtype=fl.float32).reshape(80, 70)
    frame[7:77, 11:91].copy_(source.T)
    values = frame.numpy()
    np.testing.assert_array_equal(values[7:77, 11:91], source.numpy().T)
    values[7:77, 11:91] = -1
    assert (values == -1).all()


@pytest.mark.parametrize("shape", [(2912, 2912), (2901, 2999), (4096, 2053), (4112, 2048), (8192, 1024)], ids=str)
def test_more_than_the_caches_hold(shape: tuple[int, int]) -> None:
    values = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    source = fl.tensor(values).T
    before = fl.get_num_threads()
    try:
        for threads in (1, 2):
            fl.set_num_threads(threads)
            np.testing.assert_array_equal(source.contiguous().numpy(), values.T)
    finally:
        fl.set_num_threads(before)
