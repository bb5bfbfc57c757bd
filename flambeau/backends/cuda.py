"""Switches of CUDA's libraries: they keep their value and change nothing on a machine without CUDA."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

__all__ = [
    "cudnn_sdp_enabled", "enable_cudnn_sdp", "enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp",
    "flash_sdp_enabled", "is_built", "math_sdp_enabled", "matmul", "mem_efficient_sdp_enabled", "sdp_kernel",
]  # fmt: skip


class _Matmul:
    """How matrix products are rounded."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether this build can use CUDA devices."""
    return False


_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was told; attention on the CPU always takes memory linear in the lengths."""
    return _attention["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was told."""
    return _attention["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was told."""
    return _attention["math"]


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was told."""
    return _attention["cudnn"]


def enable_flash_sdp(enabled: bool) -> None:
    """Keep a wish about CUDA's attention kernels; it changes nothing on the CPU."""
    _attention["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Keep a wish about CUDA's attention kernels; it changes nothing on the CPU."""
    _attention["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Keep a wish about CUDA's attention kernels; it changes nothing on the CPU."""
    _attention["math"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Keep a wish about CUDA's attention kernels; it changes nothing on the CPU."""
    _attention["cudnn"] = bool(enabled)


@contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Any:
    """A block with other wishes about CUDA's attention kernels.

    >>> with fl.backends.cuda.sdp_kernel(enable_math=False): fl.backends.cuda.math_sdp_enabled()
    False
    """
    before = dict(_attention)
    wishes = (enable_flash, enable_mem_efficient, enable_math, enable_cudnn)
    _attention.update(zip(_attention, map(bool, wishes), strict=True))
    try:
        yield {}
    finally:
        _attention.update(before)
