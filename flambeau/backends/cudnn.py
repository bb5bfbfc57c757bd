"""Switches of cuDNN, which is not used on this machine: they keep their value and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["flags", "is_available", "version"]

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True
benchmark_limit = 10


def is_available() -> bool:
    """Whether cuDNN can be used."""
    return False


def version() -> int | None:
    """cuDNN's version; None without it."""
    return None


@contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """A block with other switches."""
    values = {"enabled": enabled, "benchmark": benchmark, "benchmark_limit": benchmark_limit}
    values |= {"deterministic": deterministic, "allow_tf32": allow_tf32}
    before = {name: globals()[name] for name in values}
    globals().update(values)
    try:
        yield
    finally:
        globals().update(before)
