"""`flambeau.func`: functions made from functions: gradients, values with gradients, products with the Jacobian, and
modules called with other weights.

What does not live here: Jacobians and Hessians of `flambeau.autograd.functional`, which are the same mathematics with
arguments given at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flambeau

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "vjp"]


def _map(function: Callable, tree: Any) -> Any:
    """The same structure of tuples, lists and dictionaries with the function of every tensor in it."""
    if isinstance(tree, flambeau.Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return type(tree)((key, _map(function, value)) for key, value in tree.items())  # type: ignore[call-arg]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map(function, value) for value in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(function, value) for value in tree)
    return tree


def _leaves(tree: Any) -> list:
    found: list = []

    def keep(tensor: Any) -> Any:
        found.append(tensor)
        return tensor

    _map(keep, tree)
    return found


def _depends_on_others(value: Any, leaves: list) -> bool:
    """Whether the history of a value reaches a tensor that requires grad and is none of `leaves`."""
    own, seen, waiting = {id(leaf) for leaf in leaves}, set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in own:
            return True
        waiting += [following for following, _ in node.next_functions]
    return False


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns (gradients, value) of `func`, whose value is one element.

    Arguments: `argnums`, which arguments to differentiate by, each a tensor or a structure of tensors; `has_aux`, func
    returns (value, auxiliary) and the result is (gradients, (value, auxiliary)). The gradients have the arguments'
    structure and can be differentiated again. Errors: RuntimeError where the value is not one element.
    """
    single = isinstance(argnums, int)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        outer = any(t.requires_grad for t in _leaves(args)) and flambeau.is_grad_enabled()
        with flambeau.enable_grad():
            values = list(args)
            for number in numbers:
                values[number] = _map(
                    lambda t: t.view_as(t) if t.requires_grad and outer else t.detach().requires_grad_(), args[number]
                )
            output = func(*values, **kwargs)
            value, auxiliary = output if has_aux else (output, None)
            if not isinstance(value, flambeau.Tensor) or value.numel() != 1:
                shape = tuple(value.shape) if isinstance(value, flambeau.Tensor) else type(value).__name__
                raise RuntimeError(
                    f"grad: Expected f(*args) to return a scalar tensor, got {shape}; take a sum or a mean"
                )
            chosen = [values[number] for number in numbers]
            leaves = _leaves(chosen)
            outer = outer or _depends_on_others(value, leaves)
            # Differentiable again only where something outside asks: an outer `grad`, or a tensor func closes over.
            found = iter(
                flambeau.autograd.grad(value, leaves, create_graph=outer, allow_unused=True)
                if value.requires_grad
                else [None] * len(leaves)
            )

            def gradient(tensor: Any) -> Any:
                result = next(found)
                result = flambeau.zeros_like(tensor) if result is None else result
                return result if outer else result.detach()

            gradients = [_map(gradient, tree) for tree in chosen]
        value = value if outer else value.detach()
        return gradients[0] if single else tuple(gradients), ((value, auxiliary) if has_aux else value)

    return wrapped


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradients of `func`, whose value is one element; arguments as `grad_and_value`.

    >>> fl.func.grad(lambda x: (x**3).sum())(fl.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    both = grad_and_value(func, argnums, has_aux)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(output, function): func(*primals), and a function of cotangents that returns vᵀ·J, one for each primal."""
    with flambeau.enable_grad():
        values = tuple(
            _map(lambda t: t.view_as(t) if t.requires_grad else t.detach().requires_grad_(), p) for p in primals
        )
        result = func(*values)
    output, auxiliary = result if has_aux else (result, None)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> tuple:
        leaves = _leaves(values)
        found = iter(
            flambeau.autograd.grad(
                _leaves(output),
                leaves,
                _leaves(cotangents),
                retain_graph=retain_graph,
                allow_unused=True,
                create_graph=bool(create_graph),
            )
        )

        def gradient(tensor: Any) -> Any:
            result = next(found)
            return flambeau.zeros_like(tensor) if result is None else result

        return tuple(_map(gradient, value) for value in values)

    outer = any(t.requires_grad for t in _leaves(primals))
    shown = output if outer else _map(lambda t: t.detach(), output)
    return (shown, pull, auxiliary) if has_aux else (shown, pull)


def jacrev(func: Callable, argnums: int = 0, **options: Any) -> Callable:
    """A function that returns the Jacobian of `func` by the argument `argnums`, of shape (*output, *input)."""

    def wrapped(*args: Any) -> Any:
        from flambeau.autograd.functional import jacobian

        outer = any(t.requires_grad for t in _leaves(args))

        def one(value: Any) -> Any:
            return func(*args[:argnums], value, *args[argnums + 1 :])

        inner = args[argnums] if outer else args[argnums].detach()
        return jacobian(one, inner, create_graph=outer)

    return wrapped


jacfwd = jacrev


def hessian(func: Callable, argnums: int = 0) -> Callable:
    """A function that returns the second derivatives of `func` (one element) by the argument `argnums`."""

    def wrapped(*args: Any) -> Any:
        from flambeau.autograd import functional

        return functional.hessian(lambda value: func(*args[:argnums], value, *args[argnums + 1 :]), args[argnums])

    return wrapped


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *, tie_weights: bool = True,
    strict: bool = False,
) -> Any:  # fmt: skip
    """module(*args, **kwargs) with the parameters and buffers of the given names replaced for this one call.

    Arguments: a dictionary of dotted names, or several; `args`, one argument or a tuple; `tie_weights`, members that
    are one tensor are replaced together; `strict`, RuntimeError for names that are missing or unknown.
    """
    given = parameter_and_buffer_dicts
    values = dict(given) if isinstance(given, Mapping) else {k: v for one in given for k, v in one.items()}
    members = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unknown, missing = [n for n in values if n not in members], [n for n in members if n not in values]
    if unknown or (strict and missing):
        raise RuntimeError(
            f"functional_call: Unexpected key(s): {unknown}; Missing key(s): {missing if strict else []}"
        )
    if tie_weights:
        tied = {id(members[name]): value for name, value in values.items()}
        values = {name: values.get(name, tied.get(id(member))) for name, member in members.items()
                  if name in values or id(member) in tied}  # fmt: skip
    kept = []
    try:
        for name, value in values.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            registry = owner._parameters if last in owner._parameters else owner._buffers
            kept.append((owner, registry, last, registry[last]))
            registry[last] = value
        args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*args, **(kwargs or {}))
    finally:
        for _, registry, last, value in reversed(kept):
            registry[last] = value
