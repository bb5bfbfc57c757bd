"""Which dtype an operation computes in and returns: PyTorch's promotion rules.

Operands come as `(code, category)`: the code of their dtype and 0 for a tensor with dimensions, 1 for a
zero-dimensional tensor, 2 for a Python number. A lower category decides the dtype; a higher one can only raise its
kind (bool < integer < float). Python floats count as the default dtype. Nothing here looks at values.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.program import CODES, DTYPES
from ..errors import DTypeError

Operands = Sequence[tuple[int, int]]

BOOL, UINT8, INT8, INT16, INT32, INT64, FLOAT16, BFLOAT16, FLOAT32, FLOAT64 = range(10)

_default = FLOAT32


def default_dtype() -> str:
    """The name of the dtype of new floating-point tensors, and of integers where a float is needed."""
    return DTYPES[_default]


def set_default_dtype(name: str) -> None:
    """Set the default dtype, which must be a float's. Answers that `resolve` gave before are out of date."""
    global _default
    if CODES.get(name, 0) < FLOAT16:
        raise DTypeError(
            f"set_default_dtype: {name} is not a floating-point dtype: "
            f"choose one of float16, bfloat16, float32, float64"
        )
    _default = CODES[name]


def is_floating(code: int) -> bool:
    """Whether a dtype code is a float's."""
    return code >= FLOAT16


def promote_types(left: int, right: int) -> int:
    """The code of the smallest dtype to which both dtypes convert safely (`torch.promote_types`)."""
    if left > right:
        left, right = right, left
    if left == right or right >= FLOAT32:
        return right
    if right == BFLOAT16 and left == FLOAT16:
        return FLOAT32
    if left == UINT8 and right == INT8:
        return INT16
    return right


def can_cast(source: int, target: int) -> bool:
    """Whether a result of dtype `source` may be written to an `out=` tensor of dtype `target`."""
    if source >= FLOAT16:
        return target >= FLOAT16
    return target != BOOL or source == BOOL


def result_type(operands: Operands) -> int:
    """The code of the dtype in which operands of several categories meet (`torch.result_type`)."""
    found: list[int | None] = [None, None, None]
    for code, category in operands:
        if category == 2 and code >= FLOAT16:
            code = _default
        present = found[category]
        found[category] = code if present is None else promote_types(present, code)
    result = _combine(found[0], _combine(found[1], found[2]))
    if result is None:
        raise DTypeError("result_type: no operand has a dtype: give at least one tensor or number")
    return result


def _combine(higher: int | None, lower: int | None) -> int | None:
    if higher is None:
        return lower
    if lower is None or higher >= FLOAT16:
        return higher
    if higher == BOOL or lower >= FLOAT16:
        return promote_types(higher, lower)
    return higher


def computing_dtype(code: int) -> str:
    """The dtype in which a kernel calculates with a dtype: itself, and float32 for the half-precision ones."""
    return "float32" if code in (FLOAT16, BFLOAT16) else DTYPES[code]


#: What `accepts=` of a declaration means: the test on the dtype code of the result, and the words of the error.
ACCEPTS = {
    "any": (lambda code: True, "any dtype"),
    "number": (lambda code: code != BOOL, "integers and floats, not bool"),
    "floating": (lambda code: code >= FLOAT16, "floating-point dtypes"),
    "integral": (lambda code: code < FLOAT16, "integers and bool"),
    "integer": (lambda code: BOOL < code < FLOAT16, "integers, not bool"),
}

_FIX = {
    "number": "convert with .to(float32) or .to(int64), or use a logical operation",
    "floating": "convert with .float() or .to(float32)",
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
    if rule == "float" and code < FLOAT16:
        code = _default
    elif rule == "sum" and code < FLOAT16:
        code = INT64
    elif rule == "integer" and code == BOOL:
        code = INT64
    elif rule == "double":
        code = FLOAT64
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
