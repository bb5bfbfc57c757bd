"""Names of PyTorch's script compiler, for programs that use it for speed: their functions run as the Python they are.

Nothing is scripted: `script` and `trace` return what they were given, which computes the same. `flambeau.compile` makes
programs faster. What needs a compiled script itself, saving one or loading one, is an error that says so.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Final

import flambeau

__all__ = [
    "Attribute", "Final", "TracerWarning", "annotate", "enable_onednn_fusion", "export", "fork", "freeze", "fuser",
    "ignore", "interface", "is_scripting", "is_tracing", "isinstance", "load", "optimize_for_inference",
    "optimized_execution", "save", "script", "script_if_tracing", "script_method", "set_fusion_strategy", "trace",
    "trace_module", "unused", "wait",
]  # fmt: skip


class TracerWarning(Warning):
    """PyTorch's warning of values that a trace freezes, for programs that silence it: nothing is traced here."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Nothing to do: there are no such warnings."""


def is_scripting() -> bool:
    """False: code always runs as Python.

    >>> fl.jit.is_scripting()
    False
    """
    return False


def is_tracing() -> bool:
    """False: code always runs as Python."""
    return False


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """The function, class or module itself: it runs as Python and computes the same.

    >>> fl.jit.script(lambda x: x + 1)(2)
    3
    """
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """The function or module itself, which is not run on the example: unlike a trace it follows control flow.

    >>> fl.jit.trace(lambda x: x + 1, (fl.ones(1),))(2)
    3
    """
    return func


def trace_module(mod: Any, inputs: Any, *args: Any, **options: Any) -> Any:
    """The module itself."""
    return mod


def script_method(fn: Callable) -> Callable:
    """The method itself."""
    return fn


def script_if_tracing(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def export(fn: Callable) -> Callable:
    """The method itself."""
    return fn


def interface(obj: Any) -> Any:
    """The class itself."""
    return obj


def _overload(func: Callable) -> Callable:
    return func


def _overload_method(func: Callable) -> Callable:
    return func


def unused(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def ignore(drop: Any = False, **options: Any) -> Any:
    """A decorator, with or without arguments, that returns the function itself."""
    if callable(drop):
        return drop
    return lambda fn: fn


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value.

    >>> fl.jit.annotate(list[int], [])
    []
    """
    return the_value


def Attribute(value: Any, type: Any = None) -> Any:
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether an object is of a type; of `list[int]` and the like, whether it is a list."""
    kinds = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return builtins.isinstance(obj, tuple(getattr(kind, "__origin__", None) or kind for kind in kinds))


def freeze(mod: Any, *args: Any, **options: Any) -> Any:
    """The module itself."""
    return mod


optimize_for_inference = freeze


def fork(func: Callable, *args: Any, **kwargs: Any) -> Any:
    """What `wait` takes: the result of the call, which runs at once."""
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """The result of a `fork`."""
    return future


@contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """A block that changes nothing."""
    yield


@contextmanager
def fuser(name: str) -> Any:
    """A block that changes nothing."""
    yield


def set_fusion_strategy(strategy: Any) -> Any:
    """Accepted; there is nothing to set."""
    return strategy


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted; there is nothing to set."""


def save(m: Any, f: Any, *args: Any, **options: Any) -> None:
    """Refused: there is no script to save."""
    raise NotImplementedError(
        "jit.save: modules are not compiled to scripts; save the weights with flambeau.save(module.state_dict(), path)"
    )


def load(f: Any, *args: Any, **options: Any) -> Any:
    """Refused: a saved script holds code of another compiler."""
    raise NotImplementedError(
        "jit.load: files of torch.jit.save hold compiled scripts, which flambeau does not run; build the module in "
        "Python and load its state_dict() with flambeau.load"
    )


class ScriptModule(flambeau.nn.Module):
    """A module; its methods run as Python."""


RecursiveScriptModule = ScriptModule


class ScriptFunction:
    """No function is one: `isinstance(f, ScriptFunction)` is False."""
