"""What a program asks about the CPU as a device: there is one, and nothing runs behind the program's back."""

from __future__ import annotations

from typing import Any

from flambeau.cpu import amp

__all__ = ["amp", "current_device", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """The name of the device."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing to wait for: calls return when they are done."""
