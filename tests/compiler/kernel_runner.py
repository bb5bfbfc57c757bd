"""Compile programs and run them on NumPy arrays through ctypes, without the core."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest

from flambeau.compiler import emit, emit_row, jit, target
from flambeau.compiler.program import ELEMENT, Input, Program, Value

#: dtype names and the NumPy dtype that has their bytes in memory.
MEMORY = {
    "bool": "?", "uint8": "u1", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
    "float16": "f2", "bfloat16": "u2", "float32": "f4", "float64": "f8", "uint16": "u2", "uint32": "u4", "uint64": "u8",
    "complex64": "c8", "complex128": "c16",
}  # fmt: skip

#: Every kind of code this machine can run: masks, wide vectors without masks, narrow vectors with a scalar rest.
TARGETS = {made.name: made for made in (target.make_target(level) for level in ("avx512", "avx2", "baseline"))}
each_target = pytest.mark.parametrize("name", list(TARGETS))

_compiled: dict[tuple[str, ...], tuple[int, int]] = {}


def value(number: int, dtype: str, level: str = ELEMENT) -> Value:
    """An input as a value of a program."""
    return Value("input", (), dtype, number, level)


def program(kind: str, inputs: Sequence[Value], *outputs: Value) -> Program:
    """A program of these inputs and outputs."""
    return Program("test", kind, tuple(Input(v.dtype, v.level) for v in inputs), outputs)


def _compile(made: Program, schedule: str, classes: str, name: str) -> tuple[int, int]:
    key = (made.text(), schedule, classes, name)
    if key not in _compiled:
        if schedule:
            text, scratch = emit_row.emit_row(made, schedule, classes, TARGETS[name])
        else:
            text, scratch = emit.emit_map(made, classes, TARGETS[name]), 0
        _compiled[key] = jit.load(*jit.compile_ir(text, TARGETS[name])), scratch
    return _compiled[key]


def _integers(numbers: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(numbers))(*numbers)


def run_map(
    made: Program,
    arrays: Sequence[np.ndarray],
    classes: str = "",
    name: str = "avx512",
    index: tuple[int, int, int] | None = None,
) -> None:
    """Run over operands of shape (outer, inner), or (inner,), outputs first; `index` is start, inner and outer step."""
    arrays = [a if a.ndim == 2 else a.reshape(1, -1) if a.ndim else a.reshape(1, 1) for a in arrays]
    outer = max(a.shape[0] for a in arrays)
    inner = arrays[0].shape[1]
    arrays = [np.broadcast_to(a, (outer, inner)) if a.shape != (outer, inner) else a for a in arrays]
    if not classes:
        classes = "".join("c" if a.strides[1] == a.itemsize else "z" if a.strides[1] == 0 else "s" for a in arrays)
        classes += "" if index is None else "c" if index[1] == 1 else "s"
    address, _ = _compile(made, "", classes, name if name in TARGETS else next(iter(TARGETS)))
    pointers = [a.ctypes.data for a in arrays]
    inner_strides, outer_strides = [a.strides[1] for a in arrays], [a.strides[0] for a in arrays]
    if index is not None:
        pointers.append(index[0])
        inner_strides.append(index[1])
        outer_strides.append(index[2])
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)(address)
    kernel(
        (ctypes.c_void_p * len(pointers))(*pointers), _integers(inner_strides), _integers(outer_strides), inner, outer
    )


def run_row(
    made: Program,
    arrays: Sequence[np.ndarray],
    schedule: str,
    rows: int,
    length: int,
    name: str = "avx512",
    null: tuple[int, ...] = (),
    past: bool = False,
) -> None:
    """Run over element operands of shape (rows, length) and row operands of shape (rows,), outputs first.

    The operands in `null` are given as null pointers; with `past` the outputs go past the caches.
    """
    levels = [v.level for v in made.outputs] + [i.level for i in made.inputs]
    classes = ""
    for array, level in zip(arrays, levels, strict=True):
        if schedule == "inner" and level is not ELEMENT:
            classes += "-"
            continue
        stride = array.strides[1 if schedule == "inner" else 0]
        classes += "c" if stride == array.itemsize else "z" if stride == 0 else "s"
        if past and len(classes) <= len(made.outputs):
            classes = classes.replace("c", "n")
    address, per_length = _compile(made, schedule, classes, name if name in TARGETS else next(iter(TARGETS)))
    guard = 256
    scratch = np.full(per_length * length + 2 * guard, 0xA5, "u1")
    kernel = ctypes.CFUNCTYPE(
        None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
    )(address)  # fmt: skip
    kernel(
        (ctypes.c_void_p * len(arrays))(*[None if i in null else a.ctypes.data for i, a in enumerate(arrays)]),
        _integers([a.strides[0] for a in arrays]),
        _integers([a.strides[1] if a.ndim == 2 else 0 for a in arrays]),
        rows,
        length,
        scratch.ctypes.data + guard,
    )
    assert (scratch[:guard] == 0xA5).all() and (scratch[guard + per_length * length :] == 0xA5).all()


def guarded(shape: tuple[int, ...], dtype: str, offset: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An array at an address aligned to its items only, in a memory whose other bytes hold a pattern."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    start = 64 + offset * np.dtype(dtype).itemsize
    memory = np.full(size + 256, 0x5B, "u1")
    start += -memory.ctypes.data % 64
    array = memory[start : start + size].view(dtype).reshape(shape)
    return array, memory


def untouched(memory: np.ndarray, array: np.ndarray) -> bool:
    """Whether the bytes around a guarded array still hold the pattern."""
    start = array.ctypes.data - memory.ctypes.data
    return bool((memory[:start] == 0x5B).all() and (memory[start + array.nbytes :] == 0x5B).all())
