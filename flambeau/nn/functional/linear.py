"""Products with a weight as functions: `linear`, `bilinear`, `grouped_mm`."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import check_dtype, check_tensor, shape_error

__all__ = ["bilinear", "grouped_mm", "linear"]

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


def grouped_mm(mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """The products of groups of matrices whose sizes differ along one dimension, as in a mixture of experts.

    Group g ends before offs[g] along the dimension that is cut. Arguments, with G groups:
    `mat_a` (M, K), `mat_b` (G, K, N): rows of `mat_a` are cut, returns (M, N);
    `mat_a` (G, M, K), `mat_b` (K, N): columns of `mat_b` are cut, returns (M, N);
    `mat_a` (M, K), `mat_b` (K, N): the inner dimension is cut, returns (G, M, N);
    `mat_a` (G, M, K), `mat_b` (G, K, N), without `offs`: returns (G, M, N).
    `offs` int32 (G,), increasing; `bias` is None; `out_dtype` of the result. What lies behind the last group is zero.
    Errors: ShapeError, DTypeError, RuntimeError.

    Example:
        >>> weights = fl.tensor([[[1.0]], [[10.0]]])
        >>> F.grouped_mm(fl.ones(3, 1), weights, offs=fl.tensor([2, 3], dtype=fl.int32))
        tensor([[ 1.],
                [ 1.],
                [10.]])
    """
    name = "grouped_mm"
    check_tensor(name, mat_a, "mat_a")
    check_tensor(name, mat_b, "mat_b")
    check_dtype(name, out_dtype)
    if mat_a.ndim not in (2, 3) or mat_b.ndim not in (2, 3) or mat_a.shape[-1] != mat_b.shape[-2]:
        raise shape_error(name, "the inner sizes of two matrices, or batches of them, must agree", mat_a=mat_a,
                          mat_b=mat_b)  # fmt: skip
    if mat_a.dtype is not mat_b.dtype:
        raise DTypeError(f"{name}: mat_a and mat_b must have one dtype, got {mat_a.dtype} and {mat_b.dtype}")
    if bias is not None:
        raise RuntimeError(f"{name}: Bias not supported yet; add it to the result")
    if mat_a.ndim == 3 and mat_b.ndim == 3:
        if offs is not None:
            raise RuntimeError(f"{name}: Must not provide offs for batches of equal matrices (3D and 3D)")
        result = flambeau.bmm(mat_a, mat_b)
        return result if out_dtype is None else result.to(out_dtype)
    if offs is None:
        raise RuntimeError(f"{name}: Must provide offs, the ends of the groups, when a matrix is 2D")
    if check_tensor(name, offs, "offs").ndim != 1 or offs.dtype is not flambeau.int32:
        raise DTypeError(f"{name}: offs must be a vector of dtype int32, got {offs.dtype} {tuple(offs.shape)}")
    ends = offs.tolist()
    dim = 0 if mat_b.ndim == 3 else 1
    cut = mat_a.shape[dim] if mat_a.ndim == 2 else mat_b.shape[1]
    groups = (mat_a if mat_a.ndim == 3 else mat_b).shape[0] if mat_a.ndim + mat_b.ndim == 5 else len(ends)
    starts = [0, *ends[:-1]]
    if len(ends) != groups or (ends and ends[-1] > cut) or any(a > b for a, b in zip(starts, ends, strict=True)):
        raise RuntimeError(
            f"{name}: offs must be {groups} increasing numbers up to {cut}, got {ends}; mat_a is {tuple(mat_a.shape)}, "
            f"mat_b is {tuple(mat_b.shape)}"
        )
    parts = []
    for g, (start, end) in enumerate(zip(starts, ends, strict=True)):
        left = mat_a[g] if mat_a.ndim == 3 else mat_a.narrow(dim, start, end - start)
        right = mat_b[g] if mat_b.ndim == 3 else mat_b.narrow(1 if mat_a.ndim == 3 else 0, start, end - start)
        parts.append(left @ right)
    if mat_a.ndim == mat_b.ndim:
        result = flambeau.stack(parts) if parts else mat_a.new_zeros((0, mat_a.shape[0], mat_b.shape[1]))
    else:
        along, left_over = (0, cut - (ends[-1] if ends else 0)) if mat_a.ndim == 2 else (1, cut - (ends or [0])[-1])
        if left_over or not parts:
            sizes = (left_over, mat_b.shape[-1]) if along == 0 else (mat_a.shape[-2], left_over)
            parts.append(mat_a.new_zeros(sizes))
        result = flambeau.cat(parts, along)
    return result if out_dtype is None else result.to(out_dtype)
