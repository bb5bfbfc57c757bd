"""The `device` class: where a tensor lives, by kind and number. It holds no memory and starts nothing."""

from __future__ import annotations

from typing import Any

from flambeau.errors import DeviceError

__all__ = ["device"]

KINDS = ("cpu", "cuda", "meta")


class device:  # noqa: N801
    """Where a tensor lives: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)`.

    Attributes: `type` ("cpu" or "cuda") and `index` (an int, or None for the current device of that kind).
    Raises RuntimeError for an unknown kind or a malformed number.

    >>> fl.device("cuda:1").index
    1
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, device: Any = None, index: int | None = None, *, type: str | None = None) -> None:
        if device is not None and type is not None:
            raise TypeError("device: the kind is given twice, by position and as type=; give it once")
        device = device if device is not None else type if type is not None else "cpu"
        if isinstance(device, int):
            device, index = "cuda", device
        elif not isinstance(device, str):
            if not (hasattr(device, "type") and hasattr(device, "index")):
                raise TypeError(f"device: needs a string such as 'cpu' or 'cuda:0', got {device!r}")
            device, index = device.type, device.index
        kind, colon, number = device.partition(":")
        if kind not in KINDS:
            raise RuntimeError(
                f"device: expected one of {', '.join(KINDS)} device type at start of device string: {device!r}"
            )
        if colon:
            if index is not None:
                raise RuntimeError(f"device: the number is given twice: {device!r} and index={index}; give it once")
            if not (number.isascii() and number.isdigit()) or (len(number) > 1 and number[0] == "0"):
                raise RuntimeError(f"device: invalid device string: {device!r}; write it like 'cuda:0'")
            index = int(number)
        if index is not None and index < 0:
            raise RuntimeError(f"device: the number must not be negative, got {index}")
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", index)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"device: attribute {name!r} is read-only; make another device instead")

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + ("" if self.index is None else f", index={self.index}") + ")"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return (device, (self.type, self.index))

    def __enter__(self) -> device:
        stack.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        stack.pop()


CPU = device("cpu")
#: The devices of the `with device(...)` blocks that are open, innermost last.
stack: list[device] = []

NO_CUDA = (
    "cuda asked for, but no CUDA driver was found on this machine; use device='cpu', or write "
    "device = 'cuda' if flambeau.cuda.is_available() else 'cpu'"
)


def check_device(asked: Any) -> device:
    """The device that `device=asked` means; DeviceError where this machine lacks it."""
    if asked is None or asked == "cpu":
        return CPU
    found = asked if isinstance(asked, device) else device(asked)
    if found.type == "cpu":
        if found.index not in (None, 0):
            raise DeviceError(f"device: there is one CPU device, so {found} does not exist; use device='cpu'")
        return CPU
    if found.type == "cuda":
        from flambeau import cuda

        if not cuda.is_available():
            raise DeviceError(NO_CUDA)
        return found
    raise DeviceError(f"device: {found} holds no values and is not supported; use device='cpu'")
