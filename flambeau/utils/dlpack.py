"""`flambeau.utils.dlpack`: the older names of DLPack in and out. The conversions are those of the tensor itself."""

from __future__ import annotations

from typing import Any

from flambeau.ops.arguments import check_tensor
from flambeau.ops.from_data import from_dlpack

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Any) -> Any:
    """A DLPack capsule that shares the tensor's memory; each can be consumed once.

    >>> fl.utils.dlpack.from_dlpack(fl.utils.dlpack.to_dlpack(fl.arange(2)))
    tensor([0, 1])
    """
    return check_tensor("to_dlpack", tensor, "tensor").__dlpack__()
