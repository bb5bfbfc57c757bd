"""What a program asks about devices of the kind mps: there are none."""

from __future__ import annotations

from flambeau.absent import (
    device_count,
    empty_cache,
    is_available,
    is_bf16_supported,
    manual_seed,
    manual_seed_all,
    max_memory_allocated,
    memory_allocated,
    memory_reserved,
    refusals,
    reset_peak_memory_stats,
)

__all__ = [
    "current_device", "device_count", "empty_cache", "get_rng_state", "is_available", "is_bf16_supported",
    "manual_seed", "manual_seed_all", "max_memory_allocated", "memory_allocated", "memory_reserved",
    "reset_peak_memory_stats", "set_rng_state", "synchronize",
]  # fmt: skip

current_device, synchronize, get_rng_state, set_rng_state = refusals("mps")
