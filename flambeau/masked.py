"""`flambeau.masked`: reductions and normalisations over the elements that a mask holds true.

A mask is a bool tensor that broadcasts to the input's shape; without one every element counts. What is masked out is
replaced by the number that changes nothing (0 in a sum, -inf in a maximum), so one kernel does the rest. A row without
any element gives that number; its mean, its median and its variance are NaN. There are no masked tensors: the mask is
an argument.
"""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.ops.arguments import check_tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip

Dims = int | tuple[int, ...] | list[int] | None


def _mask_of(name: str, input: Any, mask: Any) -> Any:
    """The mask as bool in the input's shape."""
    check_tensor(name, mask, "mask")
    if mask.ndim > input.ndim:
        raise IndexError(
            f"{name}: mask must broadcast to input, but mask is {tuple(mask.shape)} and input is {tuple(input.shape)}; "
            f"take away a dimension of mask"
        )
    return mask.to(fl.bool).expand(input.shape)


def _filled(name: str, input: Any, mask: Any, identity: Any) -> Any:
    """The input with `identity` (a number, or "least" or "greatest" of its dtype) where the mask is false."""
    check_tensor(name, input)
    if mask is None:
        return input
    if identity in ("least", "greatest"):
        if input.dtype.is_floating_point or (name == "logsumexp" and input.dtype.is_complex):
            identity = -math.inf if identity == "least" else math.inf
        elif input.dtype.is_complex or input.dtype is fl.bool:
            raise NotImplementedError(f"{name}: identity of {name} on {input.dtype} input; convert with .to(...)")
        else:
            limits = fl.iinfo(input.dtype)
            identity = limits.min if identity == "least" else limits.max
    return input.masked_fill(~_mask_of(name, input, mask), identity)


def _dims(input: Any, dim: Dims) -> tuple[int, ...]:
    """The dimensions that are reduced; all of them for None and for none."""
    wanted = (dim,) if isinstance(dim, int) else tuple(dim or range(input.ndim))
    size = max(input.ndim, 1)
    for each in wanted:
        if not -size <= each < size:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {each})"
            )
    if len({each % size for each in wanted}) != len(wanted):
        raise RuntimeError(f"dim {wanted} names a dimension twice; name each once")
    return tuple(sorted(each % size for each in wanted))


def _wide(input: Any, dtype: Any) -> Any:
    """The dtype of a sum: int64 for integers."""
    exact = not (input.dtype.is_floating_point or input.dtype.is_complex)
    return dtype or (fl.int64 if exact else input.dtype)


def sum(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The sum of the elements where `mask` is true; 0 where there is none.

    >>> fl.masked.sum(fl.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, mask=fl.tensor([[True, True], [False, True]]))
    tensor([3., 4.])
    """
    filled = _filled("sum", input, mask, 0)
    return fl.sum(filled, _dims(input, dim), bool(keepdim), dtype=_wide(input, dtype))


def prod(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The product of the elements where `mask` is true; 1 where there is none.

    >>> fl.masked.prod(fl.tensor([2.0, 3.0, 4.0]), mask=fl.tensor([True, False, True]))
    tensor(8.)
    """
    result = _filled("prod", input, mask, 1).to(_wide(input, dtype))
    for each in reversed(_dims(input, dim)):
        result = result.prod(each, bool(keepdim))
    return result


def amax(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The largest of the elements where `mask` is true; -inf, or the least integer, where there is none.

    >>> fl.masked.amax(fl.tensor([1.0, 5.0, 3.0]), mask=fl.tensor([True, False, True]))
    tensor(3.)
    """
    filled = _filled("amax", input, mask, "least")
    return fl.amax(filled, _dims(input, dim), bool(keepdim)).to(dtype or input.dtype)


def amin(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The smallest of the elements where `mask` is true; inf, or the greatest integer, where there is none.

    >>> fl.masked.amin(fl.tensor([1.0, 5.0, 3.0]), mask=fl.tensor([False, True, True]))
    tensor(3.)
    """
    filled = _filled("amin", input, mask, "greatest")
    return fl.amin(filled, _dims(input, dim), bool(keepdim)).to(dtype or input.dtype)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Where the largest of the elements with a true `mask` is, in the input's dtype unless `dtype` is given.

    >>> fl.masked.argmax(fl.tensor([1, 5, 3]), mask=fl.tensor([True, False, True]))
    tensor(2)
    """
    return fl.argmax(_filled("argmax", input, mask, "least"), dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Where the smallest of the elements with a true `mask` is, in the input's dtype unless `dtype` is given.

    >>> fl.masked.argmin(fl.tensor([1, 5, 3]), mask=fl.tensor([False, True, True]))
    tensor(2)
    """
    return fl.argmin(_filled("argmin", input, mask, "greatest"), dim, bool(keepdim)).to(dtype or input.dtype)


def _count(name: str, input: Any, dim: Dims, keepdim: bool, mask: Any) -> Any:
    taken = fl.ones(input.shape, dtype=fl.int64) if mask is None else _mask_of(name, input, mask)
    return fl.sum(taken, _dims(input, dim), keepdim)


def mean(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The mean of the elements where `mask` is true; NaN where there is none. Errors: ValueError for integers.

    >>> fl.masked.mean(fl.tensor([1.0, 5.0, 3.0]), mask=fl.tensor([True, False, True]))
    tensor(2.)
    """
    check_tensor("mean", input)
    dtype = dtype or input.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"mean: the result must be floating-point or complex, not {dtype}; give dtype=")
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count("mean", input, dim, bool(keepdim), mask)


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The median along `dim` of the elements where `mask` is true; of an even number the lower, of none NaN.

    Errors: ValueError for a row of integers without any element.

    >>> fl.masked.median(fl.tensor([1.0, 5.0, 3.0]), mask=fl.tensor([True, True, False]))
    tensor(1.)
    """
    check_tensor("median", input)
    place = _dims(input, dim)[0]
    exact = not input.dtype.is_floating_point
    found = fl.nanmedian(_filled("median", input.to(fl.float32) if exact else input, mask, math.nan), place, keepdim)[0]
    if not exact:
        return found
    if found.isnan().any():
        raise ValueError("median: a row of integers is masked out as a whole; convert input with .float()")
    return found.to(dtype or input.dtype)


def logsumexp(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """log of the sum of exp over the elements where `mask` is true; -inf where there is none.

    >>> fl.masked.logsumexp(fl.tensor([0.0, 9.0, 0.0]), mask=fl.tensor([True, False, True]))
    tensor(0.6931)
    """
    filled = _filled("logsumexp", input, mask, "least")
    return fl.logsumexp(filled, _dims(input, dim), keepdim=bool(keepdim)).to(dtype or input.dtype)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    """log(exp(input) + exp(other)), where a mask is false without that term.

    >>> fl.masked.logaddexp(fl.zeros(2), fl.zeros(2), other_mask=fl.tensor([True, False]))
    tensor([0.6931, 0.0000])
    """
    first = _filled("logaddexp", input, input_mask, "least")
    return fl.logaddexp(first, _filled("logaddexp", other, other_mask, "least")).to(dtype or input.dtype)


def norm(
    input: Any, ord: float = 2.0, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The `ord`-norm of the elements where `mask` is true.

    >>> fl.masked.norm(fl.tensor([3.0, 7.0, 4.0]), mask=fl.tensor([True, False, True]))
    tensor(5.)
    """
    filled = _filled("norm", input, mask, math.inf if ord == -math.inf else 0)
    return fl.linalg.vector_norm(filled, ord, _dims(input, dim), bool(keepdim), dtype=dtype or input.dtype)


def var(
    input: Any, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The variance of the elements where `mask` is true: squares about their mean over their number less `correction`.

    Arguments: `correction`, 1 unless given, or 0 for `unbiased=False`.

    >>> fl.masked.var(fl.tensor([1.0, 9.0, 3.0]), mask=fl.tensor([True, False, True]))
    tensor(2.)
    """
    check_tensor("var", input)
    if unbiased is not None and correction is not None:
        raise ValueError("var: give unbiased or correction, not both")
    less = correction if correction is not None else float(unbiased is not False)
    exact = not (input.dtype.is_floating_point or input.dtype.is_complex)
    dtype = dtype or (fl.float32 if exact else input.dtype)
    wide = dtype if dtype.is_floating_point or dtype.is_complex else fl.float32
    centre = sum(input, dim, keepdim=True, dtype=dtype, mask=mask) / _count("var", input, dim, True, mask)
    off = input - centre
    total = sum(off * off.conj(), dim, keepdim=keepdim, dtype=wide, mask=mask)
    count = _count("var", input, dim, bool(keepdim), mask)
    if less:
        count = (count.to(wide.to_real()) - less).clamp(min=0)
    return (total / count).to(dtype)


def std(
    input: Any, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The standard deviation of the elements where `mask` is true: the root of `var`.

    >>> fl.masked.std(fl.tensor([1.0, 9.0, 3.0]), mask=fl.tensor([True, False, True]))
    tensor(1.4142)
    """
    return fl.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """softmax along `dim` over the elements where `mask` is true, 0 elsewhere; NaN along a row without any.

    >>> fl.masked.softmax(fl.tensor([0.0, 9.0, 0.0]), 0, mask=fl.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    filled = _filled("softmax", input, mask, "least")
    return fl.nn.functional.softmax(filled, _dims(input, dim)[0], dtype=dtype or input.dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of `softmax`, -inf where `mask` is false.

    >>> fl.masked.log_softmax(fl.tensor([0.0, 9.0, 0.0]), 0, mask=fl.tensor([True, False, True]))
    tensor([-0.6931,    -inf, -0.6931])
    """
    filled = _filled("log_softmax", input, mask, "least")
    return fl.nn.functional.log_softmax(filled, _dims(input, dim)[0], dtype=dtype or input.dtype)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """`softmax` of -input.

    >>> fl.masked.softmin(fl.tensor([0.0, 9.0, 0.0]), 0, mask=fl.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    filled = _filled("softmin", input, mask, "greatest")
    return fl.nn.functional.softmin(filled, _dims(input, dim)[0], dtype=dtype or input.dtype)


def normalize(input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Any:
    """The elements where `mask` is true over their `ord`-norm along `dim`, or over eps if that is larger; 0 elsewhere.

    >>> fl.masked.normalize(fl.tensor([3.0, 7.0, 4.0]), 2.0, 0, mask=fl.tensor([True, False, True]))
    tensor([0.6000, 0.0000, 0.8000])
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled("normalize", input, mask, 0) / fl.maximum(length, length.new_full([], eps))


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The running sum along `dim` of the elements where `mask` is true.

    >>> fl.masked.cumsum(fl.tensor([1.0, 2.0, 3.0]), 0, mask=fl.tensor([True, False, True]))
    tensor([1., 1., 4.])
    """
    return fl.cumsum(_filled("cumsum", input, mask, 0), _dims(input, dim)[0], dtype=dtype or input.dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The running product along `dim` of the elements where `mask` is true.

    >>> fl.masked.cumprod(fl.tensor([1.0, 2.0, 3.0]), 0, mask=fl.tensor([True, False, True]))
    tensor([1., 1., 3.])
    """
    return fl.cumprod(_filled("cumprod", input, mask, 1), _dims(input, dim)[0], dtype=dtype or input.dtype)
