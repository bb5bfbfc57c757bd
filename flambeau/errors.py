"""The exception classes of flambeau; each also is the class PyTorch programs catch for the same mistake."""

__all__ = [
    "AutogradError", "DTypeError", "DeviceError", "ElementError", "NumberOverflowError", "ShapeError",
    "ZeroDivisorError",
]  # fmt: skip


class ShapeError(ValueError, RuntimeError):
    """Shapes or sizes do not fit the operation."""


class DTypeError(TypeError, RuntimeError):
    """An operand has a dtype that the operation does not take, or two dtypes that must agree differ."""


class DeviceError(RuntimeError):
    """A device is missing, or operands live on different devices."""


class AutogradError(RuntimeError):
    """The gradient cannot be computed: a graph used twice, a value changed in place, an operation without gradient."""


class ZeroDivisorError(ZeroDivisionError, RuntimeError):
    """An integer is divided by zero."""


class NumberOverflowError(OverflowError, RuntimeError):
    """A number does not fit the dtype it is meant for."""


class ElementError(TypeError, ValueError, RuntimeError):
    """A list that a tensor is to be made of holds something that is no number."""
