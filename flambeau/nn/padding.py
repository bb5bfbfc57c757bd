"""Padding as modules: zeros, a constant, the border, mirrored, or the other end, in one to three dimensions."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Values around (N, C, ...) or (C, ...): `padding` is one width, or before and after for each dimension, the last
    dimension first."""

    _dims = 0
    _mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Any) -> Any:
        """The input with values around it."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """The input with `value` around it."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The widths and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


def _make(base: type, mode: str, name: str, what: str, dims: int) -> type:
    text = f"{what} around {'(N, C, ...) or (C, ...)'}, in the last {dims} dimension{'s' if dims > 1 else ''}.\n\n"
    text += (
        "    Arguments: `padding`, one width, or before and after for each dimension, the last dimension first.\n    "
    )
    members = {"_dims": dims, "_mode": mode, "__doc__": text, "__module__": __name__, "__qualname__": name}
    return type(name, (base,), members)


ZeroPad1d, ZeroPad2d, ZeroPad3d = [_make(_ZeroPad, "constant", f"ZeroPad{d}d", "Zeros", d) for d in (1, 2, 3)]
ConstantPad1d, ConstantPad2d, ConstantPad3d = [
    _make(_ConstantPad, "constant", f"ConstantPad{d}d", "The number `value`", d) for d in (1, 2, 3)
]
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = [
    _make(_Pad, "reflect", f"ReflectionPad{d}d", "The mirrored input, without its border,", d) for d in (1, 2, 3)
]
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = [
    _make(_Pad, "replicate", f"ReplicationPad{d}d", "The values of the border", d) for d in (1, 2, 3)
]
CircularPad1d, CircularPad2d, CircularPad3d = [
    _make(_Pad, "circular", f"CircularPad{d}d", "The values of the other end", d) for d in (1, 2, 3)
]
