"""Operators between tensors and everything else that is a number, on either side."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


@pytest.mark.parametrize(
    "number", [2, 3.5, True, -2, np.float64(2.5), np.int64(3), np.float32(1.5), np.bool_(True)], ids=repr
)
@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS, ids=lambda op: op.__name__)
def test_numbers_on_either_side_keep_the_tensors_dtype(op, number):
    x, a = fl.tensor([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0])
    plain = number.item() if isinstance(number, np.generic) else number
    if plain is True and op is operator.sub:
        pytest.skip("a bool is not subtracted, as in PyTorch; there is a test of its own")
    for ours, theirs in ((op(x, number), op(a, plain)), (op(number, x), op(plain, a))):
        assert isinstance(ours, fl.Tensor)
        assert_same(ours, np.asarray(theirs).astype(np.bool_ if op in COMPARISONS else np.float32))


@pytest.mark.parametrize(
    "op", [o for o in ARITHMETIC if o is not operator.truediv] + COMPARISONS + BITWISE, ids=lambda op: op.__name__
)
def test_whole_numbers_stay_whole(op):
    x, a = fl.tensor([1, 2, 5]), np.array([1, 2, 5])
    for ours, theirs in ((op(x, 2), op(a, 2)), (op(2, x), op(np.int64(2), a)), (op(x, x), op(a, a))):
        assert_same(ours, theirs)


def test_true_division_of_whole_numbers_gives_the_default_float():
    assert_same(fl.tensor([1, 2]) / 2, np.array([0.5, 1], dtype=np.float32))
    assert_same(1 / fl.tensor([1, 2], dtype=fl.int8), np.array([1, 0.5], dtype=np.float32))
    assert_same(fl.tensor([True]) / 2, np.array([0.5], dtype=np.float32))


@pytest.mark.parametrize("op", BITWISE[:3], ids=lambda op: op.__name__)
def test_bitwise_operators_of_bools_are_logical(op):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert_same(op(fl.tensor(a), fl.tensor(b)), op(a, b))
    assert_same(op(fl.tensor(a), True), op(a, True))
    assert_same(op(True, fl.tensor(a)), op(True, a))
    assert_same(~fl.tensor(a), ~a)


def test_bitwise_operators_refuse_floats():
    for op in BITWISE[:3]:
        with pytest.raises((TypeError, RuntimeError)):
            op(fl.ones(2), fl.ones(2))
    with pytest.raises((TypeError, RuntimeError)):
        ~fl.ones(2)


def test_unary_operators():
    x = fl.tensor([-1.5, 2.0])
    assert (-x).tolist() == [1.5, -2] and (+x).tolist() == x.tolist() and abs(x).tolist() == [1.5, 2]
    assert (~fl.tensor([0, 5])).tolist() == [-1, -6]
    with pytest.raises((TypeError, RuntimeError), match=r"bool|logical_not"):
        -fl.tensor([True])


def test_arrays_on_either_side_give_tensors():
    x, a = fl.tensor([1.0, 2.0]), np.array([3.0, 5.0], dtype=np.float32)
    for ours in (x + a, a + x, x * a, a * x, x - a, a - x, a / x, a**x, a > x, x > a, a == x):
        assert isinstance(ours, fl.Tensor), "an array on the left hands over to the tensor"
    assert (a - x).tolist() == [2, 3] and (a / x).tolist() == [3, 2.5] and (a > x).tolist() == [True, True]


def test_bools_are_not_subtracted():
    for call in (
        lambda: fl.tensor([True]) - fl.tensor([True]),
        lambda: fl.ones(2) - True,
        lambda: True - fl.tensor([False]),
    ):
        with pytest.raises((TypeError, RuntimeError), match=r"logical_(xor|not)"):
            call()


def test_an_array_of_another_dtype_is_promoted():
    assert (fl.ones(2) + np.ones(2)).dtype is fl.float64
    assert (np.ones(2, dtype=np.int32) + fl.ones(2, dtype=fl.int64)).dtype is fl.int64


@pytest.mark.parametrize("other", ["a", None, [1, 2], (1, 2), {}, object()], ids=repr)
@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.truediv, operator.pow, operator.lt])
def test_anything_else_is_a_type_error(op, other):
    with pytest.raises((TypeError, RuntimeError)):
        op(fl.ones(2), other)
    with pytest.raises((TypeError, RuntimeError)):
        op(other, fl.ones(2))


def test_equality_with_anything_else_is_false_not_an_error():
    x = fl.ones(2)
    assert (x == None) is False and (x != None) is True and (x == "a") is False  # noqa: E711
    assert x not in [None, "a"]


class Reflected:
    """A class that knows tensors: it gets its turn."""

    def __radd__(self, other: Any) -> str:
        return "radd"

    def __rmatmul__(self, other: Any) -> str:
        return "rmatmul"

    def __gt__(self, other: Any) -> str:
        return "gt"


def test_other_classes_can_take_part():
    assert fl.ones(2) + Reflected() == "radd"
    assert fl.ones(2) @ Reflected() == "rmatmul"
    assert (fl.ones(2) < Reflected()) == "gt"


@pytest.mark.parametrize("op", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
def test_assignment_operators_change_the_tensor_itself(op):
    x, a = fl.tensor([5.0, 7.0]), np.array([5.0, 7.0], dtype=np.float32)
    view = x[:1]
    y = getattr(operator, "i" + op)(x, 2)
    assert y is x
    assert_same(x, getattr(operator, op)(a, np.float32(2)))
    assert view.item() == x[0].item()
    getattr(operator, "i" + op)(x, fl.tensor([2.0, 3.0]))


def test_assignment_operators_of_whole_numbers_and_bools():
    x = fl.tensor([6, 3])
    x &= 2
    assert x.tolist() == [2, 2]
    x |= 1
    x ^= 2
    x <<= 3
    x >>= 1
    assert x.tolist() == [4, 4]
    b = fl.tensor([True, False])
    b &= True
    b |= fl.tensor([False, True])
    assert b.tolist() == [True, True]


@pytest.mark.parametrize("dtype", [fl.uint8, fl.int8, fl.int16, fl.int32, fl.int64])
@pytest.mark.parametrize("op", [operator.floordiv, operator.mod])
def test_division_of_whole_numbers_by_zero_is_an_error(dtype, op):
    x = fl.tensor([1, 2, 3], dtype=dtype)
    for zero in (0, fl.tensor([1, 0, 1], dtype=dtype), fl.tensor(0, dtype=dtype)):
        with pytest.raises((ZeroDivisionError, RuntimeError), match=r"(?i)zero"):
            op(x, zero)


@pytest.mark.parametrize("dtype", [fl.uint8, fl.int8, fl.int16, fl.int32, fl.int64])
def test_a_long_division_by_zero_does_not_kill_the_process(dtype):
    x = fl.ones(1000, dtype=dtype)
    y = x.clone()
    y[777] = 0
    for op in (operator.floordiv, operator.mod, fl.fmod):
        with pytest.raises((ZeroDivisionError, RuntimeError), match=r"(?i)zero"):
            op(x, y)
    assert (x // x).sum().item() == 1000


def test_the_smallest_number_divided_by_minus_one_wraps():
    for dtype, low in ((fl.int8, -128), (fl.int16, -(2**15)), (fl.int32, -(2**31)), (fl.int64, -(2**63))):
        x = fl.tensor([low] * 20, dtype=dtype)
        assert (x % -1).tolist() == [0] * 20
        assert (x // -1).tolist() == [low] * 20
        assert (-x).tolist() == [low] * 20 and abs(x).tolist() == [low] * 20


def test_division_of_floats_by_zero_is_infinite():
    x = fl.tensor([1.0, -1.0, 0.0])
    assert str((x / 0).tolist()) == "[inf, -inf, nan]" and str((x // 0).tolist()) == "[inf, -inf, nan]"
    assert fl.isnan(x % 0).all()


@pytest.mark.parametrize("a", [7, -7, 6, -6, 0])
@pytest.mark.parametrize("b", [3, -3, 7, -1])
def test_floor_division_and_remainder_round_down_as_python_does(a, b):
    for dtype in (fl.int8, fl.int32, fl.int64, fl.float32, fl.float64, fl.float16):
        x, y = fl.tensor([a] * 3, dtype=dtype), fl.tensor([b] * 3, dtype=dtype)
        assert (x // y).tolist() == [a // b] * 3 and (x % y).tolist() == [a % b] * 3
        assert (x // b).tolist() == [a // b] * 3 and (a % y).tolist() == [a % b] * 3
        assert fl.fmod(x, y).tolist() == [np.fmod(a, b)] * 3


def test_whole_powers_are_exact_and_negative_ones_refused():
    x = fl.tensor([2, 3, -4])
    assert (x**5).tolist() == [32, 243, -1024] and (2 ** fl.tensor([0, 10, 62])).tolist() == [1, 1024, 2**62]
    assert (x**0).tolist() == [1, 1, 1]
    assert (fl.tensor([3]) ** 40).tolist() == [3**40 - (3**40 + 2**63) // 2**64 * 2**64], "wraps as NumPy's does"
    with pytest.raises(RuntimeError, match="negative"):
        x**-1


def test_whole_numbers_wrap_around():
    assert (fl.tensor([127], dtype=fl.int8) + 1).tolist() == [-128]
    assert (fl.tensor([255], dtype=fl.uint8) + fl.tensor([1], dtype=fl.uint8)).tolist() == [0]
    assert (fl.tensor([2**63 - 1]) + 1).tolist() == [-(2**63)]
    assert (fl.tensor([200], dtype=fl.uint8) * 2).tolist() == [144]


def test_a_python_number_that_does_not_fit_is_an_error():
    with pytest.raises((OverflowError, RuntimeError)):
        fl.tensor([1]) + 2**64
    with pytest.raises((OverflowError, RuntimeError)):
        fl.tensor([1], dtype=fl.int64) * -(2**70)
    assert (fl.tensor([1.0]) + 2.0**64).tolist() == [2.0**64]


def test_matmul_operator_refuses_numbers():
    for f in (lambda: fl.ones(2) @ 2, lambda: 2 @ fl.ones(2), lambda: fl.tensor(1.0) @ fl.ones(2)):
        with pytest.raises((TypeError, RuntimeError)):
            f()


def test_divmod_is_either_right_or_refused():
    try:
        quotient, remainder = divmod(fl.tensor([7.0]), 2)
    except TypeError:
        return
    assert quotient.item() == 3 and remainder.item() == 1


def test_in_place_operators_are_seen_by_gradients():
    x = fl.ones(2, requires_grad=True)
    y = x * 1
    y *= 3
    y += x
    y -= 1
    y /= 2
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]
