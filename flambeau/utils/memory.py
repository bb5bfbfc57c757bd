"""A tensor's elements as bytes, and back: for files and for pipes between processes."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes

__all__ = ["bytes_of", "empty_with_bytes"]


def bytes_of(tensor: Any) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, in its own memory."""
    if tensor.numel() == 0:
        return memoryview(b"")
    vector = tensor.detach().reshape((-1,))
    if vector.dtype is dtypes.bfloat16:
        vector = vector.view(dtypes.int16)  # the buffer protocol has no letter for it
    return memoryview(vector).cast("B")


def empty_with_bytes(shape: tuple, dtype: Any) -> tuple[Any, memoryview]:
    """A new tensor with undefined values, and its bytes to write them into."""
    tensor = _core.empty(shape, dtypes.int16 if dtype is dtypes.bfloat16 else dtype)
    memory = bytes_of(tensor)
    return (tensor.view(dtype) if dtype is dtypes.bfloat16 else tensor), memory
