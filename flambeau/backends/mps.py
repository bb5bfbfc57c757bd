"""Questions about Apple's GPUs, which flambeau does not use."""

from __future__ import annotations

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """Whether Apple's GPUs can be used."""
    return False


def is_built() -> bool:
    """Whether this build can use them."""
    return False
