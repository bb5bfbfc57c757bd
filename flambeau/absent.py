"""What a program asks about devices of a kind that flambeau has no code for, such as mps and xpu: there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.errors import DeviceError

__all__ = [
    "device_count", "empty_cache", "is_available", "is_bf16_supported", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "memory_allocated", "memory_reserved", "refusals", "reset_peak_memory_stats",
]  # fmt: skip


def is_available() -> bool:
    """False."""
    return False


def is_bf16_supported() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def empty_cache() -> None:
    """Nothing to give back."""


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed."""


def memory_allocated(device: Any = None) -> int:
    """0 bytes."""
    return 0


memory_reserved = max_memory_allocated = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing is counted."""


def refusals(kind: str) -> tuple[Callable[..., Any], ...]:
    """`current_device`, `synchronize`, `get_rng_state` and `set_rng_state` of a kind of device: each a DeviceError."""
    text = f"{kind}: there is no such device on this machine; use device='cpu'"

    def current_device() -> int:
        """DeviceError: there is none."""
        raise DeviceError(text)

    def synchronize(device: Any = None) -> None:
        """DeviceError: there is no device to wait for."""
        raise DeviceError(text)

    def get_rng_state(device: Any = kind) -> Any:
        """DeviceError: there is no device."""
        raise DeviceError(text)

    def set_rng_state(new_state: Any, device: Any = kind) -> None:
        """DeviceError: there is no device."""
        raise DeviceError(text)

    return current_device, synchronize, get_rng_state, set_rng_state
