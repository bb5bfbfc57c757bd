"""`flambeau.autograd.functional`: Jacobians, Hessians and products with them, of functions of tensors.

`func` is a function of one tensor, or of as many as `inputs` holds; it returns a tensor or a tuple of tensors. Results
are structured like them: a single tensor where a single one was given, tuples where tuples were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.autograd import grad
from flambeau.errors import ShapeError

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _inputs(inputs: Any, create_graph: bool, name: str) -> tuple[tuple, bool]:
    """The inputs as fresh tensors that require grad (kept on the tape by create_graph), and whether there was one."""
    single = not isinstance(inputs, (tuple, list))
    values = (inputs,) if single else tuple(inputs)
    for position, value in enumerate(values):
        if not isinstance(value, flambeau.Tensor):
            raise TypeError(f"{name}: inputs must be tensors, input {position} is {type(value).__name__}")
    if create_graph:
        fresh = tuple(value.view_as(value) if value.requires_grad else value.requires_grad_() for value in values)
        return fresh, single
    return tuple(value.detach().requires_grad_() for value in values), single


def _outputs(outputs: Any, name: str) -> tuple[tuple, bool]:
    single = not isinstance(outputs, (tuple, list))
    values = (outputs,) if single else tuple(outputs)
    for position, value in enumerate(values):
        if not isinstance(value, flambeau.Tensor):
            raise TypeError(f"{name}: func must return tensors, output {position} is {type(value).__name__}")
    return values, single


def _gradients(output: Any, inputs: tuple, cotangent: Any, create_graph: bool, strict: bool, name: str) -> list:
    found: tuple = (None,) * len(inputs)
    if output.requires_grad:
        found = grad(output, inputs, cotangent, retain_graph=True, create_graph=create_graph, allow_unused=True)
    if strict and any(gradient is None for gradient in found):
        unused = [position for position, gradient in enumerate(found) if gradient is None]
        raise RuntimeError(f"{name}: with strict=True every output must depend on every input; unused inputs: {unused}")
    return [flambeau.zeros_like(i) if gradient is None else gradient for i, gradient in zip(inputs, found)]


def _vector(v: Any, like: tuple, name: str, what: str) -> tuple:
    """`v` as a tuple of tensors shaped like `like`; ones where it is left out for a single element."""
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return (flambeau.ones_like(like[0]),)
        raise RuntimeError(f"{name}: v can only be left out where {what} is one element; give v with its shape")
    values = tuple(v) if isinstance(v, (tuple, list)) else (v,)
    if [value.shape for value in values] != [value.shape for value in like]:
        got, wanted = [tuple(value.shape) for value in values], [tuple(value.shape) for value in like]
        raise ShapeError(f"{name}: v must have the shapes of {what}: v is {got}, {what} {wanted}")
    return values


def _detached(values: Any, create_graph: bool) -> Any:
    if isinstance(values, tuple):
        return tuple(_detached(value, create_graph) for value in values)
    return values if create_graph else values.detach()


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of func's outputs by its inputs: a tensor of shape (*output, *input) for each pair.

    Arguments: `create_graph`, keep the result differentiable; `strict`, RuntimeError where an output does not depend on
    an input (otherwise zeros); `vectorize`, take all rows at once as one batch (`flambeau.func.jacrev`), which is
    faster and does not go with `strict`; `strategy` "forward-mode", column by column (`flambeau.func.jacfwd`), for
    which `vectorize` must be on.

    >>> fl.autograd.functional.jacobian(lambda x: x**2, fl.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f'jacobian: Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}')
    if vectorize or strategy == "forward-mode":
        return _vectorized(func, inputs, create_graph, strict, vectorize, strategy)
    with flambeau.enable_grad():
        tensors, one_input = _inputs(inputs, create_graph, "jacobian")
        outputs, one_output = _outputs(func(*tensors), "jacobian")
        result = []
        for output in outputs:
            rows = [
                _gradients(element, tensors, None, create_graph, strict, "jacobian") for element in output.flatten()
            ]
            blocks = []
            for position, tensor in enumerate(tensors):
                shape = (*output.shape, *tensor.shape)
                columns = [row[position] for row in rows]
                block = flambeau.stack(columns).view(shape) if columns else tensor.new_zeros(shape)
                blocks.append(_detached(block, create_graph))
            result.append(blocks[0] if one_input else tuple(blocks))
    return result[0] if one_output else tuple(result)


def _vectorized(func: Callable, inputs: Any, create_graph: bool, strict: bool, vectorize: bool, strategy: str) -> Any:
    if strict and vectorize:
        raise RuntimeError("jacobian: `strict=True` and `vectorized=True` are not supported together; leave one out")
    if not vectorize:
        raise NotImplementedError('jacobian: strategy="forward-mode" needs vectorize=True')
    from flambeau.func import jacfwd, jacrev

    tensors, one_input = _inputs(inputs, create_graph, "jacobian")
    numbers = 0 if one_input else tuple(range(len(tensors)))
    found = (jacrev if strategy == "reverse-mode" else jacfwd)(func, numbers)(*tensors)
    return _detached(found, create_graph)


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function with one element: a tensor (*input, *input), or tuples for several inputs.

    >>> fl.autograd.functional.hessian(lambda x: (x**3).sum(), fl.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    single = not isinstance(inputs, (tuple, list))

    def first(*tensors: Any) -> Any:
        (output,), _ = _one_element(func(*tensors), "hessian")
        found = _gradients(output, tensors, None, True, strict, "hessian")
        return found[0] if single else tuple(found)

    return jacobian(first, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize)


def _one_element(outputs: Any, name: str) -> tuple[tuple, bool]:
    values, single = _outputs(outputs, name)
    if len(values) != 1 or values[0].numel() != 1:
        shapes = [tuple(value.shape) for value in values]
        raise RuntimeError(f"{name}: func must return one tensor with one element, got shapes {shapes}; take a sum")
    return (values[0].reshape(()),), single


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, vᵀ·J): func's outputs and the gradients of its inputs for cotangents `v`, shaped like the outputs."""
    with flambeau.enable_grad():
        tensors, one_input = _inputs(inputs, create_graph, "vjp")
        outputs, one_output = _outputs(func(*tensors), "vjp")
        cotangents = _vector(v, outputs, "vjp", "the output")
        totals: Any = None
        for output, cotangent in zip(outputs, cotangents):
            found = _gradients(output, tensors, cotangent, create_graph, strict, "vjp")
            totals = found if totals is None else [one + two for one, two in zip(totals, found)]
        result = _detached(totals[0] if one_input else tuple(totals), create_graph)
    return _detached(outputs[0] if one_output else outputs, create_graph), result


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, J·v): func's outputs and their change along `v`, shaped like the inputs; two sweeps in reverse."""
    with flambeau.enable_grad():
        tensors, _ = _inputs(inputs, create_graph, "jvp")
        directions = _vector(v, tensors, "jvp", "the input")
        outputs, one_output = _outputs(func(*tensors), "jvp")
        # uᵀ·J is linear in u: its derivative along v by u is J·v.
        free = tuple(flambeau.zeros_like(output).requires_grad_() for output in outputs)
        totals: Any = None
        for output, u in zip(outputs, free):
            found = _gradients(output, tensors, u, True, strict, "jvp")
            totals = found if totals is None else [one + two for one, two in zip(totals, found)]
        product = sum((total * direction).sum() for total, direction in zip(totals, directions))
        changes = tuple(_gradients(product, free, None, create_graph, False, "jvp"))
    result = _detached(changes[0] if one_output else changes, create_graph)
    return _detached(outputs[0] if one_output else outputs, create_graph), result


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, vᵀ·H): the value of a function with one element and the product of `v` with its Hessian."""
    with flambeau.enable_grad():
        tensors, one_input = _inputs(inputs, create_graph, "vhp")
        directions = _vector(v, tensors, "vhp", "the input")
        (output,), _ = _one_element(func(*tensors), "vhp")
        first = _gradients(output, tensors, None, True, strict, "vhp")
        product = sum((gradient * direction).sum() for gradient, direction in zip(first, directions))
        second = tuple(_gradients(product, tensors, None, create_graph, False, "vhp"))
    return _detached(output, create_graph), _detached(second[0] if one_input else second, create_graph)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, H·v): the same as `vhp`, for the Hessian is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
