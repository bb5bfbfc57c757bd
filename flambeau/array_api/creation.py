"""Functions that make tensors."""

from __future__ import annotations

from typing import Any

from flambeau import dtypes
from flambeau.array_api.common import Tensor, array
from flambeau.devices import check_device
from flambeau.ops import create, from_data


def _on_cpu(device: Any) -> None:
    if device is not None:
        check_device(device)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor from a tensor, a number, nested sequences or a buffer.

    `copy=True` always copies, `copy=False` raises ValueError where a copy is needed, None copies where it must.
    """
    _on_cpu(device)
    if isinstance(obj, Tensor):
        if dtype is None or obj.dtype is dtype:
            return obj.clone() if copy else obj
        if copy is False:
            raise ValueError(f"asarray(): {obj.dtype!r} to {dtype!r} needs a copy, and copy=False was asked for")
        return obj.to(dtype)
    if isinstance(obj, (bool, int, float, complex)):
        if copy is False:
            raise ValueError("asarray(): a Python number needs a copy, and copy=False was asked for")
        return from_data.tensor(obj, dtype=dtype)
    if isinstance(obj, (list, tuple)) and _has_tensor(obj):
        from flambeau.array_api.manipulation import stack

        if copy is False:
            raise ValueError("asarray(): a sequence of tensors needs a copy, and copy=False was asked for")
        stacked = stack([asarray(each) for each in obj])
        return stacked if dtype is None else stacked.to(dtype)
    return from_data.asarray(obj, dtype=dtype, copy=copy)


def _has_tensor(obj: Any) -> bool:
    return any(isinstance(each, Tensor) or (isinstance(each, (list, tuple)) and _has_tensor(each)) for each in obj)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Evenly spaced values of the half-open interval; empty where `step` leads away from `stop`."""
    _on_cpu(device)
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError("arange(): step must not be zero")
    if dtype is None:
        whole = all(isinstance(value, int) for value in (start, stop, step))
        dtype = dtypes.int64 if whole else dtypes.get_default_dtype()
    if (stop - start) / step <= 0:
        return create.empty(0, dtype=dtype)
    return create.arange(start, stop, step, dtype=dtype)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Uninitialised memory of the shape."""
    _on_cpu(device)
    return create.empty(shape, dtype=dtype)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Uninitialised memory of the shape of `x`."""
    _on_cpu(device)
    return create.empty(array("empty_like", x).shape, dtype=dtype or x.dtype)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on the diagonal `k` (above the main one where positive), zeros elsewhere."""
    _on_cpu(device)
    columns = n_rows if n_cols is None else n_cols
    result = create.zeros((n_rows, columns), dtype=dtype)
    if -n_rows < k < columns:
        result.diagonal(k).fill_(1)
    return result


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor over the memory of any object with `__dlpack__`; `copy=True` gives memory of its own."""
    _on_cpu(device)
    return from_data.from_dlpack(x, copy=copy)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere; without `dtype` its kind decides: bool, int64 or the default floating dtype."""
    _on_cpu(device)
    return create.full((shape,) if isinstance(shape, int) else tuple(shape), fill_value, dtype=dtype)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value in the shape and dtype of `x`."""
    _on_cpu(device)
    return create.full(tuple(array("full_like", x).shape), fill_value, dtype=dtype or x.dtype)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Any:
    """`num` evenly spaced values from `start` to `stop`, the last one left out with `endpoint=False`."""
    _on_cpu(device)
    if endpoint or num == 0:
        return create.linspace(start, stop, num, dtype=dtype)
    return create.linspace(start, stop, num + 1, dtype=dtype)[:num]


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates of a grid; with indexing "xy" the first two dimensions change places, with "ij" they do not."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid(): indexing must be 'xy' or 'ij', got {indexing!r}")
    return list(create.meshgrid(*arrays, indexing=indexing)) if arrays else []


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones of the shape."""
    _on_cpu(device)
    return create.ones(shape, dtype=dtype)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape and dtype of `x`."""
    _on_cpu(device)
    return create.ones(array("ones_like", x).shape, dtype=dtype or x.dtype)


def tril(x: Any, /, *, k: int = 0) -> Any:
    """The lower triangles of a stack of matrices, up to the diagonal `k`; zeros above."""
    return create.tril(array("tril", x), k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """The upper triangles of a stack of matrices, from the diagonal `k`; zeros below."""
    return create.triu(array("triu", x), k)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros of the shape."""
    _on_cpu(device)
    return create.zeros(shape, dtype=dtype)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape and dtype of `x`."""
    _on_cpu(device)
    return create.zeros(array("zeros_like", x).shape, dtype=dtype or x.dtype)
