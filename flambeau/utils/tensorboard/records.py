"""The bytes of event files: fields of protocol buffers, and records with checksums. What they mean is in `summary`."""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["double", "doubles", "message", "number", "record", "single", "text"]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field with a whole number."""
    return _varint(field << 3) + _varint(value)


def double(field: int, value: float) -> bytes:
    """A field with a number of 64 bits."""
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    """A field with a number of 32 bits."""
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def message(field: int, content: bytes) -> bytes:
    """A field with bytes: a text, or a message of its own."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def text(field: int, value: str) -> bytes:
    """A field with a text."""
    return message(field, value.encode())


def doubles(field: int, values: Iterable[float]) -> bytes:
    """A field with several numbers of 64 bits."""
    return message(field, b"".join([struct.pack("<d", value) for value in values]))


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def _checksum(data: bytes) -> bytes:
    """CRC-32C, turned and shifted as the record format wants it."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 255]
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """One record: its length, its bytes, and a checksum of each."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)
