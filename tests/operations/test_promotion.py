"""Which dtype results have: tensors with each other, with 0-dim tensors and with Python numbers."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.dtypes import ALL

#: PyTorch's promotion table: row and column are codes, the digit is the code of the result, "-" where they do not meet.
TABLE = (
    "0123456789---de", "1133456789---de", "2323456789---de", "3333456789---de", "4444456789---de",
    "5555556789---de", "6666666889666de", "7777778789777de", "8888888889888de", "9999999999999ee",
    "------6789a----", "------6789-b---", "------6789--c--", "ddddddddde---de", "eeeeeeeeee---ee",
)  # fmt: skip
PAIRS = [(left, right) for left in ALL for right in ALL]


def expected(left, right):
    digit = TABLE[left.code][right.code]
    return None if digit == "-" else ALL[int(digit, 16)]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.name)
def test_two_tensors(left, right):
    a, b = fl.ones(2, dtype=left), fl.ones(2, dtype=right)
    joint = expected(left, right)
    if joint is None:
        for refused in (lambda: fl.promote_types(left, right), lambda: a + b, lambda: fl.cat([a, b])):
            with pytest.raises(RuntimeError, match="promotion for uint16, uint32, uint64 types is not supported"):
                refused()
        return
    assert fl.cat([a, b]).dtype is joint
    assert fl.promote_types(left, right) is joint
    assert fl.result_type(a, b) is joint
    assert (a + b).dtype is joint and (a * b).dtype is joint
    assert fl.where(a != 0, a, b).dtype is joint
    assert (a == b).dtype is fl.bool
    assert (a / b).dtype is (joint if joint.category > 1 else fl.float32)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=lambda dtype: dtype.name)
def test_a_tensor_without_dimensions_only_raises_the_kind(left, right):
    a, b = fl.ones(2, dtype=left), fl.tensor(1, dtype=right)
    joint = expected(left, right) if right.category > left.category else left
    if left.is_floating_point and right.is_complex:
        joint = fl.complex128 if left is fl.float64 else fl.complex64
    if right.is_complex and left in (fl.uint16, fl.uint32, fl.uint64):
        joint = right
    if joint is None:
        pytest.skip("the two do not meet")
    assert (a + b).dtype is joint and (b + a).dtype is joint


@pytest.mark.parametrize("dtype", ALL, ids=lambda dtype: dtype.name)
def test_python_numbers(dtype):
    a = fl.ones(2, dtype=dtype)
    assert (a + True).dtype is dtype
    assert (a + 1).dtype is (fl.int64 if dtype is fl.bool else dtype)
    assert (1.5 * a).dtype is (dtype if dtype.category > 1 else fl.float32)
    wide = dtype in (fl.float64, fl.complex128)
    assert (1.5j * a).dtype is (fl.complex128 if wide else fl.complex64)


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
