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


def joint_dtype(first: Any, second: Any) -> Any:
    """The dtype that the standard promotes two dtypes to; PyTorch has none for unsigned ones above uint8.

    Raises TypeError where the standard has none either: uint64 and a signed integer.
    """
    if first is second or first.category != 1 or second.category != 1:
        return dtypes.promote_types(first, second)
    if first.is_signed == second.is_signed:
        return first if first.itemsize >= second.itemsize else second
    unsigned, signed = (second, first) if first.is_signed else (first, second)
    if unsigned.itemsize == 8:
        raise TypeError(f"{first!r} and {second!r} have no common dtype; convert one with astype")
    return signed if signed.itemsize > unsigned.itemsize else dtypes.BY_NAME[f"int{16 * unsigned.itemsize}"]


def promoted(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both operands with one dtype; a Python number takes the dtype of the tensor where its kind allows that.

    PyTorch lets a 0-dimensional tensor give way to one with dimensions. The standard does not: float32 of shape (3,)
    with float64 of shape () is float64.
    """
    first, second = isinstance(x1, Tensor), isinstance(x2, Tensor)
    if first and second:
        if x1.dtype is not x2.dtype:
            dtype = joint_dtype(x1.dtype, x2.dtype)
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
    if kind <= dtype.category:
        return create.full((), value, dtype=dtype)
    if kind == 3:
        real = dtype if dtype.category == 2 else dtypes.get_default_dtype()
        return create.full((), value, dtype=dtypes.complex128 if real is dtypes.float64 else dtypes.complex64)
    return create.full((), value, dtype=(dtypes.bool, dtypes.int64, dtypes.get_default_dtype())[kind])


def axes(x: Any, axis: Any) -> tuple[int, ...] | None:
    """`axis` of a reduction as a tuple; None stays None (all of them)."""
    return axis if axis is None or isinstance(axis, tuple) else (axis,)


def wide(dtype: Any) -> Any:
    """The dtype in which the standard adds integers: at least the default integer, unsigned ones unsigned."""
    if dtype.category > 1:
        return dtype
    if dtype.category == 1 and not dtype.is_signed:
        return dtypes.uint64
    return dtypes.int64
