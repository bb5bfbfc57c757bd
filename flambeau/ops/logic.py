"""Elementwise logic and bits: operations on truth values and on the bits of integers. None has a gradient."""

from __future__ import annotations

from ..compiler import scalar as s
from ..compiler.declare import elementwise


@elementwise(promotion="logical")
def logical_and(x, y):
    """Whether both are not zero."""
    return s.logical_and(x, y)


@elementwise(promotion="logical")
def logical_or(x, y):
    """Whether at least one is not zero."""
    return s.logical_or(x, y)


@elementwise(promotion="logical")
def logical_xor(x, y):
    """Whether exactly one is not zero."""
    return s.logical_xor(x, y)


@elementwise(promotion="logical")
def logical_not(x):
    """Whether x is zero."""
    return s.logical_not(x)


@elementwise(accepts="integral")
def bitwise_and(x, y):
    """The bits set in both; on bool the logical and."""
    return x & y


@elementwise(accepts="integral")
def bitwise_or(x, y):
    """The bits set in either; on bool the logical or."""
    return x | y


@elementwise(accepts="integral")
def bitwise_xor(x, y):
    """The bits set in exactly one; on bool the logical exclusive or."""
    return x ^ y


@elementwise(accepts="integral")
def bitwise_not(x):
    """Every bit turned over; on bool the logical not."""
    return ~x


def _bits(x):
    return 8 if x.dtype.endswith("8") else int(x.dtype[-2:])


@elementwise(accepts="integer")
def left_shift(x, amount):
    """The bits of x moved up by `amount`; 0 if the amount is negative or not less than the width."""
    valid = (amount >= 0) & (amount < _bits(x))
    return s.where(valid, s.shift_left(x, s.where(valid, amount, 0)), 0)


@elementwise(accepts="integer")
def right_shift(x, amount):
    """The bits of x moved down by `amount`, keeping the sign; an amount out of range counts as the largest."""
    last = _bits(x) - 1
    valid = (amount >= 0) & (amount <= last)
    if x.dtype[0] == "u":
        return s.where(valid, s.shift_right(x, s.where(valid, amount, 0)), 0)
    return s.shift_right(x, s.where(valid, amount, last))
