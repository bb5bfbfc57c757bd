"""Switches of CUDA's libraries: they keep their value and change nothing on a machine without CUDA."""

from __future__ import annotations

__all__ = ["is_built", "matmul"]


class _Matmul:
    """How matrix products are rounded."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether this build can use CUDA devices."""
    return False
