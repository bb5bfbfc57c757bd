"""Making tensors: from Python data, from NumPy, from sizes, from ranges. Random ones are in `random`.

Only what fills new memory lives here; what rearranges a tensor is in `shape`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.devices import check_device
from flambeau.dtypes import dtype as DType
from flambeau.errors import DTypeError, ElementError, NumberOverflowError
from flambeau.ops.arguments import (
    Tensor,
    check_dtype,
    check_tensor,
    check_tensors,
    deliver,
    integer,
    integers,
    not_tensor,
    shape_error,
    twin,
)

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "linspace", "logspace", "meshgrid", "ones", "ones_like", "range",
    "scalar_tensor", "tensor", "tril", "tril_indices", "triu", "triu_indices", "vander", "zeros", "zeros_like",
]  # fmt: skip

_empty, _full, _arange = _core.empty, _core.full, _core.arange
_constant = _core.record_constant
_float32, _int64, _bool = dtypes.float32, dtypes.int64, dtypes.bool

#: array.array type codes of the dtypes that have one.
_TYPECODES = {
    "float64": "d", "float32": "f", "int64": "q", "int32": "i", "int16": "h", "int8": "b", "uint8": "B",
    "uint16": "H", "uint32": "I", "uint64": "Q",
}  # fmt: skip
_NUMBERS = frozenset((float, int, bool, complex))


def _overflow(value: Any, dtype: DType) -> NumberOverflowError:
    limits = dtypes.iinfo(dtype) if dtype.category == 1 else dtypes.finfo(dtype)
    return NumberOverflowError(
        f"tensor: value {value} cannot be converted to {dtype} without overflow (it holds {limits.min} to "
        f"{limits.max}); give a wider dtype="
    )


# ---------------------------------------------------------------------------------------------- from Python and NumPy


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
    elif kind in _NUMBERS:
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
        dtype = _dtype_of(type(data))
    if dtype.category == 1:
        return _pack([data], dtype, ())
    try:
        return _full((), data, dtype)
    except OverflowError:
        raise _overflow(data, dtype) from None


def _dtype_of(kind: Any) -> DType:
    """The dtype of Python numbers of a kind."""
    if kind is int:
        return _int64
    return _bool if kind is bool else dtypes._default if kind is float else _default_complex()


def _default_complex() -> DType:
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
    while not kinds <= _NUMBERS:
        if not kinds <= {list, tuple}:
            level, found = _plain(level, found)
            kinds = set(map(type, level))
            if kinds <= _NUMBERS:
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
            dtype = _default_complex()
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
            if type(item) not in _NUMBERS:
                plain_kind: Any = next(kind for kind in (float, int, complex) if isinstance(item, kind))
                item = plain_kind(item)
            own = _dtype_of(type(item))
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
        raise _overflow(_worst(values), dtype) from None
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


# ----------------------------------------------------------------------------------------------------- from sizes


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A tensor of shape `size` where every element is `fill_value`.

    >>> fl.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    if device is not None:
        check_device(device)
    if isinstance(fill_value, Tensor):
        dtype = dtype or fill_value.dtype
        fill_value = fill_value.item()
    if dtype is None:
        kind = type(fill_value)
        dtype = _dtype_of(kind) if kind in _NUMBERS else dtypes.get_default_dtype()
    shape = (size,) if isinstance(size, int) else size
    try:
        result = _full(shape, fill_value, dtype)
    except OverflowError:
        raise _overflow(fill_value, dtype) from None
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def zeros(
    *size: Any, out: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """A tensor of the given shape filled with 0: `zeros(2, 3)`, `zeros((2, 3))`, `zeros(size=(2, 3))`.

    >>> fl.zeros(2)
    tensor([0., 0.])
    """
    return _filled("zeros", 0, size, out, dtype, device, requires_grad, named)


def ones(
    *size: Any, out: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """A tensor of the given shape filled with 1.

    >>> fl.ones(2)
    tensor([1., 1.])
    """
    return _filled("ones", 1, size, out, dtype, device, requires_grad, named)


def empty(
    *size: Any, out: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False, memory_format: Any = None, **named: Any,
) -> Any:  # fmt: skip
    """A tensor of the given shape whose values are whatever was in the memory."""
    return _filled("empty", None, size, out, dtype, device, requires_grad, named, memory_format)


def _filled(
    name: str, value: Any, size: Sequence[Any], out: Any, dtype: DType | None, device: Any, requires_grad: bool,
    named: dict[str, Any], order: Any = None,
) -> Any:  # fmt: skip
    if len(size) == 1 and type(size[0]) is not int and hasattr(size[0], "__len__"):
        size = size[0]
    if named:
        size = named.pop("size", size)
        named.pop("names", None)
        if named:
            raise TypeError(f"{name}: got an unexpected keyword argument {next(iter(named))!r}")
    if device is not None:
        check_device(device)
    if dtype is None:
        dtype = dtypes._default if out is None else out.dtype
    result = _empty(size, dtype) if value is None else _full(size, value, dtype)
    if order is not None:
        result = result.contiguous(memory_format=order)
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def zeros_like(
    input: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
    memory_format: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Zeros with the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("zeros_like", input)
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def ones_like(
    input: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
    memory_format: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Ones with the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("ones_like", input)
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def full_like(
    input: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, memory_format: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """`fill_value` in the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("full_like", input)
    if memory_format is not None or not input.is_contiguous():
        made = empty_like(input, dtype=dtype, device=device, memory_format=memory_format).fill_(fill_value)
        return made.requires_grad_(True) if requires_grad else made
    return full(input.shape, fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def empty_like(
    input: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
    memory_format: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """An uninitialised tensor with the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("empty_like", input)
    if memory_format is None or memory_format == "preserve_format":
        if not input.is_contiguous() and input.numel() and (stride := _dense_order(input)):
            made = empty_strided(input.shape, stride, dtype=dtype or input.dtype, device=device)
            return made.requires_grad_(True) if requires_grad else made
        memory_format = None
    return empty(
        input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad,
        memory_format=memory_format,
    )  # fmt: skip


def _dense_order(input: Any) -> tuple[int, ...] | None:
    """Strides without gaps that keep the order of the dimensions in memory; None where elements are repeated."""
    sizes, strides = input.shape, input.stride()
    if any(stride == 0 and size > 1 for stride, size in zip(strides, sizes, strict=True)):
        return None
    dense, extent = [1] * len(sizes), 1
    for dim, _ in sorted(enumerate(strides), key=lambda each: (each[1], -each[0])):
        dense[dim] = extent
        extent *= sizes[dim]
    return tuple(dense)


def empty_strided(size: Any, stride: Any, *, dtype: DType | None = None, device: Any = None, **ignored: Any) -> Any:
    """An uninitialised tensor of the given shape and strides."""
    size = integers("empty_strided", size, "size")
    stride = integers("empty_strided", stride, "stride")
    extent = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
    return empty((extent,), dtype=dtype, device=device).as_strided(tuple(size), tuple(stride))


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    **ignored: Any,
) -> Any:  # fmt: skip
    """An uninitialised tensor of shape `size` whose dimensions lie in memory in the order `physical_layout`."""
    size = integers("empty_permuted", size, "size")
    physical_layout = integers("empty_permuted", physical_layout, "physical_layout")
    if sorted(physical_layout) != list(_range(len(size))):
        raise RuntimeError(f"empty_permuted: physical_layout {physical_layout} is no order of {len(size)} dimensions")
    order = [tuple(physical_layout).index(d) for d in _range(len(size))]
    result = empty([size[d] for d in physical_layout], dtype=dtype, device=device).permute(order)
    return result.requires_grad_(True) if requires_grad else result


# ------------------------------------------------------------------------------------------------------ from ranges

_range = range


def arange(
    start: Any, end: Any = None, step: Any = 1, *, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """The numbers start, start + step, ... before `end`; int64 when all three are ints.

    >>> fl.arange(3)
    tensor([0, 1, 2])
    """
    if device is not None:
        check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if dtype is None:
        whole = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
        dtype = out.dtype if out is not None else _int64 if whole or _whole(start, end, step) else dtypes._default
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError(
            f"arange: upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}"
        )
    if (end - start) / step == float("inf") or end != end or start != start:
        raise RuntimeError(f"arange: unsupported range: {start} -> {end}; the bounds must be finite")
    if not isinstance(dtype, DType):
        dtype = check_dtype("arange", dtype)
    if dtype.category == 3:
        raise DTypeError(f"arange: {dtype} holds no range; make a real one and convert it with .to({dtype})")
    if dtype is _bool:
        raise DTypeError("arange: bool holds no range; use dtype=flambeau.int64")
    if dtype.category == 1 and not _whole(start, end, step):  # counted in floats, stepped in integers
        if dtype is _int64:
            start, end, step = int(start), int(end), int(step)
            if step == 0:
                raise ValueError("arange: step must be nonzero; in int64 it is cut to a whole number first")
        count = -int((start - end) // step)
        first, stride = int(start), int(step)
        result = _arange(0, count, 1, dtype) * stride + first
    else:
        result = _arange(start, end, step, dtype)
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def _whole(*values: Any) -> bool:
    return all(hasattr(value, "__index__") for value in values)


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: DType | None = None, **options: Any) -> Any:
    """Like `arange` with `end` included, in the default floating dtype. Deprecated by PyTorch: use `arange`."""
    if end is None:
        start, end = 0, start
    count = int((end - start) / step) + 1
    return arange(0, count, 1, dtype=dtypes.float64).mul(step).add(start).to(dtype or dtypes._default)


def linspace(
    start: Any, end: Any, steps: int, *, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """`steps` numbers evenly spaced from `start` to `end`, both included.

    >>> fl.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    steps = integer("linspace", steps, "steps")
    dtype = check_dtype("linspace", dtype)
    if dtype is not None and dtype.category < 2:
        start, end = int(start), int(end)
    values = _spaced("linspace", start, end, steps, device)
    if dtype is None:
        dtype = out.dtype if out is not None else _default_complex() if values.is_complex() else dtypes._default
    result = values.to(dtype)
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: DType | None = None,
    device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """`steps` numbers from base**start to base**end, evenly spaced on a logarithmic scale.

    >>> fl.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    steps = integer("logspace", steps, "steps")
    dtype = check_dtype("logspace", dtype)
    if dtype is not None and dtype.category < 2:
        start, end = int(start), int(end)
    exponents = _spaced("logspace", start, end, steps, device)
    kind = complex if isinstance(base, complex) else float
    values = full((), kind(base), dtype=dtypes.complex128 if kind is complex else dtypes.float64) ** exponents
    if dtype is None:
        dtype = out.dtype if out is not None else _default_complex() if values.is_complex() else dtypes._default
    result = values.to(dtype)
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def _spaced(name: str, start: Any, end: Any, steps: int, device: Any) -> Any:
    """Evenly spaced float64 numbers, counted from both ends so that both are exact."""
    if device is not None:
        check_device(device)
    if steps < 0:
        raise RuntimeError(f"{name}: number of steps must be non-negative, got {steps}")
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    number: Any = complex if isinstance(start, complex) or isinstance(end, complex) else float
    if steps < 2:
        return _full((steps,), number(start), dtypes.float64 if number is float else dtypes.complex128)
    step = (end - start) / (steps - 1)
    half = steps // 2
    counted = _arange(0.0, float(steps), 1.0, dtypes.float64)
    front = counted.narrow(0, 0, half) * step + number(start)
    back = (counted.narrow(0, half, steps - half) - float(steps - 1)) * step + number(end)
    return _core.cat([front, back], 0)


def eye(
    n: int, m: int | None = None, *, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """The identity matrix (n, n), or (n, m) with ones on the main diagonal.

    >>> fl.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    result = zeros((n, n if m is None else m), dtype=dtype, device=device)
    if min(result.shape):
        result.diagonal().fill_(1)
    if requires_grad:
        result.requires_grad_(True)
    return result if out is None else deliver(result, out)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinate grids from 1-D tensors: grid i has the values of tensor i along dimension i.

    With `indexing="xy"` the first two dimensions are swapped.

    Raises RuntimeError for tensors of more than one dimension or of unequal dtypes.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise ValueError("meshgrid: expects at least one tensor")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    check_tensors("meshgrid", tensors)
    for t in tensors:
        if t.ndim > 1:
            raise shape_error("meshgrid", "expected scalars or 1-D tensors", tensor=t)
        if t.dtype is not tensors[0].dtype:
            raise DTypeError(f"meshgrid: tensors must have one dtype, got {tensors[0].dtype} and {t.dtype}")
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = tuple([t.numel() for t in tensors])
    grids = []
    for i, t in enumerate(tensors):
        grids.append(t.reshape((1,) * i + (-1,) + (1,) * (len(shape) - i - 1)).expand(shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


# ---------------------------------------------------------------------------------------------------------- triangles


def _triangle(name: str, input: Any, diagonal: int, upper: bool) -> Any:
    check_tensor(name, input)
    diagonal = integer(name, diagonal, "diagonal")
    if input.ndim < 2:
        raise shape_error(name, "needs at least 2 dimensions", input=input)
    rows, columns = input.shape[-2:]
    row = _arange(0, rows, 1, _int64).unsqueeze(1)
    column = _arange(0, columns, 1, _int64)
    outside = column < row + diagonal if upper else column > row + diagonal
    return input.masked_fill(outside, 0)


def tril(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The lower triangle of a (batch of) matrix: elements above diagonal `diagonal` become 0.

    >>> fl.tril(fl.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return deliver(_triangle("tril", input, diagonal, upper=False), out)


def triu(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The upper triangle of a (batch of) matrix: elements below diagonal `diagonal` become 0.

    >>> fl.triu(fl.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return deliver(_triangle("triu", input, diagonal, upper=True), out)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType = _int64, device: Any = None) -> Any:
    """The row and column numbers (2, n) of the lower triangle of a (row, col) matrix, in row order."""
    return _triangle_indices("tril_indices", row, col, offset, dtype, device, upper=False)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType = _int64, device: Any = None) -> Any:
    """The row and column numbers (2, n) of the upper triangle of a (row, col) matrix, in row order."""
    return _triangle_indices("triu_indices", row, col, offset, dtype, device, upper=True)


def _triangle_indices(name: str, row: int, col: int, offset: int, dtype: DType, device: Any, upper: bool) -> Any:
    row = integer(name, row, "row")
    col = integer(name, col, "col")
    offset = integer(name, offset, "offset")
    if device is not None:
        check_device(device)
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: sizes must be non-negative, got row {row} and col {col}")
    with recording.paused():
        difference = _arange(0, col, 1, _int64) - _arange(0, row, 1, _int64).unsqueeze(1)
        inside = difference >= offset if upper else difference <= offset
        found = _core.nonzero(inside).transpose(0, 1).contiguous()
    return _constant(found).to(dtype)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix: column j holds x to the power N-1-j (or j with `increasing`)."""
    check_tensor("vander", x, "x")
    if N is not None:
        N = integer("vander", N, "N")
    x = x.reshape((1,)) if x.ndim == 0 else x
    count = x.shape[-1] if N is None else N
    powers = _arange(0, count, 1, _int64)
    if not increasing:
        powers = powers.flip(0)
    return x.unsqueeze(-1) ** powers


def fill_diagonal_(input: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Write `fill_value` on the main diagonal of a tensor, in place; with `wrap` it starts again in tall matrices."""
    if input.ndim < 2:
        raise shape_error("fill_diagonal_", "needs at least 2 dimensions", input=input)
    if input.ndim > 2 and len(set(input.shape)) != 1:
        raise shape_error("fill_diagonal_", "all sizes must be equal beyond 2 dimensions", input=input)
    steps = sum(input.stride())
    count = min(input.shape)
    if wrap and input.ndim == 2 and input.shape[0] > input.shape[1] + 1:
        count = -(-input.numel() // (input.shape[1] + 1))
    input.as_strided((count,), (steps,), input.storage_offset()).fill_(fill_value)
    return input


METHODS = {
    "tril": tril,
    "triu": triu,
    "tril_": twin(tril),
    "triu_": twin(triu),
    "fill_diagonal_": fill_diagonal_,
}
