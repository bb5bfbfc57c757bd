"""Which dtype results have: tensors with each other, with 0-dim tensors and with Python numbers."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.dtypes import ALL

#: PyTorch's promotion table: row and column are codes, the digit is the code of the result.
TABLE = (
    "0123456789", "1133456789", "2323456789", "3333456789", "4444456789", "5555556789", "6666666889", "7777778789",
    "8888888889", "9999999999",
)  # fmt: skip
PAIRS = [(left, right) for left in ALL for right in ALL]


def expected(left, right):
    return ALL[int(TABLE[left.code][right.code])]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.name)
def test_two_tensors(left, right):
    a, b = fl.ones(2, dtype=left), fl.ones(2, dtype=right)
    joint = expected(left, right)
    assert fl.promote_types(left, right) is joint
    assert fl.result_type(a, b) is joint
    assert (a + b).dtype is joint and (a * b).dtype is joint
    assert fl.where(a > 0, a, b).dtype is joint
    assert (a == b).dtype is fl.bool
    assert (a / b).dtype is (joint if joint.is_floating_point else fl.float32)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.name)
def test_a_tensor_without_dimensions_only_raises_the_kind(left, right):
    a, b = fl.ones(2, dtype=left), fl.tensor(1, dtype=right)
    joint = expected(left, right) if right.kind > left.kind else left
    assert (a + b).dtype is joint and (b + a).dtype is joint


@pytest.mark.parametrize("dtype", ALL, ids=lambda dtype: dtype.name)
def test_python_numbers(dtype):
    a = fl.ones(2, dtype=dtype)
    assert (a + True).dtype is dtype
    assert (a + 1).dtype is (fl.int64 if dtype is fl.bool else dtype)
    assert (1.5 * a).dtype is (dtype if dtype.is_floating_point else fl.float32)


def test_the_default_dtype_is_what_python_floats_become():
    before = fl.get_default_dtype()
    try:
        fl.set_default_dtype(fl.float64)
        assert fl.tensor(1.5).dtype is fl.zeros(1).dtype is (fl.ones(2, dtype=fl.int64) / 2).dtype is fl.float64
    finally:
        fl.set_default_dtype(before)
    assert (fl.ones(2, dtype=fl.int64) / 2).dtype is fl.float32


def test_in_place_results_must_fit():
    with pytest.raises(RuntimeError):
        fl.ones(2, dtype=fl.int64).add_(1.5)
    with pytest.raises(RuntimeError):
        fl.add(fl.ones(2), fl.ones(2), out=fl.ones(2, dtype=fl.int32))
