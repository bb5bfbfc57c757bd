"""Gradients, values with gradients, products with the Jacobian from both sides, Jacobians and Hessians of functions.

A product J·v is taken by two sweeps in reverse: uᵀ·J is linear in u, so its derivative along v by u is J·v. It is right
to any order for every operation that can be differentiated twice. What does not live here: vmap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flambeau
from flambeau import _core
from flambeau.func.batching import levels, lift, raw

__all__ = [
    "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp",
]  # fmt: skip


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
    own, seen, waiting = {id(raw(leaf)) for leaf in leaves}, set(), [raw(value).grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in own and not node._internal:
            return True
        waiting += [following for following, _ in node.next_functions]
    return False


def _fresh(tensor: Any, outer: bool) -> Any:
    """A tensor to differentiate by: a view where something outside differentiates as well, else a leaf. Inside vmap it
    has an own value for every example, so that its gradient has one too."""
    if levels():
        tensor = lift(tensor)
    return tensor.view_as(tensor) if tensor.requires_grad and outer else tensor.detach().requires_grad_()


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
                values[number] = _map(lambda t: _fresh(t, outer), args[number])
            output = func(*values, **kwargs)
            value, auxiliary = output if has_aux else (output, None)
            if not isinstance(value, flambeau.Tensor) or value.numel() != 1:
                shape = tuple(value.shape) if isinstance(value, flambeau.Tensor) else type(value).__name__
                raise RuntimeError(
                    f"grad: Expected f(*args) to return a scalar tensor, got {shape}; take a sum or a mean"
                )
            chosen = [values[number] for number in numbers]
            leaves = _leaves(chosen)
            value = lift(value) if levels() else value
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
        auxiliary = auxiliary if outer else _map(lambda t: t.detach(), auxiliary)
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
    """(output, function): func(*primals), and a function of cotangents that returns vᵀ·J, one for each primal.

    Arguments: `primals`, tensors or structures of them; `has_aux`, func returns (output, auxiliary) and the result is
    (output, function, auxiliary). The function may be called again, and its results can be differentiated.

    >>> output, pull = fl.func.vjp(fl.sin, fl.tensor([0.0, 1.0]))
    >>> pull(fl.ones(2))
    (tensor([1.0000, 0.5403]),)
    """
    outer = any(t.requires_grad for t in _leaves(primals)) and flambeau.is_grad_enabled()
    with flambeau.enable_grad():
        values = tuple(_map(lambda t: _fresh(t, outer), p) for p in primals)
        result = func(*values)
    output, auxiliary = result if has_aux else (result, None)
    leaves = _leaves(values)
    outer = outer or any(_depends_on_others(o, leaves) for o in _leaves(output) if o.requires_grad)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> tuple:
        given = _leaves(cotangents)
        create = (outer or any(t.requires_grad for t in given)) if create_graph is None else create_graph
        found = iter(_pulled(_leaves(output), leaves, given, create, retain_graph))
        return tuple(_map(lambda _: next(found), value) for value in values)

    shown = output if outer else _map(lambda t: t.detach(), output)
    auxiliary = auxiliary if outer else _map(lambda t: t.detach(), auxiliary)
    return (shown, pull, auxiliary) if has_aux else (shown, pull)


def _pulled(outputs: list, leaves: list, cotangents: list, create: bool, retain: bool = True) -> list:
    """vᵀ·J over the graph between leaves and outputs, zeros where they do not depend on each other."""
    if [tuple(c.shape) for c in cotangents] != [tuple(o.shape) for o in outputs]:
        wanted, got = [tuple(o.shape) for o in outputs], [tuple(c.shape) for c in cotangents]
        raise RuntimeError(f"vjp: Expected cotangents to have the shapes of the outputs, {wanted}, got {got}")
    pairs = [(o, c) for o, c in zip(outputs, cotangents) if o.requires_grad]
    if not pairs:
        return [flambeau.zeros_like(leaf) for leaf in leaves]
    found = flambeau.autograd.grad(
        [o for o, _ in pairs], leaves, [c for _, c in pairs], retain_graph=retain, create_graph=create,
        allow_unused=True,
    )  # fmt: skip
    return [flambeau.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves)]


def _linear(outputs: list, leaves: list) -> Callable:
    """The function tangents -> J·tangents (as a list) of the graph between leaves and outputs."""
    moving = [o for o in outputs if o.requires_grad]
    with flambeau.enable_grad():
        free = [flambeau.zeros_like(o).detach().requires_grad_() for o in moving]
        for u in free:
            _core.mark_internal(raw(u))
        found = flambeau.autograd.grad(moving, leaves, free, create_graph=True, allow_unused=True) if moving else ()

    def push(tangents: list, create: bool) -> list:
        pairs = [(g, t) for g, t in zip(found, tangents) if g is not None and g.requires_grad]
        changes: Any = [None] * len(free)
        if pairs:
            changes = flambeau.autograd.grad(
                [g for g, _ in pairs], free, [t for _, t in pairs], retain_graph=True, create_graph=create,
                allow_unused=True,
            )  # fmt: skip
        by_output = iter(changes)
        result = []
        for output in outputs:
            change = next(by_output) if output.requires_grad else None
            result.append(flambeau.zeros_like(output).detach() if change is None else change)
        return result

    return push


def _check_tangents(name: str, primals: list, tangents: list) -> None:
    wanted, got = [tuple(p.shape) for p in primals], [tuple(t.shape) for t in tangents]
    if wanted != got:
        raise RuntimeError(
            f"{name}: Expected tangents to have the structure and the shapes of the primals: primals are {wanted}, "
            f"tangents {got}"
        )


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """(output, J·tangents): func(*primals) and how it changes along `tangents`, by two sweeps in reverse.

    Arguments: `primals` and `tangents`, tuples of tensors (or structures) of equal shapes; `strict`, RuntimeError where
    an output does not depend on the primals (otherwise its change is zeros); `has_aux`, func returns (output,
    auxiliary) and the result is (output, change, auxiliary).

    >>> fl.func.jvp(fl.sin, (fl.tensor(0.0),), (fl.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or not primals:
        raise RuntimeError(
            "jvp: Expected primals and tangents to be tuples with one entry for each argument, got "
            f"{type(primals).__name__} and {type(tangents).__name__}; for one argument pass (x,) and (v,)"
        )
    output, push, auxiliary = _linearized("jvp", func, primals, has_aux, strict)
    change = push(*tangents)
    return (output, change, auxiliary) if has_aux else (output, change)


def linearize(func: Callable, *primals: Any) -> tuple:
    """(output, function): func(*primals), and a function of tangents that returns J·tangents, to be called many times.

    >>> output, push = fl.func.linearize(fl.sin, fl.tensor(0.0))
    >>> push(fl.tensor(3.0))
    tensor(3.)
    """
    output, push, _ = _linearized("linearize", func, primals, False, False)
    return output, push


def _linearized(name: str, func: Callable, primals: tuple, has_aux: bool, strict: bool) -> tuple:
    outer = any(t.requires_grad for t in _leaves(primals)) and flambeau.is_grad_enabled()
    with flambeau.enable_grad():
        values = tuple(_map(lambda t: _fresh(t, outer), p) for p in primals)
        result = func(*values)
    output, auxiliary = result if has_aux else (result, None)
    leaves, outputs = _leaves(values), _leaves(output)
    if strict and not all(o.requires_grad for o in outputs):
        raise RuntimeError(f"{name}: with strict=True every output must depend on the primals, and one does not")
    outer = outer or any(_depends_on_others(o, leaves) for o in outputs if o.requires_grad)
    pushed = _linear(outputs, leaves)

    def push(*tangents: Any) -> Any:
        given = _leaves(tangents)
        _check_tangents(name, leaves, given)
        create = outer or (any(t.requires_grad for t in given) and flambeau.is_grad_enabled())
        changes = iter(pushed([lift(t) for t in given] if levels() else given, create))
        return _map(lambda _: next(changes), output)

    shown = output if outer else _map(lambda t: t.detach(), output)
    auxiliary = auxiliary if outer else _map(lambda t: t.detach(), auxiliary)
    return shown, push, auxiliary


# ---------------------------------------------------------------------------------------------- Jacobians and Hessians


def _chosen(argnums: int | tuple[int, ...], args: tuple) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
    return tuple(number % len(args) for number in numbers)


def _basis(tensors: list) -> list:
    """Unit vectors of all elements together: for each tensor a matrix with one row an element."""
    total, start, made = sum(t.numel() for t in tensors), 0, []
    for tensor in tensors:
        count = tensor.numel()
        rows = _core.full((total, count), 0, tensor.dtype)
        rows.narrow(0, start, count).diagonal().fill_(1)
        made.append(rows.reshape(total, *tensor.shape))
        start += count
    return made


#: So many rows or columns are taken one after the other over the graph that is there, for which a pass over a small
#: function costs some microseconds; more of them are one batch, for which the function runs once more.
_FEW = 8


def _only(values: list, argnums: int | tuple[int, ...]) -> Any:
    return values[0] if isinstance(argnums, int) else tuple(values)


class _Jacobian:
    """What jacrev and jacfwd share: the function of the chosen arguments, its outputs, and the assembly of blocks."""

    def __init__(self, func: Callable, args: tuple, numbers: tuple[int, ...], has_aux: bool) -> None:
        self.func, self.args, self.numbers, self.has_aux = func, args, numbers, has_aux
        self.outer = any(t.requires_grad for t in _leaves(args)) and flambeau.is_grad_enabled()
        generator = flambeau.ops.random.default_generator
        self.place = generator._seed, generator._offset
        with flambeau.enable_grad():
            self.values = tuple(_map(lambda t: _fresh(t, self.outer), args[n]) for n in numbers)
            result = self.call(*self.values)
        self.output: Any
        self.auxiliary: Any
        self.output, self.auxiliary = result if has_aux else (result, None)
        self.leaves, self.outputs = _leaves(self.values), _leaves(self.output)
        self.outer = self.outer or any(_depends_on_others(o, self.leaves) for o in self.outputs if o.requires_grad)

    def call(self, *values: Any) -> Any:
        """func with the chosen arguments replaced."""
        args = list(self.args)
        for number, value in zip(self.numbers, values):
            args[number] = value
        return self.func(*args)

    def assembled(self, blocks: list, argnums: int | tuple[int, ...]) -> Any:
        """blocks[i][j], the derivatives of output i by leaf j, in the structure of the outputs and the arguments."""
        rows = iter(blocks)

        def row(_: Any) -> Any:
            columns = iter(next(rows))
            made = [_map(lambda _: next(columns), value) for value in self.values]
            return _only(made, argnums)

        found = _map(row, self.output)
        if not self.outer:
            found = _map(lambda t: t.detach(), found)
        auxiliary = self.auxiliary if self.outer else _map(lambda t: t.detach(), self.auxiliary)
        return (found, auxiliary) if self.has_aux else found


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable:
    """A function that returns the Jacobian of `func` by the arguments `argnums`, row by row in reverse mode.

    For an output and an argument the block has the shape (*output, *argument); structures of outputs hold structures of
    arguments. More than a few rows are one pass of a batch where func can be batched (`vmap`), else one pass each.
    Arguments: `has_aux`, func returns (output, auxiliary); `chunk_size`, at most so many rows at a time.

    >>> fl.func.jacrev(lambda x: x**2)(fl.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobian_of(func, argnums, has_aux, chunk_size, _rows)


def jacfwd(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable:  # fmt: skip
    """A function that returns the Jacobian of `func` by the arguments `argnums`, column by column with `jvp`.

    The results are those of `jacrev`; it is the better choice where there are many more outputs than inputs.

    >>> fl.func.jacfwd(fl.sin)(fl.tensor([0.0]))
    tensor([[1.]])
    """
    return _jacobian_of(func, argnums, has_aux, chunk_size, _columns)


def _jacobian_of(
    func: Callable, argnums: int | tuple[int, ...], has_aux: bool, chunk_size: int | None, blocks: Callable
) -> Callable:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        numbers = _chosen(argnums, args)
        whole = (lambda *values: func(*values, **kwargs)) if kwargs else func
        problem = _Jacobian(whole, args, numbers, has_aux)
        with flambeau.enable_grad():
            return problem.assembled(blocks(problem, chunk_size), argnums)

    return wrapped


def _in_batches(problem: _Jacobian, function: Callable, basis: list, chunk_size: int | None) -> list | None:
    """The results of function(one unit vector) for all of them at once, or None where `func` cannot be batched."""
    from flambeau.func.vectorize import vmap

    generator = flambeau.ops.random.default_generator
    after = generator._seed, generator._offset
    generator._seed, generator._offset = problem.place  # the random numbers of the first call, again
    try:
        return vmap(function, randomness="same", chunk_size=chunk_size)(basis)
    except RuntimeError:
        return None  # it reads values, changes a shared tensor, ...: the graph of the first call is gone through
    finally:
        generator._seed, generator._offset = after


def _rows(problem: _Jacobian, chunk_size: int | None) -> list:
    outputs, leaves, outer = problem.outputs, problem.leaves, problem.outer
    sizes = [output.numel() for output in outputs]
    count = sum(sizes)

    def pulled(cotangents: list) -> list:
        values = tuple(_map(lambda t: _fresh(t, outer), v) for v in problem.values)
        with flambeau.enable_grad():
            result = problem.call(*values)
        made = _leaves(result[0] if problem.has_aux else result)
        made = [lift(o) for o in made]
        return _pulled(made, _leaves(values), cotangents, outer)

    found: Any = None
    if count > _FEW and any(o.requires_grad for o in outputs):
        found = _in_batches(problem, pulled, _basis(outputs), chunk_size)
    if found is None:
        units = [unit.unbind(0) for unit in _basis(outputs)]
        rows = [_pulled(outputs, leaves, [unit[i] for unit in units], outer) for i in range(count)]
        found = [flambeau.stack(c) if rows else leaf.new_zeros((0, *leaf.shape))
                 for c, leaf in zip(zip(*rows) if rows else [()] * len(leaves), leaves)]  # fmt: skip
    blocks, start = [], 0
    for output, size in zip(outputs, sizes):
        blocks.append([f.narrow(0, start, size).reshape(*output.shape, *x.shape) for f, x in zip(found, leaves)])
        start += size
    return blocks


def _columns(problem: _Jacobian, chunk_size: int | None) -> list:
    outputs, leaves, outer = problem.outputs, problem.leaves, problem.outer
    sizes = [leaf.numel() for leaf in leaves]

    def pushed(tangents: list) -> list:
        values = tuple(_map(lambda t: _fresh(t, outer), v) for v in problem.values)
        with flambeau.enable_grad():
            result = problem.call(*values)
        made = [lift(o) for o in _leaves(result[0] if problem.has_aux else result)]
        return _linear(made, _leaves(values))(tangents, outer)

    found: Any = None
    if sum(sizes) > _FEW:
        found = _in_batches(problem, pushed, _basis(leaves), chunk_size)
    if found is None:
        push = _linear(outputs, leaves)
        units = [unit.unbind(0) for unit in _basis(leaves)]
        columns = [push([unit[i] for unit in units], outer) for i in range(sum(sizes))]
        found = [flambeau.stack(c) if columns else o.new_zeros((0, *o.shape))
                 for c, o in zip(zip(*columns) if columns else [()] * len(outputs), outputs)]  # fmt: skip
    blocks = []
    for output, all_columns in zip(outputs, found):
        start, row = 0, []
        for leaf, size in zip(leaves, sizes):
            part = all_columns.narrow(0, start, size)
            row.append(part.movedim(0, -1).reshape(*output.shape, *leaf.shape))
            start += size
        blocks.append(row)
    return blocks


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns the second derivatives of `func` by the arguments `argnums`.

    It is the Jacobian of the Jacobian, both in reverse mode: a block for two arguments has the shape (*output,
    *argument, *argument).

    >>> fl.func.hessian(lambda x: (x**3).sum())(fl.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
