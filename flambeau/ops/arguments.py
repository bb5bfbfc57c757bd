"""What the functions of this folder share: checks of arguments, in-place twins, NumPy in and out, host gradients.

No operation lives here, and nothing here is exported to users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from flambeau import _core, dtypes
from flambeau.dtypes import dtype as DType
from flambeau.dtypes import float32
from flambeau.errors import AutogradError, DTypeError, NumberOverflowError, ShapeError

Tensor = _core.Tensor


def wrap_dim(name: str, dim: Any, ndim: int) -> int:
    """The dimension counted from the front; IndexError when it is out of range. A 0-dim tensor takes 0 and -1."""
    try:
        dim = dim.__index__()
    except AttributeError:
        raise not_integer(name, dim, "dim") from None
    bound = ndim or 1
    if not -bound <= dim < bound:
        raise IndexError(
            f"{name}: Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim + bound if dim < 0 else dim


def wrap_dims(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """`dim` (None for all, an int, a sequence) as distinct dimensions counted from the front."""
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (wrap_dim(name, dim, ndim),)
    dims = tuple([wrap_dim(name, d, ndim) for d in dim])
    if len(set(dims)) != len(dims):
        twice = next(d for d in dims if dims.count(d) > 1)
        raise RuntimeError(f"{name}: dim {twice} appears multiple times in the list of dims {tuple(dim)}; give it once")
    return dims


def not_integer(name: str, value: Any, argument: str) -> TypeError:
    """The error of an argument that must be an int."""
    return TypeError(f"{name}(): argument '{argument}' must be int, not {type(value).__name__}; pass a whole number")


def integer(name: str, value: Any, argument: str) -> int:
    """`value` as a Python int (from anything that counts as one), else TypeError."""
    try:
        return value.__index__()
    except AttributeError:
        raise not_integer(name, value, argument) from None


def integers(name: str, values: Any, argument: str) -> tuple[int, ...]:
    """`values`, an int or a sequence of them, as a tuple of Python ints, else TypeError."""
    if not isinstance(values, (tuple, list)):
        try:
            values = tuple(values)
        except TypeError:
            if not hasattr(values, "__index__"):
                raise TypeError(
                    f"{name}(): argument '{argument}' must be int or tuple of ints, not {type(values).__name__}; pass "
                    "whole numbers"
                ) from None
            values = (values,)
    return tuple([integer(name, value, argument) for value in values])


def as_shape(sizes: Sequence[Any]) -> Sequence[Any]:
    """The sizes in `f(2, 3)`, `f((2, 3))` or `f([2, 3])`, given the `*sizes` of f."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return sizes[0]
    return sizes


def whole_number(name: str, value: Any, dtype: DType) -> Any:
    """A number as an integer or bool dtype holds it, without its fraction; RuntimeError where it is out of range."""
    if dtype.category == 0:
        return bool(value)
    limits = dtypes.iinfo(dtype)
    # As in C, -1 is the largest unsigned number; -1.0 is none.
    low = limits.min if dtype.is_signed or isinstance(value, float) else -limits.max
    if value != value or not low - 1 < value < limits.max + 1:
        raise NumberOverflowError(
            f"{name}: value {value} cannot be converted to {dtype} without overflow (it holds {limits.min} to "
            f"{limits.max}); convert the tensor to a wider dtype"
        )
    return int(value) % (limits.max + 1) if not dtype.is_signed else int(value)


def not_tensor(name: str, value: Any, argument: str = "input") -> TypeError:
    """The error of an argument that must be a tensor; where speed counts the caller tests isinstance itself."""
    return TypeError(
        f"{name}(): argument '{argument}' must be Tensor, not {type(value).__name__}; make one with "
        "flambeau.tensor(...)"
    )


def check_tensor(name: str, value: Any, argument: str = "input") -> Any:
    """`value` if it is a tensor, else TypeError."""
    if not isinstance(value, Tensor):
        raise not_tensor(name, value, argument)
    return value


def check_tensors(name: str, values: Any, argument: str = "tensors") -> tuple[Any, ...]:
    """`values`, a sequence of tensors, as a tuple, else TypeError."""
    if not isinstance(values, (tuple, list)):
        try:
            values = tuple(values)
        except TypeError:
            raise TypeError(
                f"{name}(): argument '{argument}' must be tuple of Tensors, not {type(values).__name__}; pass a list "
                "of tensors"
            ) from None
    for position, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise not_tensor(name, value, f"{argument}[{position}]")
    return tuple(values)


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that autocast leaves in float32: inside of a region half-precision arguments are converted to it."""
    import functools

    @functools.wraps(function)
    def wide(*args: Any, **options: Any) -> Any:
        narrow = _core.autocast_dtype()
        if narrow is None:
            return function(*args, **options)
        before = _core.set_autocast(None)
        try:
            return function(*map(_wide, args), **{name: _wide(value) for name, value in options.items()})
        finally:
            _core.set_autocast(before)

    return wide


def _wide(value: Any) -> Any:
    return value.to(float32) if isinstance(value, Tensor) and value.dtype.name in ("float16", "bfloat16") else value


def check_dtype(name: str, value: Any) -> Any:
    """`value` if it is a dtype or None, the dtype of one of Python's types of numbers, else TypeError."""
    if value is not None and not isinstance(value, DType):
        if value is int or value is float or value is bool or value is complex:
            return {int: dtypes.int64, float: dtypes.float64, bool: dtypes.bool, complex: dtypes.complex128}[value]
        raise TypeError(
            f"{name}(): argument 'dtype' must be flambeau.dtype, not {type(value).__name__}; pass for example "
            "flambeau.float32"
        )
    return value


def check_index(name: str, value: Any, argument: str = "index") -> Any:
    """`value` if it is a tensor of int64 or int32, else DTypeError."""
    check_tensor(name, value, argument)
    if value.dtype.name not in ("int64", "int32"):
        raise DTypeError(f"{name}: {argument} must have dtype int64 or int32, got {value.dtype}; use {argument}.long()")
    return value


def check_ordered(name: str, value: Any) -> Any:
    """`value` if its dtype has an order, else DTypeError."""
    if value.is_complex():
        raise DTypeError(
            f"{name}: does not support complex dtypes, which have no order, got {value.dtype}; take .abs() or .real"
        )
    return value


def check_floating(name: str, value: Any, argument: str = "input") -> Any:
    """`value` if its dtype is a floating one, else DTypeError."""
    if not value.dtype.is_floating_point:
        raise DTypeError(
            f"{name}: {argument} must have a floating dtype, got {value.dtype}; convert it with {argument}.float()"
        )
    return value


def shape_error(name: str, rule: str, **shapes: Any) -> ShapeError:
    """A ShapeError in the usual words: operation, rule broken, the shapes by name."""
    found = ", ".join(f"{key} is {tuple(t.shape) if isinstance(t, Tensor) else t}" for key, t in shapes.items())
    return ShapeError(f"{name}: {rule}: {found}")


def deliver(result: Any, out: Any) -> Any:
    """`result`, written into `out` where one was given (resized to fit when the core can, else shapes must agree)."""
    if out is None:
        return result
    check_tensor("out", out, "out")
    if tuple(out.shape) != tuple(result.shape):
        out.resize_(tuple(result.shape))
    out.copy_(result.detach())
    return out


def check_out(name: str, out: Any, dtype: DType) -> None:
    """DTypeError unless `out`, where one is given, has the dtype of the result: there is no silent conversion."""
    if out is not None and check_tensor(name, out, "out").dtype is not dtype:
        raise DTypeError(f"{name}: expected out to have dtype {dtype}, got {out.dtype}; make it with dtype={dtype}")


def twin(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place method of a function of a tensor: the result is written back into the first argument."""

    def in_place(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not isinstance(self, Tensor):
            raise not_tensor(function.__name__ + "_", self, "self")
        source = self.clone() if self.requires_grad else self
        return self.copy_(function(source, *arguments, **keywords))

    in_place.__name__ = in_place.__qualname__ = function.__name__ + "_"
    in_place.__doc__ = f"`{function.__name__}` written back into this tensor; returns this tensor."
    return in_place


def to_numpy(tensor: Any) -> Any:
    """The values as a NumPy array: shared memory where NumPy has the dtype, a float32 copy for bfloat16."""
    tensor = tensor.detach()
    if tensor.dtype.numpy_name is None:
        tensor = tensor.to(float32)
    return tensor.numpy()


def to_tensor(array: Any, dtype: DType | None = None) -> Any:
    """A tensor over a NumPy result, made contiguous, in `dtype` when given."""
    import numpy

    result = _core.from_numpy(numpy.require(array, requirements=("C", "W")))
    return result if dtype is None or result.dtype is dtype else result.to(dtype)


def constant(array: Any, dtype: DType | None = None) -> Any:
    """`to_tensor` of an array that follows from Python numbers alone: a plan keeps its values."""
    return _core.record_constant(to_tensor(array, dtype))


def scipy_part(name: str, part: str) -> Any:
    """The module `scipy.<part>`, imported when first used; ImportError that names the function without it."""
    from importlib import import_module

    try:
        return import_module(f"scipy.{part}")
    except ImportError:
        raise ImportError(f"{name} needs SciPy, which is not installed: pip install scipy") from None


def with_gradient(outputs: Any, inputs: Sequence[Any], vjp: Callable[..., Any], name: str) -> Any:
    """`outputs` (a tensor or a tuple, computed outside the tape) joined to the tape when an input requires a gradient.

    `vjp` is called with one gradient for each output and returns one for each input. When a gradient of the gradient
    is wanted it runs with the tape on, so a vjp made of flambeau's operations on `inputs` differentiates again.
    An input changed in place before then is an error, as for every operation.
    """
    if not (_core.is_grad_enabled() and any(t.requires_grad for t in inputs)):
        return outputs
    versions = [t._version for t in inputs]

    def checked(*gradients: Any) -> Any:
        for t, version in zip(inputs, versions, strict=True):
            if t._version != version:
                raise AutogradError(
                    f"{name}: one of the variables needed for gradient computation has been modified by an inplace "
                    f"operation: an input of shape {tuple(t.shape)} is at version {t._version}, expected version "
                    f"{version}; change a clone() instead"
                )
        return vjp(*gradients)

    node = name if name.endswith("Backward0") else _node_name(name)
    _core.attach(outputs if isinstance(outputs, tuple) else (outputs,), tuple(inputs), checked, node)
    return outputs


@cache
def _node_name(name: str) -> str:
    """The graph node of an operation by PyTorch's rule: linalg_det gives LinalgDetBackward0."""
    if name in ("linalg_cholesky", "linalg_inv", "linalg_lu_factor", "linalg_solve"):
        name += "_ex"  # there the plain functions call those that also report success
    return "".join(part.upper() if "2" in part else part.capitalize() for part in name.split("_")) + "Backward0"


def named_result(name: str, *fields: str) -> type:
    """A named tuple class such as PyTorch's `return_types.sort`."""
    from collections import namedtuple

    made = namedtuple(name, fields)  # type: ignore[misc]  # the name is known at run time only
    made.__module__ = "flambeau.return_types"
    made.__doc__ = f"What `flambeau.{name}` returns: {', '.join(fields)}."

    def text(self: Any) -> str:
        lines = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, self))
        return f"flambeau.return_types.{name}(\n{lines})"

    made.__repr__ = text  # type: ignore[method-assign]
    RESULTS[name] = made
    return made


RESULTS: dict[str, type] = {}  # what `named_result` made
