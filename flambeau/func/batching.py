"""Batched values inside vmap: the proxy that stands for one example of a batch, the levels, and the boundary.

A `Batched` holds a tensor whose dimension 0 is the batch of one vmap, and shows the shape without it. It is no tensor
of the core: Python functions run on it unchanged, and where one arrives at a function of the core, the core calls
`handle` here, which applies the rule of that function (`rules`), or calls it once for every example. What does not live
here: the rules themselves, and `vmap`, which makes and unmakes the proxies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flambeau import _core, recording
from flambeau.autograd import function as custom
from flambeau.dtypes import Size
from flambeau.ops import random

__all__ = ["Batched", "Level", "entered", "expanded", "handle", "levels", "lift", "raw"]

Tensor = _core.Tensor


class Level:
    """One running vmap: how many examples, and what random functions do ("error", "same" or "different")."""

    __slots__ = ("depth", "randomness", "size")

    def __init__(self, size: int, randomness: str, depth: int) -> None:
        self.size, self.randomness, self.depth = size, randomness, depth


class _Stack(threading.local):
    levels: tuple[Level, ...] = ()


_stack = _Stack()


def levels() -> tuple[Level, ...]:
    """The vmaps that run in this thread, the innermost last."""
    return _stack.levels


class entered:  # noqa: N801
    """A block that runs inside of these vmaps and no others."""

    __slots__ = ("before", "inside")

    def __init__(self, inside: tuple[Level, ...]) -> None:
        self.inside = inside

    def __enter__(self) -> None:
        self.before = _stack.levels
        _stack.levels = self.inside
        _core.add_batching_levels(len(self.inside) - len(self.before))

    def __exit__(self, *exception: Any) -> None:
        _stack.levels = self.before
        _core.add_batching_levels(len(self.before) - len(self.inside))


class Batched:
    """One example of a batch: `value` holds all of them along dimension 0, `level` says of which vmap."""

    __slots__ = ("__weakref__", "level", "value")

    def __init__(self, value: Any, level: Level) -> None:
        self.value, self.level = value, level

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Tensor  # so that isinstance checks of Python functions pass

    def __repr__(self) -> str:
        return f"Batched(level={self.level.depth}, value={self.value!r})"

    def __hash__(self) -> int:
        return id(self) >> 4

    def __bool__(self) -> bool:
        raise _no_value("control flow on a Tensor's value (bool)", "use where(), or an operation for both cases")

    def __int__(self) -> int:
        raise _no_value(".item() or int() on a Tensor", _KEEP)

    def __float__(self) -> float:
        raise _no_value(".item() or float() on a Tensor", _KEEP)

    def __len__(self) -> int:
        if self.value.ndim == 1:
            raise TypeError("len: len() of a 0-d tensor")
        return self.value.shape[1]

    def __iter__(self) -> Iterator[Any]:
        if self.value.ndim == 1:
            raise TypeError("iter: iteration over a 0-d tensor")
        return iter([Batched(self.value.select(1, i), self.level) for i in range(self.value.shape[1])])

    @property
    def shape(self) -> Any:
        """The sizes of one example."""
        return Size(self.value.shape[1:])

    @property
    def ndim(self) -> int:
        """The dimensions of one example."""
        return self.value.ndim - 1


_KEEP = "keep the value a tensor"


def _no_value(what: str, instead: str) -> RuntimeError:
    return RuntimeError(
        f"vmap: It looks like you're attempting {what} inside vmap. We don't support that: there is one value for each "
        f"example of the batch; {instead}, or call the function outside of vmap"
    )


def raw(value: Any) -> Any:
    """The tensor of the core that a value rests on."""
    while type(value) is Batched:
        value = value.value
    return value


def expanded(value: Any, level: Level) -> Any:
    """The tensor of a value with the batch of `level` in front, repeated where it has none of its own."""
    if type(value) is Batched and value.level is level:
        return value.value
    return value.unsqueeze(0).expand(level.size, *value.shape)


def lift(value: Any) -> Any:
    """A value that has an own copy for every example of the vmaps that run, so that its gradients have one too."""
    for level in _stack.levels:
        value = _lifted(value, level)
    return value


def _lifted(value: Any, level: Level) -> Any:
    if type(value) is Batched and value.level is level:
        return value
    if type(value) is Batched and value.level.depth > level.depth:
        return Batched(_lifted(value.value, level), value.level)
    return Batched(expanded(value, level), level)


def deepest(tree: Any, found: Level | None = None) -> Level | None:
    """The innermost level of the proxies in nested tuples, lists, dictionaries and slices."""
    kind = type(tree)
    if kind is Batched:
        return tree.level if found is None or tree.level.depth > found.depth else found
    if isinstance(tree, (tuple, list)):
        for item in tree:
            found = deepest(item, found)
    elif kind is dict:
        for item in tree.values():
            found = deepest(item, found)
    elif kind is slice:
        found = deepest((tree.start, tree.stop, tree.step), found)
    return found


def replaced(tree: Any, level: Level, with_value: Callable) -> Any:
    """The same structure with with_value(value) in the place of every proxy of `level`."""
    if type(tree) is Batched:
        return with_value(tree.value) if tree.level is level else tree
    if isinstance(tree, tuple):
        made = [replaced(item, level, with_value) for item in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if isinstance(tree, list):
        return [replaced(item, level, with_value) for item in tree]
    if isinstance(tree, Mapping):
        return {key: replaced(item, level, with_value) for key, item in tree.items()}
    return tree


def wrapped(tree: Any, level: Level) -> Any:
    """The same structure with its tensors, whose dimension 0 is the batch, as proxies."""
    if isinstance(tree, Tensor):
        return Batched(tree, level)
    if isinstance(tree, tuple):
        made = [wrapped(item, level) for item in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if isinstance(tree, list):
        return [wrapped(item, level) for item in tree]
    return tree


def each(function: Callable, args: tuple, kwargs: Mapping[str, Any], level: Level, name: str = "") -> Any:
    """The rule that is always right: function called once for every example, and the results stacked."""
    if level.size == 0:
        raise RuntimeError(f"vmap: {name or function} has no rule for a batch of 0 examples")
    results = [  # an in-place function writes into views of the batch
        function(*replaced(args, level, lambda v, i=i: v.select(0, i)),
                 **replaced(kwargs, level, lambda v, i=i: v.select(0, i)))
        for i in range(level.size)
    ]  # fmt: skip
    if name.endswith("_"):
        return args[0]
    return _stacked(results, level, name or getattr(function, "__name__", str(function)))


def _stacked(results: list, level: Level, name: str) -> Any:
    from flambeau.ops.joining import stack

    first = results[0]
    if isinstance(first, Tensor):
        if any(r.shape != first.shape for r in results):
            shapes = sorted({tuple(r.shape) for r in results})
            raise RuntimeError(
                f"vmap: {name} gives results of different shapes for different examples, {shapes}, which cannot be one "
                "batch: its shape depends on the values (dynamic shapes); use a mask and where() instead"
            )
        return Batched(stack(results), level)
    if isinstance(first, (tuple, list)):
        made = [_stacked([r[i] for r in results], level, name) for i in range(len(first))]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    if any(r is not first and r != first for r in results):
        raise RuntimeError(f"vmap: {name} gives different Python values for different examples; keep them tensors")
    return first


#: The rules of core functions by name: rule(level, *args, **kwargs), called outside of the level, gives tensors with
#: the batch in front. `rules` fills it.
RULES: dict[str, Callable] = {}
FACTORIES = ("empty", "full", "clone")
_operation_rule: list[Callable] = []


#: Whether an operation is a map that draws no random numbers, so that it can run on whole batches as it is.
_plain: dict[Any, bool] = {}
_NUMBERS = frozenset((float, int, bool, complex))


def _is_plain(operation: Any) -> bool:
    from flambeau.func.rules import RANDOM

    declaration = operation.declaration
    _plain[operation] = declaration.kind == "map" and declaration.name not in RANDOM
    return _plain[operation]


def _direct(operation: Any, args: tuple) -> Any:
    """A map of numbers and of proxies of the innermost vmap with equal dimensions, which need no alignment."""
    known = _plain.get(operation)
    if not (_is_plain(operation) if known is None else known):
        return NotImplemented
    level, values, ndim = None, [], 0
    for value in args:
        if type(value) is Batched:
            inner = value.value
            if level is None:
                level, ndim = value.level, inner.ndim
            elif value.level is not level or inner.ndim != ndim:
                return NotImplemented
            values.append(inner)
        elif type(value) in _NUMBERS:
            values.append(value)
        else:
            return NotImplemented
    running = _stack.levels
    if level is None or not running or level is not running[-1]:
        return NotImplemented
    with entered(running[:-1]):
        result = operation(*values)
    if operation.inplace is operation:
        return args[0]
    return wrapped(result, level)


def handle(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What the core calls for a function of its own that got a proxy (or makes a tensor): its result, batched."""
    if not kwargs and type(function) is _core.Operation:
        result = _direct(function, args)
        if result is not NotImplemented:
            return result
    level = deepest(args)
    if kwargs:
        level = deepest(kwargs, level)
    running = _stack.levels
    if level is None:
        if not running:
            return NotImplemented
        if function in FACTORIES:
            # Values made inside are batched, so that what is computed for each example can be written into them.
            level = running[-1]
        elif function == "run_backward":  # gradients of tensors from outside: the graph knows no batches
            with entered(()):
                return _core.run_backward(*args)
        else:
            return NotImplemented
    elif level not in running:
        raise RuntimeError(
            f"vmap: a tensor of a vmap that has returned was given to {function}; return it from the function instead "
            "of keeping it"
        )
    with entered(running[: running.index(level)]):
        if isinstance(function, str):
            rule = RULES.get(function)
            if rule is not None:
                return rule(level, *args, **kwargs)
            return each(getattr(_core, function), args, kwargs, level, function)
        return _operation_rule[0](level, function, args, kwargs)


def _draws(count: int) -> int:
    for level in _stack.levels:
        if level.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        if level.randomness == "different":
            count *= level.size
    return count


def _by_example(function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    level = deepest(kwargs, deepest(args))
    if level is None:
        return NotImplemented
    running = _stack.levels
    with entered(running[: running.index(level)]):
        return each(recording.by_example(function), args, kwargs, level, function.__name__)


class BatchInfo(NamedTuple):
    """What a Function's own `vmap` is told of the batch."""

    batch_size: int
    randomness: str


def _apply(cls: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The `vmap` that a custom Function states."""
    level = deepest(kwargs, deepest(args))
    if level is None:
        return NotImplemented
    running = _stack.levels
    dims = tuple(_dims(arg, level) for arg in args)
    with entered(running[: running.index(level)]):
        outputs, places = cls.vmap(
            BatchInfo(level.size, level.randomness),
            dims,
            *(replaced(arg, level, lambda v: v) for arg in args),
            **kwargs,
        )
        return _moved(outputs, places, level)


def _dims(tree: Any, level: Level) -> Any:
    if isinstance(tree, (tuple, list)):
        return type(tree)(_dims(item, level) for item in tree)
    return 0 if type(tree) is Batched and tree.level is level else None


def _moved(tree: Any, places: Any, level: Level) -> Any:
    if isinstance(tree, (tuple, list)):
        places = places if isinstance(places, (tuple, list)) else [places] * len(tree)
        return type(tree)(_moved(item, place, level) for item, place in zip(tree, places, strict=True))
    return tree if places is None else Batched(tree.movedim(places, 0), level)


def _host(name: str, function: Callable, tensors: tuple, whole: bool) -> Any:
    """A function that NumPy computes, for each example, or once for the batch if it can be."""
    level = deepest(tensors)
    if level is None:
        return NotImplemented
    running = _stack.levels
    with entered(running[: running.index(level)]):
        if whole:
            batches = [expanded(tensor, level) for tensor in tensors]
            return wrapped(recording.host(name, function, *batches, whole=True), level)
        return each(lambda *given: recording.host(name, function, *given), tensors, {}, level, name)


_core.set_batching(Batched, handle)
custom.batched_apply = _apply
recording.batched, recording.batched_function = _host, _by_example
random.draws = _draws
