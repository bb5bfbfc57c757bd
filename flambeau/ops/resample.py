"""Changing sizes: interpolation, sub-pixel shuffles, and patches to columns and back. Weights are made here, the sums
are products and index moves that differentiate themselves."""

from __future__ import annotations

from math import floor, prod
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import ShapeError
from flambeau.ops.arguments import check_tensor, integer
from flambeau.ops.convolution import spread
from flambeau.ops.pooling import adaptive_avg_pool, spread_windows, windows

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]

METHODS: dict[str, Any] = {}

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}


def _scaled(size: int, out: int, align: bool, scale: float | None) -> list[float]:
    """Where each of `out` places lies among `size`."""
    if align:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
        return [i * step for i in range(out)]
    step = 1.0 / scale if scale else size / out
    return [(i + 0.5) * step - 0.5 for i in range(out)]


def _lerp(x: Any, dim: int, places: list[list[int]], weights: list[list[float]]) -> Any:
    """The sum over k of weights[k] times the slices of `x` at places[k] along `dim`."""
    shape = [1] * x.ndim
    shape[dim] = len(places[0])
    total = None
    for where, weight in zip(places, weights, strict=True):
        if not any(weight):
            continue
        factor = _core.from_list(weight, x.dtype).reshape(tuple(shape))
        part = x.index_select(dim, _core.from_list(where, dtypes.int64)) * factor
        total = part if total is None else total + part
    return total


def _linear(x: Any, dim: int, out: int, align: bool, scale: float | None) -> Any:
    size = x.shape[dim]
    if size == out and scale in (None, 1.0):
        return x
    low, high, share = [], [], []
    for place in _scaled(size, out, align, scale):
        place = max(place, 0.0)
        i = min(int(place), size - 1)
        low.append(i)
        high.append(min(i + 1, size - 1))
        share.append(min(max(place - i, 0.0), 1.0))
    return _lerp(x, dim, [low, high], [[1.0 - s for s in share], share])


def _cubic(x: Any, dim: int, out: int, align: bool, scale: float | None) -> Any:
    size, a = x.shape[dim], -0.75
    places: list[list[int]] = [[], [], [], []]
    weights: list[list[float]] = [[], [], [], []]

    def near(t: float) -> float:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: float) -> float:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    for place in _scaled(size, out, align, scale):
        i = floor(place)
        t = place - i
        for k, weight in enumerate((far(t + 1), near(t), near(1 - t), far(2 - t))):
            places[k].append(min(max(i - 1 + k, 0), size - 1))
            weights[k].append(weight)
    return _lerp(x, dim, places, weights)


def _nearest(x: Any, dim: int, out: int, scale: float | None, exact: bool) -> Any:
    size = x.shape[dim]
    import numpy

    step = numpy.float32(1.0 / scale if scale else size / out)  # rounded as PyTorch rounds it
    shift = 0.5 if exact else 0.0
    places = [min(floor(numpy.float32(i + shift) * step), size - 1) for i in range(out)]
    return x.index_select(dim, _core.from_list(places, dtypes.int64))


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Any:  # fmt: skip
    """`input` (N, C, sizes...) sampled at other sizes.

    Arguments: `size` or `scale_factor`, one for all dimensions or one each; `mode`, 'nearest', 'nearest-exact',
    'linear' (3D), 'bilinear' and 'bicubic' (4D), 'trilinear' (5D), 'area'; `align_corners`, whether the corner elements
    keep their places. Errors: ShapeError when the mode does not fit the number of dimensions.

    >>> fl.nn.functional.interpolate(fl.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    check_tensor("interpolate", input)
    dims = input.ndim - 2
    if dims < 1 or dims > 3:
        raise NotImplementedError(
            f"interpolate: Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: "
            f"nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got {mode})"
        )
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "interpolate: align_corners option can only be set with the interpolating modes: linear | bilinear | "
                "bicubic | trilinear"
            )
    elif mode not in _LINEAR or _LINEAR[mode] != dims:
        raise NotImplementedError(f"interpolate: got {input.ndim}D input, but mode {mode!r} does not take it")
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported; blur the input first")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: exactly one of size and scale_factor must be given")
    scales: list[float | None] = [None] * dims
    before = tuple(input.shape[2:])
    if size is not None:
        out = list(size) if isinstance(size, (tuple, list)) else [size] * dims
        if len(out) != dims:
            raise ValueError(f"interpolate: size must have one value for each of {dims} dimensions, but it is {size}")
    else:
        given = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * dims
        if len(given) != dims:
            raise ValueError(f"interpolate: scale_factor must have {dims} values, but it is {scale_factor}")
        out = [floor(float(s) * f) for s, f in zip(before, given, strict=True)]
        if not recompute_scale_factor:
            scales = [float(f) for f in given]
    if any(o <= 0 for o in out) or 0 in before:
        raise ShapeError(
            f"interpolate: Input and output sizes should be greater than 0, but input is {tuple(input.shape)} and the "
            f"output sizes are {tuple(out)}"
        )
    if mode == "area":
        return adaptive_avg_pool("interpolate", input, tuple(out), dims)
    half = input.dtype.name in ("float16", "bfloat16") and mode in _LINEAR
    result = input.to(dtypes.float32) if half else input
    for d in range(dims):
        if mode in ("nearest", "nearest-exact"):
            result = _nearest(result, 2 + d, out[d], scales[d], mode == "nearest-exact")
        else:
            sample = _cubic if mode == "bicubic" else _linear
            result = sample(result, 2 + d, out[d], bool(align_corners), scales[d])
    result = result.clone() if result is input else result
    return result.to(input.dtype) if half else result


# ------------------------------------------------------------------------------------------------ channels and pixels


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C * r * r, H, W) to (..., C, H * r, W * r), with r = `upscale_factor`."""
    check_tensor("pixel_shuffle", input)
    upscale_factor = integer("pixel_shuffle", upscale_factor, "upscale_factor")
    r, shape = upscale_factor, tuple(input.shape)
    if len(shape) < 3 or r <= 0 or shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: the input's channels must be divisible by the square of upscale_factor {r}, but input is "
            f"{shape}"
        )
    c, h, w = shape[-3] // (r * r), shape[-2], shape[-1]
    x = input.reshape((prod(shape[:-3]), c, r, r, h, w)).permute((0, 1, 4, 2, 5, 3))
    return x.reshape((*shape[:-3], c, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H * r, W * r) to (..., C * r * r, H, W), with r = `downscale_factor`."""
    check_tensor("pixel_unshuffle", input)
    downscale_factor = integer("pixel_unshuffle", downscale_factor, "downscale_factor")
    r, shape = downscale_factor, tuple(input.shape)
    if len(shape) < 3 or r <= 0 or shape[-2] % r or shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width must be divisible by downscale_factor {r}, but input is {shape}"
        )
    c, h, w = shape[-3], shape[-2] // r, shape[-1] // r
    x = input.reshape((prod(shape[:-3]), c, h, r, w, r)).permute((0, 1, 3, 5, 2, 4))
    return x.reshape((*shape[:-3], c * r * r, h, w))


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, ...) dealt out over the groups: channel c of group g becomes channel g of group c."""
    check_tensor("channel_shuffle", input)
    groups = integer("channel_shuffle", groups, "groups")
    shape = tuple(input.shape)
    if len(shape) < 3 or groups <= 0 or shape[1] % groups:
        raise ShapeError(f"channel_shuffle: channels must be divisible by groups {groups}, but input is {shape}")
    x = input.reshape((shape[0], groups, shape[1] // groups, *shape[2:]))
    return x.transpose(1, 2).reshape(shape)


# ------------------------------------------------------------------------------------------------- patches and columns


def _pair_options(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Any, Any, Any, Any]:
    return (
        spread(name, "kernel_size", kernel_size, 2, 1),
        spread(name, "dilation", dilation, 2, 1),
        spread(name, "padding", padding, 2, 0),
        spread(name, "stride", stride, 2, 1),
    )


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """(N, C, H, W) to (N, C * KH * KW, L): the patch that a kernel sees at each of its L places, as a column."""
    check_tensor("unfold", input)
    kernel, dilations, around, strides = _pair_options("unfold", kernel_size, dilation, padding, stride)
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel, dilations, around, strides).squeeze(0)
    if input.ndim != 4:
        raise ShapeError(f"unfold: expected 3D or 4D input, but it is {tuple(input.shape)}")
    from flambeau.ops.padding import pad

    n, c = input.shape[0], input.shape[1]
    out = []
    for size, k, d, p, s in zip(input.shape[2:], kernel, dilations, around, strides, strict=True):
        out.append((size + 2 * p - d * (k - 1) - 1) // s + 1)
    if out[0] < 1 or out[1] < 1:
        raise ShapeError(
            f"unfold: the array of sliding blocks would be {tuple(out)}, which must be positive: input is "
            f"{tuple(input.shape)}, kernel_size={kernel}, dilation={dilations}, padding={around}, stride={strides}"
        )
    x = pad(input, (around[1], around[1], around[0], around[0])) if any(around) else input
    for dim, k, d, s in zip((2, 3), kernel, dilations, strides, strict=True):
        x = x.unfold(dim, d * (k - 1) + 1, s)
    x = x[..., :: dilations[0], :: dilations[1]]
    return x.permute((0, 1, 4, 5, 2, 3)).reshape((n, c * kernel[0] * kernel[1], out[0] * out[1]))


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """(N, C * KH * KW, L) to (N, C, H, W): every column added back at the place `unfold` took it from."""
    check_tensor("fold", input)
    kernel, dilations, around, strides = _pair_options("fold", kernel_size, dilation, padding, stride)
    sizes = spread("fold", "output_size", output_size, 2, 1)
    if input.ndim == 2:
        return fold(input.unsqueeze(0), sizes, kernel, dilations, around, strides).squeeze(0)
    area = kernel[0] * kernel[1]
    if input.ndim != 3 or input.shape[1] % area:
        raise ShapeError(
            f"fold: input must be (N, C * {area}, L) for kernel_size {kernel}, but it is {tuple(input.shape)}"
        )
    found = windows("fold", sizes, kernel, strides, around, dilations, False)
    places = found.out[0] * found.out[1]
    if input.shape[2] != places:
        raise ShapeError(
            f"fold: expected input of size {places} in its last dimension (blocks {found.out[0]} x {found.out[1]} in "
            f"output_size {sizes}), but it is {tuple(input.shape)}"
        )
    c = input.shape[1] // area
    x = input.reshape((input.shape[0], c, area, *found.out))
    return spread_windows(x, found, sizes)
