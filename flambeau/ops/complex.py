"""Complex tensors: made of two real ones, taken apart, conjugated, turned into lengths and angles.

Arithmetic and functions on complex numbers are no operations of their own: every operation of `elementwise` and
`reduce` that means something on complex numbers takes them (`flambeau.compiler.complex_numbers`).
"""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.compiler import scalar as s
from flambeau.compiler.declare import elementwise
from flambeau.errors import DTypeError
from flambeau.ops import elementwise as e
from flambeau.ops.arguments import Tensor, check_tensor, deliver

__all__ = [
    "adjoint", "angle", "complex", "conj", "conj_physical", "imag", "is_conj", "is_neg", "isreal", "polar", "real",
    "resolve_conj", "resolve_neg", "view_as_complex", "view_as_real",
]  # fmt: skip


@elementwise(name="conj", tolerance=0)
def _conj(x):
    """The complex conjugate: x - iy of x + iy; a real number itself."""
    return s.conj(x)


@elementwise(name="angle", promotion="float", outputs=("real",))
def _angle(x):
    """The angle of the point x + iy, in [-pi, pi]; of a real number 0, or pi if it is negative."""
    if s.is_complex(x):
        return s.atan2(s.imag(x), s.real(x))
    return s.where(x < 0.0, s.PI, s.where(s.isnan(x), s.detached(x), 0.0))


@elementwise(name="complex", accepts="real", outputs=("complex",), tolerance=0)
def _complex(real, imag):
    """The complex number real + i imag."""
    return s.complex_of(real, imag)


@elementwise(name="polar", accepts="real", outputs=("complex",), domain=(0.3, 2.0))
def _polar(abs, angle):
    """The complex number of length `abs` and angle `angle`: abs * cos(angle) + i abs * sin(angle)."""
    return s.complex_of(abs * s.cos(angle), abs * s.sin(angle))


def complex(real: Any, imag: Any, *, out: Any = None) -> Any:
    """The complex tensor real + i imag of two float32 or float64 tensors of one dtype, which broadcast.

    Raises DTypeError for other dtypes, or two different ones.

    >>> fl.complex(fl.tensor([1.0, 2.0]), fl.tensor([3.0, 4.0]))
    tensor([1.+3.j, 2.+4.j])
    """
    return _exactly("complex", _pair_of("complex", _complex, real=real, imag=imag), out)


def polar(abs: Any, angle: Any, *, out: Any = None) -> Any:
    """The complex tensor of lengths `abs` and angles `angle`: abs * exp(i angle).

    >>> fl.polar(fl.tensor([2.0]), fl.tensor([0.0]))
    tensor([2.+0.j])
    """
    return _exactly("polar", _pair_of("polar", _polar, abs=abs, angle=angle), out)


def _exactly(name: str, result: Any, out: Any) -> Any:
    """The result, in `out` if that has its dtype."""
    if isinstance(out, Tensor) and out.dtype is not result.dtype:
        raise DTypeError(f"{name}: out must be of dtype {result.dtype}, got {out.dtype}")
    return deliver(result, out)


def _pair_of(name: str, operation: Any, **parts: Any) -> Any:
    for key, part in parts.items():
        if check_tensor(name, part, key).dtype not in (dtypes.float32, dtypes.float64):
            raise DTypeError(f"{name}: {key} must be float32 or float64, got {part.dtype}; convert it with .to(...)")
    first, second = parts.values()
    if first.dtype is not second.dtype:
        raise DTypeError(
            f"{name}: expected both to have one dtype, got {first.dtype} and {second.dtype}; convert one with .to(...)"
        )
    return operation(first, second)


def view_as_real(input: Any) -> Any:
    """A complex tensor of shape (...) as a real view of shape (..., 2): real and imaginary parts.

    >>> fl.view_as_real(fl.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    return _core.view_as_real(check_tensor("view_as_real", input))


def view_as_complex(input: Any) -> Any:
    """A float32 or float64 tensor of shape (..., 2) as a complex view of shape (...).

    >>> fl.view_as_complex(fl.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    return _core.view_as_complex(check_tensor("view_as_complex", input))


def real(input: Any) -> Any:
    """The real parts, a view; a real tensor itself."""
    check_tensor("real", input)
    return _core.view_as_real(input).select(-1, 0) if input.is_complex() else input


def imag(input: Any) -> Any:
    """The imaginary parts of a complex tensor, a view. RuntimeError for a real tensor."""
    check_tensor("imag", input)
    if not input.is_complex():
        raise RuntimeError(f"imag: is not implemented for tensors with non-complex dtypes, got {input.dtype}")
    return _core.view_as_real(input).select(-1, 1)


def conj(input: Any) -> Any:
    """The complex conjugate; a real tensor itself.

    >>> fl.conj(fl.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return _conj(input) if check_tensor("conj", input).is_complex() else input


def conj_physical(input: Any, *, out: Any = None) -> Any:
    """The complex conjugate in memory of its own; a real tensor itself."""
    return deliver(conj(input), out)


def resolve_conj(input: Any) -> Any:
    """`input` itself: conjugates are computed at once."""
    return check_tensor("resolve_conj", input)


def resolve_neg(input: Any) -> Any:
    """`input` itself: negatives are computed at once."""
    return check_tensor("resolve_neg", input)


def is_conj(input: Any) -> bool:
    """Whether a conjugation is still to be done: never, conjugates are computed at once."""
    check_tensor("is_conj", input)
    return False


def is_neg(input: Any) -> bool:
    """Whether a negation is still to be done: never, negatives are computed at once."""
    check_tensor("is_neg", input)
    return False


def isreal(input: Any) -> Any:
    """Whether the imaginary part is zero, elementwise."""
    check_tensor("isreal", input)
    if input.is_complex():
        return e.eq(imag(input), 0)
    return _core.full(input.shape, True, dtypes.bool)


def angle(input: Any, *, out: Any = None) -> Any:
    """The angles of complex numbers, in [-pi, pi]; pi for negative real numbers and 0 for others.

    >>> fl.angle(fl.tensor([1j, -1.0]))
    tensor([1.5708, 3.1416])
    """
    return deliver(_angle(check_tensor("angle", input)), out)


def adjoint(input: Any) -> Any:
    """The conjugate transpose of a (batch of) matrix."""
    if check_tensor("adjoint", input).ndim < 2:
        raise RuntimeError(f"adjoint: only supported on matrices or batches of matrices, got {tuple(input.shape)}")
    return conj(input.transpose(-2, -1))


def _not_matrix(input: Any) -> Any:
    if input.ndim == 0:
        return conj(input)
    raise RuntimeError(f"H: only supported on matrices (2-D tensors), got {tuple(input.shape)}; for batches use .mH")


def _set_part(name: str, part: Any) -> Any:
    def assign(self: Any, value: Any) -> None:
        part(self).copy_(value if isinstance(value, Tensor) else _core.full((), value, dtypes.float64))

    assign.__name__ = name
    return assign


PROPERTIES = {
    "real": property(real, _set_part("real", real), doc="The real parts, a view; a real tensor itself."),
    "imag": property(imag, _set_part("imag", imag), doc="The imaginary parts of a complex tensor, a view."),
    "H": property(
        lambda self: adjoint(self) if self.ndim == 2 else _not_matrix(self), doc="The conjugate transpose of a matrix."
    ),
    "mH": property(adjoint, doc="The conjugate transpose of the last two dimensions."),
}


def _conj_(self: Any) -> Any:
    """The complex conjugate, in place."""
    return _conj.inplace(self) if check_tensor("conj_physical_", self, "self").is_complex() else self


METHODS = {
    "adjoint": adjoint,
    "angle": angle,
    "conj": conj,
    "conj_physical": conj_physical,
    "conj_physical_": _conj_,
    "is_conj": is_conj,
    "is_neg": is_neg,
    "isreal": isreal,
    "resolve_conj": resolve_conj,
    "resolve_neg": resolve_neg,
}
