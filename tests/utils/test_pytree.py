"""Trees of containers: flattening and its inverse, mapping, specs, containers of one's own, errors."""

from __future__ import annotations

import doctest
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

import flambeau as fl
from flambeau.utils import _pytree as pytree

Point = namedtuple("Point", "x y")
TREES: list[Any] = [
    1,
    None,
    [],
    (),
    {},
    [1, (2, {"b": 3, "a": None}), [[], ()]],
    Point(1, [2, 3]),
    OrderedDict([("z", 1), ("a", (2,))]),
    defaultdict(list, {"k": [1, 2]}),
    deque([1, 2, [3]], maxlen=5),
    {"t": (1.5, "text", {2})},
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_round_trip(tree: Any) -> None:
    leaves, spec = pytree.tree_flatten(tree)
    again = pytree.tree_unflatten(leaves, spec)
    assert again == tree and type(again) is type(tree)
    assert spec == pytree.tree_structure(again) and hash(spec) == hash(pytree.tree_structure(again))
    assert leaves == pytree.tree_leaves(tree) == list(pytree.tree_iter(tree)) and spec.num_leaves == len(leaves)
    if isinstance(tree, deque):
        assert again.maxlen == tree.maxlen
    if isinstance(tree, defaultdict):
        assert again.default_factory is list


def test_map() -> None:
    model = {"w": fl.ones(2), "b": [fl.zeros(1), 3]}
    doubled = pytree.tree_map_only(fl.Tensor, lambda t: t * 2, model)
    assert doubled["w"].tolist() == [2.0, 2.0] and doubled["b"][1] == 3
    assert pytree.tree_map(lambda x, y, z: x + y * z, (1, [2]), (3, [4]), (5, [6])) == (16, [26])
    assert pytree.tree_map(lambda x, part: (x, part), [1, 2], [(3, 4), {"a": 5}]) == [(1, (3, 4)), (2, {"a": 5})]
    assert pytree.tree_map(lambda x, y: x - y, {"a": 5, "b": 6}, {"b": 2, "a": 1}) == {"a": 4, "b": 4}
    assert pytree.tree_map(len, [(1, 2), (3,)], is_leaf=lambda x: isinstance(x, tuple)) == [2, 1]
    seen: list[int] = []
    tree = [1, (2, "x")]
    assert pytree.tree_map_only_(int, seen.append, tree) is tree and seen == [1, 2]
    assert pytree.tree_map_only(lambda x: x == 1, str, tree) == ["1", (2, "x")]


def test_questions() -> None:
    tree = [1, (2, "x")]
    assert pytree.tree_any(lambda x: x == "x", tree) and not pytree.tree_all(lambda x: x == "x", tree)
    assert pytree.tree_all_only(int, lambda x: x > 0, tree) and not pytree.tree_any_only(int, lambda x: x > 2, tree)


def test_own_container() -> None:
    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

    pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
    try:
        with pytest.raises(ValueError, match="already registered"):
            pytree.register_pytree_node(Pair, lambda p: ([], None), lambda children, _: None)
        mapped = pytree.tree_map(lambda x: x + 1, [Pair(1, (2,))])
        assert (mapped[0].a, mapped[0].b) == (2, (3,))
    finally:
        del pytree.SUPPORTED_NODES[Pair]


def test_errors() -> None:
    spec = pytree.tree_structure([1, 2])
    with pytest.raises(ValueError, match="has length 3"):
        pytree.tree_unflatten([1, 2, 3], spec)
    with pytest.raises(TypeError, match="TreeSpec"):
        pytree.tree_unflatten([1], "spec")
    for other in ((1, 2), [1], 5):
        with pytest.raises(ValueError, match="mismatch"):
            pytree.tree_map(lambda x, y: x, [1, 2], other)
    with pytest.raises(ValueError, match="keys mismatch"):
        pytree.tree_map(lambda x, y: x, {"a": 1}, {"b": 1})
    with pytest.raises(ValueError, match="context mismatch"):
        pytree.tree_map(lambda x, y: x, Point(1, 2), namedtuple("Other", "u v")(1, 2))


def test_examples() -> None:
    assert doctest.testmod(pytree).failed == 0


@pytest.mark.torch
def test_like_torch() -> None:
    torch_pytree = pytest.importorskip("torch.utils._pytree")
    for tree in TREES:
        leaves, spec = pytree.tree_flatten(tree)
        expected, _ = torch_pytree.tree_flatten(tree)
        assert leaves == expected and spec.num_leaves == len(expected)
