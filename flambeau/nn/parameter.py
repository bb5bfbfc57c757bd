"""Parameters and buffers: the two tensor classes that a module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

from flambeau import _core

__all__ = ["Buffer", "Parameter"]

Tensor = _core.Tensor


def _rebuild_parameter(cls: type, data: Tensor, requires_grad: bool, attributes: dict | None = None) -> Any:
    """What a pickled parameter or buffer calls to come back."""
    result = _core.make_subclass(cls, data, requires_grad)
    if attributes:
        result.__dict__.update(attributes)
    return result


class Parameter(Tensor):
    """A tensor that a module trains: assigning one to a module attribute registers it in `module.parameters()`.

    Arguments: `data`, the tensor whose memory the parameter shares (an empty one when None); `requires_grad`, True
    unless told otherwise. Returns a leaf. Errors: RuntimeError for an integer `data` that is to require grad.

    Example:
        >>> fl.nn.Parameter(fl.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            import flambeau

            data = flambeau.empty(0)
        elif not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter: data must be a Tensor, not {type(data).__name__}; make one with flambeau.tensor(...)"
            )
        return _core.make_subclass(cls, data, requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        # __new__ does all the work; this only keeps Tensor's own constructor from seeing the arguments.
        pass

    def __deepcopy__(self, memo: dict) -> Parameter:
        known = memo.get(id(self))
        if known is not None:
            return known
        result = _core.make_subclass(type(self), self.detach().clone(), self.requires_grad)
        memo[id(self)] = result
        attributes = getattr(self, "__dict__", None)
        if attributes:
            import copy

            result.__dict__.update(copy.deepcopy(attributes, memo))
        return result

    def __repr__(self) -> str:
        return super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple:
        attributes = getattr(self, "__dict__", None)
        arguments = (type(self), _plain(self), self.requires_grad)
        return _rebuild_parameter, (*arguments, dict(attributes)) if attributes else arguments


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not trained: assigning one registers it in `module.buffers()`.

    Arguments: `data`, the tensor whose memory the buffer shares; `persistent`, whether it is part of `state_dict()`.

    Example:
        >>> module.mask = fl.nn.Buffer(fl.ones(3), persistent=False)
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            import flambeau

            data = flambeau.empty(0)
        result = _core.make_subclass(cls, data, data.requires_grad)
        result.persistent = persistent
        return result

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> Buffer:
        known = memo.get(id(self))
        if known is not None:
            return known
        result = type(self)(self.detach().clone(), persistent=self.persistent)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuild_parameter, (type(self), _plain(self), self.requires_grad, {"persistent": self.persistent})


def _plain(tensor: Tensor) -> Tensor:
    """The same memory as an ordinary tensor, so that pickling reaches the tensor class's own rules."""
    result = tensor.detach()
    return result if type(result) is Tensor else _core.make_subclass(Tensor, result, False)
