"""Entries of PyTorch's operator database where flambeau is known to differ, each with the reason."""

from __future__ import annotations

DIFFERENT: dict[str, str] = {}
