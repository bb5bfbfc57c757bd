"""Convolutions as modules: `Conv1d/2d/3d`, `ConvTranspose1d/2d/3d`."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_MODES = ("zeros", "reflect", "replicate", "circular")


def _each(value: Any, dims: int) -> tuple[int, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(value) * (dims if len(value) == 1 else 1)
    return (value,) * dims


class _Convolution(Module):
    """Weights and options of a convolution."""

    _dims = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        dims = self._dims
        if groups <= 0:
            raise ValueError(f"{type(self).__name__}: groups must be a positive integer, but it is {groups}")
        for which, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{type(self).__name__}: {which} must be divisible by groups: {channels}, {groups}")
        if padding_mode not in _MODES:
            raise ValueError(f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{padding_mode}'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _each(kernel_size, dims)
        self.stride = _each(stride, dims)
        self.dilation = _each(dilation, dims)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        self.padding: Any = padding if isinstance(padding, str) else _each(padding, dims)
        self.transposed = transposed
        self.output_padding = _each(output_padding, dims)
        self.groups = groups
        self.padding_mode = padding_mode
        self._around = self._widths()
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(flambeau.empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(flambeau.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _widths(self) -> tuple[int, ...]:
        """The padding as `F.pad` takes it: last dimension first, before and after."""
        widths: list[int] = []
        for d in range(self._dims - 1, -1, -1):
            if self.padding == "same":
                total = self.dilation[d] * (self.kernel_size[d] - 1)
                widths += [total // 2, total - total // 2]
            else:
                p = 0 if self.padding == "valid" else self.padding[d]
                widths += [p, p]
        return tuple(widths)

    def reset_parameters(self) -> None:
        """Draw new weights, uniform in ±1/√(channels in of a group · kernel positions)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(tuple(self.weight.shape)[1:])
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self._dims:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._dims:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self._dims:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


_ConvNd = _Convolution  # PyTorch's name


class _Forward(_Convolution):
    """`out_channels` weighted sums over the windows of (N, in_channels, ...).

    Arguments: `kernel_size`, `stride`, `padding` (ints, or 'same' or 'valid'), `dilation`: one int, or one for each
    dimension; `groups`, into which both channels are divided; `padding_mode`, 'zeros', 'reflect', 'replicate' or
    'circular'. `weight` is (out_channels, in_channels / groups, kernel...), `bias` is (out_channels,), both uniform in
    ±1/√(in_channels / groups · kernel positions) at the start.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        arguments = (in_channels, out_channels, kernel_size, stride, padding, dilation)
        super().__init__(*arguments, False, 0, groups, bias, padding_mode, device, dtype)

    def forward(self, input: Any) -> Any:
        """(N, in_channels, ...) to (N, out_channels, ...)."""
        function = getattr(F, f"conv{self._dims}d")
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._around, mode=self.padding_mode)
            padding = 0
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Forward):
    __doc__ = f"""{_Forward.__doc__}
    Input: (N, C, L) or (C, L).

    Example:
        >>> fl.nn.Conv1d(16, 33, 3, stride=2)(fl.zeros(20, 16, 50)).shape
        Size([20, 33, 24])
    """
    _dims = 1


class Conv2d(_Forward):
    __doc__ = f"""{_Forward.__doc__}
    Input: (N, C, H, W) or (C, H, W).

    Example:
        >>> fl.nn.Conv2d(1, 32, 3)(fl.zeros(64, 1, 28, 28)).shape
        Size([64, 32, 26, 26])
    """
    _dims = 2


class Conv3d(_Forward):
    __doc__ = f"""{_Forward.__doc__}
    Input: (N, C, D, H, W) or (C, D, H, W).
    """
    _dims = 3


class _Transposed(_Convolution):
    """The gradient of a convolution as a layer: each value of (N, in_channels, ...) spreads over a window.

    Arguments: as of `Conv2d`; `output_padding`, how much larger the result is on one side, smaller than the stride.
    `weight` is (in_channels, out_channels / groups, kernel...), `bias` is (out_channels,).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        arguments = (in_channels, out_channels, kernel_size, stride, padding, dilation)
        super().__init__(*arguments, True, output_padding, groups, bias, padding_mode, device, dtype)

    def _extra(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """The output padding that makes a result of `output_size`."""
        if output_size is None:
            return self.output_padding
        dims = self._dims
        wanted = list(output_size)[-dims:]
        sizes = tuple(input.shape)[-dims:]
        extra = []
        for d in range(dims):
            reach = self.dilation[d] * (self.kernel_size[d] - 1) + 1
            least = (sizes[d] - 1) * self.stride[d] - 2 * self.padding[d] + reach
            if not least <= wanted[d] < least + self.stride[d]:
                raise ValueError(
                    f"requested an output size of {tuple(wanted)}, but valid sizes of dimension {d} range from {least} "
                    f"to {least + self.stride[d] - 1} (for an input of {sizes})"
                )
            extra.append(wanted[d] - least)
        return tuple(extra)

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, in_channels, ...) to (N, out_channels, ...), of the spatial sizes `output_size` if given."""
        function = getattr(F, f"conv_transpose{self._dims}d")
        extra = self._extra(input, output_size)
        options = (self.stride, self.padding, extra, self.groups, self.dilation)
        return function(input, self.weight, self.bias, *options)


class ConvTranspose1d(_Transposed):
    __doc__ = f"""{_Transposed.__doc__}
    Input: (N, C, L) or (C, L).
    """
    _dims = 1


class ConvTranspose2d(_Transposed):
    __doc__ = f"""{_Transposed.__doc__}
    Input: (N, C, H, W) or (C, H, W).
    """
    _dims = 2


class ConvTranspose3d(_Transposed):
    __doc__ = f"""{_Transposed.__doc__}
    Input: (N, C, D, H, W) or (C, D, H, W).
    """
    _dims = 3
