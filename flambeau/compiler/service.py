"""What the core calls when it meets a structure it has no kernel for, and what shows a user the code of an operation.

A request is answered by the first of: a kernel already loaded in this process, the disk cache, the compiler. Equal
programs share one kernel whatever operation they came from.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Sequence
from typing import Any

from flambeau.compiler import cache as _cache
from flambeau.compiler.program import CODES, DTYPES, ROW, Program

_loaded: dict[str, tuple[int, int]] = {}  # key -> address, scratch bytes
_counts = {"compiled": 0, "loaded": 0}
_lock = _thread.RLock()  # LLVM's target machine is not made for two threads at once
_disk: _cache.Cache | None = None


def _renew_lock() -> None:
    """A child must not wait for a thread of its parent."""
    global _lock
    _lock = _thread.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def disk() -> _cache.Cache:
    """The disk cache of this process."""
    global _disk
    if _disk is None:
        _disk = _cache.Cache()
    return _disk


def compilations() -> dict[str, int]:
    """How many kernels this process compiled, and how many it read from the disk cache."""
    return dict(_counts)


def compile_map(
    declaration: Any, operand_codes: Sequence[int], output_codes: Sequence[int], compute_name: str, classes: str
) -> int:
    """The address of the map kernel of `declaration` for these dtypes and loop classes."""
    program = declaration.trace_map(tuple(operand_codes), tuple(output_codes), compute_name)
    return compile_program(program, classes)[0]


def compile_row(
    declaration: Any,
    operand_codes: Sequence[int],
    output_codes: Sequence[int],
    compute_name: str,
    schedule: str,
    classes: str,
    levels: Sequence[str] | None = None,
) -> tuple[int, int]:
    """The address of the row kernel of `declaration`, and its scratch bytes for each element of a row's length."""
    program = declaration.trace_row(tuple(operand_codes), tuple(output_codes), compute_name, levels)
    return compile_program(program, classes, schedule)


def compile_program(program: Program, classes: str, schedule: str = "") -> tuple[int, int]:
    """The address and the scratch bytes of a program's kernel; `schedule`: "inner" or "outer" for rows, "" for maps."""
    version = _cache.compiler_version()
    key = _cache.digest(version, program.text(), schedule, classes)
    with _lock:
        known = _loaded.get(key)
        if known is None:
            known = _loaded[key] = _make(program, classes, schedule, key, bool(version))
    return known


def compile_transposition(size: int, past: bool) -> int:
    """The address of the kernel of a transposed copy of elements of `size` bytes; for 0, the bytes of a vector."""
    from flambeau.compiler.target import host

    target = host()
    if size == 0:
        return target.vector_bytes
    version = _cache.compiler_version()
    past = past and target.cpu == "x86-64"
    key = _cache.digest(version, "transposition", str(size), str(past))
    with _lock:
        known = _loaded.get(key)
        if known is None:
            found = disk().get(key) if version else None
            if found is None:
                from flambeau.compiler import jit
                from flambeau.compiler.transposition import emit_transposition

                image = jit.compile_ir(emit_transposition(size, past, target))
                found = _cache.Entry(image.code, image.entry, 0)
                if version:
                    disk().put(key, found)
                _counts["compiled"] += 1
            else:
                _counts["loaded"] += 1
            from flambeau.compiler import jit

            known = _loaded[key] = (jit.load(found.code, found.entry), 0)
    return known[0]


def load_module(kind: str, text: str) -> int:
    """The address of the entry of a module of kernels (`flambeau.compiler.loops`), compiled or from the cache."""
    from flambeau.compiler import jit

    version = _cache.compiler_version()
    key = _cache.digest(version, kind, text) if version else ""
    with _lock:
        found = disk().get(key) if key else None
        if found is None:
            image = jit.compile_ir(text)
            found = _cache.Entry(image.code, image.entry, 0)
            if key:
                disk().put(key, found)
        return jit.load(found.code, found.entry)


def _make(program: Program, classes: str, schedule: str, key: str, keep: bool) -> tuple[int, int]:
    from flambeau.compiler import jit

    found = disk().get(key) if keep else None
    if found is None:
        text, scratch = write_ir(program, classes, schedule)
        image = jit.compile_ir(text)
        found = _cache.Entry(image.code, image.entry, scratch)
        if keep:
            disk().put(key, found)
        _counts["compiled"] += 1
    else:
        _counts["loaded"] += 1
    return jit.load(found.code, found.entry), found.scratch


def write_ir(program: Program, classes: str, schedule: str = "") -> tuple[str, int]:
    """LLVM IR of a program's kernel, and its scratch bytes."""
    from flambeau.compiler.mathematics import lower_program
    from flambeau.compiler.target import host

    lowered = lower_program(program)
    if program.kind == "map":
        from flambeau.compiler.emit import emit_map

        return emit_map(lowered, classes, host()), 0
    from flambeau.compiler.emit_row import emit_row

    return emit_row(lowered, schedule or "inner", classes, host())


def show(operation: Any, *dtypes: str, schedule: str = "inner", classes: str = "") -> str:
    """What an operation becomes for operands of these dtypes: its program, its LLVM IR and its assembly, as text.

    Arguments
    ---------
    operation: an operation of `flambeau.ops` or its declaration
    dtypes: the dtype of each operand, by name; "float32" for all that are not given, the default for run-time numbers
    schedule: "inner" or "outer", for rows
    classes: how the operands lie in memory, outputs first ("ccz"); contiguous if not given

    Returns
    -------
    str, in three parts with headings.

    Raises
    ------
    DTypeError: if the operation does not take these dtypes.

    Example
    -------
    >>> print(show(fl.ops.relu).splitlines()[1])
    map relu(float32:element)
    """
    from flambeau.compiler import jit

    declaration = getattr(operation, "declaration", operation)
    names = list(dtypes) + ["float32"] * (len(declaration.inputs) - len(dtypes))
    given = [(CODES[name], 0) for name in names]
    for _, default in declaration.parameters[len(names) - len(declaration.inputs) :]:
        kind = bool if isinstance(default, bool) else int if isinstance(default, int) else float
        given.append((CODES[{bool: "bool", int: "int64", float: "float64"}[kind]], 2))
    operand_codes, output_codes, compute_name = declaration.resolve(tuple(given))
    if declaration.kind == "map":
        program = declaration.trace_map(operand_codes, output_codes, compute_name)
    else:
        program = declaration.trace_row(operand_codes, output_codes, compute_name)
    levels = [v.level for v in program.outputs] + [i.level for i in program.inputs]
    if not classes:
        classes = "".join("-" if program.kind == "row" and schedule == "inner" and v == ROW else "c" for v in levels)
        if program.kind == "map":
            numbers = len(program.inputs) - len(declaration.inputs)
            classes = classes[: len(classes) - numbers] + "z" * numbers
            classes += "c" if any(v.op == "index" for v in program.topological()) else ""
    text, _ = write_ir(program, classes, schedule)
    dtypes_text = ", ".join(DTYPES[code] for code in operand_codes)
    return "\n".join([
        f"; program of {declaration.name} for {dtypes_text}", program.text(),
        f"; LLVM IR, classes {classes}", text,
        "; assembly", jit.assembly(text),
    ])  # fmt: skip
