"""Gradients: backward and grad, custom functions, modes, and checks against finite differences.

The graph and the engine are in the core; the derivative of an operation comes from its declaration.
"""

from __future__ import annotations

from typing import Any

from flambeau import _core
from flambeau.autograd.function import Function, once_differentiable
from flambeau.autograd.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "gradgradcheck",
    "inference_mode", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "is_grad_enabled", "no_grad",
    "once_differentiable", "set_detect_anomaly", "set_grad_enabled", "set_multithreading_enabled",
]  # fmt: skip


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Compute the gradients of `tensors` and add them to `.grad` of the leaves (or of `inputs` alone).

    Arguments: `grad_tensors` the cotangent of each tensor (None for scalars); `retain_graph` keeps saved values for
    another pass; `create_graph` records the backward pass itself.
    Raises AutogradError for a tensor without graph, a graph used twice, a saved value changed in place.

    >>> x = fl.tensor(3.0, requires_grad=True)
    >>> fl.autograd.backward(x * x); x.grad
    tensor(6.)
    """
    keep = create_graph if retain_graph is None else retain_graph
    _core.run_backward(tensors, _as_tuple(grad_tensors or grad_variables), keep, create_graph, _as_inputs(inputs), True)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, _core.Tensor) else value


def _as_inputs(value: Any) -> Any:
    """Tensors, or places in the graph (`graph.GradientEdge`), as a tuple of tensors."""
    if value is None or isinstance(value, _core.Tensor):
        return value if value is None else (value,)
    value = (value,) if hasattr(value, "output_nr") else value
    return tuple(_core.edge_tensor(*v) if not isinstance(v, _core.Tensor) and hasattr(v, "output_nr") else v
                 for v in value)  # fmt: skip


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, without touching `.grad`.

    Returns one tensor for each input; None for an input that the outputs do not depend on if `allow_unused`, zeros if
    `materialize_grads`, else AutogradError.

    >>> x = fl.tensor(2.0, requires_grad=True)
    >>> fl.autograd.grad(x ** 3, x)
    (tensor(12.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: allow_unused must be None or True when materialize_grads=True, but got False")
    outputs, inputs, grad_outputs = _as_tuple(outputs), _as_inputs(inputs), _as_tuple(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        from flambeau.ops.joining import stack

        columns = []
        for i in range(len(grad_outputs[0])):
            given = tuple(None if g is None else g[i] for g in grad_outputs)
            columns.append(
                grad(outputs, inputs, given, True, create_graph, True, allow_unused, False, materialize_grads)
            )
        return tuple(None if column[0] is None else stack(column) for column in zip(*columns, strict=True))
    found = _core.run_backward(tuple(outputs), grad_outputs, keep, create_graph, tuple(inputs), False)
    if materialize_grads:
        from flambeau.ops.create import zeros_like

        return tuple(zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True))
    if not allow_unused and any(g is None for g in found):
        from flambeau.errors import AutogradError

        at = [i for i, g in enumerate(found) if g is None]
        raise AutogradError(
            f"grad: One of the differentiated Tensors appears to not have been used in the graph (input {at[0]}). Set "
            f"allow_unused=True if this is the desired behavior."
        )
    return found


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _core.Tensor)


class Variable(metaclass=_AnyTensor):
    """The old name of a tensor with gradients: `Variable(t)` is t, or t asked for gradients; every tensor is one.

    >>> fl.autograd.Variable(fl.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        if not isinstance(data, _core.Tensor):
            raise TypeError(f"Variable: data has to be a tensor, but got {type(data).__name__}; use flambeau.tensor")
        if requires_grad:
            return data.detach().requires_grad_(True)
        return data


class set_detect_anomaly:  # noqa: N801
    """Switch the checks of `detect_anomaly` on or off: from now on, or for a block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = _core.set_detect_anomaly(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        _core.set_detect_anomaly(*self.previous)


def is_anomaly_enabled() -> bool:
    """Whether detect_anomaly is on."""
    state = _core.set_detect_anomaly()
    return state[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether backward steps are checked for NaN where detect_anomaly is on."""
    return _core.set_detect_anomaly()[1]


class set_multithreading_enabled:  # noqa: N801
    """Accepted for programs that state it: a backward pass runs in the thread that calls it, operations use all."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass


class detect_anomaly:  # noqa: N801
    """Inside the block every backward step is checked for NaN; the error shows the forward line of the operation."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.previous = _core.set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exception: Any) -> None:
        _core.set_detect_anomaly(*self.previous)


def __getattr__(name: str) -> Any:
    if name in ("gradcheck", "gradgradcheck"):
        from flambeau.autograd import checks

        globals().update(gradcheck=checks.gradcheck, gradgradcheck=checks.gradgradcheck)
        return globals()[name]
    if name in ("functional", "graph", "forward_ad", "profiler", "function"):
        from importlib import import_module

        return import_module(f"flambeau.autograd.{name}")
    raise AttributeError(f"module 'flambeau.autograd' has no attribute {name!r}")
