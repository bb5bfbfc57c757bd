"""What an operation or a function of the core does on a batch: one rule each, with the batch along dimension 0.

A rule is called outside of its vmap as rule(level, *arguments) and makes proxies of its results itself. A function
without a rule is called once for every example (`batching.each`). What does not live here: methods of tensors and
indexing, which are in `methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flambeau import _core
from flambeau.errors import ShapeError
from flambeau.func import batching
from flambeau.func.batching import RULES, Batched, Level, each, entered, expanded, levels, wrapped

Tensor = _core.Tensor


def rule(*names: str) -> Callable:
    """Register the rule of functions of the core."""

    def keep(function: Callable) -> Callable:
        for name in names:
            RULES[name] = function
        return function

    return keep


def is_batched(value: Any, level: Level) -> bool:
    """Whether a value is a proxy of this level."""
    return type(value) is Batched and value.level is level


def aligned(value: Any, level: Level, ndim: int) -> Any:
    """The tensor of a value, so that it broadcasts with others whose examples have `ndim` dimensions."""
    if not is_batched(value, level):
        return value
    inner = value.value
    missing = ndim + 1 - inner.ndim
    return inner if missing <= 0 else inner.reshape(inner.shape[0], *(1,) * missing, *inner.shape[1:])


def wrap_dim(dim: int, ndim: int, name: str) -> int:
    """A dimension of an example as one of the batch."""
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            f"{name}: Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim % bound + 1


# ------------------------------------------------------------------------------------------------------ operations


def _operation(level: Level, operation: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    declaration = operation.declaration
    inputs = declaration.inputs
    names = [*inputs, *(name for name, _ in declaration.parameters)]
    row = declaration.kind == "row"
    given = dict(zip([*names, "dim", "keepdim"] if row else names, args))
    if len(args) > len(given):
        raise TypeError(f"{operation.name}() takes {len(names)} positional arguments but {len(args)} were given")
    out = dim = keepdim = None
    for name, value in kwargs.items():
        if name == "out":
            out = value
        elif name not in names and name in ("input", "self"):
            given[names[0]] = value
        elif name not in names and name == "other" and len(inputs) == 2:
            given[names[1]] = value
        else:
            given[{"axis": "dim", "keepdims": "keepdim"}.get(name, name)] = value
    if row:
        dim, keepdim = given.pop("dim", None), given.pop("keepdim", False)
        result = _row(level, operation, given, dim, keepdim)
    else:
        result = _map(level, operation, given)
    if out is None:
        return result
    for to, value in zip(out if isinstance(out, tuple) else (out,), result if isinstance(result, tuple) else (result,)):
        with entered((*levels(), level)):
            to.copy_(value)
    return out


batching._operation_rule.append(_operation)


def _map(level: Level, operation: Any, given: dict[str, Any]) -> Any:
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    ndim = max(value.ndim for value in tensors.values())
    writes = operation.inplace is operation
    if writes:
        first = next(iter(given.values()))
        if not is_batched(first, level):
            raise RuntimeError(
                f"{operation.name}: vmap: inplace arithmetic(self, *extra_args) is not possible: self is not batched "
                "and has no room for one value an example; use the version that is not in place"
            )
        if ndim > first.ndim:
            shapes = {name: tuple(value.shape) for name, value in tensors.items()}
            raise ShapeError(f"{operation.name}: the result does not have the shape of the tensor written to: {shapes}")
    if operation.declaration.name in RANDOM and level.randomness == "same":
        return each(operation, tuple(given.values()), {}, level, operation.name)
    made = {name: aligned(value, level, ndim) for name, value in given.items()}
    if len(tensors) > 1 and any(value.dtype is not first_dtype(tensors) for value in tensors.values()):
        made = _promoted(level, tensors, made, ndim)
    result = operation(**made)
    return first if writes else wrapped(result, level)


def first_dtype(tensors: dict[str, Any]) -> Any:
    return next(iter(tensors.values())).dtype


def _promoted(level: Level, tensors: dict[str, Any], made: dict[str, Any], ndim: int) -> dict[str, Any]:
    """Examples without dimensions promote as such: a batch of them takes the dtype of the others if that holds it."""
    from flambeau.dtypes import promote_types

    wide = [value.dtype for value in tensors.values() if value.ndim]
    if not wide or not ndim:
        return made
    common = wide[0]
    for dtype in wide[1:]:
        common = promote_types(common, dtype)
    for name, value in tensors.items():
        if value.ndim == 0 and is_batched(value, level) and value.dtype.category <= common.category:
            made[name] = made[name].to(common)
    return made


RANDOM = frozenset(
    ("dropout", "random_uniform", "random_normal", "random_integers", "random_integers_wide", "random_bernoulli")
)


def _row(level: Level, operation: Any, given: dict[str, Any], dim: Any, keepdim: Any) -> Any:
    declaration = operation.declaration
    from flambeau.compiler.program import ROW

    names = [*declaration.inputs, *(name for name, _ in declaration.parameters)]
    row_level = {name for name, kind in zip(names, declaration.levels) if kind is ROW or kind == ROW}
    ndim = max((v.ndim for n, v in given.items() if isinstance(v, Tensor) and n not in row_level), default=0)
    scalar = ndim == 0
    if scalar:
        ndim = 1
    if dim is None or dim == ():
        dims = tuple(range(1, ndim + 1))
    else:
        dims = tuple(wrap_dim(d, ndim, operation.name) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    kept = ndim - len(set(dims))
    made = {}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            made[name] = value
        elif name in row_level:
            # Each row has its own: the core does not sum the gradients of one that several rows share.
            own = Batched(expanded(value, level), level)
            made[name] = aligned(own, level, ndim if value.ndim > kept else kept)
        else:
            inner = expanded(value, level) if not is_batched(value, level) and value.ndim >= ndim else value
            inner = inner if not is_batched(inner, level) else aligned(value, level, ndim)
            made[name] = inner.unsqueeze(-1) if scalar and inner.ndim == 1 else inner
    result = operation(**made, dim=dims, keepdim=bool(keepdim))
    if scalar:
        single = isinstance(result, Tensor)
        result = tuple(r.squeeze(-1) if r.ndim == 2 else r for r in ((result,) if single else result))
        result = result[0] if single else result
    return wrapped(result, level)


# ------------------------------------------------------------------------------------------------ making and changing


@rule("empty", "full")
def _factory(level: Level, shape: Any, *rest: Any) -> Any:
    shape = shape if isinstance(shape, (tuple, list)) else (shape,)
    if len(rest) > 1 and isinstance(rest[0], Tensor):  # full of a value that is batched
        made = _core.empty((level.size, *shape), rest[1])
        value = rest[0]
        made.copy_(aligned(value, level, len(shape)) if is_batched(value, level) else value)
        return Batched(made, level)
    function = _core.empty if len(rest) == 1 or not _is_number(rest[0]) else _core.full
    return Batched(function((level.size, *shape), *rest), level)


@rule("clone")
def _clone(level: Level, tensor: Any) -> Any:
    return Batched(expanded(tensor, level).clone(), level)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) or hasattr(value, "__float__")


@rule("bump_version")
def _bump_version(level: Level, tensor: Any) -> None:
    _core.bump_version(tensor.value)


@rule("check_in_place")
def _check_in_place(level: Level, tensor: Any, *name: Any) -> None:
    _core.check_in_place(tensor.value, *name)


@rule("check_classes")
def _check_classes(level: Level, name: str, target: Any, *numbers: Any) -> None:
    _core.check_classes(name, target.value, *numbers)


@rule("reinterpret")
def _reinterpret(level: Level, tensor: Any, dtype: Any) -> Any:
    return Batched(_core.reinterpret(tensor.value, dtype), level)


@rule("view_as_real")
def _view_as_real(level: Level, tensor: Any) -> Any:
    return Batched(_core.view_as_real(tensor.value), level)


@rule("view_as_complex")
def _view_as_complex(level: Level, tensor: Any) -> Any:
    """A batch that was moved to the front may not lie in memory as pairs although each example does."""
    inner = tensor.value
    if tensor.ndim and tensor.shape[-1] == 2 and inner.stride(-1) != 1:
        inner = inner.contiguous()
    return Batched(_core.view_as_complex(inner), level)


@rule("make_subclass")
def _make_subclass(level: Level, cls: Any, tensor: Any, requires_grad: bool = False) -> Any:
    return Batched(tensor.value.detach().requires_grad_(bool(requires_grad)), level)


@rule("cat")
def _cat(level: Level, tensors: Sequence[Any], dim: int = 0) -> Any:
    ndim = max(t.ndim for t in tensors)
    # Empty vectors go with everything, as in the core.
    made = [expanded(t, level) for t in tensors if t.ndim == ndim or tuple(t.shape) != (0,)]
    return Batched(_core.cat(made, wrap_dim(dim, ndim, "cat")), level)


@rule("foreach")
def _foreach(level: Level, operation: Any, lists: Any, scalars: Any, outputs: Any) -> None:
    made = []
    for position, tensors in enumerate(lists):
        if position in outputs and not all(is_batched(t, level) for t in tensors):
            raise RuntimeError(f"{operation.name}: vmap: a tensor from outside of vmap cannot be changed in place")
        made.append([expanded(t, level) for t in tensors])
    return _core.foreach(operation, made, scalars, outputs)


@rule("nonzero", "masked_select")
def _dynamic(level: Level, *args: Any) -> Any:
    raise RuntimeError(
        "nonzero: vmap: how many elements there are differs between examples, and a batch has one shape (dynamic "
        "shapes are not supported); use a mask with where() instead"
    )


@rule("cumulative")
def _cumulative(level: Level, tensor: Any, dim: int, kind: str) -> Any:
    inner = tensor.value
    if inner.ndim == 1:
        return Batched(_core.cumulative(inner.unsqueeze(1), 1, kind).squeeze(1), level)
    return Batched(_core.cumulative(inner, wrap_dim(dim, tensor.ndim, "cumulative"), kind), level)


@rule("running_extreme")
def _running_extreme(level: Level, tensor: Any, dim: int, largest: bool) -> Any:
    if tensor.ndim == 0:
        return each(_core.running_extreme, (tensor, dim, largest), {}, level)
    at = wrap_dim(dim, tensor.ndim, "running_extreme")
    values, places = _core.running_extreme(tensor.value, at, largest)
    return Batched(values, level), Batched(places, level)


@rule("window_maxima")
def _window_maxima(level: Level, tensor: Any, *windows: Any) -> Any:
    """Windows are over the last dimensions: one more in front changes nothing."""
    best, place = _core.window_maxima(tensor.value, *windows)
    return Batched(best, level), Batched(place, level)


@rule("window_spread")
def _window_spread(level: Level, grad: Any, place: Any, *windows: Any) -> Any:
    return Batched(_core.window_spread(expanded(grad, level), expanded(place, level), *windows), level)


# ------------------------------------------------------------------------------------------------------- contractions


@rule("matmul")
def _matmul(level: Level, a: Any, b: Any) -> Any:
    with_a, with_b = is_batched(a, level), is_batched(b, level)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"matmul: both arguments must have at least 1 dimension: input is {tuple(a.shape)}, other is "
            f"{tuple(b.shape)}"
        )
    if with_a and not with_b and b.ndim <= 2:
        return Batched(a.value @ b, level)  # the batch is one more row dimension
    if with_b and not with_a and a.ndim == 2 and b.ndim == 1:
        return Batched(b.value @ a.transpose(0, 1), level)
    left, right = a.ndim == 1, b.ndim == 1
    x = a.value if with_a else a
    y = b.value if with_b else b
    x = x.unsqueeze(-2) if left else x
    y = y.unsqueeze(-1) if right else y
    ndim = max(x.ndim - with_a, y.ndim - with_b)
    x = x.reshape(x.shape[0], *(1,) * (ndim + 1 - x.ndim), *x.shape[1:]) if with_a else x
    y = y.reshape(y.shape[0], *(1,) * (ndim + 1 - y.ndim), *y.shape[1:]) if with_b else y
    result = x @ y
    result = result.squeeze(-2) if left else result
    return Batched(result.squeeze(-1) if right else result, level)


@rule("linear")
def _linear(level: Level, input: Any, weight: Any, bias: Any = None) -> Any:
    if not is_batched(weight, level):
        if not is_batched(bias, level):
            return Batched(_core.linear(input.value, weight, bias), level)
        result = _core.linear(expanded(input, level), weight)
        return Batched(result + aligned(bias, level, result.ndim - 1), level)
    if input.ndim == 0 or weight.ndim != 2 or input.shape[-1] != weight.shape[-1]:
        raise ShapeError(f"linear: inner sizes differ: input is {tuple(input.shape)}, weight is {tuple(weight.shape)}")
    w = weight.value
    sizes = tuple(input.shape)
    if is_batched(input, level):
        x = input.value.reshape(level.size, -1 if input.numel() else 0, sizes[-1])
    else:
        x = input.reshape(-1 if input.numel() else 0, sizes[-1])
    result = x @ w.transpose(1, 2)
    if bias is not None:
        result = result + (bias.value.unsqueeze(1) if is_batched(bias, level) else bias)
    return Batched(result.reshape(level.size, *sizes[:-1], w.shape[1]), level)


@rule("convolution")
def _convolution(
    level: Level, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, shape: Any
) -> Any:
    size = level.size
    if not is_batched(weight, level):
        own_bias = is_batched(bias, level)
        x = expanded(input, level)
        x = x.reshape(size * x.shape[1], *x.shape[2:])
        folded = shape if shape is None else (x.shape[0], *shape[1:])
        result = _core.convolution(x, weight, None if own_bias else bias, stride, padding, dilation, groups, folded)
        result = result.reshape(size, input.shape[0], *result.shape[1:])
        if own_bias:
            result = result + bias.value.reshape(size, 1, -1, *(1,) * (result.ndim - 3))
        return Batched(result, level)
    w = weight.value.reshape(size * weight.shape[0], *weight.shape[1:])
    if bias is not None:
        bias = expanded(bias, level).reshape(-1)
    if not is_batched(input, level) and groups == 1 and shape is None:
        x, count = input, 1  # one input, all filters
    else:
        x = expanded(input, level).movedim(0, 1)
        x, count = x.reshape(x.shape[0], size * x.shape[2], *x.shape[3:]), size * groups
    folded = shape if shape is None else (shape[0], size * shape[1], *shape[2:])
    result = _core.convolution(x, w, bias, stride, padding, dilation, count, folded)
    result = result.reshape(result.shape[0], size, -1, *result.shape[2:])
    return Batched(result.movedim(1, 0), level)


# -------------------------------------------------------------------------------------------------- gather and scatter


@rule("gather")
def _gather(level: Level, input: Any, dim: int, index: Any) -> Any:
    if input.ndim == 0 or index.ndim == 0:
        return each(_core.gather, (input, dim, index), {}, level)
    at = wrap_dim(dim, input.ndim, "gather")
    return Batched(_core.gather(expanded(input, level), at, expanded(index, level)), level)


def _scattered(level: Level, name: str, input: Any, dim: int, index: Any, source: Any, mode: str) -> Any:
    function = getattr(_core, name)
    if input.ndim == 0 or index.ndim == 0:
        return each(function, (input, dim, index, source, mode), {}, level, name)
    at = wrap_dim(dim, input.ndim, "scatter")
    in_place = name == "scatter_"
    if in_place and not is_batched(input, level):
        raise RuntimeError("scatter_: vmap: a tensor from outside of vmap cannot be changed in place; use scatter")
    result = function(expanded(input, level), at, expanded(index, level), expanded(source, level), mode)
    return input if in_place else Batched(result, level)


@rule("scatter")
def _scatter(level: Level, *args: Any) -> Any:
    return _scattered(level, "scatter", *args)


@rule("scatter_")
def _scatter_in_place(level: Level, *args: Any) -> Any:
    return _scattered(level, "scatter_", *args)


@rule("index_select")
def _index_select(level: Level, input: Any, dim: int, index: Any) -> Any:
    if input.ndim == 0:
        return each(_core.index_select, (input, dim, index), {}, level)
    at = wrap_dim(dim, input.ndim, "index_select")
    if not is_batched(index, level):
        return Batched(_core.index_select(input.value, at, index), level)
    inner = index.value.reshape(level.size, -1)
    if not is_batched(input, level):
        found = _core.index_select(input, at - 1, inner.reshape(-1))
        found = found.reshape(*input.shape[: at - 1], *inner.shape, *input.shape[at:])
        return Batched(found.movedim(at - 1, 0), level)
    wide = inner.reshape(level.size, *(1,) * (at - 1), -1, *(1,) * (input.ndim - at))
    sizes = list(input.value.shape)
    sizes[at] = inner.shape[1]
    return Batched(_core.gather(input.value, at, wide.expand(*sizes)), level)


@rule("index_add")
def _index_add(level: Level, input: Any, dim: int, index: Any, source: Any, in_place: bool = False) -> Any:
    if input.ndim == 0 or (in_place and not is_batched(input, level)):
        return each(_core.index_add, (input, dim, index, source, in_place), {}, level, "index_add" + "_" * in_place)
    at = wrap_dim(dim, input.ndim, "index_add")
    x, s = expanded(input, level), expanded(source, level)
    if not is_batched(index, level):
        result = _core.index_add(x, at, index, s, in_place)
    else:
        wide = index.value.reshape(level.size, *(1,) * (at - 1), -1, *(1,) * (input.ndim - at)).expand(*s.shape)
        result = (_core.scatter_ if in_place else _core.scatter)(x, at, wide, s, "add")
    return input if in_place else Batched(result, level)


@rule("index_put_")
def _index_put(level: Level, input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    return each(_core.index_put_, (input, indices, values, accumulate), {}, level, "index_put_")


# ----------------------------------------------------------------------------------------------------------- sequences


def _attention(
    name: str, level: Level, operands: Any, mask: Any, summary: Any, causal: Any, dropout: Any, numbers: Any,
    kernels: Any, more: Any,
) -> Any:  # fmt: skip
    function = getattr(_core, name)
    if dropout and level.randomness == "same":
        return each(function, (operands, mask, summary, causal, dropout, numbers, kernels, more), {}, level, name)

    def fold(t: Any) -> Any:
        return expanded(t, level).flatten(0, 1) if isinstance(t, Tensor) else t

    given = tuple(fold(t) for t in operands)
    more = tuple(fold(t) for t in more) if isinstance(more, tuple) else more
    return function(given, fold(mask), fold(summary), causal, dropout, numbers, kernels, more)


def _recurrent(name: str, level: Level, tensors: Any, *rest: Any) -> None:
    # Weights may differ between examples: each example is one call, which writes into its part of the batch.
    for i in range(level.size):
        getattr(_core, name)(tuple(t.value.select(0, i) if is_batched(t, level) else t for t in tensors), *rest)


for _name in ("attention_forward", "attention_backward"):
    RULES[_name] = partial(_attention, _name)
for _name in ("recurrent_forward", "recurrent_backward"):
    RULES[_name] = partial(_recurrent, _name)


# ------------------------------------------------------------------------------------------------------------ autograd


class SavedBatch:
    """A batched value kept for backward."""

    __slots__ = ("level", "saved")

    def __init__(self, saved: Any, level: Level) -> None:
        self.saved, self.level = saved, level

    def unpack(self) -> Any:
        """The value; an error if it was changed in place since."""
        return Batched(self.saved.unpack(), self.level)


@rule("Saved")
def _saved(level: Level, tensor: Any, *rest: Any) -> Any:
    return SavedBatch(_core.Saved(tensor.value, *rest), level)


def _summed_to(gradient: Any, shape: Any) -> Any:
    if tuple(gradient.shape) == tuple(shape):
        return gradient
    return gradient.sum_to_size(shape) if gradient.ndim > len(shape) or gradient.numel() > 1 else gradient.expand(shape)


@rule("attach")
def _attach(level: Level, outputs: Any, inputs: Any, vjp: Callable, name: str) -> Any:
    inside = (*levels(), level)
    shapes = [None if t is None else t.shape for t in inputs]
    own = [is_batched(t, level) for t in inputs]

    def lifted(*gradients: Any) -> tuple:
        with entered(inside):
            found = vjp(*(None if g is None else Batched(g, level) for g in gradients))
            found = found if isinstance(found, (tuple, list)) else (found,)
            fitted = [None if g is None or s is None else _summed_to(g, s) for g, s in zip(found, shapes)]
        results: list[Any] = []
        for gradient, batched in zip(fitted, own):
            if gradient is None:
                results.append(None)
            elif batched:
                results.append(expanded(gradient, level))
            elif is_batched(gradient, level):
                results.append(gradient.value.sum(0))  # one tensor is shared by all examples
            else:
                results.append(gradient * level.size)
        return tuple(results)

    made = tuple(None if t is None else t.value for t in outputs)
    return _core.attach(made, tuple(t.value if b else t for t, b in zip(inputs, own)), lifted, name)


@rule("run_backward")
def _run_backward(
    level: Level, roots: Any, gradients: Any, keep: Any, create: Any, inputs: Any, accumulate: bool
) -> Any:
    if accumulate:
        raise RuntimeError(
            "backward: .grad cannot be accumulated inside vmap, where every example has a gradient of its own; use "
            "flambeau.func.grad or flambeau.autograd.grad"
        )
    roots = roots if isinstance(roots, (tuple, list)) else (roots,)
    gradients = [None] * len(roots) if gradients is None else gradients
    if all(is_batched(t, level) for t in (*roots, *inputs)):
        # Examples do not depend on each other: the gradient of all at once is the gradient of each.
        given = []
        for root, gradient in zip(roots, gradients):
            if gradient is None:
                if root.numel() != 1:
                    raise RuntimeError(
                        f"grad: grad can be implicitly created only for scalar outputs, this one has shape "
                        f"{tuple(root.shape)}; reduce it with .sum() or .mean(), or pass grad_outputs"
                    )
                gradient = _core.full(tuple(root.value.shape), 1, root.dtype)
            else:
                gradient = expanded(gradient, level)
            given.append(gradient)
        found = _core.run_backward(
            tuple(t.value for t in roots), tuple(given), keep, create, tuple(t.value for t in inputs), False
        )
        return wrapped(tuple(found), level)
    return _each_backward(level, tuple(roots), tuple(gradients), keep, create, tuple(inputs))


def _each_backward(level: Level, roots: tuple, gradients: tuple, keep: Any, create: Any, inputs: tuple) -> Any:
    """Gradients by tensors that all examples share: one pass for each example over the one graph."""
    from flambeau.ops.joining import stack

    rows = []
    at = [t.value if is_batched(t, level) else t for t in inputs]
    for i in range(level.size):
        before = _core.set_grad_enabled(True)
        picked = tuple(t.value.select(0, i) if is_batched(t, level) else t for t in roots)
        _core.set_grad_enabled(before)
        given = tuple(g.value.select(0, i) if is_batched(g, level) else g for g in gradients)
        last = i == level.size - 1
        found = _core.run_backward(picked, given, bool(keep or create or not last), create, tuple(at), False)
        rows.append([g.select(0, i) if g is not None and is_batched(t, level) else g for g, t in zip(found, inputs)])
    return tuple(None if c[0] is None else Batched(stack(list(c)), level) for c in zip(*rows))
