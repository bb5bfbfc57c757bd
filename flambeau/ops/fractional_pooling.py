"""Maxima over windows whose places are drawn at random (Graham, "Fractional max-pooling", 2014)."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import DTypeError
from flambeau.ops.arguments import check_tensor, shape_error, to_numpy, to_tensor
from flambeau.ops.convolution import spread
from flambeau.ops.random import rand

__all__: list[str] = []
METHODS: dict[str, Any] = {}


def _starts(samples: Any, size: int, out: int, kernel: int) -> Any:
    """Where the windows begin (N, C, out): steps of (size - kernel) / (out - 1), rounded at a random offset."""
    import numpy

    last = numpy.full((*samples.shape, 1), size - kernel, "int64")
    if out == 1:
        return last
    step = samples.dtype.type((size - kernel) / (out - 1))
    places = (numpy.arange(out - 1, dtype=samples.dtype) + samples[..., None]) * step
    first = (samples[..., None] * step).astype("int64")
    return numpy.concatenate([places.astype("int64") - first, last], -1)


def _sizes(name: str, sizes: tuple[int, ...], dims: int, output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
        if len(ratios) != dims or not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"{name}: output_ratio must be {dims} numbers between 0 and 1, got {output_ratio}")
        return tuple([int(size * ratio) for size, ratio in zip(sizes, ratios, strict=True)])
    return tuple(spread(name, "output_size", output_size, dims, 1))


def fractional_max_pool(
    name: str, input: Any, dims: int, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Any, Any]:
    """The maxima (N, C, out...) and their places in the flattened dimensions."""
    import numpy

    check_tensor(name, input)
    if input.ndim not in (dims + 1, dims + 2) or 0 in tuple(input.shape[-dims - 1 :]):
        raise shape_error(name, f"expected {dims + 1}D or {dims + 2}D (batch mode) input with sizes above 0",
                          input=input)  # fmt: skip
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{name}: needs a floating dtype, got {input.dtype}; convert with .float()")
    kernel = tuple(spread(name, "kernel_size", kernel_size, dims, 1))
    sizes = tuple(input.shape[-dims:])
    out = _sizes(name, sizes, dims, output_size, output_ratio)
    for size, o, k in zip(sizes, out, kernel, strict=True):
        if o < 1 or o + k - 1 > size:
            raise shape_error(
                name, f"too large kernel_size {kernel} for output_size {out}: each needs output + kernel - 1 <= input",
                input=input,
            )  # fmt: skip
    n, c = (1 if input.ndim == dims + 1 else input.shape[0]), input.shape[-dims - 1]
    if samples is None:
        samples = rand(n, c, dims, dtype=dtypes.float64 if input.dtype is dtypes.float64 else dtypes.float32)
    if tuple(check_tensor(name, samples, "_random_samples").shape) != (n, c, dims):
        raise shape_error(name, f"_random_samples must be ({n}, {c}, {dims})", samples=samples)
    drawn = to_numpy(samples.to(dtypes.float32) if samples.dtype.name in ("float16", "bfloat16") else samples)
    # (N, C, out..., kernel...) places in the flattened input, one dimension after the other.
    places: Any = numpy.zeros((n, c) + (1,) * (2 * dims), "int64")
    for d in range(dims):
        column = drawn[..., dims - 1 - d if dims == 2 else d]  # in two dimensions the first number is the width's
        line = _starts(column, sizes[d], out[d], kernel[d])[..., None] + numpy.arange(kernel[d])
        shape = [n, c] + [1] * (2 * dims)
        shape[2 + d], shape[2 + dims + d] = out[d], kernel[d]
        places = places * sizes[d] + line.reshape(shape)
    count, window = prod(out), prod(kernel)
    places = numpy.broadcast_to(places, (n, c, *out, *kernel)).reshape(n, c, count * window)
    values, flat = input.reshape((n, c, prod(sizes))), to_tensor(places)
    seen = _core.gather(values.detach(), 2, flat).reshape((n, c, count, window))
    best = seen.argmax(-1, keepdim=True)
    where = _core.gather(flat.reshape((n, c, count, window)), 3, best).squeeze(3)
    final = (*input.shape[: input.ndim - dims], *out)
    return _core.gather(values, 2, where).reshape(final), where.reshape(final)
