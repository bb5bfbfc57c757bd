"""Storages: the memory behind a tensor and its views, as an object that tells where it is and how long."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import check_device
from flambeau.ops.arguments import check_dtype, check_tensor, integer, integers

__all__ = ["TypedStorage", "UntypedStorage", "from_file", "is_storage"]

Tensor = _core.Tensor


class UntypedStorage:
    """The memory that a tensor and its views share, as bytes; made by `Tensor.untyped_storage()`.

    >>> x = fl.arange(3.0)
    >>> x[1:].untyped_storage().nbytes(), x[1:].untyped_storage() == x.untyped_storage()
    (12, True)
    """

    def __init__(self, tensor: Any) -> None:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{type(self).__name__}: storages are made from tensors, not {type(tensor).__name__}; call "
                "untyped_storage() of one"
            )
        self._tensor = tensor.detach()
        self._address, self._identity, self._bytes = _core.storage_key(self._tensor)

    def _elements(self) -> Any:
        """All bytes as a tensor of one dimension, over the same memory."""
        item = self._tensor.element_size()
        return self._tensor.as_strided((self._bytes // item,), (1,), 0).view(dtypes.uint8)

    @property
    def device(self) -> Any:
        """Where the memory is."""
        return self._tensor.device

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._address

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._bytes

    def element_size(self) -> int:
        """The bytes of one element."""
        return 1

    def size(self) -> int:
        """The number of elements."""
        return self._bytes // self.element_size()

    __len__ = size

    def __getitem__(self, key: Any) -> Any:
        found = self._elements()[key]
        return found.item() if found.ndim == 0 else found

    def __setitem__(self, key: Any, value: Any) -> None:
        self._elements()[key] = value

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._elements().tolist()

    def fill_(self, value: Any) -> Any:
        """Set all elements; itself."""
        self._elements().fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool = False) -> Any:
        """Take the elements of a storage of the same length; itself."""
        self._elements().copy_(source._elements())
        return self

    def clone(self) -> Any:
        """The same elements in memory of their own."""
        return type(self)(self._elements().view(self._tensor.dtype).clone())

    def cpu(self) -> Any:
        """Itself: it is in main memory."""
        return self

    def is_shared(self) -> bool:
        """False: other processes receive tensors by value."""
        return False

    def share_memory_(self) -> Any:
        """Itself; other processes receive tensors by value."""
        return self

    def resize_(self, size: int) -> Any:
        """Itself, if that is its size; RuntimeError otherwise: memory that tensors look at keeps its length."""
        if size != self.size():
            raise RuntimeError(
                f"resize_: a storage of {self.size()} elements cannot become one of {size}; make a new tensor, or "
                "delete the tensors to free their memory"
            )
        return self

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, UntypedStorage) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"[flambeau.{type(self).__name__} of {self.size()} elements on {self.device}]"


class TypedStorage(UntypedStorage):
    """The memory that a tensor and its views share, as elements of its dtype; made by `Tensor.storage()`.

    >>> fl.arange(3.0)[1:].storage().tolist()
    [0.0, 1.0, 2.0]
    """

    def _elements(self) -> Any:
        return self._tensor.as_strided((self.size(),), (1,), 0)

    @property
    def dtype(self) -> Any:
        """The dtype of the elements."""
        return self._tensor.dtype

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._tensor.element_size()

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._tensor)


def is_storage(obj: Any, /) -> bool:
    """Whether an object is a storage, which `Tensor.untyped_storage` makes.

    >>> fl.is_storage(fl.ones(1)), fl.is_storage(fl.ones(1).untyped_storage())
    (False, True)
    """
    return isinstance(obj, UntypedStorage)


def from_file(
    filename: Any, shared: bool | None = None, size: int | None = 0, *, dtype: Any = None, requires_grad: bool = False,
    **options: Any,
) -> Any:  # fmt: skip
    """A vector over the bytes of a file, read as they are used; nothing of the file is interpreted.

    Arguments: `shared`, True: what is written to the tensor is written to the file, which is made, or made longer,
    where `size` elements need it; else changes stay in memory. `size`, the number of elements; `dtype`, by default the
    default dtype. Errors: OSError; ValueError where the file has fewer elements.

    >>> import tempfile, os; path = os.path.join(tempfile.mkdtemp(), "numbers")
    >>> fl.from_file(path, shared=True, size=3).fill_(2.0).sum()
    tensor(6.)
    """
    import mmap
    import os

    from flambeau.ops.from_data import frombuffer

    for name, value in options.items():
        if name not in ("layout", "device", "pin_memory"):
            raise TypeError(f"from_file() got an unexpected keyword argument '{name}'")
        if name == "device" and value is not None:
            check_device(value)
    dtype = check_dtype("from_file", dtype) or dtypes.get_default_dtype()
    count = integer("from_file", size or 0, "size") * dtype.itemsize
    if count < 0:
        raise ValueError(f"from_file: size must not be negative, got {size}")
    if not count:
        return _core.empty((0,), dtype, requires_grad)
    with open(filename, "r+b" if shared and os.path.exists(filename) else "w+b" if shared else "rb") as file:
        there = file.seek(0, os.SEEK_END)
        if there < count and not shared:
            raise ValueError(
                f"from_file: {size} elements of {dtype} take {count} bytes, but {os.fspath(filename)} has {there}"
            )
        if there < count:
            file.truncate(count)
        memory = mmap.mmap(file.fileno(), count, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    return frombuffer(memory, dtype=dtype, requires_grad=requires_grad)


def untyped_storage(self: Any) -> UntypedStorage:
    """The memory that the tensor and its views share, as bytes.

    >>> fl.ones(3).untyped_storage().nbytes()
    12
    """
    return UntypedStorage(self)


def storage(self: Any) -> TypedStorage:
    """The memory that the tensor and its views share, as elements of its dtype."""
    return TypedStorage(self)


def storage_type(self: Any) -> type:
    """The class of `storage()`."""
    return TypedStorage


def is_shared(self: Any) -> bool:
    """False: other processes receive tensors by value."""
    return False


def record_stream(self: Any, stream: Any) -> None:
    """Nothing to do on the CPU, where work does not go on behind a call."""


def set_(self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Any:
    """Look at the memory of `source` from now on, in place; the tensor itself.

    Arguments: `source`, a tensor or a storage of the same dtype, None for no elements; `storage_offset`, `size` and
    `stride`, what part of it is seen, by default all of it.

    >>> x, y = fl.zeros(2), fl.arange(4.0)
    >>> x.set_(y, 1, (3,))
    tensor([1., 2., 3.])
    """
    check_tensor("set_", self)
    if source is None:
        seen = _core.empty((0,), self.dtype)
    elif isinstance(source, UntypedStorage):
        seen = source._elements()
        seen = seen if seen.dtype is self.dtype else seen.view(self.dtype)
    else:
        seen = check_tensor("set_", source, "source").detach()
    if seen.dtype is not self.dtype:
        raise RuntimeError(
            f"set_: the tensor is {self.dtype} and the source {seen.dtype}; they must be equal, convert one first"
        )
    if size is not None:
        sizes = integers("set_", size, "size")
        steps = [1]
        for length in reversed(sizes[1:]):
            steps.append(steps[-1] * max(length, 1))
        strides = tuple(steps[: len(sizes)][::-1]) if stride is None else integers("set_", stride, "stride")
        seen = seen.as_strided(sizes, strides, integer("set_", storage_offset, "storage_offset"))
    self.data = seen
    return self


def as_subclass(self: Any, cls: Any) -> Any:
    """The tensor as an object of a subclass of Tensor, over the same memory and with the same history.

    >>> class Points(fl.Tensor): pass
    >>> type(fl.ones(2).as_subclass(Points)).__name__
    'Points'
    """
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"as_subclass: cls must be a subclass of flambeau.Tensor, got {cls!r}")
    return _core.as_subclass(cls, self)


METHODS = {
    "untyped_storage": untyped_storage, "storage": storage, "storage_type": storage_type, "is_shared": is_shared,
    "record_stream": record_stream, "set_": set_, "as_subclass": as_subclass,
}  # fmt: skip
