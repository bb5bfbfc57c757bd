"""The dtype of a result for every pair of operands: tensors, tensors without dimensions, Python numbers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import flambeau as fl

from .support import DTYPES

NUMBERS = {"True": True, "2": 2, "2.5": 2.5}
OPERATORS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "lt": lambda a, b: a < b,
    "maximum": None,
    "where": None,
}


def operands(lib: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in DTYPES:
        dtype = getattr(lib, name)
        found[f"{name} (0,)"] = lib.ones(0, dtype=dtype)
        found[f"{name} ()"] = lib.ones((), dtype=dtype)
    return found


def outcome(call: Any, *args: Any) -> str:
    try:
        result = call(*args)
    except (TypeError, RuntimeError, ValueError) as error:
        return type(error).__name__ and "error"
    return str(result.dtype).rpartition(".")[2]


@pytest.mark.parametrize("name", OPERATORS)
def test_every_pair_has_pytorchs_dtype(name):
    torch = pytest.importorskip("torch")
    results = []
    for lib in (fl, torch):
        own = {"maximum": lib.maximum, "where": lambda a, b, lib=lib: lib.where(lib.tensor(True), a, b)}
        op = OPERATORS[name] or own[name]
        tensors = operands(lib)
        found = {}
        for a, b in itertools.product(tensors, tensors):
            # The dtype of an empty result needs no kernel; two operands without dimensions follow the same rule.
            if name == "add" or "(0,)" in a or "(0,)" in b:
                found[a, b] = outcome(op, tensors[a], tensors[b])
        if name not in ("maximum", "where"):
            for a, b in itertools.product(tensors if name == "add" else [t for t in tensors if "(0,)" in t], NUMBERS):
                found[a, b] = outcome(op, tensors[a], NUMBERS[b])
                found[b, a] = outcome(op, NUMBERS[b], tensors[a])
        results.append(found)
    ours, theirs = results
    assert {pair: (ours[pair], theirs[pair]) for pair in theirs if ours[pair] != theirs[pair]} == {}


def test_promote_types_and_result_type_agree_with_operators():
    for a, b in itertools.product(DTYPES, DTYPES):
        a, b = getattr(fl, a), getattr(fl, b)
        x, y = fl.ones(2, dtype=a), fl.ones(2, dtype=b)
        assert fl.promote_types(a, b) is fl.result_type(x, y) is (x + y).dtype is fl.promote_types(b, a)


# Rows and columns in the order of DTYPES.
TABLE = """
bool     uint8    int8     int16    int32    int64    float16 bfloat16 float32 float64
uint8    uint8    int16    int16    int32    int64    float16 bfloat16 float32 float64
int8     int16    int8     int16    int32    int64    float16 bfloat16 float32 float64
int16    int16    int16    int16    int32    int64    float16 bfloat16 float32 float64
int32    int32    int32    int32    int32    int64    float16 bfloat16 float32 float64
int64    int64    int64    int64    int64    int64    float16 bfloat16 float32 float64
float16  float16  float16  float16  float16  float16  float16 float32  float32 float64
bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 float32 bfloat16 float32 float64
float32  float32  float32  float32  float32  float32  float32 float32  float32 float64
float64  float64  float64  float64  float64  float64  float64 float64  float64 float64
"""


def test_the_table_of_pytorch_holds_for_every_pair():
    for a, row in zip(DTYPES, TABLE.strip().splitlines(), strict=True):
        for b, expected in zip(DTYPES, row.split(), strict=True):
            x, y = fl.ones(0, dtype=getattr(fl, a)), fl.ones(0, dtype=getattr(fl, b))
            assert (x + y).dtype is fl.promote_types(x.dtype, y.dtype) is getattr(fl, expected)


def test_promotion_without_pytorch_at_hand():
    expected = {
        ("float32", "float64"): "float64", ("int64", "float16"): "float16", ("uint8", "int8"): "int16",
        ("float16", "bfloat16"): "float32", ("bool", "uint8"): "uint8", ("int32", "int64"): "int64",
    }  # fmt: skip
    for (a, b), c in expected.items():
        assert fl.promote_types(getattr(fl, a), getattr(fl, b)) is getattr(fl, c)
    assert (fl.ones(2, dtype=fl.int32) + 1.5).dtype is fl.float32
    assert (fl.ones(2, dtype=fl.float16) + fl.ones((), dtype=fl.float64)).dtype is fl.float16
    assert (fl.ones(2, dtype=fl.int8) + 1000).dtype is fl.int8
    assert (fl.ones(2, dtype=fl.bool) + 1).dtype is fl.int64


def test_the_default_dtype_decides_what_floats_become():
    fl.set_default_dtype(fl.float64)
    assert fl.tensor(1.5).dtype is fl.float64 and (fl.ones(2, dtype=fl.int64) / 2).dtype is fl.float64
    assert fl.zeros(2).dtype is fl.float64 and (fl.tensor([1]) + 0.5).dtype is fl.float64
    assert fl.arange(3).dtype is fl.int64 and fl.arange(3.0).dtype is fl.float64
    with pytest.raises(TypeError):
        fl.set_default_dtype(fl.int64)


@pytest.mark.parametrize(
    "name", ["sin", "exp", "mean", "sum", "prod", "cumsum", "sigmoid", "abs", "sqrt", "floor", "std", "softmax"]
)
def test_functions_of_every_dtype_have_pytorchs(name):
    torch = pytest.importorskip("torch")
    results = []
    for lib in (fl, torch):
        f = getattr(lib, name)
        args = (0,) if name in ("cumsum", "softmax") else ()
        results.append({d: outcome(f, lib.ones(3, dtype=getattr(lib, d)), *args) for d in DTYPES})
    ours, theirs = results
    assert {d: (ours[d], theirs[d]) for d in DTYPES if ours[d] != theirs[d]} == {}
