"""Pooling as functions: maxima, means and powers over windows of one, two or three dimensions."""

from __future__ import annotations

from typing import Any

from flambeau.ops import pooling as _pooling
from flambeau.ops.arguments import in_float32

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices",
    "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

# ------------------------------------------------------------------------------------------------------------------ 1D


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of every window of (N, C, L), and with `return_indices` where in the flattened input it lies.

    Arguments: `stride`, `kernel_size` when None; `padding`, at most half the window, never the maximum; `ceil_mode`,
    whether a window may reach past the end.
    """
    return _pooling.max_pool("max_pool1d", input, 1, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """`max_pool1d` with the places of the maxima."""
    return _pooling.max_pool("max_pool1d", input, 1, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros, but for the values of `input` at the places that `max_pool1d` reported."""
    return _pooling.max_unpool("max_unpool1d", input, indices, kernel_size, stride, padding, output_size, 1)


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """The mean of every window of (N, C, L); zeros of the padding count unless `count_include_pad` is False."""
    return _pooling.avg_pool("avg_pool1d", input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The means of (N, C, L) over windows that share it out into `output_size`."""
    return _pooling.adaptive_avg_pool("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of (N, C, L) over windows that share it out into `output_size`."""
    return _pooling.adaptive_max_pool("adaptive_max_pool1d", input, output_size, 1, return_indices)


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool1d` with the places of the maxima."""
    return _pooling.adaptive_max_pool("adaptive_max_pool1d", input, output_size, 1, True)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x ** p over the window) ** (1 / p), with p = `norm_type`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


# ------------------------------------------------------------------------------------------------------------------ 2D


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of every window of (N, C, H, W), and with `return_indices` where in the flattened input it lies.

    Arguments: `stride`, `kernel_size` when None; `padding`, at most half the window, never the maximum; `ceil_mode`,
    whether a window may reach past the end.
    """
    return _pooling.max_pool("max_pool2d", input, 2, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """`max_pool2d` with the places of the maxima."""
    return _pooling.max_pool("max_pool2d", input, 2, kernel_size, stride, padding, dilation, ceil_mode, True)


@in_float32
def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros, but for the values of `input` at the places that `max_pool2d` reported."""
    return _pooling.max_unpool("max_unpool2d", input, indices, kernel_size, stride, padding, output_size, 2)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of every window of (N, C, H, W): its sum over `divisor_override`, or over its number of elements."""
    return _pooling.avg_pool(
        "avg_pool2d", input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The means of (N, C, H, W) over windows that share it out into `output_size`."""
    return _pooling.adaptive_avg_pool("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of (N, C, H, W) over windows that share it out into `output_size`."""
    return _pooling.adaptive_max_pool("adaptive_max_pool2d", input, output_size, 2, return_indices)


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` with the places of the maxima."""
    return _pooling.adaptive_max_pool("adaptive_max_pool2d", input, output_size, 2, True)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x ** p over the window) ** (1 / p), with p = `norm_type`."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


# ------------------------------------------------------------------------------------------------------------------ 3D


@in_float32
def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of every window of (N, C, D, H, W), and with `return_indices` where in the flattened input it lies.

    Arguments: `stride`, `kernel_size` when None; `padding`, at most half the window, never the maximum; `ceil_mode`,
    whether a window may reach past the end.
    """
    return _pooling.max_pool("max_pool3d", input, 3, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@in_float32
def max_pool3d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """`max_pool3d` with the places of the maxima."""
    return _pooling.max_pool("max_pool3d", input, 3, kernel_size, stride, padding, dilation, ceil_mode, True)


@in_float32
def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros, but for the values of `input` at the places that `max_pool3d` reported."""
    return _pooling.max_unpool("max_unpool3d", input, indices, kernel_size, stride, padding, output_size, 3)


@in_float32
def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of every window of (N, C, D, H, W): its sum over `divisor_override`, or over its number of elements."""
    return _pooling.avg_pool(
        "avg_pool3d", input, 3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@in_float32
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The means of (N, C, D, H, W) over windows that share it out into `output_size`."""
    return _pooling.adaptive_avg_pool("adaptive_avg_pool3d", input, output_size, 3)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of (N, C, D, H, W) over windows that share it out into `output_size`."""
    return _pooling.adaptive_max_pool("adaptive_max_pool3d", input, output_size, 3, return_indices)


def adaptive_max_pool3d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool3d` with the places of the maxima."""
    return _pooling.adaptive_max_pool("adaptive_max_pool3d", input, output_size, 3, True)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x ** p over the window) ** (1 / p), with p = `norm_type`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(dims: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    kernel = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size,) * dims
    count = 1
    for k in kernel:
        count *= k
    powers = input**norm_type
    mean = _pooling.avg_pool(f"lp_pool{dims}d", powers, dims, kernel, stride, 0, ceil_mode, True)
    return (mean.sign() * mean.abs().relu()).mul(count) ** (1.0 / norm_type)
