"""Reductions as PyTorch spells them: overloads, `dtype=`, `correction=`, pairs of values and indices, over `reduce`.

What a reduction computes is declared in `reduce` and `normalise`; norms are in `norms`, orders in `sort`.
"""

from __future__ import annotations

import builtins
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops import elementwise, normalise
from flambeau.ops import reduce as r
from flambeau.ops.arguments import (
    Tensor,
    check_dtype,
    check_out,
    check_tensor,
    check_tensors,
    deliver,
    named_result,
    wrap_dim,
    wrap_dims,
)

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "corrcoef", "count_nonzero", "cov", "log_softmax",
    "logsumexp", "max", "mean", "min", "nanmean", "nansum", "prod", "softmax", "std", "std_mean", "sum", "var",
    "var_mean",
]  # fmt: skip

_sum, _mean = r.sum, r.mean
_Max = named_result("max", "values", "indices")
_Min = named_result("min", "values", "indices")
_AMinMax = named_result("aminmax", "min", "max")


def _cast(name: str, input: Any, dtype: Any) -> Any:
    if dtype is None:
        return input
    check_tensor(name, input)
    return input if input.dtype is dtype else input.to(check_dtype(name, dtype))


def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """The sum over all elements, or over the dimension(s) `dim`; integers and bools add up in int64.

    >>> fl.sum(fl.tensor([[1, 2], [3, 4]]), 0)
    tensor([4, 6])
    """
    if axis is not None:
        dim = axis
    if dim == ():
        dim = None
    if dtype is None and out is None:
        return _sum(input, dim=dim, keepdim=keepdim or keepdims)
    result = _sum(_cast("sum", input, dtype), dim=dim, keepdim=keepdim or keepdims)
    return deliver(_cast("sum", result, dtype), out)


def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """The sum over the elements that are not NaN."""
    result = r.nansum(_cast("nansum", input, dtype), dim=None if dim == () else dim, keepdim=keepdim)
    return deliver(_cast("nansum", result, dtype), out)


def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """The mean over all elements, or over the dimension(s) `dim`. Integers need `dtype=`.

    >>> fl.mean(fl.tensor([1.0, 3.0]))
    tensor(2.)
    """
    if axis is not None:
        dim = axis
    if dim == ():
        dim = None
    return deliver(_mean(_cast("mean", input, dtype), dim=dim, keepdim=keepdim or keepdims), out)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """The mean over the elements that are not NaN."""
    return deliver(r.nanmean(_cast("nanmean", input, dtype), dim=None if dim == () else dim, keepdim=keepdim), out)


def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """The product over all elements, or along `dim`; integers and bools multiply in int64."""
    dtype = check_dtype("prod", dtype)
    if isinstance(input, Tensor) and (dtype or input.dtype).is_complex:
        return deliver(_complex_product(_cast("prod", input, dtype), dim, keepdim), out)
    return deliver(_cast("prod", r.prod(_cast("prod", input, dtype), dim=dim, keepdim=keepdim), dtype), out)


def _complex_product(x: Any, dim: Any, keepdim: bool) -> Any:
    """The product of complex numbers by halves: it has no row, as a product of pairs is no pair of products."""
    if dim is None:
        result = _complex_product(x.reshape((-1,)), 0, False)
        return result.reshape((1,) * x.ndim) if keepdim else result
    dim = wrap_dim("prod", dim, x.ndim)
    if x.ndim == 0:
        return x.clone()
    if x.shape[dim] == 0:
        x = _core.full([1 if d == dim else size for d, size in enumerate(x.shape)], 1, x.dtype)
    while x.shape[dim] > 1:
        half = x.shape[dim] // 2
        pairs = x.narrow(dim, 0, half) * x.narrow(dim, half, half)
        x = _core.cat([pairs, x.narrow(dim, 2 * half, 1)], dim) if x.shape[dim] % 2 else pairs
    return x if keepdim else x.squeeze(dim)


# -------------------------------------------------------------------------------------------------------- extremes


def _check_not_empty(name: str, input: Any, dim: Any) -> None:
    """Extremes of no elements do not exist: IndexError where a reduced dimension has size 0."""
    check_tensor(name, input)
    if input.numel():
        return
    if dim is None:
        raise RuntimeError(f"{name}: Expected reduction dim to be specified for input.numel() == 0. Pass dim=")
    for d in wrap_dims(name, dim, input.ndim):
        if input.ndim and input.shape[d] == 0:
            raise IndexError(f"{name}: Expected reduction dim {d} to have non-zero size, input is {tuple(input.shape)}")


def amax(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The largest element, of all or over `dim`; equal ones share the gradient evenly."""
    dim = None if _is_no_dim(dim) else dim
    _check_not_empty("amax", input, dim)
    check_out("amax", out, input.dtype)
    return deliver(r.amax(input, dim=dim, keepdim=keepdim), out)


def amin(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The smallest element, of all or over `dim`; equal ones share the gradient evenly."""
    dim = None if _is_no_dim(dim) else dim
    _check_not_empty("amin", input, dim)
    check_out("amin", out, input.dtype)
    return deliver(r.amin(input, dim=dim, keepdim=keepdim), out)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False, out: Any = None) -> Any:
    """(min, max) of all elements or along `dim`."""
    _check_not_empty("aminmax", input, dim)
    low, high = r.aminmax(input, dim=dim, keepdim=keepdim)
    if out is not None:
        for each in check_tensors("aminmax", out, "out"):
            check_out("aminmax", each, input.dtype)
        low, high = deliver(low, out[0]), deliver(high, out[1])
    return _AMinMax(low, high)


def max(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None, other: Any = None) -> Any:
    """The largest element; with `dim` (values, indices) along it; with a tensor the elementwise maximum.

    >>> fl.max(fl.tensor([[1, 5], [7, 3]]), 1)
    max(values=tensor([5, 7]), indices=tensor([1, 0]))
    """
    return _extreme("max", input, dim if other is None else other, keepdim, out)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None, other: Any = None) -> Any:
    """The smallest element; with `dim` (values, indices) along it; with a tensor the elementwise minimum.

    >>> fl.min(fl.tensor([[1, 5], [7, 3]]), 1)
    min(values=tensor([1, 3]), indices=tensor([0, 1]))
    """
    return _extreme("min", input, dim if other is None else other, keepdim, out)


def _extreme(name: str, input: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    largest = name == "max"
    if isinstance(dim, Tensor):
        return deliver((elementwise.maximum if largest else elementwise.minimum)(input, dim), out)
    _check_not_empty(name, input, dim)
    if dim is None:
        return deliver((r.amax if largest else r.amin)(input, dim=None, keepdim=keepdim), out)
    dim = wrap_dim(name, dim, input.ndim)
    pair = (r.max_with_index if largest else r.min_with_index)(input, dim=dim, keepdim=keepdim)
    kind = _Max if largest else _Min
    return kind(*pair) if out is None else kind(deliver(pair[0], out[0]), deliver(pair[1], out[1]))


def argmax(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The position of the largest element (the first of several), of the flattened tensor or along `dim`."""
    return _position("argmax", r.argmax, input, dim, keepdim, out)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The position of the smallest element (the first of several), of the flattened tensor or along `dim`."""
    return _position("argmin", r.argmin, input, dim, keepdim, out)


def _position(name: str, operation: Any, input: Any, dim: int | None, keepdim: bool, out: Any) -> Any:
    _check_not_empty(name, input, dim)
    if input.dtype is dtypes.bool:
        raise DTypeError(f"{name}: is not defined for bool; convert with .to(flambeau.uint8)")
    return deliver(operation(input, dim=dim, keepdim=keepdim), out)


def any(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Whether an element is not zero, of all or over `dim`; no dimensions at all with `dim=()`."""
    if _is_no_dim(dim):
        return deliver(_nonzero("any", input), out)
    return deliver(r.any(input, dim=dim, keepdim=keepdim), out)


def all(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Whether no element is zero, of all or over `dim`; no dimensions at all with `dim=()`."""
    if _is_no_dim(dim):
        return deliver(_nonzero("all", input), out)
    return deliver(r.all(input, dim=dim, keepdim=keepdim), out)


def _is_no_dim(dim: Any) -> bool:
    return isinstance(dim, (tuple, list)) and not dim


def _nonzero(name: str, input: Any) -> Any:
    result = check_tensor(name, input) != 0
    return result.to(dtypes.uint8) if input.dtype is dtypes.uint8 else result


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero, of all or over `dim`."""
    return r.count_nonzero(input, dim=dim)


# ---------------------------------------------------------------------------------------------------------- spread


def _spread(operation: Any, input: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any) -> Any:
    if isinstance(dim, bool):  # var(input, unbiased)
        unbiased, dim = dim, None
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return operation(input, correction, dim=None if dim == () else dim, keepdim=keepdim)


def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The variance: the sum of squared differences from the mean over n - correction.

    >>> fl.var(fl.tensor([1.0, 3.0]))
    tensor(2.)
    """
    return deliver(_spread(r.var, input, dim, unbiased, keepdim, correction), out)


def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The standard deviation: the square root of `var`."""
    return deliver(_spread(r.std, input, dim, unbiased, keepdim, correction), out)


def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(variance, mean)."""
    return _spread(r.var_mean, input, dim, unbiased, keepdim, correction)


def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(standard deviation, mean)."""
    return _spread(r.std_mean, input, dim, unbiased, keepdim, correction)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables in rows and observations in columns, with optional weights of the columns."""
    check_tensor("cov", input)
    if fweights is not None:
        check_tensor("cov", fweights, "fweights")
    if aweights is not None:
        check_tensor("cov", aweights, "aweights")
    if input.ndim > 2:
        raise RuntimeError(f"cov: expected input to have two or fewer dimensions, got {tuple(input.shape)}")
    rows = input.reshape((1, -1)) if input.ndim < 2 else input
    if rows.dtype.category < 2:
        rows = rows.to(dtypes.get_default_dtype())
    weights = None
    for key, each in (("fweights", fweights), ("aweights", aweights)):
        if each is not None:
            _check_weights(key, each, rows.shape[1])
            weights = each.to(rows.dtype.to_real()) if weights is None else weights * each
    if weights is None:
        count: Any = rows.shape[1]
        centred = rows - rows.mean(1, keepdim=True) if count else rows
        product = centred @ centred.mH
        factor = builtins.max(count - correction, 0)
        result = product / factor
    else:
        total = weights.sum()
        centred = rows - (rows * weights).sum(1, keepdim=True) / total
        if aweights is None:
            factor = total - correction
        else:
            factor = total - correction * (weights * aweights).sum() / total
        result = (centred * weights) @ centred.mH / elementwise.clamp_min(factor, 0)
    return result.squeeze()


def _check_weights(name: str, weights: Any, count: int) -> None:
    if weights.ndim > 1:
        raise RuntimeError(f"cov: expected {name} to have one or fewer dimensions, got {tuple(weights.shape)}")
    if weights.dtype.is_floating_point is (name == "fweights"):
        wanted = "an integer" if name == "fweights" else "a floating"
        raise DTypeError(f"cov: expected {name} to have {wanted} dtype, got {weights.dtype}; convert with .to(...)")
    if weights.numel() != count:
        raise RuntimeError(f"cov: expected {name} to have one value for each of {count} columns, got {weights.numel()}")

    def check(weights: Any) -> None:
        if (weights < 0).any():
            raise RuntimeError(f"cov: {name} cannot be negative")

    recording.host("cov", check, weights)


def corrcoef(input: Any) -> Any:
    """The matrix of correlation coefficients of variables in rows and observations in columns, held in [-1, 1]."""
    check_tensor("corrcoef", input)
    matrix = cov(input)
    if matrix.ndim == 0:
        return matrix / matrix
    deviation = matrix.diagonal().sqrt()
    result = matrix / deviation.unsqueeze(1) / deviation
    if result.is_complex():
        return _core.view_as_complex(elementwise.clamp(_core.view_as_real(result), -1.0, 1.0))
    return elementwise.clamp(result, -1.0, 1.0)


# -------------------------------------------------------------------------------------------------------- softmax


def logsumexp(input: Any, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """log(sum(exp(input))) over `dim`, without overflow."""
    return deliver(r.logsumexp(input, dim=None if dim == () else dim, keepdim=keepdim), out)


def softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """exp(input) / sum(exp(input)) along `dim`, computed in `dtype` where given.

    >>> fl.softmax(fl.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return deliver(normalise.softmax(_cast("softmax", input, dtype), dim=_one("softmax", dim)), out)


def log_softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """The logarithm of `softmax` along `dim`."""
    return deliver(normalise.log_softmax(_cast("log_softmax", input, dtype), dim=_one("log_softmax", dim)), out)


def _one(name: str, dim: Any) -> int:
    if dim is None or isinstance(dim, (tuple, list)):
        raise TypeError(f"{name}: dim must be one int, got {dim!r}; for the last dimension pass dim=-1")
    return dim


METHODS = {
    name: globals()[name]
    for name in (
        "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "corrcoef", "count_nonzero", "cov", "log_softmax",
        "logsumexp", "max", "mean", "min", "nanmean", "nansum", "prod", "softmax", "std", "sum", "var",
    )
}  # fmt: skip
