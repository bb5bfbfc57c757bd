"""Making tensors from what holds values already: Python numbers and sequences, NumPy, buffers, DLPack.

Tensors from sizes and ranges are in `create`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import check_device
from flambeau.dtypes import dtype as DType
from flambeau.errors import DTypeError, ElementError, NumberOverflowError
from flambeau.ops.arguments import Tensor, check_dtype, integer

__all__ = ["as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "scalar_tensor", "tensor"]

_full = _core.full
_constant = _core.record_constant
_float32, _int64, _bool = dtypes.float32, dtypes.int64, dtypes.bool

#: array.array type codes of the dtypes that have one.
_TYPECODES = {
    "float64": "d", "float32": "f", "int64": "q", "int32": "i", "int16": "h", "int8": "b", "uint8": "B",
    "uint16": "H", "uint32": "I", "uint64": "Q",
}  # fmt: skip
NUMBERS = frozenset((float, int, bool, complex))


def overflow(value: Any, dtype: DType) -> NumberOverflowError:
    """The error of a number that a dtype cannot hold."""
    limits = dtypes.iinfo(dtype) if dtype.category == 1 else dtypes.finfo(dtype)
    return NumberOverflowError(
        f"tensor: value {value} cannot be converted to {dtype} without overflow (it holds {limits.min} to "
        f"{limits.max}); give a wider dtype="
    )


def tensor(
    data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
    """A new tensor holding a copy of `data`: a number, nested sequences of numbers, a NumPy array, another tensor.

    Without `dtype` Python floats become the default floating dtype, ints int64, bools bool; arrays keep theirs.
    Raises ValueError for sequences of unequal length, TypeError for what is no number, OverflowError for numbers
    that the dtype cannot hold.

    >>> fl.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if device is not None:
        check_device(device)
    if dtype is not None and not isinstance(dtype, DType):
        dtype = check_dtype("tensor", dtype)
    kind = type(data)
    if kind is list or kind is tuple:
        result = _from_sequence(data, dtype)
    elif kind in NUMBERS:
        result = _from_number(data, dtype)
    elif isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "tensor: to copy a tensor use source.clone() or source.detach().clone() rather than "
            "flambeau.tensor(source)",
            stacklevel=2,
        )
        result = data.detach().clone()
        if dtype is not None:
            result = result.to(dtype)
    else:
        result = _from_object(data, dtype)
    if requires_grad:
        result.requires_grad_(True)
    return result


def _from_number(data: Any, dtype: DType | None) -> Any:
    if dtype is None:
        dtype = dtype_of(type(data))
    if dtype.category == 1:
        return _pack([data], dtype, ())
    try:
        return _full((), data, dtype)
    except OverflowError:
        raise overflow(data, dtype) from None


def dtype_of(kind: Any) -> DType:
    """The dtype of Python numbers of a kind."""
    if kind is int:
        return _int64
    return _bool if kind is bool else dtypes._default if kind is float else default_complex()


def default_complex() -> DType:
    """The complex dtype whose parts have the default floating dtype."""
    return dtypes.complex128 if dtypes._default is dtypes.float64 else dtypes.complex64


def _from_object(data: Any, dtype: DType | None) -> Any:
    """From an array, an array scalar, or any other sequence."""
    if hasattr(data, "__array_interface__") or hasattr(data, "__array__"):
        import numpy

        found = numpy.array(data)  # a copy, native layout
        if found.dtype.name == "object":
            raise TypeError(
                f"tensor: can't convert a {type(data).__name__} of dtype object: its values are not all numbers of one "
                "kind; convert it first, for example with .astype('float32')"
            )
        result = from_numpy(found.astype(found.dtype.newbyteorder("="), copy=False))
        return result if dtype is None else result.to(dtype)
    if isinstance(data, complex):
        return _from_number(complex(data), dtype)
    if isinstance(data, (float, int)):
        return _from_number(float(data) if isinstance(data, float) else int(data), dtype)
    if isinstance(data, (str, bytes, dict, set)) or data is None or not hasattr(data, "__len__"):
        if hasattr(data, "__index__"):
            return _from_number(data.__index__(), dtype)
        what = f" {data!r}" if isinstance(data, str) and len(data) < 40 else ""
        raise ElementError(
            f"tensor: data must be numbers, (nested) sequences of numbers, an array or a tensor, got "
            f"{type(data).__name__}{what}"
        )
    return _from_sequence(list(data), dtype)


def _from_sequence(data: Sequence[Any], dtype: DType | None) -> Any:
    """From nested sequences: one level is flattened at a time, so that a million numbers cost no Python loop."""
    shape = [len(data)]
    level: Any = data
    kinds = set(map(type, level))
    found: DType | None = None
    while not kinds <= NUMBERS:
        if not kinds <= {list, tuple}:
            level, found = _plain(level, found)
            kinds = set(map(type, level))
            if kinds <= NUMBERS:
                break
        length = len(level[0])
        for inner in level:
            if len(inner) != length:
                raise ValueError(
                    f"tensor: expected sequence of length {length} at dim {len(shape)} (got {len(inner)}): the lists "
                    "inside have unequal lengths; pad them to one length"
                )
        shape.append(length)
        if len(shape) > 15:
            raise ValueError("tensor: the lists are nested more than 15 deep (does a list contain itself?)")
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    if dtype is None:
        if found is not None:
            dtype = found
        elif complex in kinds:
            dtype = default_complex()
        elif float in kinds or not kinds:
            dtype = dtypes.get_default_dtype()
        else:
            dtype = _int64 if int in kinds else _bool
    return _pack(level, dtype, tuple(shape))


def _plain(level: Sequence[Any], found: DType | None) -> tuple[list[Any], DType | None]:
    """The level with tensors, arrays and their scalars as plain lists or numbers, and the dtype they ask for."""
    plain = []
    nested = numbers = False
    for item in level:
        if isinstance(item, Tensor) or hasattr(item, "__array_interface__"):
            own = item.dtype if isinstance(item, Tensor) else dtypes.BY_NAME.get(item.dtype.name)
            if own is not None:
                found = own if found is None else dtypes.promote_types(found, own)
            item = item.tolist()
        elif isinstance(item, (float, int, complex)):
            if type(item) not in NUMBERS:
                plain_kind: Any = next(kind for kind in (float, int, complex) if isinstance(item, kind))
                item = plain_kind(item)
            own = dtype_of(type(item))
            found = own if found is None else dtypes.promote_types(found, own)
        elif isinstance(item, (str, bytes, dict, set)) or item is None:
            raise ElementError(f"tensor: every value must be a number, found {type(item).__name__} {item!r:.60}")
        elif not isinstance(item, (list, tuple)):
            if not hasattr(item, "__len__"):
                if not hasattr(item, "__float__"):
                    raise ElementError(
                        f"tensor: every value must be a number, found {type(item).__name__} {item!r:.60}"
                    )
                item = item.__index__() if hasattr(item, "__index__") else float(item)
            else:
                item = list(item)
        nested |= isinstance(item, (list, tuple))
        numbers |= not isinstance(item, (list, tuple))
        plain.append(item)
    if nested and numbers:
        raise TypeError("tensor: a list holds both numbers and sequences; every entry must have the same nesting")
    return plain, found


def _pack(values: Sequence[Any], dtype: DType, shape: tuple[int, ...]) -> Any:
    """A tensor from a flat sequence of Python numbers."""
    name = dtype.name
    code = _TYPECODES.get(name)
    try:
        if code is None:
            if dtype.category == 3:
                return _core.from_list(values, dtype).view(shape)
            if name == "bool":
                return _constant(_core.from_buffer(bytearray(map(bool, values)), _bool, shape))
            return _constant(_core.from_buffer(array("f", values), _float32, shape)).to(dtype)  # float16, bfloat16
        if dtype.category == 1:
            try:
                packed = array(code, values)
            except TypeError:  # floats into an integer dtype: cut toward zero, as a cast does
                packed = array(code, [int(value) for value in values])
        else:
            packed = array(code, values)
    except TypeError:
        if not any(isinstance(value, complex) for value in values):
            raise
        raise RuntimeError(
            f"tensor: a complex number cannot be converted to {dtype} without overflow; give a complex dtype"
        ) from None
    except OverflowError:
        raise overflow(_worst(values), dtype) from None
    return _constant(_core.from_buffer(packed, dtype, shape))


def _worst(values: Sequence[Any]) -> Any:
    return max((value for value in values if value == value), key=abs, default="NaN")


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Any:
    """`data` as a tensor, sharing memory and keeping its gradient history wherever no conversion is needed.

    >>> fl.as_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    if device is not None:
        check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is dtype else data.to(dtype)
    if hasattr(data, "__array_interface__") and hasattr(data, "strides") and data.ndim:
        if data.dtype.name in _FROM_NUMPY and data.dtype.isnative and min(data.strides, default=0) >= 0:
            result = from_numpy(data)
            return result if dtype is None or result.dtype is dtype else result.to(dtype)
    return tensor(data, dtype=dtype)


def asarray(
    obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Any:
    """`obj` as a tensor; `copy=True` always copies, `copy=False` raises ValueError where a copy would be needed."""
    result = as_tensor(obj, dtype, device)
    shares = isinstance(obj, Tensor) or (hasattr(obj, "__array_interface__") and getattr(obj, "ndim", 0) > 0)
    shares = shares and (dtype is None or getattr(getattr(obj, "dtype", None), "name", None) == dtype.name)
    if copy is False and not shares:
        raise ValueError("asarray: copy=False, but this conversion needs a copy; leave copy out")
    if copy and shares:
        result = result.detach().clone()
    elif isinstance(obj, Tensor) and obj.requires_grad and not requires_grad:
        result = result.detach()
    if requires_grad:
        result.requires_grad_(True)
    return result


_FROM_NUMPY = tuple(each.numpy_name for each in dtypes.ALL if each.numpy_name is not None)


def from_numpy(ndarray: Any) -> Any:
    """A tensor that shares memory with a NumPy array: a change of one shows in the other.

    Raises TypeError for dtypes without a counterpart and ValueError for negative strides.

    >>> fl.from_numpy(numpy.array([1, 2], "int64"))
    tensor([1, 2])
    """
    kind = getattr(getattr(ndarray, "dtype", None), "char", None)
    if kind is None or not hasattr(ndarray, "strides"):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(ndarray).__name__}; use flambeau.tensor(...)")
    if kind not in "?bBhHilqILQefdFD":
        name = ndarray.dtype.name
        raise DTypeError(
            f"from_numpy: can't convert an array of dtype {name}; the supported dtypes are {', '.join(_FROM_NUMPY)}; "
            "convert it with array.astype(...)"
        )
    if not ndarray.dtype.isnative:
        raise ValueError("from_numpy: the array's byte order is not this machine's; use array.astype(array.dtype.name)")
    if not ndarray.flags.c_contiguous and min(ndarray.strides, default=0) < 0:
        raise ValueError(
            "from_numpy: at least one stride of the array is negative (it was flipped), which tensors do not have; "
            "use array.copy()"
        )
    return _core.from_numpy(ndarray)


def frombuffer(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """A 1-D tensor of `dtype` over the memory of a buffer (bytes, bytearray, array, mmap), shared with it.

    Raises ValueError when `count` elements from byte `offset` do not fit the buffer.
    """
    dtype = check_dtype("frombuffer", dtype)
    if dtype is None:
        raise TypeError("frombuffer(): argument 'dtype' must be flambeau.dtype, not None; say what the bytes hold")
    offset, count = integer("frombuffer", offset, "offset"), integer("frombuffer", count, "count")
    view = memoryview(buffer).cast("B")
    available = view.nbytes - offset
    if view.nbytes == 0 or offset < 0 or available <= 0:
        raise ValueError(f"frombuffer: offset ({offset} bytes) must be inside the buffer ({view.nbytes} bytes)")
    if count < 0:
        if available % dtype.itemsize:
            raise ValueError(
                f"frombuffer: buffer size ({available} bytes after the offset) must be a multiple of the item size "
                f"({dtype.itemsize})"
            )
        count = available // dtype.itemsize
    if count == 0 or count * dtype.itemsize > available:
        raise ValueError(f"frombuffer: {count} elements of {dtype} do not fit {available} bytes")
    result = _core.from_buffer(view[offset : offset + count * dtype.itemsize], dtype)
    if requires_grad:
        result.requires_grad_(True)
    return result


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor that shares memory with any object that speaks DLPack.

    device  where the tensor is wanted; the exporter is asked to bring it there
    copy    True gives memory of its own, False raises BufferError or ValueError where sharing is not possible

    >>> fl.from_dlpack(fl.arange(3))
    tensor([0, 1, 2])
    """
    if device is not None:
        check_device(device)
    export = getattr(ext_tensor, "__dlpack__", None)
    if export is None:
        tensor = _core.from_dlpack(ext_tensor)  # a capsule, or an error that says so
        return tensor.clone() if copy else tensor
    wanted: dict[str, Any] = {"max_version": (1, 0)}
    if device is not None:
        wanted["dl_device"] = (1, 0)
    if copy is not None:
        wanted["copy"] = copy
    try:
        capsule = export(**wanted)
    except TypeError:  # an exporter of the time before versions: it shares, and cannot move or copy
        tensor = _core.from_dlpack(export())
        return tensor.clone() if copy else tensor
    return _core.from_dlpack(capsule)


def scalar_tensor(s: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A 0-dim tensor of the default floating dtype (or `dtype`) from one number."""
    return tensor(s, dtype=dtype or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad)


METHODS: dict[str, Any] = {}
