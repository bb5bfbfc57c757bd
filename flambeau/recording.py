"""Whether a compiled function is being recorded, for the few places where Python has to know.

Those are numbers that would be frozen into a plan, values that Python code needs, and operations that are computed by
NumPy. It is not the recorder of kernels (that is in the core).
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from flambeau import _core, dtypes

#: The record being made, or None.
active: Recording | None = None

#: Inside vmap: host(name, function, tensors, whole) for each example, or NotImplemented; set by
#: `flambeau.func.batching`.
batched: Callable[..., Any] | None = None
#: The same for whole functions of Python: (function, args, kwargs).
batched_function: Callable[..., Any] | None = None

#: How a live number is read at each call; the values are known to core/python_plan.cpp.
NUMBER, SEED, POSITION = 0, 1, 2


def refuse(name: str) -> None:
    """RuntimeError for what a plan could not repeat."""
    if active is None or active.elsewhere():
        return
    raise RuntimeError(
        f"{name}: cannot be recorded inside a compiled function: a plan runs without Python, so it would happen only "
        "once; do it outside of the function"
    )


def values(name: str, tensor: Any) -> list[Any]:
    """The elements of a tensor that decide what is done, such as the lengths of sequences.

    While recording only those that come from outside the function can be read, and other elements make another plan.
    """
    if active is None or active.elsewhere():
        return tensor.tolist()
    found, outside = _core.record_values(name, tensor)
    if outside:
        active.known.append((tensor, bytes(_memory(tensor)), f"the values of {name}"))
    return found


def host(name: str, function: Callable[..., Any], *tensors: Any, whole: bool = False) -> Any:
    """function(*tensors), computed without history and outside the record; while recording it is one step.

    `function` gives a tensor, a tuple of tensors, or None if it only checks its operands. It runs again at every run of
    a plan, so it may read values, but the shapes of its results must follow from the shapes of its operands. `whole`:
    it takes one more dimension in front of all its operands, so that it is called once for a batch.
    """
    if batched is not None:
        result = batched(name, function, tensors, whole)
        if result is not NotImplemented:
            return result
    if active is None or active.elsewhere():
        return function(*tensors)
    given = tuple([tensor.detach() for tensor in tensors])
    with paused():
        before = _core.set_grad_enabled(False)
        try:
            result = function(*given)
        finally:
            _core.set_grad_enabled(before)
    made = () if result is None else result if isinstance(result, tuple) else (result,)
    _core.record_call(name, function, given, tuple(made))
    return result


def by_example(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose course depends on values: inside vmap it is called for each example."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if batched_function is not None:
            result = batched_function(function, args, kwargs)
            if result is not NotImplemented:
                return result
        return function(*args, **kwargs)

    return called


@contextmanager
def paused() -> Iterator[None]:
    """What happens in this block is no part of the record."""
    global active
    session, was_on = active, _core.record_pause()
    active = None
    try:
        yield
    finally:
        active = session
        if was_on:
            _core.record_resume()


def _memory(tensor: Any) -> Any:
    """The bytes of a dense tensor."""
    with paused():
        return tensor.numpy().tobytes()


class Recording:
    """The live numbers of one record: each is a tensor whose memory the plan fills anew at every call."""

    def __init__(self) -> None:
        self.lives: list[tuple[int, Any, Any, int, Any]] = []
        #: What was read by `values`: (tensor, its bytes, text).
        self.known: list[tuple[Any, bytes, str]] = []
        self._numbers: dict[tuple[int, Any], Any] = {}
        self._thread = _thread.get_ident()

    def elsewhere(self) -> bool:
        """Whether another thread is asking, whose work is not recorded."""
        return _thread.get_ident() != self._thread

    def number(self, source: dict, key: str) -> Any:
        """A float64 tensor that holds `source[key]`."""
        if self.elsewhere():
            return float(source[key])
        known = self._numbers.get((id(source), key))
        if known is None:
            known = self._add(NUMBER, source, key, 0, dtypes.float64, float(source[key]))
            self._numbers[id(source), key] = known
        return known

    def random(self, generator: Any, count: int) -> tuple[Any, Any]:
        """Seed and position of the next `count` numbers of a generator, which moves on."""
        if self.elsewhere():
            seed, position = generator.take(count)
            return seed - ((seed >> 63) << 64), position
        seed = generator._seed - ((generator._seed >> 63) << 64)
        place = self._add(SEED, generator, None, 0, dtypes.int64, seed)
        position = self._add(POSITION, generator, None, count, dtypes.int64, generator._offset)
        generator._offset += count
        # Copies, as backward may draw the same numbers again when the generator has moved on.
        return place.clone(), position.clone()

    def _add(self, kind: int, source: Any, key: Any, count: int, dtype: Any, value: Any) -> Any:
        # A buffer of Python's own: making it is no step of the record.
        import struct

        memory = bytearray(struct.pack("=d" if dtype is dtypes.float64 else "=q", value))
        tensor = _core.from_buffer(memory, dtype).reshape(())
        self.lives.append((kind, source, key, count, tensor))
        return tensor
