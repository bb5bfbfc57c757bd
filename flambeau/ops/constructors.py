"""The older ways to make a tensor: `FloatTensor(...)`, `Tensor(...)`, `new_zeros` and its family; and small predicates.

New programs use `flambeau.tensor` and `flambeau.zeros`; these are here because many programs were written with them.
"""

from __future__ import annotations

from typing import Any

from flambeau import dtypes
from flambeau.devices import check_device
from flambeau.dtypes import dtype as DType
from flambeau.ops.arguments import Tensor, check_tensor, integers, not_tensor
from flambeau.ops.create import empty, empty_strided, full, ones, zeros
from flambeau.ops.from_data import tensor

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor", "broadcast_shapes", "clone", "detach", "fill",
    "is_complex", "is_floating_point", "is_nonzero",
    "is_tensor", "legacy_tensor", "numel", "resize_as_", "zero_",
]  # fmt: skip


def legacy_tensor(*args: Any, dtype: DType | None = None, device: Any = None) -> Any:
    """What `Tensor(...)` makes: uninitialised memory for sizes, a copy for data, in the default dtype or `dtype`.

    `Tensor(2, 3)` and `Tensor(Size([2, 3]))` are of that shape; `Tensor([2, 3])` holds the values 2 and 3.
    """
    if device is not None:
        check_device(device)
    dtype = dtype or dtypes._default
    if not args:
        return empty(0, dtype=dtype)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, dtypes.Size):
            return empty(first, dtype=dtype)
        if isinstance(first, Tensor):
            return first.detach().to(dtype)
        if not isinstance(first, int):
            if not hasattr(first, "__len__"):
                raise TypeError(f"Tensor: needs sizes or data, got {type(first).__name__}; use flambeau.tensor")
            return tensor(first, dtype=dtype)
    return empty(args, dtype=dtype)


class _Typed(type):
    """Classes such as `FloatTensor`: calling one makes a tensor of its dtype, isinstance compares the dtype."""

    made: DType
    dtype = property(lambda cls: cls.made, doc="The dtype of the tensors that are made.")

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        return legacy_tensor(*args, dtype=cls.made, **keywords)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.made


def _typed(name: str, dtype: DType) -> Any:
    made = _Typed(name, (), {"made": dtype, "__doc__": f"A tensor of {dtype}, made like `Tensor(...)`."})
    made.__module__ = "flambeau"
    return made


FloatTensor = _typed("FloatTensor", dtypes.float32)
DoubleTensor = _typed("DoubleTensor", dtypes.float64)
HalfTensor = _typed("HalfTensor", dtypes.float16)
BFloat16Tensor = _typed("BFloat16Tensor", dtypes.bfloat16)
LongTensor = _typed("LongTensor", dtypes.int64)
IntTensor = _typed("IntTensor", dtypes.int32)
ShortTensor = _typed("ShortTensor", dtypes.int16)
CharTensor = _typed("CharTensor", dtypes.int8)
ByteTensor = _typed("ByteTensor", dtypes.uint8)
BoolTensor = _typed("BoolTensor", dtypes.bool)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of the given shapes broadcast to; RuntimeError when they do not fit."""
    sizes = [integers("broadcast_shapes", shape, "shapes") for shape in shapes]
    ndim = max(map(len, sizes), default=0)
    result = [1] * ndim
    for shape in sizes:
        for i, size in enumerate(shape, ndim - len(shape)):
            if size < 0:
                raise RuntimeError(f"broadcast_shapes: sizes must be non-negative, got {shape}")
            if size != 1 and result[i] not in (1, size):
                raise RuntimeError(f"broadcast_shapes: the shapes do not broadcast: {', '.join(map(str, sizes))}")
            if size != 1:
                result[i] = size
    return dtypes.Size(result)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def numel(input: Any) -> int:
    """The number of elements of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("numel", input)
    return input.numel()


def is_floating_point(input: Any) -> bool:
    """Whether the dtype of `input` is a floating one."""
    if not isinstance(input, Tensor):
        raise not_tensor("is_floating_point", input)
    return input.dtype.is_floating_point


def is_complex(input: Any) -> bool:
    """Whether the dtype of `input` is complex."""
    return check_tensor("is_complex", input).dtype.is_complex


def is_nonzero(input: Any) -> bool:
    """Whether the one element of `input` is not zero; RuntimeError when it has not exactly one."""
    return bool(check_tensor("is_nonzero", input))


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy of `input`, through which gradients flow."""
    if not isinstance(input, Tensor):
        raise not_tensor("clone", input)
    return input.clone()


def detach(input: Any) -> Any:
    """`input` without its history: the same memory, no gradient."""
    if not isinstance(input, Tensor):
        raise not_tensor("detach", input)
    return input.detach()


def fill(input: Any, value: Any) -> Any:
    """A tensor of the shape and dtype of `input` where every element is `value`, a number or a 0-dim tensor."""
    check_tensor("fill", input)
    if isinstance(value, Tensor):
        return value.to(input.dtype).expand(input.shape).clone()
    return full(input.shape, value, dtype=input.dtype)


def new_zeros(self: Any, *size: Any, dtype: DType | None = None, **options: Any) -> Any:
    """Zeros of the given shape with the dtype of this tensor."""
    check_tensor("new_zeros", self, "self")
    return zeros(*size, dtype=dtype or self.dtype, **options)


def new_ones(self: Any, *size: Any, dtype: DType | None = None, **options: Any) -> Any:
    """Ones of the given shape with the dtype of this tensor."""
    check_tensor("new_ones", self, "self")
    return ones(*size, dtype=dtype or self.dtype, **options)


def new_empty(self: Any, *size: Any, dtype: DType | None = None, **options: Any) -> Any:
    """Uninitialised memory of the given shape with the dtype of this tensor."""
    check_tensor("new_empty", self, "self")
    return empty(*size, dtype=dtype or self.dtype, **options)


def new_empty_strided(
    self: Any, size: Any, stride: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """An uninitialised tensor of the given shape and strides, and without `dtype` the dtype, of this tensor.

    >>> fl.ones(2).new_empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    check_tensor("new_empty_strided", self, "self")
    result = empty_strided(size, stride, dtype=dtype or self.dtype, device=device)
    return result.requires_grad_(True) if requires_grad else result


def new_full(self: Any, size: Any, fill_value: Any, dtype: DType | None = None, **options: Any) -> Any:
    """A tensor of the given shape and this tensor's dtype where every element is `fill_value`."""
    check_tensor("new_full", self, "self")
    return full(size, fill_value, dtype=dtype or self.dtype, **options)


def new_tensor(self: Any, data: Any, dtype: DType | None = None, **options: Any) -> Any:
    """A copy of `data` as a tensor with the dtype of this tensor."""
    check_tensor("new_tensor", self, "self")
    if isinstance(data, Tensor):
        result = data.detach().clone().to(dtype or self.dtype)
        return result.requires_grad_(True) if options.get("requires_grad") else result
    return tensor(data, dtype=dtype or self.dtype, **options)


def new(self: Any, *args: Any) -> Any:
    """`Tensor(...)` with the dtype of this tensor."""
    check_tensor("new", self, "self")
    return legacy_tensor(*args, dtype=self.dtype)


def to_dense(self: Any, dtype: DType | None = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself, which is dense; in another dtype if one is given."""
    check_tensor("to_dense", self, "self")
    return self if dtype is None else self.to(dtype)


def resize(self: Any, *sizes: Any) -> Any:
    """The elements in another shape with as many of them (older programs; `reshape` says the same)."""
    check_tensor("resize", self, "self")
    return self.reshape(*sizes)


def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """`resize_` to the shape of another tensor, in place; new elements are uninitialised."""
    check_tensor("resize_as_", self, "self")
    check_tensor("resize_as_", the_template, "the_template")
    return self.resize_(the_template.shape)


def zero_(input: Any) -> Any:
    """Every element of `input` set to 0, in place; returns `input`.

    >>> fl.zero_(fl.ones(2))
    tensor([0., 0.])
    """
    return check_tensor("zero_", input).zero_()


METHODS = {
    "new": new,
    "to_dense": to_dense,
    "resize": resize,
    "resize_as_": resize_as_,
    "new_zeros": new_zeros,
    "new_ones": new_ones,
    "new_empty": new_empty,
    "new_empty_strided": new_empty_strided,
    "new_full": new_full,
    "new_tensor": new_tensor,
    "is_floating_point": is_floating_point,
    "is_complex": is_complex,
    "is_nonzero": is_nonzero,
}
