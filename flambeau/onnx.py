"""Names of PyTorch's exporter that programs ask; exporting itself is not there yet."""

from __future__ import annotations

from typing import Any

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """False: nothing is exported.

    >>> fl.onnx.is_in_onnx_export()
    False
    """
    return False


def export(model: Any, *args: Any, **options: Any) -> None:
    """Refused: there is no exporter."""
    raise NotImplementedError("onnx.export: exporting is not there; save the weights with flambeau.save")
