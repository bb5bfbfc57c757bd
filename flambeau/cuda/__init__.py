"""What a program asks about CUDA: availability, counts, seeds, synchronisation.

On a machine without a CUDA driver every question has an answer (no device, zero bytes) and every command that needs
a device raises DeviceError; importing this costs nothing and loads nothing.
"""

from __future__ import annotations

from typing import Any

from flambeau.devices import NO_CUDA, device
from flambeau.errors import DeviceError

__all__ = [
    "current_device", "device", "device_count", "empty_cache", "get_device_name", "init", "is_available",
    "is_bf16_supported", "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated",
    "max_memory_reserved", "memory_allocated", "memory_reserved", "reset_peak_memory_stats", "set_device",
    "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether tensors can be made on a CUDA device of this machine.

    >>> fl.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many CUDA devices this machine has."""
    return 0


def is_initialized() -> bool:
    """Whether the CUDA driver has been started by this process."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes in bfloat16."""
    return False


def init() -> None:
    """Start the CUDA driver; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def current_device() -> int:
    """The number of the current CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def set_device(device: Any) -> None:
    """Make a CUDA device the current one; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def get_device_name(device: Any = None) -> str:
    """The name of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def synchronize(device: Any = None) -> None:
    """Wait for all work of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def empty_cache() -> None:
    """Give cached CUDA memory back to the driver; nothing to do without a device."""


def manual_seed(seed: int) -> None:
    """Seed the current CUDA device; nothing to do without a device, where `flambeau.manual_seed` seeds everything."""


def manual_seed_all(seed: int) -> None:
    """Seed every CUDA device; nothing to do without a device."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that live tensors take on a CUDA device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The largest number of bytes that live tensors took on a CUDA device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that the caching allocator holds on a CUDA device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The largest number of bytes that the caching allocator held on a CUDA device."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peak counts of a CUDA device again; nothing to do without a device."""
