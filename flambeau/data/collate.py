"""Putting samples together to a batch, and turning a sample's arrays and numbers into tensors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import ShapeError

__all__ = ["default_collate", "default_convert"]

Tensor = _core.Tensor


def _numpy_kind(value: Any) -> str:
    """ "array", "number" or "" (not NumPy's); NumPy is not imported only to ask."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return ""
    return "array" if isinstance(value, numpy.ndarray) else "number" if isinstance(value, numpy.generic) else ""


def _as_tensor(value: Any) -> Any:
    if value.dtype.kind in "SaUO":
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found dtype "
            f"{value.dtype}; give the loader a collate_fn"
        )
    return flambeau.as_tensor(value)


def default_convert(data: Any) -> Any:
    """Turn NumPy arrays inside tuples, lists and dictionaries into tensors; everything else stays what it is."""
    if isinstance(data, (Tensor, str, bytes)):
        return data
    kind = _numpy_kind(data)
    if kind:
        return data if kind == "array" and data.dtype.kind in "SaUO" else flambeau.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, Sequence):
        return _like(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Any) -> Any:
    """One batch from a list of samples.

    Tensors and arrays are stacked along a new first dimension, numbers become a tensor, strings stay a list, and
    tuples, lists and dictionaries of those are put together entry by entry. Errors: ShapeError when tensors differ in
    shape, RuntimeError when sequences differ in length, TypeError for anything else.

    Example:
        >>> fl.utils.data.default_collate([(1, 2.0), (3, 4.0)])
        [tensor([1, 3]), tensor([2., 4.], dtype=float64)]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        for other in batch:
            if other.shape != first.shape:
                raise ShapeError(
                    "default_collate: stack expects each tensor to be equal size, but one sample is "
                    f"{tuple(first.shape)} and another {tuple(other.shape)}; pad the samples to one size, or give the "
                    "loader a collate_fn"
                )
        return flambeau.stack(list(batch), 0)
    kind = _numpy_kind(first)
    if kind == "array":
        return default_collate([_as_tensor(value) for value in batch])
    if kind == "number":
        return flambeau.as_tensor(sys.modules["numpy"].asarray(batch))
    if isinstance(first, float):
        return flambeau.tensor(batch, dtype=flambeau.float64)
    if isinstance(first, int):
        return flambeau.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(values) for values in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(
                f"default_collate: each element in list of batch should be of equal size, but lengths are "
                f"{sorted({len(sample) for sample in batch})}; give the loader a collate_fn"
            )
        columns = [default_collate(list(values)) for values in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _like(first, columns)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}; give the loader a collate_fn"
    )


def _like(original: Any, values: Any) -> Any:
    """The values in a container of the original's type, or in the plain one where that cannot be made from them."""
    if type(original) in (dict, list, tuple):
        return type(original)(values)
    try:
        return type(original)(values)
    except TypeError:
        return values
