"""Under detect_anomaly: the path of the module whose forward makes a node, for the error's text.

It is read from the frames of the running program; nothing of it happens while detect_anomaly is off. The checks are in
the core.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

__all__ = ["module_path"]


def module_path() -> str:
    """`model.layers.3.fc1 (Linear)` for the modules that run, outermost first; empty outside of modules."""
    if "flambeau.nn.module" not in sys.modules:
        return ""
    code = sys.modules["flambeau.nn.module"].Module.__call__.__code__
    running: list[Any] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is code:
            module = frame.f_locals["self"]
            if not running or running[-1] is not module:
                running.append(module)
        frame = frame.f_back
    if not running:
        return ""
    running.reverse()
    path = type(running[0]).__name__
    for outer, inner in pairwise(running):
        path += _below(outer, inner)
    return path if len(running) == 1 else f"{path} ({type(running[-1]).__name__})"


def _below(outer: Any, inner: Any) -> str:
    for name, module in outer.named_modules():
        if module is inner:
            return f".{name}"
    return f" > {type(inner).__name__}"
