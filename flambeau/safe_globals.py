"""PyTorch's list of classes that `load` may build, for programs that keep one.

Nothing depends on it: `flambeau.load` builds tensors and plain containers only, and never calls a class of a file.
"""

from __future__ import annotations

from typing import Any

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals"]

_listed: list[Any] = []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Keep a list of classes, for programs that ask for it: no class of a file is ever called, listed or not."""
    _listed.extend(each for each in safe_globals if each not in _listed)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` was given."""
    return list(_listed)


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` was given."""
    _listed.clear()


class safe_globals:  # noqa: N801
    """A block with more classes in the list of `add_safe_globals`; loading is the same inside.

    >>> with fl.serialization.safe_globals([dict]): fl.serialization.get_safe_globals()
    [<class 'dict'>]
    """

    def __init__(self, safe_globals: list[Any]) -> None:
        self._given = list(safe_globals)

    def __enter__(self) -> None:
        self._before = get_safe_globals()
        add_safe_globals(self._given)

    def __exit__(self, *exception: object) -> None:
        _listed[:] = self._before
