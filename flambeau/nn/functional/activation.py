"""Activations as functions, with `inplace` where PyTorch has it; softmax and its relatives."""

from __future__ import annotations

import warnings
from typing import Any

import flambeau
from flambeau.ops import elementwise as _elementwise
from flambeau.ops import normalise as _normalise
from flambeau.ops.arguments import Tensor, check_tensor, not_tensor, whole_number

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]

# Bound once: an activation is one core call, and the look-ups through two modules would cost as much as the call.
_relu = _elementwise.relu
_relu_inplace = _elementwise.relu.inplace
_relu6 = _elementwise.relu6
_elu = _elementwise.elu
_selu = _elementwise.selu
_celu = _elementwise.celu
_leaky_relu = _elementwise.leaky_relu
_hardtanh = _elementwise.hardtanh
_hardsigmoid = _elementwise.hardsigmoid
_hardswish = _elementwise.hardswish
_hardshrink = _elementwise.hardshrink
_softshrink = _elementwise.softshrink
_tanhshrink = _elementwise.tanhshrink
_softsign = _elementwise.softsign
_softplus = _elementwise.softplus
_sigmoid = _elementwise.sigmoid
_log_sigmoid = _elementwise.logsigmoid
_tanh = _elementwise.tanh
_silu = _elementwise.silu
_mish = _elementwise.mish
_gelu = _elementwise.gelu
_gelu_tanh = _elementwise.gelu_tanh
_threshold = _elementwise.threshold
_prelu = _elementwise.prelu
_softmax = _normalise.softmax
_log_softmax = _normalise.log_softmax


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0).

    Example:
        >>> F.relu(fl.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return _relu_inplace(input) if inplace else _relu(input)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return _relu6.inplace(input) if inplace else _relu6(input)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha·(exp(x) - 1)."""
    return _elu.inplace(input, alpha) if inplace else _elu(input, alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """1.0507·elu(x, 1.6733): keeps mean 0 and variance 1 through deep networks."""
    return _selu.inplace(input) if inplace else _selu(input)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """max(x, 0) + min(0, alpha·(exp(x / alpha) - 1))."""
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0; it divides the input")
    return _celu.inplace(input, alpha) if inplace else _celu(input, alpha)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope·x."""
    return _leaky_relu.inplace(input, negative_slope) if inplace else _leaky_relu(input, negative_slope)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x cut to [min_val, max_val]; beside integers the bounds lose their fractions."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, but {min_val} > {max_val}")
    if isinstance(input, Tensor) and input.dtype.category == 1:
        if min_val < 0 and not input.dtype.is_signed:
            raise RuntimeError(f"hardtanh: cannot cut {input.dtype} to negative bounds, min_val is {min_val}; use 0")
        clamp = flambeau.Tensor.clamp_ if inplace else flambeau.Tensor.clamp
        return clamp(input, int(min_val), int(max_val))
    return _hardtanh.inplace(input, min_val, max_val) if inplace else _hardtanh(input, min_val, max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return _hardsigmoid.inplace(input) if inplace else _hardsigmoid(input)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x·hardsigmoid(x)."""
    return _hardswish.inplace(input) if inplace else _hardswish(input)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0."""
    return _hardshrink(input, lambd)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, 0 within ±lambd. Errors: RuntimeError for a negative lambd."""
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must be greater or equal to 0, but it is {lambd}")
    return _softshrink(input, lambd)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return _tanhshrink(input)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return _softsign(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta·x)) / beta; x itself where beta·x > threshold."""
    return _softplus(input, beta, threshold)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return _sigmoid(input)


def logsigmoid(input: Any) -> Any:
    """log(1 / (1 + exp(-x)))."""
    return _log_sigmoid(input)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return _tanh(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """x·sigmoid(x), also called swish."""
    return _silu.inplace(input) if inplace else _silu(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x·tanh(softplus(x))."""
    return _mish.inplace(input) if inplace else _mish(input)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x·Φ(x), Φ the normal distribution function; with approximate="tanh" its usual approximation."""
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_tanh(input)
    raise RuntimeError(f"gelu: approximate argument must be either none or tanh, but it is {approximate!r}")


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value.

    >>> fl.nn.functional.threshold(fl.tensor([-1.0, 0.5, 2.0]), 1.0, 0.0)
    tensor([0., 0., 2.])
    """
    if isinstance(input, Tensor) and not input.dtype.is_floating_point:
        threshold, value = (whole_number("threshold", each, input.dtype) for each in (threshold, value))
    return _threshold.inplace(input, threshold, value) if inplace else _threshold(input, threshold, value)


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else weight·x, with one weight for all or one for each channel (dimension 1)."""
    check_tensor("prelu", input)
    check_tensor("prelu", weight, "weight")
    if weight.ndim > 1:
        raise flambeau.errors.ShapeError(
            f"prelu: weight must have one dimension or none, but it is {tuple(weight.shape)}; use weight.flatten()"
        )
    if weight.numel() != 1:
        if input.ndim < 1:
            raise flambeau.errors.ShapeError(
                f"prelu: a weight for each of {weight.numel()} channels needs an input with a channel dimension, "
                "but the input has no dimensions"
            )
        channels = input.shape[1] if input.ndim >= 2 else 1
        if channels != weight.numel():
            raise flambeau.errors.ShapeError(
                f"prelu: weight has {weight.numel()} values, but input {tuple(input.shape)} has {channels} channels; "
                "give one value, or one for each channel"
            )
        weight = weight.reshape((-1,) + (1,) * (input.ndim - 2)) if input.ndim > 2 else weight
    elif input.ndim == 0:
        weight = weight.reshape(())
    return _prelu(input, weight)


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """x where x > 0, else a·x with a drawn from [lower, upper) for each element; out of training a is their mean."""
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be greater than upper, but {lower} > {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = flambeau.rand_like(input) * (upper - lower) + lower
    result = flambeau.where(input > 0, input, input * slope)
    return input.copy_(result) if inplace else result


def glu(input: Any, dim: int = -1) -> Any:
    """a·sigmoid(b), a and b the two halves of the input along `dim`."""
    if not isinstance(input, Tensor):
        raise not_tensor("glu", input)
    if input.ndim == 0:
        raise RuntimeError("glu: does not support 0-dimensional tensors; it halves a dimension")
    size = input.shape[dim]
    if size % 2:
        raise flambeau.errors.ShapeError(f"glu: halving dimension must be even, but dimension {dim} is size {size}")
    first, second = input.chunk(2, dim)
    return first * _sigmoid(second)


def _choose_dim(name: str, dimensions: int) -> int:
    warnings.warn(
        f"{name}: Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
        "argument.",
        stacklevel=4,
    )
    return 0 if dimensions in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`, after a cast to `dtype` if given.

    Example:
        >>> F.softmax(fl.tensor([0.0, 0.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    if not isinstance(input, Tensor):
        raise not_tensor("softmax", input)
    if dim is None:
        dim = _choose_dim("softmax", input.ndim)
    return _softmax(input if dtype is None else input.to(dtype), dim=dim)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax(-x) along `dim`."""
    check_tensor("softmin", input)
    if dim is None:
        dim = _choose_dim("softmin", input.ndim)
    return _softmax(-(input if dtype is None else input.to(dtype)), dim=dim)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`, computed without the rounding of the two steps."""
    if not isinstance(input, Tensor):
        raise not_tensor("log_softmax", input)
    if dim is None:
        dim = _choose_dim("log_softmax", input.ndim)
    return _log_softmax(input if dtype is None else input.to(dtype), dim=dim)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A differentiable draw from the categorical distribution of `logits`; with `hard` a one-hot one.

    softmax((logits + g) / tau), g Gumbel noise. `hard` gives the one-hot value and the soft gradient.
    """
    check_tensor("gumbel_softmax", logits, "logits")
    noise = -flambeau.empty_like(logits).exponential_().log()
    soft = _softmax((logits + noise) / tau, dim=dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = flambeau.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


def relu_(input: Any) -> Any:
    """In-place `relu`."""
    return _relu_inplace(input)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """In-place `elu`."""
    return elu(input, alpha, True)


def selu_(input: Any) -> Any:
    """In-place `selu`."""
    return selu(input, True)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """In-place `celu`."""
    return celu(input, alpha, True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """In-place `leaky_relu`."""
    return leaky_relu(input, negative_slope, True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """In-place `hardtanh`."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """In-place `threshold`."""
    return _threshold.inplace(input, threshold, value)


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """In-place `rrelu`."""
    return rrelu(input, lower, upper, training, True)
