"""Convolutions as PyTorch spells them: options for each dimension, padding by name, unbatched inputs, half precision.

The products themselves run in the core (`core/convolve.h`); their gradients, of any order, are convolutions again.
"""

from __future__ import annotations

from typing import Any

from flambeau import _core
from flambeau.dtypes import float32
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import check_tensor, integers

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

METHODS: dict[str, Any] = {}

_convolution = _core.convolution


def spread(name: str, argument: str, value: Any, dims: int, least: int) -> tuple[int, ...]:
    """`value`, an int or a sequence, as one int for each of `dims` dimensions; RuntimeError below `least`."""
    values = (value,) * dims if not isinstance(value, (tuple, list)) else tuple(value)
    if len(values) == 1 and dims > 1:
        values *= dims
    if len(values) != dims:
        raise RuntimeError(f"{name}: expected {argument} to be an int or {dims} ints, but got {value}")
    values = integers(name, values, argument)
    for each in values:
        if each < least:
            rule = "negative values are not supported" if least == 0 else "non-positive values are not supported"
            raise RuntimeError(f"{name}: {argument}: {rule}: {argument} is {value}")
    return values


def _check(name: str, dims: int, input: Any, weight: Any, bias: Any) -> None:
    check_tensor(name, input)
    check_tensor(name, weight, "weight")
    if weight.ndim != dims + 2:
        raise ShapeError(f"{name}: weight must have {dims + 2} dimensions, but it is {tuple(weight.shape)}")
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{name}: expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input, but it is {tuple(input.shape)}"
        )
    for which, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.dtype is not input.dtype and _core.autocast_dtype() is None:
            raise DTypeError(
                f"{name}: input and {which} must have the same dtype, but input is {input.dtype} and {which} is "
                f"{other.dtype}; convert one, e.g. input.to({other.dtype})"
            )


def _check_groups(name: str, input: Any, weight: Any, bias: Any, groups: int, channels: int, results: int) -> None:
    if groups <= 0:
        raise RuntimeError(f"{name}: groups must be positive, but it is {groups}: non-positive groups is not supported")
    found = f"input is {tuple(input.shape)}, weight is {tuple(weight.shape)}, groups={groups}"
    if weight.shape[0] % groups:
        raise ShapeError(f"{name}: the first size of weight must be divisible by groups: {found}")
    if input.shape[1] != channels:
        raise ShapeError(
            f"{name}: the weight expects input to have {channels} channels, but it has {input.shape[1]} channels: "
            f"{found}; make the layer with in_channels={input.shape[1]}, or permute the input to (N, C, ...)"
        )
    if bias is not None and tuple(bias.shape) != (results,):
        raise ShapeError(f"{name}: bias must have one value for each of {results} channels, it is {tuple(bias.shape)}")


def _forward(
    dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    name = f"conv{dims}d"
    _check(name, dims, input, weight, bias)
    if input.ndim == dims + 1:
        return _forward(dims, input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    _check_groups(name, input, weight, bias, groups, weight.shape[1] * groups, weight.shape[0])
    strides = spread(name, "stride", stride, dims, 1)
    dilations = spread(name, "dilation", dilation, dims, 1)
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        if padding == "valid":
            around: tuple[int, ...] = (0,) * dims
        elif padding != "same":
            raise RuntimeError(f"{name}: padding must be 'same', 'valid' or ints, but it is {padding!r}")
        elif any(s != 1 for s in strides):
            raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions; stride={stride}")
        else:
            total = tuple([d * (k - 1) for d, k in zip(dilations, kernel, strict=True)])
            around = tuple([t // 2 for t in total])
            if any(t % 2 for t in total):  # the odd one goes behind
                from flambeau.ops.padding import pad

                widths: list[int] = []
                for t in reversed(total):
                    widths += [0, t % 2]
                input = pad(input, widths)
    else:
        around = spread(name, "padding", padding, dims, 0)
    for size, k, p, d in zip(input.shape[2:], kernel, around, dilations, strict=True):
        if size + 2 * p < d * (k - 1) + 1:
            padded = tuple([s + 2 * q for s, q in zip(input.shape[2:], around, strict=True)])
            raise ShapeError(
                f"{name}: Kernel size can't be greater than actual input size: the padded input is {padded}, the "
                f"kernel is {kernel} with dilation {dilations}; add padding or take a smaller kernel"
            )
    return _run(input, weight, bias, strides, around, dilations, groups, None)


def _run(input: Any, weight: Any, bias: Any, strides: Any, around: Any, dilations: Any, groups: int, shape: Any) -> Any:
    dtype = input.dtype
    if dtype.name in ("float16", "bfloat16"):
        wide = None if bias is None else bias.to(float32)
        parts = (input.to(float32), weight.to(float32), wide)
        return _convolution(*parts, strides, around, dilations, groups, shape).to(dtype)
    if dtype.is_complex:
        return _complex_run(input, weight, bias, strides, around, dilations, groups, shape)
    if dtype.name not in ("float32", "float64", "int64"):
        raise DTypeError(f"convolution: not defined for {dtype}; convert input and weight with .float()")
    return _convolution(input, weight, bias, strides, around, dilations, groups, shape)


def _complex_run(input: Any, weight: Any, bias: Any, *options: Any) -> Any:
    """The four real convolutions of the parts."""
    from flambeau.ops.complex import complex

    left, right = (
        (input.real.contiguous(), input.imag.contiguous()),
        (weight.real.contiguous(), weight.imag.contiguous()),
    )
    biases = (None, None) if bias is None else (bias.real.contiguous(), bias.imag.contiguous())
    real = _run(left[0], right[0], biases[0], *options) - _run(left[1], right[1], None, *options)
    return complex(real, _run(left[0], right[1], biases[1], *options) + _run(left[1], right[0], None, *options))


def _transposed(
    dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Any:  # fmt: skip
    name = f"conv_transpose{dims}d"
    _check(name, dims, input, weight, bias)
    if input.ndim == dims + 1:
        batch = input.unsqueeze(0)
        result = _transposed(dims, batch, weight, bias, stride, padding, output_padding, groups, dilation)
        return result.squeeze(0)
    results = weight.shape[1] * groups
    _check_groups(name, input, weight, bias, groups, weight.shape[0], results)
    strides = spread(name, "stride", stride, dims, 1)
    around = spread(name, "padding", padding, dims, 0)
    extra = spread(name, "output_padding", output_padding, dims, 0)
    dilations = spread(name, "dilation", dilation, dims, 1)
    sizes = []
    for d in range(dims):
        if extra[d] >= max(strides[d], dilations[d]):
            raise RuntimeError(
                f"{name}: output padding must be smaller than either stride or dilation, but output_padding is "
                f"{extra}, stride is {strides}, dilation is {dilations}"
            )
        size = (input.shape[2 + d] - 1) * strides[d] - 2 * around[d] + dilations[d] * (weight.shape[2 + d] - 1) + 1
        sizes.append(size + extra[d])
    if any(size <= 0 for size in sizes):
        raise ShapeError(f"{name}: the result would have sizes {tuple(sizes)}: input is {tuple(input.shape)}")
    shape = (input.shape[0], results, *sizes)
    return _run(input, weight, bias, strides, around, dilations, groups, shape)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """y[n, o, t] = bias[o] + sum over c, k of weight[o, c, k] * input[n, c, t * stride + k * dilation - padding].

    Arguments: `input` (N, C, L) or (C, L), `weight` (O, C / groups, K), `bias` (O,), `padding` an int, 'same' or
    'valid'. Returns (N, O, L'). Errors: ShapeError when channels or sizes do not fit, DTypeError when dtypes differ.

    >>> fl.conv1d(fl.tensor([[1.0, 2.0, 3.0]]), fl.ones(1, 1, 2))
    tensor([[3., 5.]])
    """
    return _forward(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """`conv1d` over two dimensions: `input` (N, C, H, W) or (C, H, W), `weight` (O, C / groups, KH, KW)."""
    return _forward(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """`conv1d` over three dimensions: `input` (N, C, D, H, W) or (C, D, H, W), `weight` (O, C / groups, KD, KH, KW)."""
    return _forward(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The gradient of `conv1d` with respect to its input, as an operation: every value spreads over a kernel.

    Arguments: `input` (N, C, L) or (C, L), `weight` (C, O / groups, K), `bias` (O,). Returns (N, O, L') with
    L' = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1.

    >>> fl.conv_transpose1d(fl.tensor([[1.0, 2.0]]), fl.ones(1, 1, 2))
    tensor([[1., 3., 2.]])
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """`conv_transpose1d` over two dimensions: `input` (N, C, H, W), `weight` (C, O / groups, KH, KW)."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """`conv_transpose1d` over three dimensions: `input` (N, C, D, H, W), `weight` (C, O / groups, KD, KH, KW)."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
