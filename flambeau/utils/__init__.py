"""Helpers outside the tensor library: the public path of the data pipeline (`flambeau.utils.data`) and hook handles.

What does not live here: the data pipeline itself (`flambeau/data`).
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("_pytree", "benchmark", "checkpoint", "data", "dlpack", "hooks", "memory", "tensorboard"):
        from importlib import import_module

        return import_module(f"flambeau.utils.{name}")
    raise AttributeError(f"module 'flambeau.utils' has no attribute {name!r}")
