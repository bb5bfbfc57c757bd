"""Pools as modules: maxima, means and powers over windows, of given or of adapted sizes."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d",
    "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class _Pool(Module):
    _dims = 0

    def _function(self, name: str) -> Any:
        return getattr(F, f"{name}{self._dims}d")

    def _tuple(self, value: Any) -> Any:
        """One dimension keeps its options as tuples, as PyTorch does."""
        return (value,) if self._dims == 1 and isinstance(value, int) else value


class _MaxPool(_Pool):
    """The maximum of every window; options as of `functional.max_pool2d`."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the maxima, with their places if `return_indices`."""
        options = (self.kernel_size, self.stride, self.padding, self.dilation)
        return self._function("max_pool")(input, *options, ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _MaxUnpool(_Pool):
    """Zeros, but for the values at the places that a max-pool reported."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()

        def each(value: Any) -> tuple[int, ...]:
            return tuple(value) if isinstance(value, (tuple, list)) else (value,) * self._dims

        self.kernel_size = each(kernel_size)
        self.stride = each(kernel_size if stride is None else stride)
        self.padding = each(padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """The maxima and their places to an input of the pool."""
        return self._function("max_unpool")(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(_Pool):
    """The mean of every window; options as of `functional.avg_pool2d`."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = self._tuple(kernel_size)
        self.stride = self._tuple(kernel_size if stride is None else stride)
        self.padding = self._tuple(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the means."""
        options = [self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad]
        if self._dims > 1:
            options.append(self.divisor_override)
        return self._function("avg_pool")(input, *options)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptiveAvgPool(_Pool):
    """The means over windows that share the input out into `output_size` (None keeps a size)."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the means."""
        return self._function("adaptive_avg_pool")(input, self.output_size)

    def extra_repr(self) -> str:
        """The sizes of the result."""
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_Pool):
    """The maxima over windows that share the input out into `output_size` (None keeps a size)."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the maxima."""
        return self._function("adaptive_max_pool")(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The sizes of the result."""
        return f"output_size={self.output_size}"


class _LPPool(_Pool):
    """(sum of x ** norm_type over the window) ** (1 / norm_type)."""

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the norms."""
        return self._function("lp_pool")(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _FractionalMaxPool(_Pool):
    """The maxima over windows at random distances; see `functional.fractional_max_pool2d`.

    Arguments: `kernel_size`; one of `output_size` and `output_ratio`; `return_indices`; `_random_samples`, fixed
    numbers instead of fresh ones. Errors: ValueError unless exactly one of size and ratio is given.
    """

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")

        def each(value: Any) -> Any:
            return value if value is None or isinstance(value, (tuple, list)) else (value,) * self._dims

        self.kernel_size = each(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = each(output_size)
        self.output_ratio = each(output_ratio)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Any) -> Any:
        """(N, C, ...) or (C, ...) to the maxima, with their places if `return_indices`."""
        options = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples)
        return self._function("fractional_max_pool")(input, *options)


_SHAPES = {1: "(N, C, L) or (C, L)", 2: "(N, C, H, W) or (C, H, W)", 3: "(N, C, D, H, W) or (C, D, H, W)"}


def _make(base: type, name: str, dims: int) -> type:
    text = f"{base.__doc__}\n\n    Input: {_SHAPES[dims]}.\n    "
    return type(name, (base,), {"_dims": dims, "__doc__": text, "__module__": __name__, "__qualname__": name})


MaxPool1d, MaxPool2d, MaxPool3d = [_make(_MaxPool, f"MaxPool{d}d", d) for d in (1, 2, 3)]
MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = [_make(_MaxUnpool, f"MaxUnpool{d}d", d) for d in (1, 2, 3)]
AvgPool1d, AvgPool2d, AvgPool3d = [_make(_AvgPool, f"AvgPool{d}d", d) for d in (1, 2, 3)]
FractionalMaxPool2d, FractionalMaxPool3d = [_make(_FractionalMaxPool, f"FractionalMaxPool{d}d", d) for d in (2, 3)]
LPPool1d, LPPool2d, LPPool3d = [_make(_LPPool, f"LPPool{d}d", d) for d in (1, 2, 3)]
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = [
    _make(_AdaptiveAvgPool, f"AdaptiveAvgPool{d}d", d) for d in (1, 2, 3)
]
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = [
    _make(_AdaptiveMaxPool, f"AdaptiveMaxPool{d}d", d) for d in (1, 2, 3)
]
