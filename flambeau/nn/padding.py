"""Padding as modules: zeros, a constant, mirrored, the edge and circular, each for 1 to 3 dimensions."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """What padding modules share: `padding`, a number for all sides or (before, after) pairs, last dimension first."""

    mode, dims = "constant", 1
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.dims:
            raise ValueError(f"{type(self).__name__}: padding needs {2 * self.dims} numbers, got {padding}")

    def forward(self, input: Any) -> Any:
        """(..., sizes) to (..., sizes + padding)."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The padding and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    value = 0.0


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


def _sized(base: type, what: str) -> list[Any]:
    made = []
    for dims in (1, 2, 3):
        doc = f"Pad the last {dims} dimension{'s' if dims > 1 else ''} with {what}; see `functional.pad`."
        names = {"dims": dims, "__doc__": doc, "__module__": __name__}
        made.append(type(f"{base.__name__[1:]}{dims}d", (base,), names))
    return made


ConstantPad1d, ConstantPad2d, ConstantPad3d = _sized(_ConstantPad, "a constant")
ZeroPad1d, ZeroPad2d, ZeroPad3d = _sized(_ZeroPad, "zeros")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _sized(_ReflectionPad, "the mirrored tensor")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _sized(_ReplicationPad, "its edge")
CircularPad1d, CircularPad2d, CircularPad3d = _sized(_CircularPad, "its other end")
