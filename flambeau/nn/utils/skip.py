"""Making a module whose parameters will be overwritten."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["skip_init"]


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module for which no random numbers are drawn; the values of its parameters are not specified.

    Arguments: `module_cls`, a class whose constructor takes `device`; the constructor's arguments. Errors:
    RuntimeError for anything but a module class, ValueError for a constructor without `device`.

    Example:
        >>> fl.nn.utils.skip_init(fl.nn.Linear, 2, 3).weight.shape
        flambeau.Size([3, 2])
    """
    import flambeau
    from flambeau.nn.module import Module

    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise ValueError("Module must support a 'device' arg to skip initialization")
    with flambeau.random.fork_rng():  # the stream of random numbers stays where it is
        return module_cls(*args, **kwargs)
