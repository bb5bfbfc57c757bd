"""The dtypes, `Size`, `finfo`, `iinfo` and the default floating dtype: names for what is stored, without storage.

The core receives the dtype objects once through `_core.register_dtypes(ALL)`; their `code` is the index in that tuple.
"""

from __future__ import annotations

import builtins
from typing import Any

__all__ = [
    "Size", "bfloat16", "bool", "can_cast", "cdouble", "cfloat", "complex128", "complex64", "double", "dtype",
    "finfo", "float", "float16", "float32", "float64", "get_default_dtype", "half", "iinfo", "int", "int16", "int32",
    "int64", "int8", "long", "promote_types", "set_default_dtype", "short", "uint16", "uint32", "uint64", "uint8",
]  # fmt: skip

# The built-in classes: the dtypes below take their names.
_int = builtins.int
_float = builtins.float
_bool = builtins.bool


class dtype:  # noqa: N801
    """What one element of a tensor is: `flambeau.float32`, `flambeau.int64`, `flambeau.bool`,
    `flambeau.complex64` and eleven more.

    There is one object for each dtype, so dtypes are compared with `is` or `==`.

    >>> fl.float32.itemsize, fl.float32.is_floating_point
    (4, True)
    """

    __slots__ = ("category", "code", "is_complex", "is_floating_point", "is_signed", "itemsize", "name", "numpy_name")
    name: str
    code: _int
    itemsize: _int
    is_floating_point: _bool
    is_complex: _bool
    is_signed: _bool
    numpy_name: str | None
    category: _int  # 0 bool, 1 integer, 2 floating, 3 complex: the promotion categories

    def __init__(self, name: str, code: _int, itemsize: _int, category: _int, numpy_name: str | None) -> None:
        self.name, self.code, self.itemsize, self.category, self.numpy_name = name, code, itemsize, category, numpy_name
        self.is_floating_point = category == 2
        self.is_complex = category == 3
        self.is_signed = name != "bool" and name[0] != "u"

    def __repr__(self) -> str:
        return "flambeau." + self.name

    def __reduce__(self) -> str:
        return self.name

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self

    def to_real(self) -> dtype:
        """The dtype of the two parts of a complex dtype; a real dtype itself."""
        return self if self.category < 3 else float32 if self.code == 13 else float64

    def to_complex(self) -> dtype:
        """The complex dtype whose parts are of this dtype (float64 and float32 only have one)."""
        if self.category == 3:
            return self
        if self.code not in (8, 9):
            raise RuntimeError(f"to_complex: {self!r} has no complex dtype; convert to float32 or float64 first")
        return complex64 if self.code == 8 else complex128


bool = dtype("bool", 0, 1, 0, "bool")
uint8 = dtype("uint8", 1, 1, 1, "uint8")
int8 = dtype("int8", 2, 1, 1, "int8")
int16 = short = dtype("int16", 3, 2, 1, "int16")
int32 = int = dtype("int32", 4, 4, 1, "int32")
int64 = long = dtype("int64", 5, 8, 1, "int64")
float16 = half = dtype("float16", 6, 2, 2, "float16")
bfloat16 = dtype("bfloat16", 7, 2, 2, None)
float32 = float = dtype("float32", 8, 4, 2, "float32")
float64 = double = dtype("float64", 9, 8, 2, "float64")
uint16 = dtype("uint16", 10, 2, 1, "uint16")
uint32 = dtype("uint32", 11, 4, 1, "uint32")
uint64 = dtype("uint64", 12, 8, 1, "uint64")
complex64 = cfloat = dtype("complex64", 13, 8, 3, "complex64")
complex128 = cdouble = dtype("complex128", 14, 16, 3, "complex128")

#: Every dtype, in the order of the core's codes.
ALL = (
    bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64, uint16, uint32, uint64, complex64,
    complex128,
)  # fmt: skip
BY_NAME = {each.name: each for each in ALL}

_default: dtype = float32


def get_default_dtype() -> dtype:
    """The floating dtype that Python numbers and factories without `dtype=` get.

    >>> fl.get_default_dtype()
    flambeau.float32
    """
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the floating dtype that Python numbers and factories without `dtype=` get.

    Raises TypeError for anything but a floating dtype.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: only floating dtypes can be the default, got {d!r}; pass flambeau.float32")
    _default = d
    from flambeau import _core
    from flambeau.compiler import bridge
    from flambeau.ops import promotion

    promotion.set_default_dtype(d.name)
    bridge.forget()
    _core.dtypes_changed()


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The dtype that holds the results of arithmetic between tensors of the two dtypes.

    >>> fl.promote_types(fl.int64, fl.float16), fl.promote_types(fl.uint8, fl.int8)
    (flambeau.float16, flambeau.int16)
    """
    for value in (type1, type2):
        if not isinstance(value, dtype):
            raise TypeError(f"promote_types(): arguments must be flambeau.dtype, not {value.__class__.__name__}")
    from flambeau.ops import promotion

    return ALL[promotion.promote_types(type1.code, type2.code)]


def can_cast(from_: dtype, to: dtype) -> _bool:
    """Whether a value of dtype `from_` may be written into a tensor of dtype `to` by an in-place operation.

    >>> fl.can_cast(fl.float64, fl.float32), fl.can_cast(fl.float32, fl.int64)
    (True, False)
    """
    for value in (from_, to):
        if not isinstance(value, dtype):
            raise TypeError(f"can_cast(): arguments must be flambeau.dtype, not {value.__class__.__name__}")
    return from_.category <= to.category


class Size(tuple):
    """The shape of a tensor: a tuple of ints with `numel()`; slices and sums of sizes are sizes.

    >>> fl.Size([2, 3]).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> _int:
        """The number of elements of a tensor of this shape."""
        count = 1
        for size in self:
            count *= size
        return count

    def __repr__(self) -> str:
        return f"flambeau.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, key: Any) -> Any:
        result = tuple.__getitem__(self, key)
        return Size(result) if type(key) is slice else result

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            return NotImplemented  # a list that grows by a size stays a list
        return Size(other + tuple(self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> Any:
        return (Size, (tuple(self),))


class finfo:  # noqa: N801
    """The limits of a floating dtype, or of the parts of a complex one: bits, eps, max, min, tiny, resolution.

    `tiny` is the smallest normal number, also called `smallest_normal`.

    >>> fl.finfo(fl.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")
    bits: _int
    eps: _float
    max: _float
    min: _float
    tiny: _float
    smallest_normal: _float
    resolution: _float
    dtype: str

    # name: (fraction bits, largest exponent, smallest normal exponent, resolution)
    _LAYOUT = {
        "float16": (10, 15, -14, 1e-3),
        "bfloat16": (7, 127, -126, 1e-2),
        "float32": (23, 127, -126, 1e-6),
        "float64": (52, 1023, -1022, 1e-15),
    }

    def __init__(self, type: Any = None) -> None:
        kind = _default if type is None else type
        if isinstance(kind, dtype):
            kind = kind.to_real()
        name = kind.name if isinstance(kind, dtype) else None
        if name not in self._LAYOUT:
            raise TypeError(f"finfo: needs a floating dtype, got {kind!r}; for integer dtypes use iinfo")
        fraction, largest, smallest, self.resolution = self._LAYOUT[name]
        self.bits, self.dtype = kind.itemsize * 8, name
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**largest
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**smallest

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:  # noqa: N801
    """The limits of an integer dtype: bits, min, max.

    >>> fl.iinfo(fl.int8).max
    127
    """

    __slots__ = ("bits", "dtype", "max", "min")
    bits: _int
    max: _int
    min: _int
    dtype: str

    def __init__(self, type: Any) -> None:
        if not isinstance(type, dtype) or type.category != 1:
            raise TypeError(f"iinfo: needs an integer dtype, got {type!r}; for floating dtypes use finfo")
        self.bits, self.dtype = type.itemsize * 8, type.name
        self.max = 2 ** (self.bits - type.is_signed) - 1
        self.min = -self.max - 1 if type.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
