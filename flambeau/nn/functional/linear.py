"""Products with a weight as functions: `linear`, `bilinear`."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import ShapeError
from flambeau.ops.arguments import check_tensor

__all__ = ["bilinear", "linear"]

_linear = _core.linear


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x Wᵀ + b over the last dimension.

    Arguments: `input` (..., in), `weight` (out, in) or (in,), `bias` (out,). Returns (..., out). Errors: ShapeError
    when the inner sizes differ, DTypeError when the dtypes do.

    Example:
        >>> F.linear(fl.tensor([1.0, 2.0]), fl.tensor([[3.0, 4.0]]))
        tensor([11.])
    """
    return _linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = x1ᵀ W_o x2 + b_o over the last dimensions.

    Arguments: `input1` (..., in1), `input2` (..., in2) with equal leading sizes, `weight` (out, in1, in2), `bias`
    (out,).
    """
    check_tensor("bilinear", input1, "input1")
    check_tensor("bilinear", input2, "input2")
    check_tensor("bilinear", weight, "weight")
    if weight.ndim != 3:
        raise ShapeError(f"bilinear: weight must be (out, in1, in2), but it is {tuple(weight.shape)}")
    first, second = tuple(input1.shape), tuple(input2.shape)
    outputs, size1, size2 = weight.shape
    if first[:-1] != second[:-1]:
        raise ShapeError(
            f"bilinear: both inputs must have equal sizes but for the last, but they are {first} and {second}"
        )
    for which, shape, size in (("input1", first, size1), ("input2", second, size2)):
        if shape[-1] != size:
            raise ShapeError(f"bilinear: {which} size does not match weight: {shape[-1]} of {shape} is not {size}")
    x1, x2 = input1.reshape((-1, size1)), input2.reshape((-1, size2))
    # (N, in1) x (in1, out·in2), then each row's (out, in2) times its x2: no (N, out, in1, in2) is ever made.
    half = x1 @ weight.permute((1, 0, 2)).reshape((size1, outputs * size2))
    result = flambeau.matmul(half.reshape((-1, outputs, size2)), x2.unsqueeze(-1)).squeeze(-1)
    if bias is not None:
        result = result + bias
    return result.reshape((*first[:-1], outputs))
