"""Parameters and buffers: the two tensor classes that a module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

from flambeau import _core

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]

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


class UninitializedTensorMixin:
    """What a parameter or buffer without a shape has in common: `materialize` gives it one."""

    cls_to_become: type

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of this shape, its values uninitialised.

        Arguments: `device` and `dtype`, those it was made for when None.
        """
        import flambeau

        tensor: Any = self
        tensor.data = flambeau.empty(tuple(shape), device=device, dtype=dtype or tensor.dtype)
        tensor.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """There is none yet: always raises RuntimeError."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        """There is no memory yet: always raises RuntimeError."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict) -> Any:
        known = memo.get(id(self))
        if known is None:
            known = memo[id(self)] = self._again()
        return known

    def __reduce_ex__(self, protocol: Any) -> tuple:
        tensor: Any = self
        return type(self), (tensor.requires_grad, None, tensor.dtype)

    def _again(self) -> Any:
        tensor: Any = self
        kind: Any = type(self)
        return kind(tensor.requires_grad, None, tensor.dtype)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet; a lazy module gives it one at its first forward.

    Arguments: `requires_grad`, `device` and `dtype` that it will have. Reading its shape is a RuntimeError.

    Example:
        >>> weight = fl.nn.UninitializedParameter()
        >>> weight.materialize((2, 3))
        >>> weight.shape
        flambeau.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        import flambeau

        return _core.make_subclass(cls, flambeau.empty(0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer whose shape is not known yet; a lazy module gives it one at its first forward.

    Arguments: `requires_grad`, `device` and `dtype` that it will have; `persistent` as of `Buffer`. Reading its shape
    is a RuntimeError.

    Example:
        >>> mean = fl.nn.UninitializedBuffer()
        >>> mean.materialize((2,))
        >>> mean.shape
        flambeau.Size([2])
    """

    cls_to_become = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        import flambeau

        result: Any = _core.make_subclass(cls, flambeau.empty(0, device=device, dtype=dtype), requires_grad)
        result.persistent = persistent
        return result

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        pass


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer without a shape.

    Example:
        >>> fl.nn.parameter.is_lazy(fl.nn.UninitializedParameter())
        True
    """
    return isinstance(param, UninitializedTensorMixin)
