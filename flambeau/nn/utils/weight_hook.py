"""What the older forms of weight and spectral normalisation share: one forward pre-hook for each parameter, by name."""

from __future__ import annotations

from typing import Any

from flambeau.nn.parameter import is_lazy

__all__ = ["check_new", "check_sizes", "find_hook"]


def check_new(module: Any, kind: type, function: str, name: str) -> None:
    """RuntimeError where the parameter has a hook of this kind already."""
    if _find(module, kind, name) is not None:
        raise RuntimeError(f"Cannot register two {function} hooks on the same parameter {name}")


def check_sizes(weight: Any, kind: type, title: str) -> None:
    """ValueError for a parameter without a shape."""
    if is_lazy(weight):
        raise ValueError(
            f"The module passed to `{kind.__name__}` can't have uninitialized parameters. Make sure to run the dummy "
            f"forward before applying {title}"
        )


def find_hook(module: Any, kind: type, function: str, name: str) -> tuple[Any, Any]:
    """The key and the hook of a parameter. Errors: ValueError where there is none."""
    found = _find(module, kind, name)
    if found is None:
        raise ValueError(f"{function} of '{name}' not found in {module}")
    return found


def _find(module: Any, kind: type, name: str) -> tuple[Any, Any] | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            return key, hook
    return None
