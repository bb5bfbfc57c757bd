"""Orders and running values: sort, topk, median, quantile, mode, cumulative sums and extremes, differences.

The order is found by NumPy; the values are then gathered, so gradients of every order are those of `gather`. What NumPy
does runs through `recording.host`, so that compiled functions can repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError
from flambeau.ops import elementwise
from flambeau.ops.arguments import (
    Tensor,
    check_floating,
    check_ordered,
    check_tensor,
    deliver,
    in_float32,
    integer,
    named_result,
    to_numpy,
    to_tensor,
    twin,
    with_gradient,
    wrap_dim,
)

__all__ = [
    "argsort", "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "kthvalue", "logcumsumexp",
    "median", "mode", "msort", "nanmedian", "nanquantile", "quantile", "sort", "topk", "trapezoid", "trapz",
]  # fmt: skip

_Sort = named_result("sort", "values", "indices")
_TopK = named_result("topk", "values", "indices")
_Kth = named_result("kthvalue", "values", "indices")
_Median = named_result("median", "values", "indices")
_NanMedian = named_result("nanmedian", "values", "indices")
_Mode = named_result("mode", "values", "indices")
_CumMax = named_result("cummax", "values", "indices")
_CumMin = named_result("cummin", "values", "indices")


def _picked(input: Any, dim: int, positions: Any) -> tuple[Any, Any]:
    """The values at `positions` along `dim`, with gradient, and the positions."""
    if input.ndim == 0:
        return _core.gather(input.reshape((1,)), 0, positions.reshape((1,))).reshape(()), positions.reshape(())
    return _core.gather(input, dim, positions), positions


def _reduced(input: Any, dim: int, positions: Any, keepdim: bool) -> tuple[Any, Any]:
    """`_picked` where one position is left along `dim`."""
    values, positions = _picked(input, dim, positions)
    if keepdim or input.ndim == 0:
        return values, positions
    return values.squeeze(dim), positions.squeeze(dim)


def _deliver_pair(kind: Any, pair: tuple[Any, Any], out: Any) -> Any:
    if out is None:
        return kind(*pair)
    return kind(deliver(pair[0], out[0]), deliver(pair[1], out[1]))


def _order(name: str, input: Any, dim: int, descending: bool, taken: Any = None) -> Any:
    """The positions that sort along `dim`, or the `taken` of them; always stable; NaN counts as the largest number."""
    check_ordered(name, input)
    if input.ndim == 0:
        return _core.full((), 0, dtypes.int64)

    def find(input: Any) -> Any:
        index = stable_order(to_numpy(input), dim, descending)
        return to_tensor(index if taken is None else index.take(taken, axis=dim), dtypes.int64)

    return recording.host(name, find, input)


def stable_order(values: Any, dim: int, descending: bool = False) -> Any:
    """The positions that sort a NumPy array along `dim`, equal elements in their old order, NaN as the largest.

    Elements of up to 32 bits become one integer with their position behind them: sorting those is stable by
    construction, and NumPy's vector sort of plain integers is many times faster than its sort of positions.
    """
    import numpy

    length = values.shape[dim]
    if values.dtype.itemsize > 4 or length >= 1 << 31:
        if not descending:
            return numpy.argsort(values, axis=dim, kind="stable")
        return length - 1 - numpy.flip(numpy.argsort(numpy.flip(values, dim), axis=dim, kind="stable"), dim)
    if values.dtype.kind == "f":
        exact = values.astype("float32", copy=False) + numpy.float32(0)  # -0 and 0 are equal
        bits = exact.view("int32")
        keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype("int64")  # in the order of the numbers
        keys[numpy.isnan(exact)] = 0x7FFFFFFF
    else:
        keys = values.astype("int64")
        if values.dtype == "uint32":
            keys -= 1 << 31
    if descending:
        numpy.invert(keys, out=keys)
    keys <<= 32
    keys |= numpy.arange(length).reshape((length,) + (1,) * (values.ndim - 1 - dim))
    keys.sort(axis=dim)
    keys &= 0xFFFFFFFF
    return keys


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None) -> Any:
    """The elements in increasing (or decreasing) order along `dim`, and where they came from: (values, indices).

    Always stable; NaN counts as larger than every number.

    >>> fl.sort(fl.tensor([3, 1, 2])).values
    tensor([1, 2, 3])
    """
    check_tensor("sort", input)
    dim = wrap_dim("sort", dim, input.ndim)
    return _deliver_pair(_Sort, _picked(input, dim, _order("sort", input, dim, descending)), out)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that sort `input` along `dim`.

    >>> fl.argsort(fl.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    check_tensor("argsort", input)
    return _order("argsort", input, wrap_dim("argsort", dim, input.ndim), descending)


def msort(input: Any, *, out: Any = None) -> Any:
    """The elements in increasing order along dimension 0."""
    return deliver(sort(input, 0).values, out)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Any = None) -> Any:
    """The `k` largest (or smallest) elements along `dim`, in order, and where they were: (values, indices).

    >>> fl.topk(fl.tensor([3, 1, 2]), 2)
    topk(values=tensor([3, 2]), indices=tensor([0, 2]))
    """
    check_ordered("topk", check_tensor("topk", input))
    k = integer("topk", k, "k")
    dim = wrap_dim("topk", dim, input.ndim)
    length = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(
            f"topk: selected index k out of range: k={k}, dimension {dim} of input {tuple(input.shape)} has {length}"
        )
    if input.ndim and (8 * k <= length or length <= 1024):
        last = dim == input.ndim - 1
        rows = input if last else input.movedim(dim, -1)
        found = recording.host("topk", lambda rows: _core.few_extremes(rows, k, largest), rows)
        positions = found if last else found.movedim(-1, dim)
    else:
        positions = _order("topk", input, dim, largest, range(k))
    return _deliver_pair(_TopK, _picked(input, dim, positions), out)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The k-th smallest element along `dim`, counted from 1, and where it is: (values, indices)."""
    check_ordered("kthvalue", check_tensor("kthvalue", input))
    k = integer("kthvalue", k, "k")
    dim = wrap_dim("kthvalue", dim, input.ndim)
    length = input.shape[dim] if input.ndim else 1
    if not 1 <= k <= length:
        raise RuntimeError(f"kthvalue: selected number k out of range for dimension {dim}: k={k}, size {length}")
    positions = _order("kthvalue", input, dim, False, [k - 1])
    return _deliver_pair(_Kth, _reduced(input, dim, positions, keepdim), out)


# ------------------------------------------------------------------------------------------------ median, quantiles


def _median(name: str, kind: Any, input: Any, dim: int | None, keepdim: bool, ignore_nan: bool, out: Any) -> Any:
    check_ordered(name, check_tensor(name, input))
    flat = dim is None
    if dim is None:
        input, dim = input.reshape((-1,)), 0
        if input.numel() == 0:
            if not input.dtype.is_floating_point:
                return _core.full((), 0 if input.dtype.category == 0 else dtypes.iinfo(input.dtype).min, input.dtype)
            return _core.full((), float("nan"), input.dtype)
    dim = wrap_dim(name, dim, input.ndim)
    if input.ndim == 0:
        return _deliver_pair(kind, _picked(input, 0, _core.full((), 0, dtypes.int64)), out)
    if input.shape[dim] == 0:
        raise IndexError(f"{name}: Expected reduction dim {dim} to have non-zero size, input is {tuple(input.shape)}")
    positions = recording.host(name, lambda input: to_tensor(_middle(to_numpy(input), dim, ignore_nan)), input)
    if not flat:
        return _deliver_pair(kind, _reduced(input, dim, positions, keepdim), out)
    value = _reduced(input.detach(), dim, positions, keepdim)[0]

    def shared(gradient: Any) -> tuple[Any]:  # elements equal to the median share its gradient
        same = input == value
        if input.dtype.is_floating_point:
            same = same | (elementwise.isnan(input) & elementwise.isnan(value))
        share = same.to(input.dtype)
        return (gradient * share / share.sum(),)

    return deliver(with_gradient(value, (input,), shared, name), out)


def _middle(values: Any, dim: int, ignore_nan: bool) -> Any:
    """Where the median along `dim` is."""
    import numpy

    length = values.shape[dim]
    order = stable_order(values, dim)
    nan = numpy.isnan(values) if values.dtype.kind == "f" else numpy.zeros(values.shape, bool)
    present = length - nan.sum(axis=dim, keepdims=True)
    if ignore_nan:
        place = numpy.maximum(present - 1, 0) // 2
    else:  # the first NaN wins
        place = numpy.where(present < length, present, (length - 1) // 2)
    return numpy.take_along_axis(order, place, dim)


def median(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median, the lower of the two middle elements: of all elements, or along `dim` as (values, indices).

    >>> fl.median(fl.tensor([4, 1, 3, 2]))
    tensor(2)
    """
    return _median("median", _Median, input, dim, keepdim, False, out)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median of the elements that are not NaN."""
    return _median("nanmedian", _NanMedian, input, dim, keepdim, True, out)


def mode(input: Any, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The most frequent element along `dim` (the smallest of several), and where it last is: (values, indices)."""
    check_ordered("mode", check_tensor("mode", input))
    dim = wrap_dim("mode", dim, input.ndim)
    if input.ndim == 0:
        return _deliver_pair(_Mode, _picked(input, 0, _core.full((), 0, dtypes.int64)), out)
    if input.shape[dim] == 0 and 0 not in (*input.shape[:dim], *input.shape[dim + 1 :]):
        raise IndexError(f"mode: Expected reduction dim {dim} to have non-zero size, input is {tuple(input.shape)}")
    positions = recording.host("mode", lambda input: to_tensor(_most_frequent(to_numpy(input), dim)), input)
    return _deliver_pair(_Mode, _reduced(input, dim, positions, keepdim), out)


def _most_frequent(values: Any, dim: int) -> Any:
    """Where the most frequent element along `dim` last is."""
    import numpy

    values = numpy.moveaxis(values, dim, -1)
    index = numpy.empty(values.shape[:-1], "int64")
    for place in numpy.ndindex(*index.shape):
        line = values[place]
        found, counts = numpy.unique(line, return_counts=True)
        best = found[numpy.argmax(counts)]
        same = line == best if best == best else numpy.isnan(line)
        index[place] = numpy.flatnonzero(same)[-1]
    return numpy.expand_dims(index, dim)


_INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def _quantile(name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Any:
    check_floating(name, check_tensor(name, input))
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(f"{name}: interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {interpolation!r}")
    if not isinstance(q, Tensor):
        q = _core.full((), float(q), input.dtype)
    if q.dtype is not input.dtype:
        raise DTypeError(f"{name}: q tensor must be same dtype as the input tensor: {q.dtype} and {input.dtype}")
    if q.ndim > 1:
        raise RuntimeError(f"{name}: q must be a scalar or 1D tensor, got shape {tuple(q.shape)}")
    recording.host(name, lambda q: _check_portions(name, q), q)
    ndim = input.ndim
    if dim is None:
        flat, kept_shape = input.reshape((-1,)), (1,) * ndim
    else:
        dim = wrap_dim(name, dim, ndim)
        flat = (input if ndim else input.reshape((1,))).movedim(dim, -1) if ndim else input.reshape((1,))
        kept_shape = tuple([1 if d == dim else s for d, s in enumerate(input.shape)])
    if input.numel() == 0:
        raise RuntimeError(f"{name}: input tensor must be non-empty, got {tuple(input.shape)}")
    ordered = sort(flat, -1).values
    below, over, share, whole = recording.host(
        name, lambda ordered, q: _ranks(ordered, q, interpolation, skip), ordered, q
    )
    result = _core.gather(ordered, ordered.ndim - 1, below)
    if interpolation in ("linear", "midpoint"):
        above = _core.gather(ordered, ordered.ndim - 1, over)
        if q.requires_grad and interpolation == "linear":
            share = q.reshape((-1,)) * whole - below.to(input.dtype)
        result = elementwise.where(share == 0, result, elementwise.lerp(result, above, share))
    result = result.movedim(-1, 0)
    shape = kept_shape if keepdim else tuple(result.shape[1:])
    return result.reshape(((q.numel(),) if q.ndim else ()) + tuple(shape))


def _check_portions(name: str, q: Any) -> None:
    portions = to_numpy(q)
    if ((portions < 0) | (portions > 1)).any():
        raise RuntimeError(f"{name}: q values must be in the range [0, 1]")


def _ranks(ordered: Any, q: Any, interpolation: str, skip: bool) -> tuple[Any, ...]:
    """Where quantiles lie in sorted lines: the places below and above, the share of that above, the last place."""
    import numpy

    values, portions, length = to_numpy(ordered), to_numpy(q), ordered.shape[-1]
    missing = numpy.isnan(values).sum(-1, keepdims=True)
    count = numpy.maximum(length - missing, 1) if skip else numpy.full_like(missing, length)
    rank = portions.reshape(-1) * (count - 1).astype("float64").astype(portions.dtype)  # (..., number of q)
    if not skip:
        rank = numpy.where(missing > 0, length - 1, rank)
    if interpolation == "lower":
        rank = numpy.floor(rank)
    elif interpolation == "higher":
        rank = numpy.ceil(rank)
    elif interpolation == "nearest":
        rank = numpy.round(rank)
    below = numpy.floor(rank).astype("int64")
    share = numpy.where(rank > below, 0.5, 0.0) if interpolation == "midpoint" else numpy.asarray(rank - below)
    return (
        to_tensor(below),
        to_tensor(numpy.ceil(rank).astype("int64")),
        to_tensor(share, ordered.dtype),
        to_tensor(numpy.asarray(count - 1, values.dtype), ordered.dtype),
    )


@in_float32
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Any = None
) -> Any:
    """The values below which the portions `q` of the elements lie; for a vector of q they come first in the shape.

    >>> fl.quantile(fl.tensor([0.0, 1.0, 2.0]), 0.25)
    tensor(0.5000)
    """
    return deliver(_quantile("quantile", input, q, dim, keepdim, interpolation, False), out)


@in_float32
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Any = None
) -> Any:
    """`quantile` of the elements that are not NaN."""
    return deliver(_quantile("nanquantile", input, q, dim, keepdim, interpolation, True), out)


# --------------------------------------------------------------------------------------------------- running values


def _running(name: str, input: Any, dim: int, dtype: Any, kind: str) -> Any:
    check_tensor(name, input)
    dim = wrap_dim(name, dim, input.ndim)
    if dtype is None and input.dtype.category < 2:
        dtype = dtypes.int64
    if dtype is not None:
        input = input.to(dtype)
    if input.ndim == 0:
        return input.clone()
    if input.is_complex():
        if kind == "sum":
            return _core.view_as_complex(_running(name, _core.view_as_real(input), dim, None, kind))
        return _complex_cumprod(input, dim)
    result = _core.cumulative(input, dim, kind)
    vjp = _cumsum_gradient(dim) if kind == "sum" else _cumprod_gradient(input, dim)
    return with_gradient(result, (input,), vjp, name.capitalize() + "Backward0")


def _complex_cumprod(x: Any, dim: int) -> Any:
    """Running products of complex numbers, by doubling: after step s every element holds the product of s of them."""
    length, step = x.shape[dim], 1
    while step < length:
        later = x.narrow(dim, step, length - step) * x.narrow(dim, 0, length - step)
        x = _core.cat([x.narrow(dim, 0, step), later], dim)
        step *= 2
    return x.clone() if length < 2 else x


def _cumsum_gradient(dim: int) -> Callable[[Any], Any]:
    """The running sum from the other end."""
    return lambda grad: (grad.flip(dim).cumsum(dim).flip(dim),)


def _cumprod_gradient(input: Any, dim: int) -> Callable[[Any], Any]:
    """Exact at zeros: beyond the first zero along `dim` nothing but that zero itself has a gradient."""
    kept = _core.Saved(input, "cumprod")

    def vjp(grad: Any) -> Any:
        x = kept.unpack()
        backward = _cumsum_gradient(dim)
        zero = x == 0
        if not (_core.is_recording() or _core.is_batched(zero)) and not zero.any().item():
            return (backward(grad * x.cumprod(dim))[0] / x,)
        count = zero.cumsum(dim)
        first, before = elementwise.logical_and(zero, count == 1), count == 0
        usual = backward(grad * x.cumprod(dim))[0] / elementwise.where(zero, 1.0, x)
        others = elementwise.where(before, 0.0, elementwise.where(first, 1.0, x).cumprod(dim))
        return (elementwise.where(first, backward(grad * others)[0], elementwise.where(before, usual, 0.0)),)

    return vjp


def cumsum(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Any:
    """The running sum along `dim`; integers and bools add up in int64.

    >>> fl.cumsum(fl.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return deliver(_running("cumsum", input, dim, dtype, "sum"), out)


def cumprod(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Any:
    """The running product along `dim`; integers and bools multiply in int64."""
    return deliver(_running("cumprod", input, dim, dtype, "prod"), out)


def _running_extreme(name: str, kind: Any, input: Any, dim: int, out: Any, largest: bool) -> Any:
    check_ordered(name, check_tensor(name, input))
    dim = wrap_dim(name, dim, input.ndim)
    flat = input.reshape((1,)) if input.ndim == 0 else input
    values, places = _core.running_extreme(flat, dim, largest)

    def vjp(grad: Any) -> Any:
        return (grad.new_zeros(grad.shape).scatter_add(dim, places, grad),)

    pair = with_gradient(values, (flat,), vjp, name.capitalize() + "Backward0"), places
    return _deliver_pair(
        kind, (pair[0].reshape(input.shape), pair[1].reshape(input.shape)) if input.ndim == 0 else pair, out
    )


def cummax(input: Any, dim: int, *, out: Any = None) -> Any:
    """The running maximum along `dim`, and where it is (the last of equal ones): (values, indices)."""
    return _running_extreme("cummax", _CumMax, input, dim, out, True)


def cummin(input: Any, dim: int, *, out: Any = None) -> Any:
    """The running minimum along `dim`, and where it is (the last of equal ones): (values, indices)."""
    return _running_extreme("cummin", _CumMin, input, dim, out, False)


def logcumsumexp(input: Any, dim: int, *, out: Any = None) -> Any:
    """The logarithm of the running sum of exponentials along `dim`, without overflow."""
    check_tensor("logcumsumexp", input)
    dim = wrap_dim("logcumsumexp", dim, input.ndim)
    if input.dtype.category < 2:
        input = input.to(dtypes.get_default_dtype())
    if input.ndim == 0:
        return deliver(input.clone(), out)
    if input.is_complex():
        shift = input.detach().real.amax(dim, keepdim=True) if input.numel() else 0.0
        return deliver((input - shift).exp().cumsum(dim).log() + shift, out)

    def compute(input: Any) -> Any:
        import numpy

        values = to_numpy(input)
        wide = values.astype("float32") if values.dtype == "float16" else values
        with numpy.errstate(all="ignore"):
            return to_tensor(numpy.logaddexp.accumulate(wide, axis=dim), input.dtype)

    result = recording.host("logcumsumexp", compute, input)
    fixed = result.detach()

    def vjp(gradient: Any) -> tuple[Any]:
        # d out[j] / d in[i] = exp(in[i] - out[j]) for j >= i; both signs of the gradient are summed as logarithms.
        whole = logcumsumexp(input, dim) if _core.is_grad_enabled() else fixed
        low = float("-inf")
        size = gradient.abs()
        log_size = size.log()
        positive = elementwise.where(gradient > 0, log_size, low) - whole
        negative = elementwise.where(gradient < 0, log_size, low) - whole
        up = (_backward_logcumsumexp(positive, dim) + input).exp()
        down = (_backward_logcumsumexp(negative, dim) + input).exp()
        return (up - down,)

    return deliver(with_gradient(result, (input,), vjp, "logcumsumexp"), out)


def _backward_logcumsumexp(x: Any, dim: int) -> Any:
    from flambeau.ops.shape import flip

    return flip(logcumsumexp(flip(x, dim), dim), dim)


# ------------------------------------------------------------------------------------------------------ differences


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None, *, out: Any = None) -> Any:
    """The differences of neighbours along `dim`, taken `n` times.

    >>> fl.diff(fl.tensor([1, 3, 6]))
    tensor([2, 3])
    """
    check_tensor("diff", input)
    n = integer("diff", n, "n")
    if input.ndim == 0:
        raise RuntimeError("diff: expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    dim = wrap_dim("diff", dim, input.ndim)
    if n == 0:
        return deliver(input.clone(), out)
    parts = [part for part in (prepend, input, append) if part is not None]
    if len(parts) > 1:
        from flambeau.ops.joining import cat

        input = cat(parts, dim)
    result = input
    for _ in range(min(n, input.shape[dim])):
        length = result.shape[dim] - 1
        after, before = result.narrow(dim, 1, length), result.narrow(dim, 0, length)
        result = elementwise.logical_xor(after, before) if result.dtype is dtypes.bool else after - before
    return deliver(result, out)


def _panels(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    dim = wrap_dim(name, dim, y.ndim)
    length = y.shape[dim]
    if x is not None and not isinstance(x, Tensor):
        x, dx = None, x
    width: Any = 1 if dx is None else dx
    if x is not None:
        if x.ndim == 1 and x.shape[0] == length:
            x = x.reshape((-1,) + (1,) * (y.ndim - dim - 1))
            width = diff(x, dim=0)
        else:
            width = diff(x, dim=dim - y.ndim)
    if length < 2:
        return y.narrow(dim, 0, 0) * 1.0, dim
    left, right = y.narrow(dim, 0, length - 1), y.narrow(dim, 1, length - 1)
    return (left + right) * width / 2.0, dim


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of the samples `y` along `dim` by the trapezoidal rule, at the places `x` or `dx` apart."""
    check_tensor("trapezoid", y, "y")
    panels, dim = _panels("trapezoid", y, x, dx, dim)
    return panels.sum(dim)


trapz = trapezoid


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The running integral of the samples `y` along `dim` by the trapezoidal rule."""
    check_tensor("cumulative_trapezoid", y, "y")
    panels, dim = _panels("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(panels, dim)


METHODS = {
    "argsort": argsort,
    "cummax": cummax,
    "cummin": cummin,
    "cumprod": cumprod,
    "cumprod_": twin(cumprod),
    "cumsum": cumsum,
    "cumsum_": twin(cumsum),
    "diff": diff,
    "kthvalue": kthvalue,
    "logcumsumexp": logcumsumexp,
    "median": median,
    "mode": mode,
    "msort": msort,
    "nanmedian": nanmedian,
    "nanquantile": nanquantile,
    "quantile": quantile,
    "sort": sort,
    "topk": topk,
}
