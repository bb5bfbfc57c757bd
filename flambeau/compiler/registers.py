"""Dtypes as they are kept in registers and in memory: LLVM types, constants, lanes, and what operations cost."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from flambeau.compiler.program import PARTS, Value
from flambeau.compiler.target import Target

#: dtype -> LLVM type in registers. Both half types and the complex ones are integers: halves are only loaded, stored
#: and converted, complex numbers loaded, stored and taken apart (a vector of them is one of twice as many floats).
REGISTER = {
    "bool": "i1", "uint8": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint32": "i32",
    "uint64": "i64", "float16": "i16", "bfloat16": "i16", "float32": "float", "float64": "double", "uint16": "i16",
    "complex64": "i64", "complex128": "i128",
}  # fmt: skip
BITS = {
    "bool": 1, "uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint32": 32,
    "uint64": 64, "float16": 16, "bfloat16": 16, "float32": 32, "float64": 64, "uint16": 16, "complex64": 64,
    "complex128": 128,
}  # fmt: skip
UNSIGNED = ("bool", "uint8", "uint16", "uint32", "uint64")
_FOUR_BYTES = ("float32", "int32", "uint32", "complex64")
#: Rough cost of an operation in units of one cheap vector instruction; decides unrolling and spilling only.
COSTS = {
    "input": 0, "const": 0, "div": 5, "sqrt": 6, "rsqrt": 9, "idiv": 20, "irem": 24, "fmod": 30, "bitcast": 0,
    "maximum": 2, "minimum": 2, "sign": 3, "copysign": 2, "scale": 2, "random_word": 160,
}  # fmt: skip


def is_float(dtype: str) -> bool:
    """Whether arithmetic on `dtype` is floating point (the half types are never computed with)."""
    return dtype in ("float32", "float64")


def memory_type(dtype: str) -> str:
    """The LLVM type of one value in memory: a bool is a byte."""
    return "i8" if dtype == "bool" else REGISTER[dtype]


def item_bytes(dtype: str) -> int:
    """Bytes of one value in memory."""
    return max(1, BITS[dtype] // 8)


def item_align(dtype: str) -> int:
    """The bytes to which one value in memory is aligned: those of a part, if it is complex."""
    return item_bytes(PARTS.get(dtype, dtype))


def vector(type_: str, lanes: int) -> str:
    """`type_` itself at one lane, else the vector of `lanes` of it."""
    return type_ if lanes == 1 else f"<{lanes} x {type_}>"


def literal(type_: str, number: float | int | bool, lanes: int = 1) -> str:
    """A constant of LLVM type `type_` on all lanes."""
    if type_ in ("float", "double"):
        number = float(number)
        if type_ == "float":
            try:
                number = struct.unpack("f", struct.pack("f", number))[0]
            except OverflowError:
                number = float("inf") if number > 0 else float("-inf")
        bits = 0x7FF8000000000000 if number != number else struct.unpack("<Q", struct.pack("<d", number))[0]
        text = f"0x{bits:016X}"
    elif type_ == "i1":
        text = "true" if number else "false"
    else:
        width = int(type_[1:])
        value = int(number) & ((1 << width) - 1)
        text = str(value - (1 << width) if value >> (width - 1) else value)
    return text if lanes == 1 else f"splat ({type_} {text})"


def constant(value: Value, lanes: int) -> str:
    """The text of a `const` value."""
    number = value.attr
    if value.dtype == "float16":
        try:
            number = struct.unpack("<H", struct.pack("<e", number))[0]
        except OverflowError:
            number = 0x7C00 if number > 0 else 0xFC00
    elif value.dtype == "bfloat16":
        bits = struct.unpack("<I", struct.pack("<f", number))[0]
        number = 0x7FC0 if number != number else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return literal(REGISTER[value.dtype], number, lanes)


def cost(value: Value) -> int:
    """What computing `value` from its arguments costs."""
    scale = 2 if BITS[value.dtype] == 64 else 1
    return COSTS.get(value.op, 1) * scale


def choose_lanes(target: Target, values: Sequence[Value]) -> int:
    """The lane count for computing `values`: a register of the widest dtype; of 4 bytes if those meet 8-byte ones."""
    widths = {item_align(v.dtype) for v in values if v.op not in ("const", "length")}
    widest = max(widths, default=4)
    if widest == 8 and any(v.dtype in _FOUR_BYTES and v.op != "const" for v in values):
        widest = 4
    if widest < 4 and any(v.op in ("idiv", "irem") for v in values):
        widest = 4
    return target.lanes(widest)
