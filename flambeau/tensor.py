"""The Tensor class as Python sees it: the core's type with the operations attached as methods, and conversions.

Every operation comes from `flambeau.ops`; this file holds only what is neither an operation nor a layout: `to` and its
short forms, NumPy, pickling, printing, and the names that older programs use.
"""

from __future__ import annotations

import builtins
from builtins import complex as complex_number
from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import CPU, check_device, device
from flambeau.dtypes import Size
from flambeau.dtypes import dtype as DType
from flambeau.layouts import strided
from flambeau.ops import (
    arithmetic,
    complex,
    constructors,
    convolution,
    copies,
    create,
    ctc,
    elementwise,
    factorisations,
    finite_differences,
    from_data,
    gamma,
    grid,
    index,
    joining,
    layouts,
    linalg,
    linalg_legacy,
    low_rank,
    masks,
    native,
    norms,
    products,
    random,
    reduce,
    reduction,
    search,
    shape,
    sort,
    spectral,
    storages,
    windows,
)
from flambeau.ops.arguments import check_dtype, check_tensor, not_tensor
from flambeau.printing import tensor_text

Tensor = _core.Tensor  # the class itself


_PYTHON_TYPES = frozenset(vars(builtins)[name] for name in ("bool", "int", "float", "complex"))


def to(self: Any, *args: Any, **options: Any) -> Any:
    """The tensor with another dtype or on another device; itself if nothing changes.

    `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`; `copy=True` always copies.
    Raises DeviceError if the device is not on this machine.

    >>> fl.tensor([1, 2]).to(fl.float64)
    tensor([1., 2.], dtype=flambeau.float64)
    """
    dtype, target, copy = options.get("dtype"), options.get("device"), options.get("copy", False)
    for argument in args:
        if isinstance(argument, DType):
            dtype = argument
        elif isinstance(argument, Tensor):
            dtype, target = argument.dtype, argument.device
        elif isinstance(argument, bool):
            continue  # non_blocking, given by position
        elif argument in _PYTHON_TYPES:
            dtype = check_dtype("to", argument)
        elif argument is not None:
            target = argument
    if target is not None:
        check_device(target)
    result = self if dtype is None else self.cast(dtype)
    order = options.get("memory_format")
    if copy and result is self:
        return result.clone(memory_format=order)
    return result if order is None or order == "preserve_format" else result.contiguous(memory_format=order)


def _caster(dtype: DType, name: str) -> Any:
    def convert(self: Any, memory_format: Any = None) -> Any:
        try:
            return self.cast(dtype)
        except AttributeError:
            raise not_tensor(name, self, "self") from None

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {dtype!r}; itself if it is."
    return convert


def numpy(self: Any, *, force: bool = False) -> Any:
    """The elements as a NumPy array that shares this tensor's memory.

    Raises RuntimeError for a tensor that requires grad (detach it, or pass force=True) and TypeError for bfloat16.

    >>> fl.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    import numpy

    tensor = check_tensor("numpy", self, "self")
    if tensor.requires_grad:
        if not force:
            raise RuntimeError(
                "numpy: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        tensor = tensor.detach()
    if tensor.dtype is dtypes.bfloat16:
        raise TypeError("numpy: Got unsupported ScalarType BFloat16; NumPy has no such dtype, call .float() first")
    if tensor.ndim == 0:
        return numpy.frombuffer(tensor, tensor.dtype.numpy_name).reshape(())
    return numpy.asarray(memoryview(tensor))


def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError(f"__array__: a copy is needed to convert {self.dtype!r} to {dtype}")
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self: Any, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    """What NumPy's functions of tensors return: the array as a tensor that shares its memory."""
    return from_data.from_numpy(array) if getattr(array, "ndim", 0) else from_data.tensor(array)


def __dlpack__(
    self: Any,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule that shares this tensor's memory (or a copy)."""
    if stream is not None and stream != -1:
        raise BufferError(
            f"__dlpack__: the tensor is on the CPU, which has no streams; stream {stream!r} was asked for"
        )
    if dl_device is not None and tuple(dl_device) != (1, 0):
        raise BufferError(f"__dlpack__: the tensor is on the CPU, device {dl_device} was asked for")
    return _core.to_dlpack(self, max_version is not None and max_version[0] >= 1, bool(copy))


def __dlpack_device__(self: Any) -> tuple[int, int]:
    """(device type, device number) in DLPack's numbering; the CPU is (1, 0)."""
    return (1, 0)


def __array_namespace__(self: Any, *, api_version: str | None = None) -> Any:
    """The functions of the array API standard for tensors: the module `flambeau.array_api`.

    Raises ValueError for a version of the standard that it does not follow.

    >>> xp = fl.ones(2).__array_namespace__()
    >>> xp.sum(xp.asarray([1.0, 2.0]))
    tensor(3.)
    """
    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(
            f"__array_namespace__: api_version {api_version!r} of the array API is not supported; use '2024.12'"
        )
    from flambeau import array_api

    return array_api


def summary(self: Any, bins: int = 32) -> Any:
    """What is in the tensor: shape, memory, range, mean, spread, NaN, infinities, zeros and a histogram, as a table.

    bins  how many bins the histogram has
    Returns an object with these as attributes (`flambeau.summary.TensorSummary`); printing it shows the table.

    >>> fl.tensor([0.0, 1.0, float("inf")]).summary().inf_count
    1
    """
    from flambeau.summary import summarize

    return summarize(self, bins)


def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
    """The tensor on another device, as the array API standard names it; `to` does the same."""
    if stream is not None:
        raise ValueError("to_device: streams belong to devices that have them; the CPU has none, leave stream out")
    return to(self, device)


def cpu(self: Any, memory_format: Any = None) -> Any:
    """The tensor on the CPU; itself if it is there."""
    return self


def cuda(self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Any:
    """The tensor on a CUDA device; DeviceError on a machine without one."""
    return to(self, "cuda" if device is None else device)


def type(self: Any, dtype: Any = None, non_blocking: bool = False, **options: Any) -> Any:
    """The name of the tensor's type, or the tensor converted to `dtype` (a dtype or an old type name)."""
    check_tensor("type", self, "self")
    if dtype is None:
        return "flambeau." + _TYPE_NAMES[self.dtype.name]
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        for key, value in _TYPE_NAMES.items():
            if value == name:
                return self.cast(dtypes.BY_NAME[key])
        raise ValueError(f"type: invalid type: {dtype!r}; use a dtype such as flambeau.float32")
    if isinstance(dtype, DType):
        return self.cast(dtype)
    converted = getattr(dtype, "dtype", None) or getattr(dtype, "made", None)  # `made` is that of `fl.FloatTensor`
    if isinstance(converted, DType):
        return self.cast(converted)
    raise TypeError(f"type: expected a dtype or a type name, got {dtype!r}")


_TYPE_NAMES = {
    "bool": "BoolTensor", "uint8": "ByteTensor", "int8": "CharTensor", "int16": "ShortTensor", "int32": "IntTensor",
    "int64": "LongTensor", "float16": "HalfTensor", "bfloat16": "BFloat16Tensor", "float32": "FloatTensor",
    "float64": "DoubleTensor", "uint16": "UInt16Tensor", "uint32": "UInt32Tensor", "uint64": "UInt64Tensor",
    "complex64": "ComplexFloatTensor", "complex128": "ComplexDoubleTensor",
}  # fmt: skip


def type_as(self: Any, other: Any) -> Any:
    """The tensor in the dtype of `other`."""
    return self.cast(check_tensor("type_as", other, "other").dtype)


def view_dtype(self: Any, dtype: DType) -> Any:
    """The same bytes read as another dtype, a view; the last dimension changes with the size of the elements."""
    return _core.reinterpret(self, dtype)


def get_device(self: Any) -> int:
    """The number of the CUDA device, -1 for the CPU."""
    return -1


def is_signed(self: Any) -> bool:
    """Whether the dtype holds negative numbers.

    >>> fl.ones(1).is_signed()
    True
    """
    return check_tensor("is_signed", self, "self").dtype.is_signed


def is_pinned(self: Any, device: Any = None) -> bool:
    """Whether the memory is page-locked; always False on the CPU."""
    return False


def pin_memory(self: Any, device: Any = None) -> Any:
    """The tensor itself: without CUDA there is nothing to lock memory for."""
    return self


def share_memory_(self: Any) -> Any:
    """The tensor itself; worker processes receive tensors by value."""
    return self


def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
    if not self.is_leaf:
        raise RuntimeError(
            "deepcopy: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
            "moment; use detach().clone()"
        )
    known = memo.get(id(self))
    if known is not None:
        return known
    copy = _copied_storage(self, memo)
    if self.__class__ is not Tensor:
        copy = _core.make_subclass(self.__class__, copy, self.requires_grad)
    else:
        copy.requires_grad = self.requires_grad
    if self.grad is not None:
        copy.grad = self.grad.detach().clone()
    if self.__dict__:
        from copy import deepcopy

        copy.__dict__.update(deepcopy(self.__dict__, memo))
    memo[id(self)] = copy
    return copy


def _copied_storage(self: Any, memo: dict[Any, Any]) -> Any:
    """The same view of a copy of the storage, which is copied once: tensors that shared memory share it again."""
    values = self.detach()
    _, storage, size = _core.storage_key(values)
    if ("storage", storage) not in memo and size == values.numel() * values.element_size() and values.is_contiguous():
        copy = values.clone()
        memo["storage", storage] = copy
        return copy
    if values.layout is not strided:
        return values.clone()
    if ("storage", storage) not in memo:
        memo["storage", storage] = values.as_strided((size // values.element_size(),), (1,), 0).clone()
    whole = memo["storage", storage].view(-1)
    if whole.dtype is not values.dtype:
        whole = view_dtype(whole, values.dtype)
    return whole.as_strided(tuple(values.shape), tuple(values.stride()), values.storage_offset()).detach()


def __copy__(self: Any) -> Any:
    """Another tensor over the same memory."""
    copy = _core.make_subclass(self.__class__, self.detach(), self.requires_grad)
    copy.__dict__.update(self.__dict__)
    return copy


def __reduce_ex__(self: Any, protocol: int) -> Any:
    values = self.detach().contiguous()
    data = bytes(memoryview(view_dtype(values, dtypes.int16) if values.dtype is dtypes.bfloat16 else values))
    state = self.__dict__ or None
    return _rebuild, (self.__class__, data, self.dtype.name, tuple(self.shape), self.requires_grad, state)


def _rebuild(cls: Any, data: bytes, dtype: str, sizes: tuple[int, ...], requires_grad: bool, state: Any) -> Any:
    tensor = _core.from_buffer(bytearray(data), dtypes.BY_NAME[dtype]).view(sizes)
    tensor = _core.make_subclass(cls, tensor, requires_grad)
    if state:
        tensor.__dict__.update(state)
    return tensor


def __complex__(self: Any) -> complex_number:
    return complex_number(self.item())


def __format__(self: Any, spec: str) -> str:
    return self.item().__format__(spec) if self.ndim == 0 else object.__format__(self, spec)


def __contains__(self: Any, element: Any) -> bool:
    return bool((self == element).any().item())


def __rsub__(self: Any, other: Any) -> Any:
    return elementwise.sub(other, self)


def __reversed__(self: Any) -> Any:
    return shape.flip(self, (0,)) if self.ndim else self


def map_(self: Any, tensor: Any, function: Any) -> Any:
    """Replace every element by function(element, that of `tensor`), in place; slow, for small tensors."""
    others = check_tensor("map_", tensor, "tensor").expand(self.shape).flatten().tolist()
    values = [function(*pair) for pair in zip(self.flatten().tolist(), others, strict=True)]
    return self.copy_(from_data.tensor(values, dtype=self.dtype).view(self.shape))


def is_set_to(self: Any, tensor: Any) -> bool:
    """Whether both are the same view of the same memory."""
    other = check_tensor("is_set_to", tensor, "tensor")
    one, two = ((x.data_ptr(), x.shape, x.stride(), x.dtype) for x in (self, other))
    return one == two


def is_same_size(self: Any, other: Any) -> bool:
    """Whether both tensors have one shape."""
    return check_tensor("is_same_size", self, "self").shape == check_tensor("is_same_size", other, "other").shape


def dim_order(self: Any) -> tuple[int, ...]:
    """The dimensions from the outermost to the innermost in memory.

    >>> fl.ones(2, 3).t().dim_order()
    (1, 0)
    """
    check_tensor("dim_order", self, "self")
    return tuple(sorted(range(self.ndim), key=lambda dim: -self.stride(dim)))


def _is_view(self: Any) -> bool:
    """Whether the tensor is a view of another one."""
    return check_tensor("_is_view", self, "self")._base is not None


def apply_(self: Any, function: Any) -> Any:
    """Replace every element by function(element), in place; slow, for small tensors."""
    values = [function(value) for value in self.flatten().tolist()]
    return self.copy_(from_data.tensor(values, dtype=self.dtype).view(self.shape))


def backward_not_supported(*_: Any) -> None:  # pragma: no cover - replaced by the core's method
    raise RuntimeError("backward is provided by the core")


del backward_not_supported

_NAMESPACES = (
    create, from_data, constructors, complex, arithmetic, reduction, shape, joining, copies, index, masks, search, sort,
    finite_differences, norms, products, linalg, linalg_legacy, factorisations, low_rank, gamma, random,
    windows, convolution, native, grid, ctc, spectral, layouts, storages,
)  # fmt: skip


def _index_tensor(key: Any) -> Any:
    if isinstance(key, (list, tuple, range)) and len(key) == 0:
        return create.empty(0, dtype=dtypes.int64)
    if isinstance(key, (list, tuple)) and any(isinstance(item, Tensor) and item.ndim for item in key):
        return joining.stack([item if isinstance(item, Tensor) else from_data.tensor(item) for item in key])
    return from_data.as_tensor(list(key) if isinstance(key, range) else key)


def _add_hook(hooks: dict[int, Any], hook: Any) -> Any:
    from flambeau.utils.hooks import RemovableHandle

    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _module_path() -> str:
    from flambeau.autograd.anomaly import module_path

    return module_path()


def _legacy_constructor(cls: Any, *args: Any, **options: Any) -> Any:
    tensor = constructors.legacy_tensor(*args, **options)
    return tensor if cls is Tensor else _core.make_subclass(cls, tensor, False)


_DOCUMENTATION = """Elements of one dtype: values in a storage, a layout over it, and the history of how they were made.

Made by `flambeau.tensor`, `zeros`, `randn` and the like; `Tensor(2, 3)` is uninitialised memory, `Tensor([2, 3])` holds
these values. The operations of `flambeau` are its methods; those whose name ends in `_` write into the tensor itself.

>>> x = fl.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""


def takes_numpy_names(value: Any) -> Any:
    """A function of `dim` or `keepdim` that is called with `axis` or `keepdims` as well; anything else as it is."""
    code = getattr(value, "__code__", None)
    if code is None or "axis" in (names := code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]):
        return value
    return _core.with_numpy_names(value) if "dim" in names or "keepdim" in names else value


def _attach() -> None:
    from flambeau.compiler.program import Value

    methods: dict[str, Any] = {}
    for namespace in _NAMESPACES:
        methods.update(namespace.METHODS)
    own = (
        "to", "numpy", "__array__", "__array_wrap__", "__array_namespace__", "__dlpack__", "__dlpack_device__",
        "summary", "to_device", "cpu", "cuda", "type", "type_as", "get_device", "is_pinned", "is_signed", "pin_memory",
        "share_memory_", "__copy__", "__deepcopy__", "__reduce_ex__", "__format__", "__complex__", "__contains__",
        "__rsub__", "__reversed__", "apply_", "map_", "is_set_to", "is_same_size", "dim_order", "_is_view",
    )  # fmt: skip
    methods.update({name: globals()[name] for name in own})
    for name, dtype in (
        ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16", dtypes.bfloat16),
        ("long", dtypes.int64), ("int", dtypes.int32), ("short", dtypes.int16), ("char", dtypes.int8),
        ("byte", dtypes.uint8), ("bool", dtypes.bool), ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128),
    ):  # fmt: skip
        methods[name] = _caster(dtype, name)
    for name, method in methods.items():
        if not hasattr(Tensor, name) or name.startswith("__"):
            setattr(Tensor, name, takes_numpy_names(method))
    cls: Any = Tensor
    cls.__array_priority__ = 1000
    for name, part in complex.PROPERTIES.items():
        setattr(cls, name, part)
    cls.is_cpu = property(lambda self: True, doc="Whether the tensor is in main memory.")
    for name in ("is_nested", "is_xpu"):
        setattr(Tensor, name, property(lambda self: False, doc="Always False: there are no such tensors."))
    cls.layout = property(lambda self: strided, doc="How elements are kept: all of them, strided.")
    cls.names = property(lambda self: (None,) * self.ndim, doc="Names of dimensions: none are kept.")
    cls.__module__ = "flambeau"
    cls.__doc__ = _DOCUMENTATION
    e, o = elementwise, arithmetic
    _core.register(
        dtypes=dtypes.ALL,
        size_type=Size,
        cpu=CPU,
        value_type=Value,
        repr=tensor_text,
        to_tensor=from_data.as_tensor,
        index_tensor=_index_tensor,
        add_hook=_add_hook,
        module_path=_module_path,
        legacy_constructor=_legacy_constructor,
        view_dtype=view_dtype,
        package=__file__.rsplit("/", 1)[0] + "/",
        operators={
            "add": e.add, "sub": e.sub, "mul": e.mul, "div": e.div, "floor_divide": e.floor_divide,
            "remainder": e.remainder, "pow": o.pow, "ipow": e.pow, "matmul": _core.matmul, "and": e.bitwise_and,
            "or": e.bitwise_or, "xor": e.bitwise_xor, "lshift": e.left_shift, "rshift": e.right_shift, "lt": e.lt,
            "le": e.le, "eq": e.eq, "ne": e.ne, "gt": e.gt, "ge": e.ge, "neg": e.neg, "abs": e.abs,
            "not": e.bitwise_not,
        },
        builtins={"add": e.add, "copy": e.copy, "sum": reduce.sum, "conj": complex._conj},
    )  # fmt: skip


_attach()

__all__ = ["Tensor", "device"]
