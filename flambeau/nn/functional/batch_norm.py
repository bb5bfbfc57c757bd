"""Normalisation with running statistics as functions: over the batch, and over each sample's channels."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.errors import ShapeError
from flambeau.ops import normalise as _normalise
from flambeau.ops.arguments import check_tensor

__all__ = ["batch_norm", "instance_norm"]


def _check(name: str, input: Any, **tensors: Any) -> None:
    check_tensor(name, input)
    for which, tensor in tensors.items():
        if tensor is not None:
            check_tensor(name, tensor, which)
    if input.ndim < 2 and input.numel():
        raise ShapeError(f"{name}: the input must be (N, C, ...), but it is {tuple(input.shape)}")
    channels = input.shape[1] if input.ndim > 1 else 0
    for which, tensor in tensors.items():
        if tensor is not None and tuple(tensor.shape) != (channels,):
            raise ShapeError(
                f"{name}: {which} must have one value for each of {channels} channels (it should contain {channels} "
                f"elements), but it is {tuple(tensor.shape)}; the input is {tuple(input.shape)}"
            )


def _update(running: Any, value: Any, momentum: float) -> None:
    """running = (1 - momentum) * running + momentum * value, in place and without history."""
    if running is not None:
        with flambeau.no_grad():
            running.mul_(1.0 - momentum).add_(value.detach().to(running.dtype), alpha=momentum)


def _scaled(result: Any, weight: Any, bias: Any) -> Any:
    shape = (result.shape[1],) + (1,) * (result.ndim - 2)
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """(x - mean) / √(var + eps) · weight + bias for each channel (dimension 1) of (N, C, ...).

    In training mean and variance are the batch's, and the running ones move toward them by `momentum` (the variance
    toward the unbiased one); otherwise they are the running ones. Errors: ShapeError when the sizes do not fit,
    ValueError for a single value a channel in training.

    Example:
        >>> F.batch_norm(fl.tensor([[1.0], [3.0]]), None, None, training=True)
        tensor([[-1.0000],
                [ 1.0000]])
    """
    _check("batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    dtype = input.dtype
    if input.numel() == 0:
        return _scaled(input.clone(), weight, bias) if input.ndim > 1 else input.clone()
    channels = input.shape[1]
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: Expected running_mean and running_var to be defined when training=False")
        shape = (channels,) + (1,) * (input.ndim - 2)
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)
        if weight is not None and bias is not None:
            pair = (weight.reshape(shape), bias.reshape(shape))
            return _normalise.batch_norm_inference_affine(input, mean, variance, *pair, eps).to(dtype)
        return _scaled(_normalise.batch_norm_inference(input, mean, variance, eps), weight, bias).to(dtype)
    count = input.numel() // channels
    if count == 1:
        raise ValueError(
            f"batch_norm: Expected more than 1 value per channel when training, got input size {tuple(input.shape)}; "
            "use a larger batch or call model.eval()"
        )
    dims = (0, *range(2, input.ndim))
    if weight is not None and bias is not None:
        result, mean, variance = _normalise.batch_norm_affine(input, weight, bias, eps, dim=dims)
    else:
        result, mean, variance = _normalise.batch_norm(input, eps, dim=dims)
        result = _scaled(result, weight, bias)
    _update(running_mean, mean, momentum)
    _update(running_var, variance * (count / (count - 1)), momentum)
    return result.to(dtype)


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """(x - mean) / √(var + eps) · weight + bias for each channel of each sample of (N, C, ...).

    With `use_input_stats` mean and variance are those of the sample's channel, and the running ones move toward their
    means over the batch; otherwise they are the running ones. Errors: as `batch_norm`.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check("instance_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    count = 1
    for size in input.shape[2:]:
        count *= size
    if count == 1:
        raise ValueError(
            f"instance_norm: Expected more than 1 spatial element when training, got input size {tuple(input.shape)}"
        )
    result, mean, variance = _normalise.batch_norm(input, eps, dim=tuple(range(2, input.ndim)))
    if running_mean is not None:
        _update(running_mean, mean.mean(0), momentum)
    if running_var is not None:
        _update(running_var, variance.mean(0) * (count / (count - 1)), momentum)
    return _scaled(result, weight, bias).to(input.dtype)
