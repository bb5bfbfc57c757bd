"""What a program asks about devices of the kind mps: there are none."""

from __future__ import annotations

from typing import Any

from flambeau.errors import DeviceError

__all__ = [
    "current_device", "device_count", "empty_cache", "get_rng_state", "is_available", "is_bf16_supported",
    "manual_seed",
    "manual_seed_all", "max_memory_allocated", "memory_allocated", "memory_reserved", "reset_peak_memory_stats",
    "set_rng_state", "synchronize",
]  # fmt: skip

_NONE = "mps: there is no such device on this machine; use device='cpu'"


def is_available() -> bool:
    """False."""
    return False


def is_bf16_supported() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_device() -> int:
    """DeviceError: there is none."""
    raise DeviceError(_NONE)


def synchronize(device: Any = None) -> None:
    """DeviceError: there is no device to wait for."""
    raise DeviceError(_NONE)


def empty_cache() -> None:
    """Nothing to give back."""


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed."""


def get_rng_state(device: Any = "mps") -> Any:
    """DeviceError: there is no device."""
    raise DeviceError(_NONE)


def set_rng_state(new_state: Any, device: Any = "mps") -> None:
    """DeviceError: there is no device."""
    raise DeviceError(_NONE)


def memory_allocated(device: Any = None) -> int:
    """0 bytes."""
    return 0


memory_reserved = max_memory_allocated = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing is counted."""
