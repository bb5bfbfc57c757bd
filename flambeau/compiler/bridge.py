"""The questions the core asks the compiler when it meets a structure for the first time; it keeps every answer.

It is not a layer of its own: each function turns codes and flags into one call of a declaration or of `service`.
"""

from __future__ import annotations

from typing import Any

from . import service
from .program import CODES, ROW, Program

_traced: dict[tuple[Any, ...], Program] = {}


def _trace(
    declaration: Any, operand_codes: tuple[int, ...], output_codes: tuple[int, ...], compute_name: str
) -> Program:
    key = (id(declaration), operand_codes, output_codes, compute_name)
    program = _traced.get(key)
    if program is None:
        program = _traced[key] = declaration.trace(operand_codes, output_codes, compute_name)
    return program


def forget() -> None:
    """Trace again from here on: the default dtype changed, and programs may hold it."""
    _traced.clear()


def resolve(declaration: Any, operands: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """(operand codes, output codes, dtype computed in, which outputs exist once a row, whether positions matter)."""
    operand_codes, output_codes, compute_name = declaration.resolve(operands)
    program = _trace(declaration, operand_codes, output_codes, compute_name)
    ordered = any(value.op in ("index", "reduce_argmax", "reduce_argmin") for value in program.topological())
    rows = tuple(declaration.kind == "row" and value.level == ROW for value in program.outputs)
    return operand_codes, output_codes, compute_name, rows, ordered


def compile_map(
    declaration: Any, operand_codes: tuple[int, ...], output_codes: tuple[int, ...], compute_name: str, classes: str
) -> int:
    """The address of a map kernel."""
    return service.compile_program(_trace(declaration, operand_codes, output_codes, compute_name), classes)[0]


def compile_row(
    declaration: Any,
    operand_codes: tuple[int, ...],
    output_codes: tuple[int, ...],
    compute_name: str,
    schedule: str,
    classes: str,
) -> tuple[int, int]:
    """The address of a row kernel and its scratch bytes for each element of a row's length."""
    return service.compile_program(_trace(declaration, operand_codes, output_codes, compute_name), classes, schedule)


def gradient(
    declaration: Any,
    needs: tuple[bool, ...],
    operand_codes: tuple[int, ...],
    output_codes: tuple[int, ...],
    compute_name: str,
) -> tuple[Any, ...] | None:
    """(operation or None, what it reads, which gradient passes through, which result is whose) for the needed operands.

    Gradients that are an output's gradient unchanged (both of `add`) pass through and cost nothing.
    """
    found = declaration.gradient(needs, operand_codes, output_codes, compute_name)
    return None if found is None else (found.operation, found.operands, found.through, found.result)


class _Fixed:
    """A declaration of one program for one set of dtypes: the two halves of a split row."""

    kind = "row"
    parameters = ()
    doc = "Half of a row that is reduced in parts."

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self.program = program
        self.inputs = tuple(f"operand_{i}" for i in range(len(program.inputs)))
        self.levels = tuple(operand.level for operand in program.inputs)
        self.needs_gradient = (False,) * len(self.inputs)

    def resolve(self, operands: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], tuple[int, ...], str]:
        outputs = tuple(CODES[value.dtype] for value in self.program.outputs)
        return tuple(code for code, _ in operands), outputs, "fixed"

    def trace(self, operand_codes: tuple[int, ...], output_codes: tuple[int, ...], compute_name: str) -> Program:
        del operand_codes, output_codes, compute_name
        return self.program

    def gradient(self, *_: Any) -> None:
        return None


def split(
    declaration: Any, operand_codes: tuple[int, ...], output_codes: tuple[int, ...], compute_name: str
) -> tuple[Any, Any] | None:
    """The two operations of a reduction done in parts, or None."""
    from flambeau._core import Operation

    from .split import split_row

    program = _trace(declaration, operand_codes, output_codes, compute_name)
    halves = split_row(program, len(declaration.inputs))
    if halves is None or any(value.dtype not in CODES for value in halves[0].outputs):
        return None
    return Operation(_Fixed(halves[0])), Operation(_Fixed(halves[1]))


def contraction(code: int) -> tuple[int, int]:
    """The addresses of the tables of a dtype's contraction kernels."""
    from .contraction import kernels

    return kernels(code)


def transposition(size: int, past: bool) -> int:
    """The address of the kernel of a transposed copy of elements of `size` bytes; for 0, the bytes of a vector."""
    return service.compile_transposition(size, past)


def convolution(code: int) -> int:
    """The address of the table of a dtype's convolution kernels."""
    from .convolution import kernels

    return kernels(code)


def windows(code: int) -> int:
    """The address of the table of a dtype's kernels of maxima over windows."""
    from .windows import kernels

    return kernels(code)
