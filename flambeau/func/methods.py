"""The methods and attributes of a batched value: those of Tensor, with the dimensions of one example.

Methods that are Python functions or operations are Tensor's own. Those of the core, which look only at the layout, are
here, and so is indexing. What does not live here: operations (`rules`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import ShapeError
from flambeau.func.batching import RULES, Batched, Level, _no_value, each, entered, expanded, levels
from flambeau.func.rules import aligned, is_batched, wrap_dim

Tensor = _core.Tensor
_tensor: Any = Tensor


def _sizes(args: tuple, kwargs: dict, name: str) -> tuple:
    if kwargs:
        args = (kwargs.get("size", kwargs.get("shape", kwargs.get("dims"))),)
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else tuple(args)


def _lowered(method: Callable) -> Callable:
    """A method that computes on the value outside of the vmap it belongs to."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        running = levels()
        if self.level not in running:  # a rule asks, from outside already
            return method(self, *args, **kwargs)
        with entered(running[: running.index(self.level)]):
            return method(self, *args, **kwargs)

    call.__name__ = call.__qualname__ = method.__name__
    return call


class _Methods:
    """Taken over by Batched; `self` is the proxy, and the methods run outside of its vmap."""

    def size(self: Any, dim: Any = None) -> Any:
        return self.shape if dim is None else self.value.shape[wrap_dim(dim, self.ndim, "size")]

    def stride(self: Any, dim: Any = None) -> Any:
        return self.value.stride()[1:] if dim is None else self.value.stride(wrap_dim(dim, self.ndim, "stride"))

    def dim(self: Any) -> int:
        return self.ndim

    ndimension = dim

    def numel(self: Any) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    nelement = numel

    def storage_offset(self: Any) -> int:
        return self.value.storage_offset()

    def is_contiguous(self: Any, memory_format: Any = None) -> bool:
        return self.value.is_contiguous()

    def data_ptr(self: Any) -> int:
        return self.value.data_ptr()

    def element_size(self: Any) -> int:
        return self.value.element_size()

    def is_floating_point(self: Any) -> bool:
        return self.value.is_floating_point()

    def is_complex(self: Any) -> bool:
        return self.value.is_complex()

    def is_inference(self: Any) -> bool:
        return self.value.is_inference()

    def item(self: Any) -> Any:
        raise _no_value(".item() on a Tensor", "keep the value a tensor")

    def tolist(self: Any) -> Any:
        raise _no_value(".tolist() on a Tensor", "keep the values a tensor")

    def numpy(self: Any, *, force: bool = False) -> Any:
        raise _no_value(".numpy() on a Tensor", "use flambeau's own operations")

    def contiguous(self: Any, memory_format: Any = None) -> Any:
        return Batched(self.value.contiguous(), self.level)

    def clone(self: Any, memory_format: Any = None) -> Any:
        return Batched(self.value.clone(), self.level)

    def detach(self: Any) -> Any:
        return Batched(self.value.detach(), self.level)

    def alias(self: Any) -> Any:
        return Batched(self.value.alias(), self.level)

    def detach_(self: Any) -> Any:
        self.value.detach_()
        return self

    def reshape(self: Any, *args: Any, **kwargs: Any) -> Any:
        sizes = _sizes(args, kwargs, "reshape")
        return Batched(self.value.reshape(self.value.shape[0], *_known(sizes, self)), self.level)

    def view(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], dtypes.dtype):
            return Batched(self.value.view(args[0]), self.level)
        sizes = _known(_sizes(args, kwargs, "view"), self)
        try:
            return Batched(self.value.view(self.value.shape[0], *sizes), self.level)
        except RuntimeError:
            # One example can be seen in that shape where the batch, which was moved to the front, cannot.
            return Batched(self.value.reshape(self.value.shape[0], *sizes), self.level)

    def permute(self: Any, *args: Any, **kwargs: Any) -> Any:
        dims = [wrap_dim(d, self.ndim, "permute") for d in _sizes(args, kwargs, "permute")]
        return Batched(self.value.permute(0, *dims), self.level)

    def transpose(self: Any, dim0: int, dim1: int) -> Any:
        if self.ndim == 0:
            return self
        return Batched(
            self.value.transpose(wrap_dim(dim0, self.ndim, "transpose"), wrap_dim(dim1, self.ndim, "transpose")),
            self.level,
        )

    def t(self: Any) -> Any:
        if self.ndim > 2:
            raise ShapeError(f"t: expects a tensor with <= 2 dimensions, got {tuple(self.shape)}")
        return Batched(self.value.transpose(1, 2) if self.ndim == 2 else self.value, self.level)

    def expand(self: Any, *args: Any, **kwargs: Any) -> Any:
        sizes = _sizes(args, kwargs, "expand")
        inner = aligned(self, self.level, len(sizes))
        return Batched(inner.expand(inner.shape[0], *sizes), self.level)

    def squeeze(self: Any, dim: Any = None) -> Any:
        if self.ndim == 0:
            return self
        if dim is None:
            sizes = [s for s in self.shape if s != 1]
            return Batched(self.value.reshape(self.value.shape[0], *sizes), self.level)
        dims = dim if isinstance(dim, (tuple, list)) else (dim,)
        return Batched(self.value.squeeze(tuple(wrap_dim(d, self.ndim, "squeeze") for d in dims)), self.level)

    def unsqueeze(self: Any, dim: int) -> Any:
        return Batched(self.value.unsqueeze(wrap_dim(dim, self.ndim + 1, "unsqueeze")), self.level)

    def select(self: Any, dim: int, index: int) -> Any:
        if self.ndim == 0:
            raise IndexError("select: select() cannot be applied to a 0-dim tensor")
        return Batched(self.value.select(wrap_dim(dim, self.ndim, "select"), index), self.level)

    def narrow(self: Any, dim: int, start: Any, length: int) -> Any:
        return Batched(self.value.narrow(wrap_dim(dim, self.ndim, "narrow"), start, length), self.level)

    def slice(self: Any, dim: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Any:
        return Batched(self.value.slice(wrap_dim(dim, self.ndim, "slice"), start, stop, step), self.level)

    def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
        if self.ndim == 0:
            return each(_tensor.unfold, (self, dimension, size, step), {}, self.level)
        return Batched(self.value.unfold(wrap_dim(dimension, self.ndim, "unfold"), size, step), self.level)

    def diagonal(self: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
        dim1, dim2 = wrap_dim(dim1, self.ndim, "diagonal"), wrap_dim(dim2, self.ndim, "diagonal")
        return Batched(self.value.diagonal(offset, dim1, dim2), self.level)

    def as_strided(self: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
        # An offset counts from where the storage of the first example begins, and so for each of the others.
        inner = self.value
        return Batched(
            inner.as_strided((inner.shape[0], *size), (inner.stride(0), *stride), storage_offset), self.level
        )

    def sum_to_size(self: Any, *args: Any, **kwargs: Any) -> Any:
        sizes = _sizes(args, kwargs, "sum_to_size")
        lost = self.ndim - len(sizes)
        inner = self.value
        if lost > 0:
            inner = inner.sum(tuple(range(1, lost + 1)))
        return Batched(inner.sum_to_size(inner.shape[0], *sizes), self.level)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Any:
        self.value.requires_grad_(requires_grad)
        return self

    def retain_grad(self: Any) -> None:
        self.value.retain_grad()

    def cast(self: Any, dtype: Any) -> Any:
        return self if self.value.dtype is dtype else Batched(self.value.cast(dtype), self.level)

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
        self.value.copy_(aligned(src, self.level, self.ndim))
        return self

    def fill_(self: Any, value: Any) -> Any:
        if is_batched(value, self.level):
            self.value.copy_(aligned(value, self.level, self.ndim))
        else:
            self.value.fill_(value)
        return self

    def zero_(self: Any) -> Any:
        self.value.zero_()
        return self

    def resize_(self: Any, *args: Any) -> Any:
        if tuple(self.shape) != _sizes(args, {}, "resize_"):
            raise RuntimeError("resize_: vmap: a batched tensor cannot change its size")
        return self

    def squeeze_(self: Any, dim: Any = None) -> Any:
        self.value = _Methods.squeeze(self, dim).value
        return self

    def unsqueeze_(self: Any, dim: int) -> Any:
        self.value = _Methods.unsqueeze(self, dim).value
        return self

    def transpose_(self: Any, dim0: int, dim1: int) -> Any:
        self.value = _Methods.transpose(self, dim0, dim1).value
        return self

    swapaxes_ = transpose_

    def t_(self: Any) -> Any:
        self.value = _Methods.t(self).value
        return self

    def backward(
        self: Any, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        raise RuntimeError(
            "backward: .grad cannot be accumulated inside vmap, where every example has a gradient of its own; use "
            "flambeau.func.grad or flambeau.autograd.grad"
        )

    def register_hook(self: Any, hook: Callable) -> Any:
        inside, level = (*levels(), self.level), self.level

        def lifted(gradient: Any) -> Any:
            with entered(inside):
                result = hook(Batched(gradient, level))
            return None if result is None else expanded(result, level)

        return self.value.register_hook(lifted)

    def __getitem__(self: Any, key: Any) -> Any:
        return _get(self.level, self, key)

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        _set(self.level, self, key, value)


def _known(sizes: tuple, self: Any) -> tuple:
    """Sizes with -1 worked out, as an empty batch cannot tell it."""
    if -1 not in sizes:
        return sizes
    total, known = self.numel(), 1
    for size in sizes:
        known *= 1 if size == -1 else size
    return tuple(total // known if size == -1 and known else size for size in sizes)


# ------------------------------------------------------------------------------------------------------------ indexing


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype is dtypes.bool


def _parsed(level: Level, self: Any, key: Any) -> tuple[Any, list, list]:
    """The value after integers, slices and None, the dimensions that tensors index, and those tensors."""
    items = list(key) if isinstance(key, tuple) else [key]
    clean: list = []
    for item in items:
        if isinstance(item, (list, range)) or hasattr(item, "__array_interface__"):
            from flambeau.ops.from_data import as_tensor

            item = as_tensor(list(item) if isinstance(item, range) else item)
        if _is_mask(item):
            if type(item) is Batched:
                raise RuntimeError(
                    "index: vmap: indexing with a mask that is batched gives as many elements as it has True, which "
                    "differs between examples (dynamic shapes); use where() instead"
                )
            clean.extend(item.nonzero().unbind(1))
        else:
            clean.append(item)
    used = sum(item is not None and item is not Ellipsis and not isinstance(item, bool) for item in clean)
    if any(item is Ellipsis for item in clean):
        at = next(i for i, item in enumerate(clean) if item is Ellipsis)
        clean[at : at + 1] = [slice(None)] * (self.ndim - used)
    else:
        clean += [slice(None)] * (self.ndim - used)
    basic: list[Any] = []
    dims: list[int] = []
    tensors: list[Any] = []
    dim = 0
    for item in clean:
        if isinstance(item, Tensor) and (item.ndim or type(item) is Batched):
            basic.append(slice(None))
            dims.append(dim)
            tensors.append(item)
            dim += 1
        else:
            basic.append(int(item) if isinstance(item, Tensor) else item)
            dim += not (isinstance(item, Tensor) or (hasattr(item, "__index__") and not isinstance(item, bool)))
    if is_batched(self, level):
        whole = (slice(None), *basic)
        inner = self.value[whole]
    else:
        inner = self[tuple(basic)] if basic else self
    return inner, dims, tensors


def _prepared(level: Level, own: bool, inner: Any, dims: list, tensors: list) -> tuple[Any, tuple, int, bool]:
    """The value with the indexed dimensions in front, the indices for them, how many dimensions those make, and
    whether that block belongs where the indexed dimensions were (they are neighbours)."""
    rest = [d for d in range(inner.ndim - own) if d not in dims]
    order = [d + own for d in (*dims, *rest)]
    moved = inner.permute(*([0] if own else []), *order)
    ndim = max(t.ndim for t in tensors)
    indices = tuple(aligned(t, level, ndim) for t in tensors)
    if own:
        place = _core.arange(0, level.size, 1, dtypes.int64).reshape((level.size,) + (1,) * ndim)
        indices = (place, *indices)
    neighbours = dims == list(range(dims[0], dims[0] + len(dims)))
    return moved, indices, ndim, neighbours


def _get(level: Level, self: Any, key: Any) -> Any:
    inner, dims, tensors = _parsed(level, self, key)
    own = is_batched(self, level)
    if not tensors:
        return Batched(inner, level)
    if own and not any(is_batched(t, level) for t in tensors) and dims == [dims[0]]:
        return Batched(inner[(slice(None),) * (dims[0] + 1) + (tensors[0],)], level)
    moved, indices, ndim, neighbours = _prepared(level, own, inner, dims, tensors)
    found = moved[indices]
    if neighbours and dims[0]:
        found = found.movedim(tuple(range(1, ndim + 1)), tuple(range(dims[0] + 1, dims[0] + ndim + 1)))
    return Batched(found, level)


def _set(level: Level, self: Any, key: Any, value: Any) -> None:
    if not is_batched(self, level):
        raise RuntimeError(
            "index: vmap: inplace arithmetic(self, *extra_args) is not possible: self is a tensor from outside of vmap "
            "and has no room for one value an example; clone a batched tensor, or use scatter"
        )
    if _is_mask(key) and (not isinstance(value, Tensor) or value.ndim == 0):
        mask = key
        while mask.ndim < self.ndim:
            mask = mask.unsqueeze(-1)
        if isinstance(value, Tensor):
            self.value.copy_(aligned(value, level, self.ndim).to(self.dtype).where(_wide(mask, level), self.value))
        else:
            self.value.masked_fill_(_wide(mask, level), value)
        return
    inner, dims, tensors = _parsed(level, self, key)
    if not tensors:
        inner.copy_(aligned(value, level, inner.ndim - 1)) if isinstance(value, Tensor) else inner.fill_(value)
        return
    moved, indices, ndim, neighbours = _prepared(level, True, inner, dims, tensors)
    if isinstance(value, Tensor):
        value = aligned(value, level, ndim + moved.ndim - 1 - len(dims))
        if neighbours and dims[0] and value.ndim > 1:
            full = ndim + moved.ndim - 1 - len(dims)
            if not is_batched(value, level) and value.ndim < full:
                value = value.reshape((1,) * (full - value.ndim) + tuple(value.shape))
            first = value.ndim - full
            value = value.movedim(
                tuple(range(first + dims[0], first + dims[0] + ndim)), tuple(range(first, first + ndim))
            )
    moved[indices] = value


def _wide(mask: Any, level: Level) -> Any:
    return mask.value if is_batched(mask, level) else mask


RULES["getitem"] = _get
RULES["setitem"] = _set


# ---------------------------------------------------------------------------------------------------------- assembling


def _passed(name: str) -> property:
    return property(lambda self: getattr(self.value, name))


def _view_of(method: Callable) -> property:
    return property(_lowered(method))


def _reflected(operation: Any) -> Callable:
    return lambda self, other: operation(other, self)


def _compared(operation: Any, otherwise: Any) -> Callable:
    """A comparison that, like Tensor's, is False (or True, for !=) with what is no number."""

    def compare(self: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, float, int, complex)):
            return otherwise
        return operation(self, other)

    return compare


def _grad(self: Any) -> Any:
    gradient = self.value.grad
    return None if gradient is None else Batched(gradient, self.level)


def _set_grad(self: Any, gradient: Any) -> None:
    self.value.grad = None if gradient is None else expanded(gradient, self.level)


_NOT_BATCHED = (
    "__array__", "__array_wrap__", "__dlpack__", "__dlpack_device__", "__deepcopy__", "__reduce_ex__", "__format__",
)  # fmt: skip


def _assemble() -> None:
    from flambeau.ops import arithmetic, elementwise

    proxy: Any = Batched
    e = elementwise
    own = {name: value for name, value in vars(_Methods).items() if isinstance(value, FunctionType)}
    for name, method in vars(Tensor).items():
        if name in own or name in vars(proxy) or name in _NOT_BATCHED:
            continue
        if (
            isinstance(getattr(method, "__wrapped__", method), (FunctionType, property))
            or type(method) is _core.Operation
        ):
            setattr(proxy, name, method)
    for name, method in own.items():
        setattr(proxy, name, _lowered(method))
    for name in ("dtype", "device", "requires_grad", "is_leaf", "grad_fn", "itemsize", "_version", "output_nr"):
        setattr(proxy, name, _passed(name))
    for name in ("is_cuda", "is_sparse", "is_quantized", "is_meta", "is_mps", "retains_grad"):
        setattr(proxy, name, property(lambda self: False))
    proxy.requires_grad = property(
        lambda self: self.value.requires_grad, lambda self, wanted: setattr(self.value, "requires_grad", wanted)
    )
    proxy.grad = property(_lowered(_grad), _set_grad)
    proxy._base = property(lambda self: None)
    proxy.nbytes = property(lambda self: self.numel() * self.value.itemsize)
    proxy.data = property(lambda self: self.detach(), lambda self, value: setattr(self, "value", value.value))
    proxy.T = _view_of(lambda self: Batched(self.value.permute(0, *range(self.value.ndim - 1, 0, -1)), self.level))
    proxy.mT = property(lambda self: self.transpose(-2, -1))
    for name, operation in (
        ("add", e.add), ("sub", e.sub), ("mul", e.mul), ("truediv", e.div), ("floordiv", e.floor_divide),
        ("mod", e.remainder), ("pow", arithmetic.pow), ("matmul", _core.matmul), ("and", e.bitwise_and),
        ("or", e.bitwise_or), ("xor", e.bitwise_xor), ("lshift", e.left_shift), ("rshift", e.right_shift),
    ):  # fmt: skip
        setattr(proxy, f"__{name}__", lambda self, other, operation=operation: operation(self, other))
        setattr(proxy, f"__r{name}__", _reflected(operation))
        changing = getattr(e.pow if name == "pow" else operation, "inplace", None)
        if changing is not None:
            setattr(proxy, f"__i{name}__", changing)
    for name in ("lt", "le", "gt", "ge"):
        setattr(proxy, f"__{name}__", getattr(e, name))
    proxy.__eq__, proxy.__ne__ = _compared(e.eq, False), _compared(e.ne, True)
    proxy.__neg__, proxy.__abs__, proxy.__invert__ = e.neg, e.abs, e.bitwise_not
    proxy.__pos__ = lambda self: self


_assemble()
