"""Indexing against NumPy on keys that nobody thought of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

FAST = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@st.composite
def shapes_and_keys(draw: Any) -> tuple[tuple[int, ...], list[Any]]:
    """A shape and a key for it: each part a whole number, slice, None, Ellipsis, mask or integer array."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    joint = draw(st.sampled_from([(), (1,), (2,), (3,), (2, 3), (2, 1)]))  # what the integer arrays broadcast to
    key: list[Any] = []
    dimension = 0
    while dimension < len(shape):
        size = shape[dimension]
        kinds = ["slice", "none", "stop"] + ["number", "array", "array"] * (size > 0)
        kinds += ["mask"] * (joint == (3,) and size >= 3)
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "none":
            if len(key) > 6:
                break
            key.append(None)
            continue
        if kind == "number":
            key.append(draw(st.integers(-size, size - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-size - 2, size + 2)
            key.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "mask":
            mask = np.zeros(size, dtype=bool)
            mask[draw(st.permutations(range(size)))[:3]] = True
            key.append(mask)
        else:
            count = int(np.prod(joint))
            numbers = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
            key.append(np.array(numbers, dtype=np.int64).reshape(joint))
        dimension += 1
    if dimension < len(shape) and draw(st.booleans()):
        key.append(Ellipsis)
    return shape, key


def parts(key: list[Any], ndim: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The key in two steps, as PyTorch defines it: first what makes a view, then the arrays on that view."""
    used = sum(part is not None and part is not Ellipsis for part in key)
    basic: list[Any] = []
    arrays: list[Any] = []
    for part in key:
        if part is Ellipsis:
            rest = [slice(None)] * (ndim - used)
            basic += rest
            arrays += rest
        elif isinstance(part, np.ndarray) and part.ndim == 0:
            basic.append(int(part))
        elif isinstance(part, np.ndarray):
            basic.append(slice(None))
            arrays.append(part)
        else:
            basic.append(part)
            if not isinstance(part, int):
                arrays.append(slice(None))
    return tuple(basic), tuple(arrays)


def ours(key: list[Any]) -> tuple[Any, ...]:
    return tuple(fl.tensor(part) if isinstance(part, np.ndarray) else part for part in key)


@FAST
@given(shapes_and_keys())
def test_reading_equals_numpy(case):
    shape, key = case
    a = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    basic, arrays = parts(key, len(shape))
    assert_same(fl.from_numpy(a)[ours(key)], np.asarray(a[basic][arrays]))


@FAST
@given(shapes_and_keys(), st.booleans())
def test_writing_equals_numpy(case, whole):
    shape, key = case
    a = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    x = fl.tensor(a)
    basic, arrays = parts(key, len(shape))
    chosen = np.asarray(a[basic][arrays])
    # A place named twice may keep either value: then a single number is written.
    once = np.unique(chosen).size == chosen.size
    value = -1 - np.arange(chosen.size, dtype=np.float32).reshape(chosen.shape) if whole and once else np.float32(-1)
    x[ours(key)] = fl.tensor(value)
    places = np.arange(a.size).reshape(shape)[basic][arrays]
    a.reshape(-1)[np.asarray(places).reshape(-1)] = np.broadcast_to(value, chosen.shape).reshape(-1)
    assert_same(x, a)


@FAST
@given(shapes_and_keys())
def test_the_gradient_of_reading_counts_how_often_each_element_was_read(case):
    shape, key = case
    a = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    x = fl.tensor(a, requires_grad=True)
    y = x[ours(key)]
    weights = np.arange(1.0, y.numel() + 1).reshape(tuple(y.shape))
    y.backward(fl.tensor(weights))
    basic, arrays = parts(key, len(shape))
    expected = np.zeros(a.size)
    np.add.at(expected, np.asarray(np.arange(a.size).reshape(shape)[basic][arrays]).reshape(-1), weights.reshape(-1))
    assert_same(x.grad, expected.reshape(shape))
