"""Questions about Intel's MKL, which flambeau does not use."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether Intel's MKL can be used."""
    return False
