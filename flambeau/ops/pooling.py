"""Pooling: maxima, means and powers over windows.

A window's positions are taken one after the other: each is a strided slice of the input, for the part of the result
whose windows have that position inside the input, so that nothing is padded and no window is copied. What is done with
one position is declared here.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, prod
from typing import Any, NamedTuple

from flambeau import _core, dtypes, recording
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import check_tensor, with_gradient
from flambeau.ops.convolution import spread
from flambeau.ops.elementwise import where

from ..compiler import scalar as s
from ..compiler.declare import elementwise

# ------------------------------------------------------------------------------------------------------- declarations


@elementwise(outputs=("best", "place"), differentiable=False)
def max_pool_step(best, place, x, position=0):
    """The larger of `best` and `x` and its place; a NaN wins, and so does the first value (`place` is negative)."""
    taken = s.logical_or(s.logical_or(x > best, x != x), place < 0)
    return s.where(taken, x, best), s.where(taken, s.cast(position, place), place)


@elementwise(
    outputs=("a", "int32"), differentiable=False, roles=dict.fromkeys(("first", "second", "third", "fourth"), "int64")
)
def max_pool_four(a, b, c, d, first=0, second=0, third=0, fourth=0):
    """The first of the largest of four values and its place, one of the four numbers; a NaN wins."""
    best, place = a, s.cast(first, "int32")
    for x, position in ((b, second), (c, third), (d, fourth)):
        taken = s.logical_or(x > best, x != x)
        best, place = s.where(taken, x, best), s.where(taken, s.cast(position, "int32"), place)
    return best, place


@elementwise(outputs=("grad",), differentiable=False)
def max_pool_part(grad, place, position=0):
    """The gradient where the maximum came from this position, else zero."""
    return s.where(place == s.cast(position, place), grad, s.constant(0, grad))


@elementwise(outputs=("target",), differentiable=False)
def max_pool_spread(target, grad, place, position=0):
    """`target` plus the gradient where the maximum came from this position."""
    return target + s.where(place == s.cast(position, place), grad, s.constant(0, grad))


@elementwise(outputs=("target",), differentiable=False)
def max_pool_collect(target, x, place, position=0):
    """`x` where the maximum came from this position, else `target`."""
    return s.where(place == s.cast(position, place), x, target)


# ------------------------------------------------------------------------------------------------------------ windows


class Windows(NamedTuple):
    """Where windows lie: the sizes of the result and, for each position in a window, its slices."""

    out: tuple[int, ...]
    #: (number, offset in the flattened input, slices of the result, slices of the input), positions in order
    steps: tuple[tuple[int, int, tuple[Any, ...], tuple[Any, ...]], ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    #: Every position lies in the input for all windows; no two windows share an element.
    complete: bool
    disjoint: bool


@lru_cache(maxsize=256)
def windows(
    name: str, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...], ceil_mode: bool,
) -> Windows:  # fmt: skip
    """The windows of a kernel over an input of these sizes."""
    out, ranges = [], []
    for size, k, st, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        count = (room + (st - 1 if ceil_mode else 0)) // st + 1
        if ceil_mode and (count - 1) * st >= size + p:  # a window must start inside the input or the padding before it
            count -= 1
        if count < 1:
            raise ShapeError(
                f"{name}: the output size would be too small: input sizes are {sizes}, kernel_size={kernel}, "
                f"stride={stride}, padding={padding}, dilation={dilation}; pad the input or take a smaller kernel"
            )
        out.append(count)
        here = []
        for j in range(k):
            shift = j * d - p
            first = max(0, -(shift // st))
            last = min(count, (size - 1 - shift) // st + 1)
            if last > first:
                start = first * st + shift
                here.append((j, j * d, slice(first, last), slice(start, start + (last - first - 1) * st + 1, st)))
        ranges.append(here)
    steps: list[tuple[int, int, tuple[Any, ...], tuple[Any, ...]]] = [(0, 0, (Ellipsis,), (Ellipsis,))]
    for size, k, here in zip(sizes, kernel, ranges, strict=True):
        steps = [(n * k + j, at * size + o, (*a, b), (*c, e)) for n, at, a, c in steps for j, o, b, e in here]
    complete = all(
        len(here) == k and all(inside == slice(0, count) for _, _, inside, _ in here)
        for k, count, here in zip(kernel, out, ranges, strict=True)
    )
    disjoint = all(k == 1 or (d == 1 and st >= k) for k, st, d in zip(kernel, stride, dilation, strict=True))
    return Windows(tuple(out), tuple(steps), kernel, stride, padding, dilation, complete, disjoint)


def _spatial(name: str, input: Any, dims: int) -> tuple[int, ...]:
    check_tensor(name, input)
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor, but input is {tuple(input.shape)}"
        )
    sizes = tuple(input.shape[input.ndim - dims :])
    # Only a batch may be empty, not channels.
    if 0 in tuple(input.shape[1 if input.ndim == dims + 2 else 0 :]):
        raise ShapeError(f"{name}: every size but the batch must be positive, but input is {tuple(input.shape)}")
    return sizes


def _options(name: str, dims: int, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    kernels = spread(name, "kernel_size", kernel, dims, 1)
    strides = kernels if stride is None or stride == [] or stride == () else spread(name, "stride", stride, dims, 1)
    around = spread(name, "padding", padding, dims, 0)
    dilations = spread(name, "dilation", dilation, dims, 1)
    for k, p, d in zip(kernels, around, dilations, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got padding={around}, "
                f"kernel_size={kernels}, dilation={dilations}"
            )
    return kernels, strides, around, dilations


def _by_lines(x: Any, sizes: tuple[int, ...]) -> bool:
    """Whether the core's kernels take maxima of this dtype and size: their places are int32."""
    return x.dtype.name in ("float32", "float64") and prod(sizes) < 2**31


def _description(found: Windows, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return (sizes, found.out, found.kernel, found.strides, found.padding, found.dilation)


def _narrow(input: Any) -> bool:
    return input.dtype.name in ("float16", "bfloat16")


# ------------------------------------------------------------------------------------------------------------- maxima


def _spread_maxima(grad: Any, place: Any, found: Windows, sizes: tuple[int, ...]) -> Any:
    """The gradient of the input from the one of the maxima."""
    lead = tuple(grad.shape[: grad.ndim - len(sizes)])
    values = grad.detach()
    if _by_lines(values, sizes):
        result = _core.window_spread(values, place, *_description(found, sizes))
        return with_gradient(result, (grad,), lambda g: (_collect(g, place, found),), "MaxPoolBackward0")
    if found.disjoint and found.complete:  # every element of the input is in one window at most
        whole = prod(found.strides) * prod(found.out) == prod(sizes)
        result = _core.empty((*lead, *sizes), grad.dtype) if whole else _core.full((*lead, *sizes), 0.0, grad.dtype)
        for _, offset, _, source in found.steps:
            result[source].copy_(max_pool_part(values, place, offset))
        return with_gradient(result, (grad,), lambda g: (_collect(g, place, found),), "MaxPoolBackward0")
    result = _core.full((*lead, *sizes), 0.0, grad.dtype)
    for _, offset, inside, source in found.steps:
        lists = [[result[source]], [values[inside]], [place[inside]]]
        _core.foreach(max_pool_spread, lists, scalars=(offset,), outputs=(0,))
    return with_gradient(result, (grad,), lambda g: (_collect(g, place, found),), "MaxPoolBackward0")


def _collect(x: Any, place: Any, found: Windows) -> Any:
    """The elements of `x` at the places of the maxima."""
    result = _core.full(tuple(place.shape), 0.0, x.dtype)
    values = x.detach()
    for _, offset, inside, source in found.steps:
        lists = [[result[inside]], [values[source]], [place[inside]]]
        _core.foreach(max_pool_collect, lists, scalars=(offset,), outputs=(0,))
    sizes = tuple(x.shape[x.ndim - len(found.out) :])
    return with_gradient(result, (x,), lambda g: (_spread_maxima(g, place, found, sizes),), "MaxPoolCollectBackward0")


def max_pool(
    name: str, input: Any, dims: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    indices: bool,
) -> Any:  # fmt: skip
    """The maxima over windows, and with `indices` their places in the flattened spatial dimensions."""
    sizes = _spatial(name, input, dims)
    found = windows(name, sizes, *_options(name, dims, kernel, stride, padding, dilation), bool(ceil_mode))
    if input.dtype is dtypes.bool:
        raise DTypeError(f"{name}: not defined for bool; convert with .float()")
    shape = (*input.shape[: input.ndim - dims], *found.out)
    floating = input.dtype.is_floating_point
    values, steps = input.detach(), found.steps
    if _by_lines(values, sizes):
        best, place = _core.window_maxima(values, *_description(found, sizes))
        steps = ()
    elif found.complete and len(steps) >= 4 and prod(sizes) < 2**31:
        parts = [values[source].contiguous() for _, _, _, source in steps[:4]]
        best, place = max_pool_four(*parts, *[offset for _, offset, _, _ in steps[:4]])
        steps = steps[4:]
    else:
        best = _core.full(shape, -inf if floating else dtypes.iinfo(input.dtype).min, input.dtype)
        place = _core.full(shape, -1, dtypes.int32 if prod(sizes) < 2**31 else dtypes.int64)
    for _, offset, inside, source in steps:
        part = values[source].contiguous() if found.complete else values[source]
        lists = [[best[inside]], [place[inside]], [part]]
        _core.foreach(max_pool_step, lists, scalars=(offset,), outputs=(0, 1))
    if floating:
        best = with_gradient(
            best, (input,), lambda g: (_spread_maxima(g, place, found, sizes),), f"MaxPool{dims}DBackward0"
        )
    if not indices:
        return best
    # Places count from the start of each window: add where that lies.
    step, where = 1, place.to(dtypes.int64)
    for d in range(dims - 1, -1, -1):
        starts = [(o * found.strides[d] - found.padding[d]) * step for o in range(found.out[d])]
        where = where + _core.from_list(starts, dtypes.int64).reshape((found.out[d],) + (1,) * (dims - 1 - d))
        step *= sizes[d]
    return best, where


# --------------------------------------------------------------------------------------------------------------- sums


def sum_windows(input: Any, found: Windows) -> Any:
    """The sums over windows."""
    sizes = tuple(input.shape[input.ndim - len(found.out) :])
    result = _core.full((*input.shape[: input.ndim - len(sizes)], *found.out), 0, input.dtype)
    values = input.detach()
    for _, _, inside, source in found.steps:
        result[inside].add_(values[source])

    def gradient(g: Any) -> tuple[Any]:
        return (_spread_sums(g, found, sizes),)

    return with_gradient(result, (input,), gradient, "SumWindowsBackward0")


def _spread_sums(grad: Any, found: Windows, sizes: tuple[int, ...]) -> Any:
    """Every value added to all elements of its window."""
    result = _core.full((*grad.shape[: grad.ndim - len(sizes)], *sizes), 0, grad.dtype)
    values = grad.detach()
    for _, _, inside, source in found.steps:
        result[source].add_(values[inside])
    return with_gradient(result, (grad,), lambda g: (sum_windows(g, found),), "SpreadWindowsBackward0")


def spread_windows(x: Any, found: Windows, sizes: tuple[int, ...]) -> Any:
    """(..., positions, out...) to (..., sizes...): what stands at a position added to that element of every window."""
    at = x.ndim - len(sizes) - 1
    result = _core.full((*x.shape[:at], *sizes), 0, x.dtype)
    values = x.detach()
    for number, _, inside, source in found.steps:
        result[source].add_(values.select(at, number)[inside])
    count = x.shape[at]
    return with_gradient(result, (x,), lambda g: (_collect_windows(g, found, count),), "FoldBackward0")


def _collect_windows(x: Any, found: Windows, count: int) -> Any:
    """(..., sizes...) to (..., count, out...): the element at each position of every window, zero outside."""
    sizes = tuple(x.shape[x.ndim - len(found.out) :])
    at = x.ndim - len(sizes)
    result = _core.full((*x.shape[:at], count, *found.out), 0, x.dtype)
    values = x.detach()
    for number, _, inside, source in found.steps:
        result.select(at, number)[inside].copy_(values[source])
    return with_gradient(result, (x,), lambda g: (spread_windows(g, found, sizes),), "UnfoldBackward0")


def _counts(sizes: Any, kernels: Any, found: Windows, include: bool) -> list[list[int]]:
    """How many positions of each window count, for each dimension."""
    result = []
    for size, k, out, st, p in zip(sizes, kernels, found.out, found.strides, found.padding, strict=True):
        line = []
        for o in range(out):
            start = o * st - p
            end = min(start + k, size + p)
            line.append(end - start if include else min(end, size) - max(start, 0))
        result.append(line)
    return result


def avg_pool(
    name: str, input: Any, dims: int, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool,
    divisor: int | None = None,
) -> Any:  # fmt: skip
    """The means over windows; with `include` zeros of the padding count."""
    check_tensor(name, input)
    if _narrow(input):
        wide = input.to(dtypes.float32)
        return avg_pool(name, wide, dims, kernel, stride, padding, ceil_mode, include, divisor).to(input.dtype)
    sizes = _spatial(name, input, dims)
    if divisor is not None and divisor == 0:
        raise RuntimeError(f"{name}: divisor must be not zero, but divisor_override is 0")
    kernels, strides, around, dilations = _options(name, dims, kernel, stride, padding, 1)
    if not (input.dtype.is_floating_point or input.dtype is dtypes.int64):
        raise DTypeError(f"{name}: not defined for {input.dtype}; convert with .float()")
    found = windows(name, sizes, kernels, strides, around, dilations, bool(ceil_mode))
    total = sum_windows(input, found)
    if divisor is not None:
        return _over(total, divisor)
    counts = _counts(sizes, kernels, found, include)
    if all(len(set(line)) == 1 for line in counts):
        return _over(total, prod([line[0] for line in counts]))
    number: Any = None
    for d, line in enumerate(counts):
        part = _core.from_list(line, input.dtype).reshape((len(line),) + (1,) * (dims - 1 - d))
        number = part if number is None else number * part
    return total / number if input.dtype.is_floating_point else total.div(number, rounding_mode="trunc")


def _over(total: Any, count: int) -> Any:
    return total / count if total.dtype.is_floating_point else total.div(count, rounding_mode="trunc")


# ----------------------------------------------------------------------------------------------------------- adaptive


def _adaptive_size(name: str, input: Any, size: Any, dims: int) -> tuple[int, ...]:
    given = tuple(size) if isinstance(size, (tuple, list)) else (size,) * dims
    if len(given) == 1 and dims > 1:
        given *= dims
    if len(given) != dims:
        raise RuntimeError(f"{name}: output_size must have {dims} values, but it is {size}")
    sizes = _spatial(name, input, dims)
    return tuple([old if new is None else int(new) for new, old in zip(given, sizes, strict=True)])


def _even(sizes: Any, out: Any) -> bool:
    return all(o > 0 and size % o == 0 for size, o in zip(sizes, out, strict=True))


def _bounds(size: int, out: int) -> list[tuple[int, int]]:
    return [(i * size // out, -((i + 1) * size // -out)) for i in range(out)]


def adaptive_avg_pool(name: str, input: Any, size: Any, dims: int) -> Any:
    """The means over windows that share the input out evenly."""
    out = _adaptive_size(name, input, size, dims)
    if min(out) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0, got {out}")
    sizes = tuple(input.shape[input.ndim - dims :])
    if _narrow(input):
        return adaptive_avg_pool(name, input.to(dtypes.float32), size, dims).to(input.dtype)
    if all(o == 1 for o in out):
        return input.mean(tuple(range(input.ndim - dims, input.ndim)), keepdim=True)
    if _even(sizes, out):
        kernel = tuple([n // o for n, o in zip(sizes, out, strict=True)])
        return avg_pool(name, input, dims, kernel, kernel, 0, False, True)
    result = input
    for d in range(dims):
        # Places behind the end of a shorter window are masked, not multiplied by 0, so that an infinity or NaN stays
        # in its window. Narrow windows are added place by place, wide ones summed as rows.
        dim = input.ndim - dims + d
        after = (1,) * (input.ndim - 1 - dim)
        bounds = _bounds(sizes[d], out[d])
        lengths = [end - start for start, end in bounds]
        width, least = max(lengths, default=0), min(lengths, default=0)
        if width <= 4:
            total: Any = None
            for i in range(width):
                places = _core.from_list([min(start + i, sizes[d] - 1) for start, _ in bounds], dtypes.int64)
                part = _core.index_select(result, dim, places)
                if i >= least:
                    mask = _core.from_list([i < length for length in lengths], dtypes.bool)
                    part = where(mask.reshape((-1, *after)), part, 0.0)
                total = part if total is None else total + part
        else:
            every = [min(start + i, sizes[d] - 1) for start, _ in bounds for i in range(width)]
            rows = _core.index_select(result, dim, _core.from_list(every, dtypes.int64)).unflatten(dim, (out[d], width))
            mask = _core.from_list([i < length for length in lengths for i in range(width)], dtypes.bool)
            total = where(mask.reshape((out[d], width, *after)), rows, 0.0).sum(dim + 1)
        if total is None:  # no windows
            total = _core.index_select(result, dim, _core.from_list([], dtypes.int64))
        result = total / _core.from_list([float(length) for length in lengths], input.dtype).reshape((-1, *after))
    return result.contiguous()


def adaptive_max_pool(name: str, input: Any, size: Any, dims: int, indices: bool) -> Any:
    """The maxima over windows that share the input out evenly, and their places in the flattened dimensions."""
    out = _adaptive_size(name, input, size, dims)
    sizes = tuple(input.shape[input.ndim - dims :])
    if _even(sizes, out):
        kernel = tuple([n // o for n, o in zip(sizes, out, strict=True)])
        return max_pool(name, input, dims, kernel, kernel, 0, 1, False, indices)
    # Windows of unequal sizes are filled up with their last element, which changes no maximum.
    lead = input.ndim - dims
    x, place = input, _core.arange(0, prod(sizes), 1, dtypes.int64).reshape(sizes)
    shape: list[int] = []
    for d in range(dims):
        bounds = _bounds(sizes[d], out[d])
        longest = max([end - start for start, end in bounds], default=1)
        flat = [min(start + j, end - 1) for start, end in bounds for j in range(longest)]
        chosen = _core.from_list(flat, dtypes.int64)
        x, place = x.index_select(lead + d, chosen), place.index_select(d, chosen)
        shape += [out[d], longest]
    order = [*range(0, 2 * dims, 2), *range(1, 2 * dims, 2)]
    front = tuple(input.shape[:lead])
    x = x.reshape((*front, *shape)).permute((*range(lead), *[lead + o for o in order])).reshape((*front, *out, -1))
    place = place.reshape(tuple(shape)).permute(tuple(order)).reshape((*out, -1))
    which = x.detach().argmax(-1, keepdim=True)
    best = x.gather(-1, which).squeeze(-1)
    if not indices:
        return best
    return best, place.expand((*front, *place.shape)).gather(-1, which).squeeze(-1)


# ---------------------------------------------------------------------------------------------------------- unpooling


def max_unpool(
    name: str, input: Any, indices: Any, kernel: Any, stride: Any, padding: Any, size: Any, dims: int
) -> Any:
    """Zeros, but for the values of `input` at the places that a max-pool reported."""
    sizes = _spatial(name, input, dims)
    kernels, strides, around, _ = _options(name, dims, kernel, stride, padding, 1)
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(
            f"{name}: indices must have the shape of input: indices is {tuple(indices.shape)}, input is "
            f"{tuple(input.shape)}"
        )
    zipped = zip(sizes, kernels, strides, around, strict=True)
    out = tuple([(n - 1) * st - 2 * p + k for n, k, st, p in zipped])
    if size is not None:
        out = tuple(size)[-dims:]
    lead = tuple(input.shape[: input.ndim - dims])
    flat = indices.reshape((*lead, -1))
    area = prod(out)

    def check(flat: Any) -> None:
        if flat.numel() and (int(flat.min().item()) < 0 or int(flat.max().item()) >= area):
            raise RuntimeError(f"{name}: Found an invalid max index: indices must lie in the output {out}")

    recording.host(name, check, flat)
    result = _core.full((*lead, area), 0.0, input.dtype)
    return result.scatter(-1, flat, input.reshape((*lead, -1))).reshape((*lead, *out))


METHODS: dict[str, Any] = {}
__all__: list[str] = []
