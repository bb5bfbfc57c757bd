"""Which dtype an operation computes in and returns: PyTorch's promotion rules.

Operands come as `(code, category)`: the code of their dtype and 0 for a tensor with dimensions, 1 for a
zero-dimensional tensor, 2 for a Python number. A lower category decides the dtype; a higher one can only raise its
kind (bool < integer < float < complex). Python floats count as the default dtype. Nothing here looks at values.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.program import CODES, DTYPES
from ..errors import DTypeError

Operands = Sequence[tuple[int, int]]

BOOL, UINT8, INT8, INT16, INT32, INT64, FLOAT16, BFLOAT16, FLOAT32, FLOAT64 = range(10)
UINT16, UINT32, UINT64, COMPLEX64, COMPLEX128 = range(10, 15)

_default = FLOAT32


def default_dtype() -> str:
    """The name of the dtype of new floating-point tensors, and of integers where a float is needed."""
    return DTYPES[_default]


def set_default_dtype(name: str) -> None:
    """Set the default dtype, which must be a float's. Answers that `resolve` gave before are out of date."""
    global _default
    if not is_floating(CODES.get(name, 0)):
        raise DTypeError(
            f"set_default_dtype: {name} is not a floating-point dtype: "
            f"choose one of float16, bfloat16, float32, float64"
        )
    _default = CODES[name]


def is_floating(code: int) -> bool:
    """Whether a dtype code is a float's."""
    return FLOAT16 <= code <= FLOAT64


def is_complex(code: int) -> bool:
    """Whether a dtype code is a complex one's."""
    return code >= COMPLEX64


def is_inexact(code: int) -> bool:
    """Whether a dtype code is a float's or a complex one's: what can have a gradient."""
    return FLOAT16 <= code <= FLOAT64 or code >= COMPLEX64


def is_whole(code: int) -> bool:
    """Whether a dtype code is an integer's or bool's."""
    return code < FLOAT16 or FLOAT64 < code < COMPLEX64


def to_complex(code: int) -> int:
    """The complex dtype whose parts have a floating dtype (half precision has none: complex64)."""
    return code if code >= COMPLEX64 else COMPLEX128 if code == FLOAT64 else COMPLEX64


def promote_types(left: int, right: int) -> int:
    """The code of the smallest dtype to which both dtypes convert safely (`torch.promote_types`)."""
    if left > right:
        left, right = right, left
    if left == right:
        return right
    if right >= UINT16:
        if right >= COMPLEX64 and not UINT16 <= left <= UINT64:
            return COMPLEX128 if left == FLOAT64 else right
        if is_floating(left):
            return left
        raise DTypeError(
            f"promotion for uint16, uint32, uint64 types is not supported, attempted to promote {DTYPES[left]} and "
            f"{DTYPES[right]}: convert one operand with .to(...)"
        )
    if right >= FLOAT32:
        return right
    if right == BFLOAT16 and left == FLOAT16:
        return FLOAT32
    if left == UINT8 and right == INT8:
        return INT16
    return right


def can_cast(source: int, target: int) -> bool:
    """Whether a result of dtype `source` may be written to an `out=` tensor of dtype `target`."""
    if is_complex(source):
        return is_complex(target)
    if is_floating(source):
        return is_inexact(target)
    return target != BOOL or source == BOOL


def result_type(operands: Operands) -> int:
    """The code of the dtype in which operands of several categories meet (`torch.result_type`)."""
    found: list[int | None] = [None, None, None]
    for code, category in operands:
        if category == 2 and is_inexact(code):
            code = to_complex(_default) if is_complex(code) else _default
        present = found[category]
        found[category] = code if present is None else promote_types(present, code)
    result = _combine(found[0], _combine(found[1], found[2]))
    if result is None:
        raise DTypeError("result_type: no operand has a dtype: give at least one tensor or number")
    return result


def _combine(higher: int | None, lower: int | None) -> int | None:
    if higher is None:
        return lower
    if lower is None or is_complex(higher):
        return higher
    if is_floating(higher):
        return to_complex(higher) if is_complex(lower) else higher
    if is_complex(lower) and UINT16 <= higher <= UINT64:
        return lower
    if higher == BOOL or is_inexact(lower):
        return promote_types(higher, lower)
    return higher


def computing_dtype(code: int) -> str:
    """The dtype in which a kernel calculates with a dtype: itself, and float32 for the half-precision ones."""
    return "float32" if code in (FLOAT16, BFLOAT16) else DTYPES[code]


#: What `accepts=` of a declaration means: the test on the dtype code of the result, and the words of the error.
ACCEPTS = {
    "any": (lambda code: True, "any dtype"),
    "number": (lambda code: code != BOOL, "integers and floats, not bool"),
    "floating": (is_inexact, "floating-point dtypes"),
    "ordered": (lambda code: not is_complex(code), "real dtypes"),
    "real": (lambda code: is_floating(code), "real floating-point dtypes"),
    "integral": (is_whole, "integers and bool"),
    "integer": (lambda code: code != BOOL and is_whole(code), "integers, not bool"),
}

_FIX = {
    "number": "convert with .to(float32) or .to(int64), or use a logical operation",
    "floating": "convert with .float() or .to(float32)",
    "ordered": "take .real or .abs() of complex numbers",
    "real": "convert with .float(), or take .real or .abs() of complex numbers",
    "integral": "convert with .to(int64)",
    "integer": "convert with .to(int64)",
}


def resolve(name: str, rule: str, accepts: str, operands: Operands) -> tuple[int, int]:
    """The codes of the dtype computed in and of the result, by a declaration's promotion rule.

    promote: both are the promoted dtype. float: likewise, integers and bool become the default dtype. sum: likewise,
    integers and bool become int64. integer: bool becomes int64. double: always float64. same: the first operand's
    own. compare: the result is bool. logical: computed in bool, the result is bool. test: any or all, the result is
    bool, and uint8 for uint8.
    """
    code = operands[0][0] if rule == "same" else result_type(operands)
    if rule == "float" and is_whole(code):
        code = _default
    elif rule == "sum" and is_whole(code):
        code = INT64
    elif rule == "integer" and code == BOOL:
        code = INT64
    elif rule == "double":
        code = COMPLEX128 if is_complex(code) else FLOAT64
    allowed, words = ACCEPTS[accepts]
    if not allowed(code):
        given = ", ".join(DTYPES[code] for code, _ in operands)
        raise DTypeError(f"{name}: takes {words}, found {given}: {_FIX[accepts]}")
    if rule == "compare":
        return code, BOOL
    if rule == "logical":
        return BOOL, BOOL
    if rule == "test":
        return code, UINT8 if code == UINT8 else BOOL
    return code, code
