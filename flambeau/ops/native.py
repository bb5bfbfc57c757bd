"""Normalisations, padding and backward passes under the lower-level names of PyTorch, which return what they save.

The layers that programs use are in `flambeau.nn.functional`; these are for code that was written against the level
below, such as hand-written backward passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core
from flambeau.ops import normalise, random
from flambeau.ops.arguments import check_floating, check_tensor, deliver, integers, shape_error, to_numpy
from flambeau.ops.padding import pad as _pad
from flambeau.ops.pooling import _options, windows

__all__ = [
    "constant_pad_nd", "max_pool2d_with_indices_backward", "native_batch_norm", "native_dropout",
    "native_dropout_backward", "native_group_norm", "native_layer_norm",
]  # fmt: skip

METHODS: dict[str, Any] = {}


def _standardised(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """(x - mean) * rstd, mean and rstd = 1 / sqrt(var + eps), with the dimensions kept."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    rstd = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * rstd, mean, rstd


def _check_shape(name: str, which: str, tensor: Any, shape: tuple[int, ...], rule: str) -> None:
    if tensor is not None and tuple(check_tensor(name, tensor, which).shape) != shape:
        raise shape_error(name, rule, **{which: tensor})


def _per_channel(result: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


def native_layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """(output, mean, rstd) of `nn.functional.layer_norm`, with rstd = 1 / sqrt(var + eps).

    Arguments: as of `layer_norm`, all of them given. Returns output of the shape of `input`; mean and rstd with ones
    for the normalised sizes. Errors: ShapeError where the sizes do not fit.

    >>> fl.native_layer_norm(fl.tensor([[1.0, 3.0]]), (2,), None, None, 0.0)
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    name = "native_layer_norm"
    check_floating(name, check_tensor(name, input))
    sizes = tuple(integers(name, normalized_shape, "normalized_shape"))
    if not sizes or tuple(input.shape)[-len(sizes) :] != sizes:
        raise shape_error(name, f"the last sizes of the input must be normalized_shape {sizes}", input=input)
    for which, tensor in (("weight", weight), ("bias", bias)):
        _check_shape(name, which, tensor, sizes, f"{which} must have shape normalized_shape {sizes}")
    dims = tuple(range(input.ndim - len(sizes), input.ndim))
    result, mean, rstd = _standardised(input, dims, eps)
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias, mean, rstd


def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """(output, mean, rstd) of `nn.functional.group_norm`, with rstd = 1 / sqrt(var + eps).

    Arguments: `input` with N * C * HxW elements, `weight` and `bias` (C,) or None. Returns output of the shape of
    `input`, mean and rstd (N, group). Errors: RuntimeError where the sizes do not fit.

    >>> fl.native_group_norm(fl.tensor([[1.0, 3.0]]), None, None, 1, 2, 1, 1, 0.0)[1:]
    (tensor([[2.]]), tensor([[1.]]))
    """
    name = "native_group_norm"
    check_floating(name, check_tensor(name, input))
    if group <= 0 or C % group:
        raise RuntimeError(
            f"{name}: Expected number of channels in input to be divisible by num_groups, but C={C}, group={group}"
        )
    if input.numel() != N * C * HxW:
        raise shape_error(name, f"input must have N * C * HxW = {N * C * HxW} elements", input=input)
    for which, tensor in (("weight", weight), ("bias", bias)):
        _check_shape(name, which, tensor, (C,), f"{which} must have one value for each of {C} channels")
    groups = input.reshape((N, group, C // group * HxW))
    result, mean, rstd = _standardised(groups, (2,), eps)
    result = _per_channel(result.reshape((N, C, HxW)), weight, bias, (C, 1))
    return result.reshape(input.shape), mean.squeeze(2), rstd.squeeze(2)


def native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    """(output, mean, rstd) of `nn.functional.batch_norm`, with rstd = 1 / sqrt(var + eps).

    Arguments: as of `batch_norm`, all of them given. Returns output of the shape of `input`, mean and rstd (C,) in
    training, empty otherwise. Errors: ShapeError where the sizes do not fit.

    >>> fl.native_batch_norm(fl.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 0.0)[1:]
    (tensor([2.]), tensor([1.]))
    """
    name = "native_batch_norm"
    check_floating(name, check_tensor(name, input))
    if input.ndim < 2:
        raise shape_error(name, "the input must be (N, C, ...)", input=input)
    channels = input.shape[1]
    named = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for which, tensor in named.items():
        _check_shape(name, which, tensor, (channels,), f"{which} must have one value for each of {channels} channels")
    shape = (channels,) + (1,) * (input.ndim - 2)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(f"{name}: Expected running_mean and running_var to be defined when training=False")
        result = normalise.batch_norm_inference(input, running_mean.reshape(shape), running_var.reshape(shape), eps)
        empty = _core.empty((0,), input.dtype)
        return _per_channel(result, weight, bias, shape).to(input.dtype), empty, empty.clone()
    dims = (0, *range(2, input.ndim))
    result, mean, rstd = _standardised(input, dims, eps)
    count = input.numel() // channels if channels else 0
    mean, rstd = mean.reshape((channels,)), rstd.reshape((channels,))
    if running_mean is not None:
        running_mean.detach().mul_(1.0 - momentum).add_(mean.detach().to(running_mean.dtype), alpha=momentum)
    if running_var is not None:
        values = input.detach().transpose(0, 1).reshape((channels, -1))
        unbiased = values.var(1, correction=1) if count > 1 else values.var(1, correction=0)
        running_var.detach().mul_(1.0 - momentum).add_(unbiased.to(running_var.dtype), alpha=momentum)
    return _per_channel(result, weight, bias, shape), mean, rstd


def native_dropout(input: Any, p: float, train: bool | None) -> tuple[Any, Any]:
    """(output, mask): every element zeroed with probability `p`, the others over 1 - p; mask says which were kept.

    Arguments: `train`, False keeps all. Errors: RuntimeError for p outside [0, 1].

    >>> fl.native_dropout(fl.ones(2), 0.5, False)
    (tensor([1., 1.]), tensor([True, True]))
    """
    check_tensor("native_dropout", input)
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"native_dropout: dropout probability has to be between 0 and 1, but got {p}")
    if train is False or p == 0.0:
        return input.clone(), _core.full(tuple(input.shape), True, _bool())
    mask = random.bernoulli_(_core.empty(tuple(input.shape), _bool()), 1.0 - p)
    return native_dropout_backward(input, mask, 0.0 if p == 1.0 else 1.0 / (1.0 - p)), mask


def _bool() -> Any:
    from flambeau.dtypes import bool as kind

    return kind


def native_dropout_backward(grad_output: Any, mask: Any, scale: float) -> Any:
    """grad_output * mask * scale: the gradient of `native_dropout`.

    >>> fl.native_dropout_backward(fl.ones(2), fl.tensor([True, False]), 2.0)
    tensor([2., 0.])
    """
    check_tensor("native_dropout_backward", grad_output, "grad_output")
    check_tensor("native_dropout_backward", mask, "mask")
    return grad_output * (mask * scale)


def constant_pad_nd(input: Any, pad: Sequence[int], value: Any = 0) -> Any:
    """`input` with `value` before and after its last dimensions; see `nn.functional.pad`.

    >>> fl.constant_pad_nd(fl.tensor([1, 2]), (1, 0), 9)
    tensor([9, 1, 2])
    """
    return _pad(input, pad, "constant", value)


def max_pool2d_with_indices_backward(
    grad_output: Any, self: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    indices: Any, *, grad_input: Any = None,
) -> Any:  # fmt: skip
    """The gradient of the input of `max_pool2d`: each element of `grad_output` added at the place of its maximum.

    Arguments: `self`, the input (N, C, H, W) or (C, H, W); the options it was pooled with; `indices` and
    `grad_output`, of the shape of the result. Returns the shape of the input. Errors: ShapeError, RuntimeError for an
    index outside the input.

    >>> x = fl.tensor([[[[1.0, 2.0]]]])
    >>> _, where = fl.nn.functional.max_pool2d(x, (1, 2), return_indices=True)
    >>> fl.max_pool2d_with_indices_backward(fl.ones(1, 1, 1, 1), x, (1, 2), (1, 2), 0, 1, False, where)
    tensor([[[[0., 1.]]]])
    """
    name = "max_pool2d_with_indices_backward"
    for which, tensor in (("grad_output", grad_output), ("self", self), ("indices", indices)):
        check_tensor(name, tensor, which)
    if self.ndim not in (3, 4):
        raise shape_error(name, "the input must be (N, C, H, W) or (C, H, W)", self=self)
    sizes = tuple(self.shape[-2:])
    found = windows(name, sizes, *_options(name, 2, kernel_size, stride or None, padding, dilation), bool(ceil_mode))
    lead = tuple(self.shape[:-2])
    if tuple(grad_output.shape) != (*lead, *found.out) or tuple(indices.shape) != (*lead, *found.out):
        rule = f"grad_output and indices must be {(*lead, *found.out)}"
        raise shape_error(name, rule, grad_output=grad_output, indices=indices)
    area = sizes[0] * sizes[1]
    flat = indices.reshape((*lead, -1))
    if flat.numel() and not (0 <= int(to_numpy(flat).min()) and int(to_numpy(flat).max()) < area):
        raise RuntimeError(f"{name}: indices must lie in the {area} places of the input {tuple(self.shape)}")
    result = _core.full((*lead, area), 0.0, grad_output.dtype)
    result = result.scatter_add(-1, flat, grad_output.reshape((*lead, -1))).reshape(tuple(self.shape))
    return deliver(result, grad_input)


def dropout(input: Any, p: float, train: bool) -> Any:
    """`nn.functional.dropout` with all arguments given: elements set to 0 with probability `p` while `train`.

    >>> fl.dropout(fl.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    from flambeau.nn import functional

    return functional.dropout(input, p, train)


def alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`nn.functional.alpha_dropout` with all arguments given.

    >>> fl.alpha_dropout(fl.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    from flambeau.nn import functional

    return functional.alpha_dropout(input, p, train)


def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Whole channels set to 0 with probability `p` while `train`.

    >>> fl.feature_dropout(fl.ones(1, 2, 1, 1), 0.5, False).shape
    flambeau.Size([1, 2, 1, 1])
    """
    from flambeau.nn import functional

    return functional.dropout2d(input, p, train)
