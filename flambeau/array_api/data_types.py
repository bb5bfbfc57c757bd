"""Data types: conversion, promotion, limits."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import dtypes
from flambeau.array_api.common import Tensor, array, joint_dtype
from flambeau.devices import check_device

_KINDS: dict[str, Any] = {
    "bool": lambda d: d.category == 0,
    "signed integer": lambda d: d.category == 1 and d.is_signed,
    "unsigned integer": lambda d: d.category == 1 and not d.is_signed,
    "integral": lambda d: d.category == 1,
    "real floating": lambda d: d.category == 2,
    "complex floating": lambda d: d.category == 3,
    "numeric": lambda d: d.category > 0,
}


class finfo_object(NamedTuple):  # noqa: N801
    """The limits of a floating dtype, as `finfo` returns them."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


class iinfo_object(NamedTuple):  # noqa: N801
    """The limits of an integer dtype, as `iinfo` returns them."""

    bits: int
    max: int
    min: int
    dtype: Any


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """A tensor with the values of `x` in `dtype`; a copy, or `x` itself if nothing changes and `copy=False`."""
    check_device(device if device is not None else "cpu")
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"astype(): expected a flambeau dtype, got {dtype!r}")
    result = array("astype", x).to(dtype)
    return result.clone() if copy and result is x else result


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion takes `from_` (a dtype or a tensor) to `to`, so that no kind or size is lost."""
    source = from_.dtype if isinstance(from_, Tensor) else from_
    if not isinstance(source, dtypes.dtype) or not isinstance(to, dtypes.dtype):
        raise TypeError(f"can_cast(): expected flambeau dtypes, got {from_!r} and {to!r}")
    if source.category > to.category or (source.category == 0) != (to.category == 0):
        return source is to
    try:
        return joint_dtype(source, to) is to
    except TypeError:
        return False


def finfo(type: Any, /) -> finfo_object:
    """The limits of a floating dtype, or of a tensor's: bits, eps, max, min, smallest_normal, dtype."""
    dtype = type.dtype if isinstance(type, Tensor) else type
    if isinstance(dtype, dtypes.dtype) and dtype.is_complex:
        dtype = dtype.to_real()
    limits = dtypes.finfo(dtype)
    return finfo_object(limits.bits, limits.eps, limits.max, limits.min, limits.smallest_normal, dtype)


def iinfo(type: Any, /) -> iinfo_object:
    """The limits of an integer dtype, or of a tensor's: bits, max, min, dtype."""
    dtype = type.dtype if isinstance(type, Tensor) else type
    limits = dtypes.iinfo(dtype)
    return iinfo_object(limits.bits, limits.max, limits.min, dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether `dtype` is of the kind: a dtype, a name such as "real floating", or a tuple of these."""
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"isdtype(): expected a flambeau dtype, got {dtype!r}")
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"isdtype(): kind must be one of {', '.join(map(repr, _KINDS))}, got {kind!r}")
        return bool(_KINDS[kind](dtype))
    if isinstance(kind, dtypes.dtype):
        return dtype is kind
    raise TypeError(f"isdtype(): kind must be a dtype, a name or a tuple of these, got {kind!r}")


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that promotion gives for tensors, dtypes and Python numbers; shapes play no part."""
    known = [each.dtype if isinstance(each, Tensor) else each for each in arrays_and_dtypes]
    found = [each for each in known if isinstance(each, dtypes.dtype)]
    numbers = [each for each in known if not isinstance(each, dtypes.dtype)]
    if not found:
        raise ValueError("result_type(): needs at least one tensor or dtype")
    result = found[0]
    for each in found[1:]:
        result = joint_dtype(result, each)
    for value in numbers:
        if not isinstance(value, (bool, int, float, complex)):
            raise TypeError(f"result_type(): expected tensors, dtypes or numbers, got {type(value).__name__}")
        kind = 0 if isinstance(value, bool) else 1 if isinstance(value, int) else 2 if isinstance(value, float) else 3
        if kind > result.category:
            result = _of_kind(kind, result)
    return result


def _of_kind(kind: int, dtype: Any) -> Any:
    if kind < 3:
        return (dtypes.bool, dtypes.int64, dtypes.get_default_dtype())[kind]
    real = dtype if dtype.category == 2 else dtypes.get_default_dtype()
    return dtypes.BY_NAME["complex128" if real is dtypes.float64 else "complex64"]
