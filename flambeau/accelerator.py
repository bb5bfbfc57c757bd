"""What a program asks about the accelerator of this machine, whatever its kind: CUDA where it is there."""

from __future__ import annotations

from typing import Any

from flambeau.devices import NO_CUDA
from flambeau.devices import device as Device
from flambeau.errors import DeviceError

__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count",
    "empty_cache", "is_available", "max_memory_allocated", "memory_allocated", "memory_reserved",
    "reset_peak_memory_stats", "set_device_idx", "set_device_index", "set_stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is an accelerator.

    >>> fl.accelerator.is_available()
    False
    """
    from flambeau import cuda

    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> Any:
    """The accelerator's device, None without one."""
    return Device("cuda") if is_available() else None


def device_count() -> int:
    """How many accelerators there are."""
    from flambeau import cuda

    return cuda.device_count()


def current_device_index() -> int:
    """The number of the current accelerator; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def set_device_index(device: Any) -> None:
    """Make an accelerator the current one; DeviceError without one."""
    raise DeviceError(NO_CUDA)


current_device_idx, set_device_idx = current_device_index, set_device_index


def synchronize(device: Any = None) -> None:
    """Wait for the accelerator; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to; DeviceError without an accelerator."""
    raise DeviceError(NO_CUDA)


def set_stream(stream: Any) -> None:
    """Make a stream the current one; DeviceError without an accelerator."""
    raise DeviceError(NO_CUDA)


def empty_cache() -> None:
    """Give cached memory of the accelerator back; nothing to do without one."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors take on the accelerator: 0 without one."""
    return 0


memory_reserved = max_memory_allocated = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peak counts again; nothing to do without an accelerator."""
