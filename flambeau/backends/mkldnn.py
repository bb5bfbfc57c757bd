"""Questions about oneDNN, which flambeau does not use."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether oneDNN can be used."""
    return False
