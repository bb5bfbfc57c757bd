"""Datasets, samplers, splits, collation."""

from collections import OrderedDict, namedtuple

import pytest

import flambeau as fl
from flambeau.utils import data as D


class Squares(D.Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index * index


def test_tensor_dataset():
    x, y = fl.arange(10.0).reshape(5, 2), fl.arange(5)
    dataset = D.TensorDataset(x, y)
    assert len(dataset) == 5 and dataset[1][0].tolist() == [2, 3] and dataset[1][1].item() == 1
    with pytest.raises(fl.ShapeError, match="first sizes are 5, 4"):
        D.TensorDataset(x, y[:4])
    with pytest.raises(AssertionError):
        D.TensorDataset(x, y[:4])
    with pytest.raises(TypeError, match="as_tensor"):
        D.TensorDataset([1, 2])


def test_joined_and_cut():
    both = Squares(3) + Squares(2)
    assert isinstance(both, D.ConcatDataset) and [both[i] for i in range(5)] == [0, 1, 4, 0, 1] and both[-1] == 1
    with pytest.raises(ValueError):
        both[-6]
    with pytest.raises(IndexError):
        both[5]
    part = D.Subset(Squares(10), [3, 1])
    assert len(part) == 2 and part[0] == 9 and part.__getitems__([0, 1]) == [9, 1]
    stacked = D.StackDataset(a=Squares(3), b=Squares(3))
    assert stacked[2] == {"a": 4, "b": 4} and D.StackDataset(Squares(2), Squares(2))[1] == (1, 1)
    with pytest.raises(ValueError, match="Size mismatch"):
        D.StackDataset(Squares(2), Squares(3))
    with pytest.raises(NotImplementedError):
        D.Dataset()[0]


def test_random_split():
    generator = fl.Generator().manual_seed(3)
    a, b, c = D.random_split(Squares(10), [0.5, 0.25, 0.25], generator)
    assert [len(p) for p in (a, b, c)] == [6, 2, 2] or [len(p) for p in (a, b, c)] == [5, 3, 2]
    assert sorted([*a.indices, *b.indices, *c.indices]) == list(range(10))
    again = D.random_split(Squares(10), [0.5, 0.25, 0.25], fl.Generator().manual_seed(3))
    assert again[0].indices == a.indices
    assert [len(p) for p in D.random_split(Squares(10), [7, 3])] == [7, 3]
    with pytest.raises(ValueError, match="does not equal the length"):
        D.random_split(Squares(10), [7, 2])
    with pytest.warns(UserWarning, match="is 0"):
        D.random_split(Squares(1), [0.5, 0.5])


def test_samplers():
    fl.manual_seed(0)
    data = range(10)
    assert list(D.SequentialSampler(data)) == list(range(10))
    order = list(D.RandomSampler(data))
    assert sorted(order) == list(range(10)) and order != list(range(10))
    assert len(list(D.RandomSampler(data, num_samples=25))) == 25
    drawn = list(D.RandomSampler(data, replacement=True, num_samples=100))
    assert len(drawn) == 100 and set(drawn) <= set(range(10)) and len(set(drawn)) > 5
    assert sorted(D.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    weighted = list(D.WeightedRandomSampler([0.0, 1.0, 1.0], 50))
    assert set(weighted) == {1, 2} and len(weighted) == 50
    assert list(D.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(D.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]] and len(D.BatchSampler(range(5), 2, True)) == 2
    one, two = (D.RandomSampler(data, generator=fl.Generator().manual_seed(4)) for _ in range(2))
    assert [list(one), list(one)] == [list(two), list(two)] and list(one) != list(one)
    for wrong in (lambda: D.RandomSampler(data, num_samples=0), lambda: D.BatchSampler(data, 0, False),
                  lambda: D.BatchSampler(data, 2, 3), lambda: D.WeightedRandomSampler([1.0], 0)):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()


def test_collate():
    numpy = pytest.importorskip("numpy")
    batch = D.default_collate([(fl.ones(2), 1, "a"), (fl.zeros(2), 2, "b")])
    assert isinstance(batch, list) and batch[0].tolist() == [[1, 1], [0, 0]] and batch[1].tolist() == [1, 2]
    assert batch[2] == ["a", "b"]
    assert D.default_collate([1.5, 2.5]).dtype == fl.float64
    assert D.default_collate([{"x": 1}, {"x": 2}])["x"].tolist() == [1, 2]
    assert type(D.default_collate([OrderedDict(x=1)])) is OrderedDict
    Point = namedtuple("Point", "x y")
    assert D.default_collate([Point(1, 2), Point(3, 4)]).y.tolist() == [2, 4]
    assert D.default_collate([numpy.ones(2), numpy.zeros(2)]).dtype == fl.float64
    assert D.default_collate([numpy.float32(1), numpy.float32(2)]).tolist() == [1, 2]
    with pytest.raises(fl.ShapeError, match=r"\(2,\) and another \(3,\)"):
        D.default_collate([fl.ones(2), fl.ones(3)])
    with pytest.raises(RuntimeError, match="equal size"):
        D.default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="collate_fn"):
        D.default_collate([object()])
    converted = D.default_convert({"x": numpy.ones(1), "y": ("a", 3)})
    assert isinstance(converted["x"], fl.Tensor) and converted["y"][0] == "a"
