"""The format of `save`'s files: a safetensors file whose metadata holds the structure around the tensors as JSON."""

from __future__ import annotations

import json

from flambeau import dtypes

FORMAT = "flambeau"
VERSION = 1
LARGEST_HEADER = 100_000_000  # the limit of the safetensors format

CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "complex64": "C64",
}
DTYPES = {code: getattr(dtypes, name) for name, code in CODES.items()}


class Key:
    """The one key of a JSON object that stands for what is not JSON; dictionaries are always written as pairs."""

    TENSOR, DICT, ORDERED, COUNTER, TUPLE, SIZE = "tensor", "dict", "ordered", "counter", "tuple", "size"
    FLOAT, COMPLEX, BYTES, DTYPE, DEVICE, ARRAY = "float", "complex", "bytes", "dtype", "device", "array"
    SPARSE = "sparse"


def check_of(header: dict) -> int:
    """The checksum of what the header says about the tensors, from which that of the data goes on."""
    import zlib

    return zlib.crc32(json.dumps(header, sort_keys=True).encode())
