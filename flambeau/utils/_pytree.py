"""Trees of containers: flattened into leaves and put together again, and functions mapped over the leaves.

Containers are tuple, named tuple, list, dict, OrderedDict, defaultdict and deque, and classes entered with
`register_pytree_node`; everything else, None included, is a leaf. Dicts keep the order of their keys.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

__all__ = [
    "LeafSpec", "PyTree", "TreeSpec", "register_pytree_node", "tree_all", "tree_all_only", "tree_any", "tree_any_only",
    "tree_flatten", "tree_iter", "tree_leaves", "tree_map", "tree_map_", "tree_map_only", "tree_map_only_",
    "tree_structure", "tree_unflatten",
]  # fmt: skip

PyTree = Any


class NodeDef(NamedTuple):
    """How a class of containers is taken apart into (children, context) and made again from them."""

    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Iterable[Any], Any], Any]


SUPPORTED_NODES: dict[type, NodeDef] = {}


def register_pytree_node(
    cls: type, flatten_fn: Callable[[Any], tuple[list[Any], Any]], unflatten_fn: Callable[[Iterable[Any], Any], Any],
    **ignored: Any,
) -> None:  # fmt: skip
    """Make `cls` a container: flatten_fn(x) gives (children, context), unflatten_fn(children, context) gives x again.

    Raises ValueError for a class that is registered already.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)


def _register_dict(cls: type, context: Callable[[Any], Any], make: Callable[[Any, Any], Any]) -> None:
    register_pytree_node(cls, lambda d: (list(d.values()), context(d)), make)


register_pytree_node(tuple, lambda t: (list(t), None), lambda children, _: tuple(children))
register_pytree_node(list, lambda t: (t, None), lambda children, _: list(children))
register_pytree_node(deque, lambda t: (list(t), t.maxlen), lambda children, length: deque(children, maxlen=length))
_register_dict(dict, list, lambda children, keys: dict(zip(keys, children)))
_register_dict(OrderedDict, list, lambda children, keys: OrderedDict(zip(keys, children)))
_register_dict(
    defaultdict,
    lambda d: [d.default_factory, list(d)],
    lambda children, context: defaultdict(context[0], zip(context[1], children)),
)


class _NamedTuples:
    """The key under which all named tuples are registered; their context is the class."""


register_pytree_node(_NamedTuples, lambda t: (list(t), type(t)), lambda children, cls: cls(*children))


def _node_type(tree: Any) -> Any:
    cls = type(tree)
    if cls not in SUPPORTED_NODES and isinstance(tree, tuple) and hasattr(cls, "_fields"):
        return _NamedTuples
    return cls


class TreeSpec:
    """What a tree is without its leaves: the container's class, its context and the specs of the children."""

    __slots__ = ("children_specs", "context", "num_leaves", "type")

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type, self.context, self.children_specs = type, context, children_specs
        self.num_leaves: int = sum(child.num_leaves for child in children_specs) if type is not None else 1

    def is_leaf(self) -> bool:
        """Whether this is the spec of a leaf."""
        return self.type is None

    @property
    def num_children(self) -> int:
        """How many children the container has."""
        return len(self.children_specs)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves; ValueError unless there are as many as the tree has."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.type is None:
            return next(leaves)
        children = [child._build(leaves) for child in self.children_specs]
        return SUPPORTED_NODES[self.type].unflatten(children, self.context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The parts of `tree` at the places of this spec's leaves; ValueError where the containers differ."""
        if self.type is None:
            return [tree]
        found = _node_type(tree)
        if found is not self.type:
            raise ValueError(f"Type mismatch: expected a node like {self}, but got {type(tree).__name__}: {tree!r}")
        children, context = SUPPORTED_NODES[found].flatten(tree)
        if len(children) != len(self.children_specs):
            raise ValueError(f"Arity mismatch: expected a node like {self}, but got {len(children)} children: {tree!r}")
        if found in (dict, OrderedDict, defaultdict):  # the order of the keys may differ
            wanted = self.context[1] if found is defaultdict else self.context
            if set(tree) != set(wanted):
                raise ValueError(f"Node keys mismatch: expected {wanted}, but got {list(tree)}")
            children = [tree[key] for key in wanted]
        elif context != self.context:
            raise ValueError(f"Node context mismatch: expected {self.context}, but got {context}")
        return [part for spec, child in zip(self.children_specs, children) for part in spec.flatten_up_to(child)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (self.type, self.context, self.children_specs) == (other.type, other.context, other.children_specs)

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves, len(self.children_specs)))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        children = ", ".join(map(repr, self.children_specs))
        return f"TreeSpec({self.type.__name__}, {self.context}, [{children}])"


def LeafSpec() -> TreeSpec:
    """The spec of a leaf."""
    return _LEAF


_LEAF = TreeSpec(None, None, [])


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> TreeSpec:
    node = SUPPORTED_NODES.get(_node_type(tree))
    if node is None or (is_leaf is not None and is_leaf(tree)):
        leaves.append(tree)
        return _LEAF
    children, context = node.flatten(tree)
    return TreeSpec(_node_type(tree), context, [_flatten(child, leaves, is_leaf) for child in children])


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """(leaves, spec) of a tree; `is_leaf` says which containers to keep whole.

    >>> tree_flatten({"b": 1, "a": (2, [3])})
    ([1, 2, 3], TreeSpec(dict, ['b', 'a'], [*, TreeSpec(tuple, None, [*, TreeSpec(list, None, [*])])]))
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a spec with these leaves.

    >>> tree_unflatten([1, 2], tree_structure({"a": 0, "b": (0,)}))
    {'a': 1, 'b': (2,)}
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten(leaves, treespec): treespec must be a TreeSpec, got {type(treespec).__name__}")
    return treespec.unflatten(leaves)


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """The leaves, one after the other."""
    node = SUPPORTED_NODES.get(_node_type(tree))
    if node is None or (is_leaf is not None and is_leaf(tree)):
        yield tree
        return
    for child in node.flatten(tree)[0]:
        yield from tree_iter(child, is_leaf)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves as a list."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The spec of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree whose leaves are func(leaf, part of each of `rests` at that place).

    >>> tree_map(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *[spec.flatten_up_to(rest) for rest in rests]))


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Call func as `tree_map` does, for what it does; returns the tree."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for arguments in zip(leaves, *[spec.flatten_up_to(rest) for rest in rests]):
        func(*arguments)
    return tree


def _chosen(types_or_predicate: Any) -> Callable[[Any], bool]:
    if isinstance(types_or_predicate, (type, tuple)) or not callable(types_or_predicate):
        return lambda x: isinstance(x, types_or_predicate)
    return types_or_predicate


def tree_map_only(
    type_or_types_or_pred: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` that leaves alone what is not of the types, or what the predicate refuses.

    >>> tree_map_only(int, lambda x: -x, [1, "a"])
    [-1, 'a']
    """
    chosen = _chosen(type_or_types_or_pred)
    return tree_map(lambda x: func(x) if chosen(x) else x, tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map_` for leaves of the types, or those that the predicate takes."""
    chosen = _chosen(type_or_types_or_pred)
    return tree_map_(lambda x: func(x) if chosen(x) else None, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for every leaf."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for any leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether the predicate holds for every leaf of the types."""
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))


def tree_any_only(
    type_or_types: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether the predicate holds for any leaf of the types."""
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))
