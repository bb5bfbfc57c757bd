"""The array API standard, version 2024.12: the namespace that `tensor.__array_namespace__()` returns.

Libraries that take arrays of any kind (SciPy, scikit-learn, einops and others) find their functions here. Names,
positional-only arguments, `axis`/`keepdims`, defaults and result dtypes are those of the standard; `flambeau` itself
keeps PyTorch's. Here live only the differences: every value is computed by the operations of `flambeau`, so gradients
and `flambeau.compile` work through this namespace too.

    xp = x.__array_namespace__()
    xp.std(x, axis=0, correction=1)

Two things of the standard are properties of the tensor itself and stay PyTorch's: `x.size` is a method, and the
operators let a 0-dimensional tensor give way to one with dimensions of the same kind (the functions here do not).
`__array_namespace_info__()` tells the dtypes and the extensions there are.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import Any

from flambeau import dtypes as _dtypes
from flambeau.array_api.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from flambeau.array_api.data_types import astype, can_cast, finfo, iinfo, isdtype, result_type
from flambeau.array_api.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clip,
    conj,
    copysign,
    cos,
    cosh,
    divide,
    equal,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    imag,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    round,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from flambeau.array_api.info import ArrayNamespaceInfo, __array_namespace_info__
from flambeau.array_api.linear_algebra import matmul, matrix_transpose, tensordot, vecdot
from flambeau.array_api.manipulation import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    tile,
    unstack,
)
from flambeau.array_api.searching import (
    argmax,
    argmin,
    argsort,
    count_nonzero,
    isin,
    nonzero,
    searchsorted,
    sort,
    take,
    take_along_axis,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    where,
)
from flambeau.array_api.statistical import (
    all,
    any,
    cumulative_prod,
    cumulative_sum,
    diff,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)

__array_api_version__ = "2024.12"
newaxis = None

#: The dtypes of the standard that there are; the standard has no float16 and no bfloat16.
_NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip
for _name in _NAMES:
    if _name in _dtypes.BY_NAME:
        globals()[_name] = _dtypes.BY_NAME[_name]
del _name

__all__ = [
    "abs", "acos", "acosh", "add", "all", "any", "arange", "argmax", "argmin", "argsort", "asarray", "asin", "asinh",
    "astype", "atan", "atan2", "atanh", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "broadcast_arrays", "broadcast_shapes", "broadcast_to", "can_cast", "ceil",
    "clip", "concat", "conj", "copysign", "cos", "cosh", "count_nonzero", "cumulative_prod", "cumulative_sum", "diff",
    "divide", "e", "empty", "empty_like", "equal", "exp", "expand_dims", "expm1", "eye", "finfo", "flip", "floor",
    "floor_divide", "from_dlpack", "full", "full_like", "greater", "greater_equal", "hypot", "iinfo", "imag", "inf",
    "isdtype", "isfinite", "isin", "isinf", "isnan", "less", "less_equal", "linspace", "log", "log10", "log1p", "log2",
    "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "matrix_transpose", "max",
    "maximum", "mean", "meshgrid", "min", "minimum", "moveaxis", "multiply", "nan", "negative", "newaxis", "nextafter",
    "nonzero", "not_equal", "ones", "ones_like", "permute_dims", "pi", "positive", "pow", "prod", "real", "reciprocal",
    "remainder", "repeat", "reshape", "result_type", "roll", "round", "searchsorted", "sign", "signbit", "sin", "sinh",
    "sort", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "take", "take_along_axis", "tan", "tanh",
    "tensordot", "tile", "tril", "triu", "trunc", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "unstack", "var", "vecdot", "where", "zeros", "zeros_like",
] + [name for name in _NAMES if name in _dtypes.BY_NAME]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("linalg", "fft"):
        from importlib import import_module

        try:
            return import_module(f"flambeau.array_api.{name}")
        except ModuleNotFoundError as error:
            if error.name != "flambeau.fft":
                raise
    raise AttributeError(f"module 'flambeau.array_api' has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib.util import find_spec

    return sorted([*__all__, "linalg", *(["fft"] if find_spec("flambeau.fft") else [])])
