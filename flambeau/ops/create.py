"""Making tensors from sizes and ranges. Those from data are in `from_data`, random ones in `random`.

Only what fills new memory lives here; what rearranges a tensor is in `shape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.devices import check_device
from flambeau.dtypes import dtype as DType
from flambeau.errors import DTypeError
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
from flambeau.ops.from_data import NUMBERS, default_complex, dtype_of, overflow

__all__ = [
    "arange", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "full", "full_like", "linspace",
    "logspace", "meshgrid", "ones", "ones_like", "range", "tril", "tril_indices", "triu", "triu_indices", "vander",
    "zeros", "zeros_like",
]  # fmt: skip

_empty, _full, _arange = _core.empty, _core.full, _core.arange
_constant = _core.record_constant
_int64, _bool = dtypes.int64, dtypes.bool


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
        dtype = dtype_of(kind) if kind in NUMBERS else dtypes.get_default_dtype()
    shape = (size,) if isinstance(size, int) else size
    try:
        result = _full(shape, fill_value, dtype)
    except OverflowError:
        raise overflow(fill_value, dtype) from None
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
        dtype = out.dtype if out is not None else default_complex() if values.is_complex() else dtypes._default
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
        dtype = out.dtype if out is not None else default_complex() if values.is_complex() else dtypes._default
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
