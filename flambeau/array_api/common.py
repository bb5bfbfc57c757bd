"""What several parts of the namespace need: promotion without PyTorch's rule for 0-dimensional tensors, and axes."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes

Tensor = _core.Tensor


def array(name: str, x: Any, argument: str = "x") -> Any:
    """`x` if it is a tensor; TypeError names the function and the argument otherwise."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}(): argument {argument!r} must be a flambeau tensor, not {type(x).__name__}; use asarray"
        )
    return x


def promoted(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both operands with one dtype; a Python number takes the dtype of the tensor where its kind allows that.

    PyTorch lets a 0-dimensional tensor give way to one with dimensions. The standard does not: float32 of shape (3,)
    with float64 of shape () is float64.
    """
    first, second = isinstance(x1, Tensor), isinstance(x2, Tensor)
    if first and second:
        if x1.dtype is not x2.dtype and (x1.ndim == 0) != (x2.ndim == 0):
            dtype = dtypes.promote_types(x1.dtype, x2.dtype)
            return x1.to(dtype), x2.to(dtype)
        return x1, x2
    if first:
        return x1, number(name, x2, x1.dtype)
    if second:
        return number(name, x1, x2.dtype), x2
    raise TypeError(
        f"{name}(): one argument must be a flambeau tensor, got {type(x1).__name__} and {type(x2).__name__}"
    )


def number(name: str, value: Any, dtype: Any) -> Any:
    """A Python number as a 0-dimensional tensor: in `dtype` where that holds its kind, else in the number's own."""
    from flambeau.ops import create

    if isinstance(value, bool):
        kind = 0
    elif isinstance(value, int):
        kind = 1
    elif isinstance(value, float):
        kind = 2
    elif isinstance(value, complex):
        kind = 3
    elif hasattr(value, "__array__") and getattr(value, "ndim", 1) == 0:  # a number of NumPy's
        return number(name, value.item(), dtype)
    else:
        raise TypeError(f"{name}(): expected a flambeau tensor or a number, got {type(value).__name__}; use asarray")
    if kind <= dtype.kind:
        return create.full((), value, dtype=dtype)
    if kind == 3:
        return create.tensor(value)
    return create.full((), value, dtype=(dtypes.bool, dtypes.int64, dtypes.get_default_dtype())[kind])


def axes(x: Any, axis: Any) -> tuple[int, ...] | None:
    """`axis` of a reduction as a tuple; None stays None (all of them)."""
    return axis if axis is None or isinstance(axis, tuple) else (axis,)


def wide(dtype: Any) -> Any:
    """The dtype in which the standard adds integers: at least the default integer, unsigned ones unsigned."""
    if dtype.kind > 1:
        return dtype
    if dtype.kind == 1 and not dtype.is_signed:
        return dtypes.BY_NAME.get("uint64", dtypes.int64)
    return dtypes.int64
