"""The dictionaries that hold a module's parameters, buffers and children, and their mirror in its attributes."""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["KINDS", "Registry", "replace_registry"]

KINDS = ("_parameters", "_buffers", "_modules")


class Registry(dict):
    """A dictionary of a module's members that mirrors every change into the module's attributes."""

    __slots__ = ("__weakref__", "owner")

    def __init__(self, owner: Any, entries: Any = ()) -> None:
        # Weak: a module must die with its last reference, without waiting for the cycle collector.
        self.owner = weakref.ref(owner)
        super().__init__(entries)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        owner = self.owner()
        if owner is not None:
            owner.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        owner = self.owner()
        if owner is not None:
            owner.__dict__.pop(name, None)

    def pop(self, name: str, *default: Any) -> Any:
        if name not in self:
            return super().pop(name, *default)
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple:
        name, value = super().popitem()
        owner = self.owner()
        if owner is not None:
            owner.__dict__.pop(name, None)
        return name, value

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # `|` of a registry makes a plain dictionary
        self.update(other)
        return self

    def __copy__(self) -> dict:
        return dict(self)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        # A copy or a pickle is a plain dictionary; the module that receives it makes it a registry again.
        return dict, (dict(self),)


def replace_registry(module: Any, kind: str, entries: Any) -> None:
    """Give the module a new dictionary of members, and its attributes the new members."""
    attributes = module.__dict__
    for name in attributes.get(kind) or ():
        attributes.pop(name, None)
    attributes[kind] = Registry(module, entries)
    attributes.update(entries)
