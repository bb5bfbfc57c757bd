"""What a compiled function depends on besides its arguments: found by walking from its code, and checked at every call.

From the function's code the walk reaches globals, closure cells, bound objects, modules with their parameters, buffers
and flags, and optimizers with their groups and state. Numbers and strings are guarded by value, everything else by
identity; of an object only the attributes are guarded whose names occur in the code that was reached. It sees no
record and no plan; the core checks the guards (core/python_guards.h).
"""

from __future__ import annotations

import dis
import functools
import sys
from collections import OrderedDict
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from flambeau import _core

#: The kinds of guard; the numbers are known to core/python_guards.h.
ITEM, SIZE, CELL, TENSOR, ELEMENT, ATTRIBUTE = range(6)
MISSING = object()
_PLAIN = (bool, int, float, str, bytes, complex, type(None))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Guard(NamedTuple):
    """`kind` says how `key` is looked up in `container`; it must be `expected`, equal to it if `by_value`."""

    kind: int
    container: Any
    key: Any
    expected: Any
    by_value: bool
    text: str

    def found(self) -> Any:
        """What is there now."""
        if self.kind == ITEM:
            return self.container.get(self.key, MISSING)
        if self.kind == SIZE:
            return len(self.container)
        if self.kind == CELL:
            try:
                return self.container.cell_contents
            except ValueError:
                return MISSING
        if self.kind == ATTRIBUTE:
            return getattr(self.container, self.key, MISSING)
        if self.kind == ELEMENT:
            return self.container[self.key] if self.key < len(self.container) else MISSING
        return self.container

    def holds(self) -> bool:
        """Whether it is as it was."""
        found = self.found()
        if self.kind == TENSOR:
            return _where(found) == self.key
        if found is self.expected:
            return True
        if self.kind == SIZE:
            return found == self.expected
        return self.by_value and type(found) is type(self.expected) and repr(found) == repr(self.expected)


def _where(tensor: Any) -> tuple[Any, ...]:
    return (*_core.storage_key(tensor)[:2], tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.requires_grad)


def _library(name: str | None) -> bool:
    """Whether a module is no part of the user's program."""
    top = (name or "").partition(".")[0]
    return top in ("flambeau", "numpy", "builtins") or (top in sys.stdlib_module_names and top != "__main__")


@functools.lru_cache(maxsize=4096)
def _globals(code: CodeType) -> tuple[str, ...]:
    """The globals that a function's code reads; names of attributes are not among them."""
    found = {
        each.argval
        for part in _codes(code)
        for each in dis.get_instructions(part)
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return tuple(sorted(found))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


class Walk:
    """The guards of a function and the tensors that they keep in place.

    `guards` and `roots` (tensors, in the order found) are complete once the constructor returns.
    """

    def __init__(self, function: Any, arguments: tuple[Any, ...], live: set[tuple[int, str]]) -> None:
        from flambeau.nn import Module
        from flambeau.optim import Optimizer

        self._module, self._optimizer = Module, Optimizer
        self._live = live
        self.names: set[str] = {"forward", "__call__", "training"}
        while True:
            before = len(self.names)
            self.guards: list[Guard] = []
            self.roots: list[Any] = []
            self._seen: dict[int, Any] = {}
            self._visit(function, getattr(function, "__name__", type(function).__name__))
            for argument in arguments:
                self._argument(argument, "an argument")
            if len(self.names) == before:
                return

    def _argument(self, value: Any, text: str) -> None:
        # Tensors and numbers among the arguments are checked as arguments; other objects are walked.
        if isinstance(value, (_core.Tensor, *_PLAIN)):
            return
        if isinstance(value, (tuple, list)):
            for item in value:
                self._argument(item, text)
        elif type(value) is dict:
            for item in value.values():
                self._argument(item, text)
        else:
            self._visit(value, text)

    def _add(self, kind: int, container: Any, key: Any, value: Any, text: str) -> None:
        self.guards.append(Guard(kind, container, key, value, isinstance(value, _PLAIN), text))
        if value is not MISSING and kind != SIZE:
            self._visit(value, text)

    def _visit(self, value: Any, text: str) -> None:
        if isinstance(value, _PLAIN) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, _core.Tensor) and value.layout != "strided":
            sparse: Any = value
            for part in sparse.parts():  # a sparse tensor is the tensors that it holds
                self._visit(part, text)
        elif isinstance(value, _core.Tensor):
            self.guards.append(Guard(TENSOR, value, _where(value), value, False, text))
            self.roots.append(value)
        elif isinstance(value, FunctionType):
            self._function(value, text)
        elif isinstance(value, MethodType):
            self._visit(value.__self__, text)
            self._visit(value.__func__, text)
        elif isinstance(value, ModuleType):
            if not _library(value.__name__):
                for name in sorted(self.names & vars(value).keys()):
                    self._add(ITEM, vars(value), name, vars(value)[name], f"{text}.{name}")
        elif isinstance(value, type):
            if not _library(value.__module__):
                self._methods(value, text)
        elif isinstance(value, self._optimizer):
            self._optimizer_state(value, text)
        elif isinstance(value, self._module):
            self._network(value, text)
        elif isinstance(value, dict):
            self._add(SIZE, value, None, len(value), f"the size of {text}")
            for key, item in value.items():
                if (id(value), key) not in self._live:
                    self._add(ITEM, value, key, item, f"{text}[{key!r}]" if not isinstance(key, _core.Tensor) else text)
        elif isinstance(value, (list, tuple)):
            self._add(SIZE, value, None, len(value), f"the length of {text}")
            for i, item in enumerate(value):
                self._add(ELEMENT, value, i, item, f"{text}[{i}]")
        elif type(value).__name__ == "partial" and hasattr(value, "func"):
            for part in (value.func, value.args, value.keywords):
                self._visit(part, text)
        elif not isinstance(value, BuiltinFunctionType) and not _library(type(value).__module__):
            self._object(value, text)

    def _function(self, function: FunctionType, text: str) -> None:
        inside = _library(function.__module__)
        for code in _codes(function.__code__):
            self.names.update(code.co_names)
        if inside:
            return
        scope = function.__globals__
        for name in _globals(function.__code__):
            if name in scope:
                self._add(ITEM, scope, name, scope[name], name)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._add(CELL, cell, None, cell.cell_contents, name)
            except ValueError:
                self.guards.append(Guard(CELL, cell, None, MISSING, False, name))
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(default, f"a default of {text}")
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self._visit(wrapped, text)

    def _methods(self, cls: type, text: str) -> None:
        for base in cls.__mro__[:-1]:
            for name, member in vars(base).items():
                if name in self.names:
                    member = getattr(member, "__func__", getattr(member, "fget", member))
                    if isinstance(member, FunctionType):
                        self._visit(member, text)
                    elif type(member).__name__ == "member_descriptor":
                        pass  # a slot: its values are the objects'
                    elif not _library(base.__module__) and not name.startswith("__"):
                        self._add(ATTRIBUTE, base, name, getattr(base, name), f"{base.__name__}.{name}")

    def _object(self, value: Any, text: str) -> None:
        self._methods(type(value), text)
        fields = getattr(value, "__dict__", None)
        if isinstance(fields, dict):
            for name in sorted(self.names & fields.keys()):
                self._add(ITEM, fields, name, fields[name], f"{text}.{name}")
        for base in type(value).__mro__:
            for name in vars(base).get("__slots__", ()):
                if name in self.names and hasattr(value, name):
                    self._add(ATTRIBUTE, value, name, getattr(value, name), f"{text}.{name}")

    def _network(self, module: Any, text: str) -> None:
        self._methods(type(module), text)
        fields = vars(module)
        held: set[str] = set()
        for kind in ("_parameters", "_buffers", "_modules"):
            members = fields.get(kind)
            if members:
                self.guards.append(Guard(SIZE, members, None, len(members), False, f"the members of {text}"))
                for name, member in members.items():
                    held.add(name)
                    path = f"{text}[{name}]" if name.isdigit() else f"{text}.{name}"
                    self._add(ITEM, members, name, member, path)
        for name in _HOOKS:
            hooks = fields.get(name)
            if isinstance(hooks, OrderedDict):
                self.guards.append(Guard(SIZE, hooks, None, len(hooks), False, f"the hooks of {text}"))
                for hook in hooks.values():
                    self._visit(hook, f"a hook of {text}")
        for name in sorted((self.names & fields.keys()) - held):
            if not name.startswith("_") or type(module).__module__.partition(".")[0] != "flambeau":
                self._add(ITEM, fields, name, fields[name], f"{text}.{name}")

    def _optimizer_state(self, optimizer: Any, text: str) -> None:
        fields = vars(optimizer)
        self._add(ITEM, fields, "param_groups", optimizer.param_groups, f"{text}.param_groups")
        self._add(ITEM, fields, "state", optimizer.state, f"{text}.state")
        for name in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
            self.guards.append(Guard(SIZE, fields[name], None, len(fields[name]), False, f"the hooks of {text}"))
        if type(optimizer).__module__.partition(".")[0] != "flambeau":
            self._methods(type(optimizer), text)
