"""Names of PyTorch's compiler that programs set or ask; `flambeau.compile` is another one, and has no such switches."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flambeau.compiler.switches import disable, is_compiling, reset

__all__ = ["allow_in_graph", "config", "disable", "graph_break", "is_compiling", "mark_dynamic", "mark_static", "reset"]

#: Settings are kept and change nothing.
config = SimpleNamespace(cache_size_limit=8, suppress_errors=False, verbose=False)


def allow_in_graph(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Accepted: a new shape makes a new plan."""


def mark_static(t: Any, index: Any = None) -> None:
    """Accepted: a new shape makes a new plan."""


def graph_break(msg: str = "") -> None:
    """Accepted: there is one plan for a function."""
