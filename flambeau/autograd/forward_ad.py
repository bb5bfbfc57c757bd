"""`flambeau.autograd.forward_ad`: dual tensors, which carry a tangent through a computation.

A dual tensor is recorded on the tape like any tensor that requires grad. `unpack_dual` finds the tangent of a result by
two sweeps in reverse over what was recorded between the duals of the level and it (see `flambeau.func.jvp`), which is
right for every operation that can be differentiated twice. So tangents need no second formula for an operation; what
was computed under `no_grad` inside of a level has none.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from flambeau import _core

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent, None where it has none."""

    primal: Any
    tangent: Any


class _Level:
    def __init__(self) -> None:
        self.duals: list[Any] = []
        self.tangents: list[Any] = []


class _State(threading.local):
    level: _Level | None = None


_state = _State()


def enter_dual_level() -> int:
    """Begin a level; RuntimeError inside of another one. Returns its number, 0."""
    if _state.level is not None:
        raise RuntimeError(
            "enter_dual_level: Nested forward mode AD is not supported at the moment; use nested func.jvp"
        )
    _state.level = _Level()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: duals made in it are ordinary tensors from now on."""
    if _state.level is None:
        raise RuntimeError("exit_dual_level: Trying to exit a forward AD level but no level is active")
    _state.level = None


class dual_level:  # noqa: N801
    """A block in which dual tensors can be made; gradients are recorded inside of it.

    >>> with fl.autograd.forward_ad.dual_level():
    ...     x = fl.autograd.forward_ad.make_dual(fl.tensor(2.0), fl.tensor(1.0))
    ...     print(fl.autograd.forward_ad.unpack_dual(x**3).tangent)
    tensor(12.)
    """

    def __enter__(self) -> int:
        self.before = _core.set_grad_enabled(True)
        return enter_dual_level()

    def __exit__(self, *exception: Any) -> None:
        exit_dual_level()
        _core.set_grad_enabled(self.before)


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A tensor with the values of `tensor` whose tangent is `tangent`, of the same shape and dtype.

    Raises RuntimeError outside of a level or where the two do not fit, ValueError for integers.
    """
    found = _state.level
    if found is None:
        raise RuntimeError(
            "make_dual: Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    if tensor.dtype.category < 2 or tangent.dtype.category < 2:
        raise ValueError(
            f"make_dual: Expected tensors of floating or complex dtypes, got {tensor.dtype} and {tangent.dtype}"
        )
    if tuple(tensor.shape) != tuple(tangent.shape):
        raise RuntimeError(
            f"make_dual: the tangent must have the shape of the tensor: tensor is {tuple(tensor.shape)}, tangent is "
            f"{tuple(tangent.shape)}"
        )
    dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    if not tensor.requires_grad:
        _core.mark_internal(dual)
    found.duals.append(dual)
    found.tangents.append(tangent)
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a tensor; the tangent is None where it does not depend on a dual of the level."""
    found = _state.level
    if found is None:
        return UnpackedDualTensor(tensor, None)
    for dual, tangent in zip(found.duals, found.tangents):
        if dual is tensor:
            return UnpackedDualTensor(tensor.detach(), tangent)
    if not found.duals or not isinstance(tensor, _core.Tensor) or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    from flambeau.autograd import grad

    outside = any(t.requires_grad for t in found.tangents) or _reaches_outside(tensor, found.duals)
    free = _core.full(tuple(tensor.shape), 0, tensor.dtype).requires_grad_()
    _core.mark_internal(free)
    pulled = grad(tensor, found.duals, free, create_graph=True, allow_unused=True)
    if all(g is None for g in pulled):
        return UnpackedDualTensor(tensor, None)
    pairs = [(g, t) for g, t in zip(pulled, found.tangents) if g is not None and g.requires_grad]
    tangent = None
    if pairs:
        tangent = grad(
            [g for g, _ in pairs], free, [t for _, t in pairs], create_graph=outside, retain_graph=True,
            allow_unused=True,
        )[0]  # fmt: skip
    if tangent is None:
        tangent = _core.full(tuple(tensor.shape), 0, tensor.dtype)
    return UnpackedDualTensor(tensor if outside else tensor.detach(), tangent)


def _reaches_outside(tensor: Any, duals: list) -> bool:
    from flambeau.func.derivatives import _depends_on_others

    return _depends_on_others(tensor, [dual for dual in duals if dual.grad_fn is None])
