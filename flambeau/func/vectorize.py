"""vmap: a function of one example made one of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flambeau import _core
from flambeau.func import methods  # noqa: F401  (makes Batched whole)
from flambeau.func.batching import Batched, Level, entered, expanded, levels

__all__ = ["functionalize", "vmap"]

Tensor = _core.Tensor


def _is_node(tree: Any) -> bool:
    return isinstance(tree, (tuple, list, Mapping))


def _children(tree: Any) -> list:
    return list(tree.values()) if isinstance(tree, Mapping) else list(tree)


def _like(tree: Any, children: list) -> Any:
    if isinstance(tree, Mapping):
        return type(tree)(zip(tree.keys(), children))  # type: ignore[call-arg]
    return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)


def _flat(tree: Any, into: list) -> list:
    if _is_node(tree):
        for child in _children(tree):
            _flat(child, into)
    else:
        into.append(tree)
    return into


def _rebuilt(tree: Any, leaves: Any) -> Any:
    """The structure of `tree` with its leaves taken from an iterator."""
    if _is_node(tree):
        return _like(tree, [_rebuilt(child, leaves) for child in _children(tree)])
    return next(leaves)


def _spread(dims: Any, tree: Any, name: str, what: str, into: list) -> list:
    """One dimension for each leaf of `tree`, from a structure of dimensions that may end above the leaves."""
    if dims is None or isinstance(dims, int):
        into.extend([dims] * len(_flat(tree, [])))
    elif _is_node(dims):
        same = isinstance(tree, Mapping) == isinstance(dims, Mapping) and _is_node(tree) and len(dims) == len(tree)
        if same and isinstance(dims, Mapping):
            same = set(dims) == set(tree)
        if not same:
            raise ValueError(f"vmap({name}, ...): {what} is not compatible with the structure of the values: {dims!r}")
        for key in tree if isinstance(tree, Mapping) else range(len(tree)):
            _spread(dims[key], tree[key], name, what, into)
    else:
        raise ValueError(f"vmap({name}, ...): {what} must be made of int or None, got {type(dims).__name__} {dims!r}")
    return into


def _batch_size(leaves: list, dims: list, name: str) -> int:
    sizes = set()
    for leaf, dim in zip(leaves, dims):
        if dim is None:
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"vmap({name}, in_dims=...): Got in_dim={dim} for an input but the input is of type "
                f"{type(leaf).__name__}. We cannot vmap over non-Tensor arguments, please use None as the respective "
                "in_dim"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ValueError(
                f"vmap({name}, in_dims=...): Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {leaf.ndim} so expected in_dim to satisfy -{leaf.ndim} <= in_dim < {leaf.ndim}."
            )
        sizes.add(leaf.shape[dim])
    if not sizes:
        raise ValueError(
            f"vmap({name}, in_dims): got no mapped inputs; at least one argument must be a tensor with an in_dim that "
            "is not None"
        )
    if len(sizes) > 1:
        raise ValueError(
            f"vmap({name}, in_dims=...): Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sorted(sizes)} for the mapped dimension"
        )
    return sizes.pop()


def vmap(
    func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Callable:
    """A function that computes `func`, written for one example, for a whole batch at once.

    vmap(f)(x) equals stack([f(x_i) for x_i in x]), without a loop in Python: each operation inside runs once for all
    examples. It nests, and mixes with `grad`, `jvp` and the others in any order.

    Arguments: `in_dims`, which dimension of each argument holds the examples (an int for all of them, a tuple with one
    entry for each argument, each an int, None for an argument that all examples share, or a structure like the
    argument); keyword arguments are shared by all examples. `out_dims`, where the results have it. `randomness`, what
    random functions do: "error", "same" numbers for every example, or "different" ones. `chunk_size`, at most so many
    examples at a time. Raises ValueError where the dimensions do not fit the arguments, RuntimeError where func reads
    a value (`.item()`, `if tensor:`), has results whose shapes depend on values, or changes a shared tensor in place.

    >>> fl.vmap(fl.dot)(fl.tensor([[1., 2.], [3., 4.]]), fl.tensor([[5., 6.], [7., 8.]]))
    tensor([17., 53.])
    """
    name = getattr(func, "__name__", type(func).__name__)
    if randomness not in ("error", "same", "different"):
        raise RuntimeError(
            f"vmap: Only allowed values for randomness are 'error', 'different', or 'same', got {randomness!r}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0, got {chunk_size}")

    def mapped(*args: Any, **kwargs: Any) -> Any:
        if not isinstance(in_dims, (int, tuple, list)):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims!r}): expected `in_dims` to be int or a (potentially nested) tuple "
                f"matching the structure of inputs, got: {type(in_dims).__name__}"
            )
        if not args:
            raise ValueError(f"vmap({name})(): got no inputs, so there is no batch; pass the tensors as arguments")
        given = tuple(in_dims) if isinstance(in_dims, list) else in_dims
        if isinstance(given, tuple) and len(given) != len(args):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims!r}): in_dims is not compatible with the structure of inputs: it has "
                f"{len(given)} entries for {len(args)} arguments"
            )
        leaves = _flat(args, [])
        dims = _spread(given, args, name, "in_dims", [])
        size = _batch_size(leaves, dims, name)
        if chunk_size is None or size <= chunk_size:
            return _run(func, name, args, kwargs, leaves, dims, size, out_dims, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            piece = [v if d is None else v.narrow(d, start, count) for v, d in zip(leaves, dims)]
            parts.append(_run(func, name, args, kwargs, piece, dims, count, out_dims, randomness))
        return _joined(parts, out_dims, name)

    mapped.__name__ = name
    mapped.__wrapped__ = func  # type: ignore[attr-defined]
    mapped.__doc__ = getattr(func, "__doc__", None)
    return mapped


def _run(
    func: Callable,
    name: str,
    args: tuple,
    kwargs: dict[str, Any],
    leaves: list,
    dims: list,
    size: int,
    out_dims: Any,
    randomness: str,
) -> Any:
    outside = levels()
    level = Level(size, randomness, len(outside))
    values = [v if d is None else Batched(v if d in (0, -v.ndim) else v.movedim(d, 0), level)
              for v, d in zip(leaves, dims)]  # fmt: skip
    args = _rebuilt(args, iter(values))
    with entered((*outside, level)):
        result = func(*args, **kwargs)
    found = _flat(result, [])
    places = _out_places(out_dims, result, name)
    made = []
    for value, place in zip(found, places):
        if not isinstance(value, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(value).__name__}; "
                "return numbers from outside, or as tensors"
            )
        own = type(value) is Batched and value.level is level
        if place is None:
            if own:
                raise ValueError(
                    f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None: the result "
                    "has a value for each example; give it an out_dim"
                )
            made.append(value)
            continue
        whole = expanded(value, level)
        if not -whole.ndim <= place < whole.ndim:
            raise IndexError(
                f"vmap({name}, ...): out_dim {place} is out of range for a result of shape {tuple(whole.shape)}"
            )
        made.append(whole if place in (0, -whole.ndim) else whole.movedim(0, place))
    return _rebuilt(result, iter(made))


def _out_places(out_dims: Any, result: Any, name: str) -> list:
    if isinstance(out_dims, (tuple, list)) and not _is_node(result):
        if len(out_dims) != 1:
            raise ValueError(f"vmap({name}, ...): out_dims has {len(out_dims)} entries for one result: {out_dims!r}")
        out_dims = out_dims[0]
    return _spread(out_dims, result, name, "out_dims", [])


def _joined(parts: list, out_dims: Any, name: str) -> Any:
    places = _out_places(out_dims, parts[0], name)
    columns = zip(*(_flat(part, []) for part in parts))
    made = [_core.cat(list(c), place % c[0].ndim) if place is not None else c[0] for c, place in zip(columns, places)]
    return _rebuilt(parts[0], iter(made))


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func` itself under another wrapper: what it computes is the same with and without changes in place.

    `remove` is "mutations" or "mutations_and_views", else RuntimeError.

    >>> fl.func.functionalize(lambda x: x.clone().add_(1))(fl.ones(2))
    tensor([2., 2.])
    """
    from functools import wraps

    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize: remove must be 'mutations' or 'mutations_and_views', got {remove!r}")

    @wraps(func)
    def wrapped(*args: Any, **options: Any) -> Any:
        return func(*args, **options)

    return wrapped
