"""Normalisations as functions: over the last dimensions, over groups of channels, over a batch, to unit length."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.errors import ShapeError
from flambeau.ops import normalise as _normalise
from flambeau.ops.arguments import Tensor, check_tensor, integer, integers, not_tensor

__all__ = ["group_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


def _check_last(name: str, input: Any, normalized_shape: Any, weight: Any, bias: Any) -> int:
    """How many last dimensions are normalised; ShapeError when the sizes do not fit."""
    if not isinstance(normalized_shape, (tuple, list)):
        normalized_shape = integers(name, normalized_shape, "normalized_shape")
    shape, sizes = tuple(input.shape), tuple(normalized_shape)
    count = len(sizes)
    if count == 0:
        raise RuntimeError(f"{name}: Expected normalized_shape to be at least 1-dimensional, but it is ()")
    if shape[-count:] != sizes:
        raise ShapeError(
            f"{name}: the last sizes of the input must be normalized_shape {sizes}, but the input is {shape}; "
            f"make the layer with normalized_shape={shape[-count:]}, or reshape the input"
        )
    for which, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tuple(tensor.shape) != sizes:
            raise ShapeError(
                f"{name}: {which} must have shape normalized_shape {sizes}, but it is {tuple(tensor.shape)}"
            )
    return count


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / √(var + eps) · weight + bias over the last dimensions.

    Arguments: `normalized_shape`, the last sizes of the input; `weight` and `bias` of that shape. Errors: ShapeError
    when the sizes do not fit.

    Example:
        >>> F.layer_norm(fl.tensor([[1.0, 3.0]]), (2,))
        tensor([[-1.0000,  1.0000]])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("layer_norm", input)
    if weight is not None:
        check_tensor("layer_norm", weight, "weight")
    if bias is not None:
        check_tensor("layer_norm", bias, "bias")
    count = _check_last("layer_norm", input, normalized_shape, weight, bias)
    dim = -1 if count == 1 else tuple(range(-count, 0))
    if weight is None:
        result = _normalise.layer_norm(input, eps, dim=dim)
        return result if bias is None else result + bias
    if bias is None:
        return _normalise.layer_norm_weight(input, weight, eps, dim=dim)
    return _normalise.layer_norm_affine(input, weight, bias, eps, dim=dim)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """x / √(mean(x²) + eps) · weight over the last dimensions; eps is the dtype's rounding unit when None."""
    if not isinstance(input, Tensor):
        raise not_tensor("rms_norm", input)
    if weight is not None:
        check_tensor("rms_norm", weight, "weight")
    count = _check_last("rms_norm", input, normalized_shape, weight, None)
    dim = -1 if count == 1 else tuple(range(-count, 0))
    if eps is None:
        eps = flambeau.finfo(input.dtype).eps
    if weight is None:
        return _normalise.rms_norm(input, eps, dim=dim)
    return _normalise.rms_norm_weight(input, weight, eps, dim=dim)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / √(var + eps) over each group of channels (dimension 1) of each sample, times weight plus bias."""
    check_tensor("group_norm", input)
    num_groups = integer("group_norm", num_groups, "num_groups")
    if weight is not None:
        check_tensor("group_norm", weight, "weight")
    if bias is not None:
        check_tensor("group_norm", bias, "bias")
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    shape = tuple(input.shape)
    channels = shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            f"group_norm: Expected number of channels in input to be divisible by num_groups, but input is {shape} and "
            f"num_groups={num_groups}"
        )
    for which, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tuple(tensor.shape) != (channels,):
            raise ShapeError(
                f"group_norm: {which} must have one value for each of {channels} channels, but it is "
                f"{tuple(tensor.shape)}"
            )
    if channels and input.numel() == channels and shape[0] == 1 and channels == num_groups:
        raise ValueError(
            f"group_norm: Expected more than 1 value per channel when training, got input size {shape}: each group "
            f"would be one number less itself; use fewer than {num_groups} groups"
        )
    group = channels // num_groups
    for size in shape[2:]:
        group *= size
    result = _normalise.layer_norm(input.reshape((shape[0], num_groups, group)), eps, dim=-1).reshape(shape)
    per_channel = (channels,) + (1,) * (len(shape) - 2)
    if weight is not None:
        result = result * weight.reshape(per_channel)
    return result if bias is None else result + bias.reshape(per_channel)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """x / max(‖x‖_p, eps) along `dim`.

    Example:
        >>> F.normalize(fl.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    check_tensor("normalize", input)
    if p == 2.0:
        result = _normalise.normalize(input, eps, dim=dim)
    elif 0.0 < p < float("inf"):
        result = _normalise.normalize_p(input, p, eps, dim=dim)
    else:
        result = input / input.norm(p, dim, keepdim=True).clamp_min(eps)
    return result if out is None else out.copy_(result)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta.

    The channels (dimension 1) from c - size / 2 to c + (size - 1) / 2 count, those outside as zeros.

    Arguments: `input` (N, C, ...). Errors: ValueError for fewer than 3 dimensions.

    Example:
        >>> F.local_response_norm(fl.ones(1, 2, 1), 2, alpha=1.0, beta=1.0)
        tensor([[[0.6667],
                 [0.5000]]])
    """
    check_tensor("local_response_norm", input)
    size = integer("local_response_norm", size, "size")
    if input.ndim < 3:
        raise ValueError(
            f"local_response_norm: Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if size < 1:
        raise ValueError(f"local_response_norm: size must be positive, but it is {size}")
    if input.numel() == 0:
        return input.clone()
    squares = (input * input).transpose(1, -1)
    around = flambeau.constant_pad_nd(squares, (size // 2, (size - 1) // 2))
    mean = around.unfold(-1, size, 1).mean(-1) if input.dtype.is_floating_point else _whole_mean(around, size)
    return input / (mean.transpose(1, -1) * alpha + k) ** beta


def _whole_mean(around: Any, size: int) -> Any:
    """The mean of integers, cut to a whole number."""
    return around.unfold(-1, size, 1).sum(-1).div(size, rounding_mode="trunc")
