"""Making tensors from Python values: what they become, and the mistakes that are named."""

from __future__ import annotations

import math

import pytest

import flambeau as fl

from .support import output_of


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, fl.int64, ()), (2.5, fl.float32, ()), (True, fl.bool, ()), ([1, 2], fl.int64, (2,)),
        ([1, 2.0], fl.float32, (2,)),
        ([True, False], fl.bool, (2,)), ([True, 2], fl.int64, (2,)), ([True, 2.5], fl.float32, (2,)),
        ([], fl.float32, (0,)),
        ([[]], fl.float32, (1, 0)), ([[1], [2]], fl.int64, (2, 1)), (((1, 2), [3, 4]), fl.int64, (2, 2)),
        (range(3), fl.int64, (3,)), ([[[1.0]]], fl.float32, (1, 1, 1)),
    ],
    ids=repr,
)  # fmt: skip
def test_the_dtype_follows_the_values(data, dtype, shape):
    x = fl.tensor(data)
    assert x.dtype is dtype and x.shape == shape


def test_tensors_within_lists_are_joined():
    x = fl.tensor([fl.tensor(1.0), fl.tensor(2.0)])
    assert x.tolist() == [1, 2]
    assert fl.tensor([[fl.tensor(1), 2], [3, fl.tensor(4)]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1], 2], [1, [2]], [[], [1]], [[[1]], [2]]], ids=repr)
def test_lists_of_unequal_length_are_an_error_that_shows_where(data):
    with pytest.raises((ValueError, TypeError), match=r"(?i)length|sequence"):
        fl.tensor(data)


@pytest.mark.parametrize(
    "data", ["a", ["a"], [None], None, object(), {"a": 1}, [1, "b"], [[1], ["c"]], {1, 2}], ids=repr
)
def test_values_that_are_no_numbers_are_a_type_error(data):
    with pytest.raises(TypeError):
        fl.tensor(data)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**63, None), (-(2**63) - 1, None), ([1, 2**64], None), (2**31, fl.int32), (-129, fl.int8), (128, fl.int8),
        (256, fl.uint8), (-1, fl.uint8), (40000, fl.int16), ([2**40], fl.int32),
    ],
)  # fmt: skip
def test_whole_numbers_that_do_not_fit_are_an_error_not_another_number(value, dtype):
    with pytest.raises((OverflowError, RuntimeError, ValueError)):
        fl.tensor(value, dtype=dtype)
    if not isinstance(value, list) and value != -1:  # PyTorch fills uint8 with 255 for -1
        with pytest.raises((OverflowError, RuntimeError, ValueError)):
            fl.full((2,), value, dtype=dtype or fl.int64)


def test_the_largest_numbers_fit():
    assert fl.tensor(2**63 - 1).item() == 2**63 - 1 and fl.tensor(-(2**63)).item() == -(2**63)
    assert fl.tensor(255, dtype=fl.uint8).item() == 255 and fl.tensor([-128, 127], dtype=fl.int8).tolist() == [
        -128,
        127,
    ]
    assert fl.tensor(2**53 + 1, dtype=fl.float64).item() == 2**53
    assert math.isinf(fl.tensor(1e300).item()) and fl.tensor(1e300, dtype=fl.float64).item() == 1e300
    assert math.isinf(fl.tensor(70000.0, dtype=fl.float16).item())


def test_floats_given_an_integer_dtype_are_truncated():
    assert fl.tensor([1.9, -1.9], dtype=fl.int64).tolist() == [1, -1]
    with pytest.raises((ValueError, OverflowError, RuntimeError)):
        fl.tensor(math.nan, dtype=fl.int64)
    with pytest.raises((ValueError, OverflowError, RuntimeError)):
        fl.tensor([math.inf], dtype=fl.int32)


def test_the_element_decides_what_true_is():
    assert fl.tensor([0.5, 0.0, math.nan], dtype=fl.bool).tolist() == [True, False, True]
    assert fl.tensor([2, 0], dtype=fl.bool).tolist() == [True, False]


def test_arange_counts_exactly():
    assert fl.arange(5).tolist() == [0, 1, 2, 3, 4] and fl.arange(1, 10, 3).tolist() == [1, 4, 7]
    assert fl.arange(5, 0, -2).tolist() == [5, 3, 1] and fl.arange(3, 3).shape == (0,)
    assert fl.arange(0, 1, 0.1).shape == (10,) and fl.arange(2**62, 2**62 + 2).tolist() == [2**62, 2**62 + 1]
    for wrong in (
        lambda: fl.arange(0, 5, 0),
        lambda: fl.arange(5, 0),
        lambda: fl.arange(0, math.inf),
        lambda: fl.arange(0, math.nan),
    ):
        with pytest.raises(RuntimeError, match="arange"):
            wrong()


def test_sizes_can_be_given_in_every_way():
    for x in (
        fl.zeros(2, 3),
        fl.zeros((2, 3)),
        fl.zeros([2, 3]),
        fl.zeros(fl.Size([2, 3])),
        fl.zeros(size=(2, 3)),
        fl.zeros(fl.tensor(2), 3),
    ):
        assert x.shape == (2, 3)
    assert fl.zeros(()).shape == () and fl.zeros([]).shape == () and fl.zeros(0).shape == (0,)
    for wrong in (lambda: fl.zeros(2.0), lambda: fl.zeros("a"), lambda: fl.zeros((2, None)), lambda: fl.zeros([2.5])):
        with pytest.raises(TypeError):
            wrong()


def test_more_dimensions_than_there_can_be_are_an_error():
    with pytest.raises((RuntimeError, ValueError), match=r"(?i)dimension"):
        fl.zeros([1] * 100)
    with pytest.raises((RuntimeError, ValueError), match=r"(?i)dimension"):
        x = fl.zeros(1)
        for _ in range(100):
            x = x.unsqueeze(0)


def test_unknown_options_are_an_error():
    with pytest.raises(TypeError):
        fl.zeros(2, nonsense=True)
    with pytest.raises(TypeError):
        fl.tensor([1], dtype="float99")
    with pytest.raises(RuntimeError, match=r"cuda|CUDA|device"):
        fl.zeros(2, device="nonsense")


def test_a_list_that_contains_itself_does_not_hang():
    # In a process of its own: a hang must not stop the other tests.
    program = """
import flambeau as fl
data = []
data.append(data)
try:
    fl.tensor(data)
except (ValueError, TypeError, RuntimeError):
    print("refused")
"""
    assert output_of(program, seconds=20) == "refused"
