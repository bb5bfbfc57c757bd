"""`fl.compile`: a function recorded once, then run as a plan, in one call into the core without Python.

The first calls run eagerly while the core records every kernel launch. A record becomes a plan for calls like it: the
guards (arguments, and what the function reaches, see `flambeau.compiler.guards`) say which. A second record must be
equal to the first before the plan is trusted, so that a number which changes unseen is an error, never a stale value.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

from flambeau import _core, recording
from flambeau.compiler import describe as _describe
from flambeau.compiler import guards as _guards
from flambeau.compiler import halves as _halves
from flambeau.compiler import plan as _plan

__all__ = ["CompiledFunction", "compile"]

Tensor = _core.Tensor
_run = _core.plan_run

#: Plans one function may have; the oldest goes when there would be more.
PLANS = 32
#: Records in a row that may change what they depend on (optimizers make their state at the first step).
WARM_UP = 3

RESULT, OBJECT, ARGUMENT, SEQUENCE, DICT = range(5)


class _Entry:
    """A plan, and how it came about."""

    __slots__ = ("handle", "pull", "reason", "record", "saved", "schedule", "signature", "trusted")

    def __init__(
        self, handle: Any, record: _plan.Record, schedule: _plan.Schedule, reason: str, signature: Any
    ) -> None:
        self.handle, self.schedule, self.reason, self.signature = handle, schedule, reason, signature
        self.record = record
        self.trusted = False
        #: Of a forward plan: its backward plan, and what to save for that.
        self.pull: tuple[Any, ...] | None = None
        self.saved: list[int] = []


class CompiledFunction:
    """A function that runs as a plan; see `compile`.

    `explain()` tells what its plans do, `plans` how many there are, `function` is the original.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._entries: list[_Entry] = []
        self._ready: list[tuple[Any, _Entry | None]] = []
        self._reasons: list[str] = []
        self._restless = 0
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for handle, entry in self._ready:
            result = _run(handle, args, kwargs)
            if result is not NotImplemented:
                return result if entry is None else self._with_history(entry, result, args, kwargs)
        return self._record(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        # One compiled method for each object.
        name = f"_compiled_{id(self)}"
        bound = instance.__dict__.get(name)
        if bound is None:
            bound = instance.__dict__[name] = CompiledFunction(self.function.__get__(instance, owner))
        return bound

    def __getattr__(self, name: str) -> Any:
        if name == "function" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.function, name)

    @property
    def plans(self) -> int:
        """How many plans there are now."""
        return len(self._entries)

    # --- recording ---------------------------------------------------------------------------------------------------

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _core.is_recording() or _core.set_detect_anomaly()[0]:
            # Part of another function's record; or anomalies are looked for, which is done in eager calls.
            return self.function(*args, **kwargs)
        known, reason = None, "the first call"
        for entry in self._entries:
            misfit = _core.plan_misfit(entry.handle, args, kwargs)
            if misfit is None:
                known = entry
                break
            reason = f"{misfit} changed"
        grad = _core.is_grad_enabled()
        walk = _guards.Walk(self.function, (args, kwargs), set())
        session = recording.Recording()
        originals: dict[int, Any] = {}  # histories of arguments end here
        given, named = args, kwargs
        if grad:
            args, kwargs = _leaves(args, originals), _leaves(kwargs, originals)
        arguments: list[Any] = []
        _tensors((args, kwargs), arguments)
        half = None
        _core.record_start()
        recording.active = session
        try:
            result = self.function(*args, **kwargs)
            if grad:
                flat: list[Any] = []
                _tensors(result, flat)
                half = _halves.differentiate(flat, arguments, walk.roots)
                del flat
        finally:
            recording.active = None
            handle = _core.record_stop()
            if _core.is_grad_enabled() != grad:
                _core.set_grad_enabled(grad)
        record = _plan.Record(handle)
        signature = record.signature()
        result = self._without_history(result)
        live = {(id(source), key) for kind, source, key, _, _ in session.lives if kind == recording.NUMBER}
        walk.guards = [g for g in walk.guards if not (g.kind == _guards.ITEM and (id(g.container), g.key) in live)]
        changed = next((guard for guard in walk.guards if not guard.holds()), None)
        if changed is not None:
            self._restless += 1
            if self._restless > WARM_UP:
                raise RuntimeError(
                    f"compile: {self._name()} changes {changed.text} at every call, which a plan would not repeat; "
                    "change it outside of the compiled function, or keep it in a tensor that is changed in place"
                )
            self._reasons.append(f"not kept: the call changed {changed.text}")
            if half is not None:
                raise RuntimeError(
                    f"compile: {self._name()} changes {changed.text} and returns a tensor with history; change it "
                    "outside of the compiled function"
                )
            return result
        self._restless = 0
        if known is not None:
            if signature != known.signature:
                raise RuntimeError(
                    f"compile: {_plan.difference(known.signature, signature)} between two calls of {self._name()}, "
                    "though nothing that it visibly depends on did; pass what changes as an argument"
                )
            known.trusted = True
            self._ready.insert(0, (known.handle, None if known.pull is None else known))
            entry = known
        else:
            entry = self._make_plan(record, walk, session, args, kwargs, result, grad, reason, signature, half)
        if half is not None:
            # What backward reads is in the record's memory.
            kept = [_core.record_tensor(handle, number) for number in entry.saved]
            record.handle = None
            result = self._with_history(entry, (result, kept), given, named)
        return _back(result, originals) if originals else result

    def _with_history(self, entry: _Entry, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The user's part of a forward plan's result, tied to the backward plan."""
        result, saved = result
        flat: list[Any] = []
        arguments: list[Any] = []
        _tensors(result, flat)
        _tensors((args, kwargs), arguments)
        assert entry.pull is not None
        plan, places, inputs, watched, used = entry.pull
        pull = _halves.Pull(self._name(), plan, saved, arguments, [*watched, *(arguments[i] for i in used)])
        wanted = [arguments[each] if is_argument else each for is_argument, each in inputs]
        _core.attach([flat[i] for i in places], wanted, pull, f"{self._name()}Backward")
        return result

    def _name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__name__)

    def _without_history(self, result: Any) -> Any:
        """The result with tensors that have no history, as plans return them."""
        if isinstance(result, Tensor):
            if result.requires_grad and not result.is_leaf:
                return result.detach()
            return result
        if isinstance(result, (list, tuple)):
            items = [self._without_history(item) for item in result]
            return items if isinstance(result, list) else _tuple(type(result), items)
        if type(result) is dict:
            return {key: self._without_history(item) for key, item in result.items()}
        return result

    def _make_plan(
        self,
        record: _plan.Record,
        walk: _guards.Walk,
        session: recording.Recording,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        grad: bool,
        reason: str,
        signature: Any,
        half: _halves.Half | None,
    ) -> _Entry:
        handle = record.handle
        arguments: list[Any] = []
        _tensors((args, kwargs), arguments)
        positions = {id(tensor): i for i, tensor in enumerate(arguments)}
        roots = {id(tensor): tensor for tensor in walk.roots}
        results: list[int] = []

        def describe(value: Any, again: Any) -> tuple[Any, ...]:  # a function that knew itself would keep the record
            if isinstance(value, Tensor):
                if id(value) in positions:
                    return (ARGUMENT, positions[id(value)])
                if id(value) in roots:
                    return (OBJECT, value)
                results.append(_core.record_number(handle, value))
                return (RESULT, len(results) - 1)
            if isinstance(value, (list, tuple)):
                kind = type(value)
                return (SEQUENCE, getattr(kind, "_make", kind), [again(item, again) for item in value])
            if type(value) is dict:
                return (DICT, tuple(value), [again(item, again) for item in value.values()])
            if value is None or isinstance(value, (bool, int, float, str)):
                return (OBJECT, value)
            raise TypeError(
                f"compile: {self._name()} returns a {type(value).__name__}; a plan can return tensors, numbers and "
                "strings in tuples, lists and dicts"
            )

        shape = describe(result, describe)
        leaves: list[Any] = []
        for leaf, entry, read, last in record.leaves:
            if last is None:
                leaves.append((leaf, entry, read, None))
            elif last is entry and read:
                leaves.append((leaf, entry, read, -1))
            else:
                leaves.append((leaf, entry, read, _core.record_number(handle, last)))
        record.refresh()
        storages: dict[int, int] = {}  # of the record -> a tensor that has it
        for number, layout in enumerate(record.tensors):
            storages.setdefault(layout.storage, number)
        ours = {record.tensors[n].storage for n in results} | {
            record.tensors[leaf[3]].storage for leaf in leaves if leaf[3] is not None and leaf[3] >= 0
        }
        outside = set()
        entries = [leaf[1] for leaf in leaves if leaf[1] is not None]
        held = [*walk.roots, *arguments, *entries, *(each[4] for each in session.lives)]
        places = {_core.storage_key(tensor)[1] for tensor in held}
        for storage, number in storages.items():
            if _core.record_storage(handle, number) in places:
                outside.add(storage)
        pull, saved, cut = None, [], None
        if half is not None:
            cut = half.cut
            gradients = [None if g is None else _core.record_number(handle, g) for g in half.gradients]
            record.refresh()
            wanted = {record.tensors[g].storage for g in gradients if g is not None}
            saved = _halves.saved(record, half, outside, wanted | outside)
            kept = [_core.record_tensor(handle, number) for number in saved]
            back = _plan.schedule(record, wanted | outside, cut)
            numbers = [g for g in gradients if g is not None]
            parts = [(OBJECT, None) if g is None else (RESULT, numbers.index(g)) for g in gradients]
            made = _core.plan_make(
                handle,
                {
                    "steps": back.steps, "args": (kept, arguments, half.cotangents), "kwargs": {}, "roots": walk.roots,
                    "leaves": [], "lives": [], "values": [], "results": numbers, "result": (SEQUENCE, tuple, parts),
                    "guards": [tuple(g) for g in walk.guards if g.kind == _guards.TENSOR], "missing": _guards.MISSING,
                    "grad": False,
                },
            )  # fmt: skip
            layouts = [(tuple(c.shape), c.dtype) for c in half.cotangents]
            read = {record.tensors[t].storage for step in record.steps[cut:] for t in step.reads()}
            reads = {_core.record_storage(handle, storages[s]) for s in read if s in storages}
            watched = [t for t in walk.roots if _core.storage_key(t)[1] in reads]
            used = [i for i, t in enumerate(arguments) if _core.storage_key(t)[1] in reads]
            pull = ((made, layouts), half.places, half.inputs, watched, used)
            ours |= {record.tensors[t].storage for t in saved}
            shape = (
                SEQUENCE,
                tuple,
                [shape, (SEQUENCE, list, [(RESULT, len(results) + i) for i in range(len(saved))])],
            )
            results += saved
            fine = {record.tensors[t].storage for step in record.steps[cut:] for t in step.outputs}
            self._refuse_escapes(record, storages, ours | outside | fine)
            del kept
        else:
            self._refuse_escapes(record, storages, ours | outside)
        done = _plan.schedule(record, ours | outside, 0, cut)
        made = _core.plan_make(
            handle,
            {
                "steps": done.steps, "args": args, "kwargs": kwargs, "roots": walk.roots, "leaves": leaves,
                "lives": session.lives, "values": session.known, "results": results, "result": shape,
                "guards": [tuple(g) for g in walk.guards], "missing": _guards.MISSING, "grad": grad,
            },
        )  # fmt: skip
        entry = _Entry(made, record, done, reason, signature)
        entry.pull, entry.saved = pull, saved
        record.leaves = []  # they hold gradients
        if half is None:
            record.handle = None
        self._entries.insert(0, entry)
        self._reasons.append(reason)
        if len(self._entries) > PLANS:
            oldest = self._entries.pop()
            self._ready = [each for each in self._ready if each[0] is not oldest.handle]
        return entry

    def _refuse_escapes(self, record: _plan.Record, storages: dict[int, int], fine: set[int]) -> None:
        """An error for a tensor that the function made or wrote, and that somebody keeps unseen."""
        written = {record.tensors[t].storage for step in record.steps for t in step.outputs}
        for attempt in range(2):
            found = [s for s in written - fine if _core.record_holders(record.handle, storages[s]) > 0]
            if not found:
                return
            if attempt == 0:
                gc.collect()  # cycles that nobody holds
        layout = record.tensors[storages[found[0]]]
        maker = next(
            step.name for step in record.steps if any(record.tensors[t].storage == found[0] for t in step.outputs)
        )
        raise RuntimeError(
            f"compile: {self._name()} keeps a tensor of shape {layout.shape}, written by {maker}, where a plan cannot "
            "put it again (a list, an attribute, a global, or a cycle); return it instead"
        )

    # --- what it does ------------------------------------------------------------------------------------------------

    def explain(self, timings: bool = False) -> str:
        """The plans as text: why each was made, its steps with the bytes they move and the operations they do, what
        runs together or was merged, what was not and why. With `timings`, also how long each group of steps took in the
        last run; the first such call turns the clock on.
        """
        return _describe.explain(self._name(), self._entries, timings)

    def show(self, plan: int = 0) -> str:
        """The programs of a plan's steps and the LLVM IR of its merged kernels (for contiguous operands), as text."""
        return _describe.show(self._entries[plan])


def _leaves(value: Any, originals: dict[int, Any]) -> Any:
    """Arguments with tensors that have a history replaced by leaves of the same memory."""
    if isinstance(value, Tensor):
        if not value.requires_grad or value.is_leaf:
            return value
        leaf = value.detach().requires_grad_(True)
        originals[id(leaf)] = (leaf, value)
        return leaf
    if isinstance(value, (list, tuple)):
        items = [_leaves(item, originals) for item in value]
        return items if isinstance(value, list) else _tuple(type(value), items)
    if type(value) is dict:
        return {key: _leaves(item, originals) for key, item in value.items()}
    return value


def _back(value: Any, originals: dict[int, Any]) -> Any:
    """A result with the leaves of `_leaves` as they were given."""
    if isinstance(value, Tensor):
        return originals[id(value)][1] if id(value) in originals else value
    if isinstance(value, (list, tuple)):
        items = [_back(item, originals) for item in value]
        return items if isinstance(value, list) else _tuple(type(value), items)
    if type(value) is dict:
        return {key: _back(item, originals) for key, item in value.items()}
    return value


def _tuple(kind: Any, items: list[Any]) -> Any:
    return getattr(kind, "_make", kind)(items)


def _tensors(value: Any, into: list[Any]) -> None:
    """The tensors among arguments, in the order in which the core meets them."""
    if isinstance(value, Tensor):
        if value.layout != "strided":
            raise TypeError(
                "compile: a sparse tensor cannot be an argument of a compiled function, or what it returns; keep it in "
                "a closure, a module or a global, or pass its indices and values"
            )
        into.append(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            _tensors(item, into)
    elif type(value) is dict:
        for item in value.values():
            _tensors(item, into)


def compile(model: Any = None, **options: Any) -> Any:
    """A function, method or module that runs as a plan from its third call on.

    Arguments: `model`, what to compile; without it, a decorator. `torch.compile`'s options are accepted and have no
    effect. Returns a `CompiledFunction`; what it returns can be differentiated, unless it calls `backward()` itself.
    Errors: RuntimeError, when called, for what a plan cannot repeat: reading a tensor's value, Python side effects on
    what it depends on, tensors kept elsewhere.

    Example:
        >>> double = fl.compile(lambda x: x * 2)
        >>> double(fl.ones(2))
        tensor([2., 2.])
    """
    for name in options:
        if name not in ("backend", "mode", "fullgraph", "dynamic", "options", "disable"):
            raise TypeError(f"compile() got an unexpected keyword argument {name!r}")
    if model is None:
        return lambda function: compile(function, **options)
    if options.get("disable"):
        return model
    if not callable(model):
        raise TypeError(f"compile: a function or a module is needed, not {type(model).__name__}")
    return CompiledFunction(model)
