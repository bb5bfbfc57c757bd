"""Datasets: what a loader draws samples from, and how they are cut and joined."""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import flambeau
from flambeau import _core

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)
Tensor = _core.Tensor


class Dataset(Generic[T_co]):
    """Samples by number: a subclass defines `__getitem__`, and `__len__` for samplers.

    A subclass may also define `__getitems__(indices)`, which returns the samples of a whole batch at once.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__}: subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples in a stream: a subclass defines `__iter__`.

    With worker processes every worker has its own copy of the stream; `get_worker_info()` tells it which part to give.
    """

    def __add__(self, other: Dataset) -> ChainDataset:  # type: ignore[override]  # streams have no numbers to concatenate
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple]):
    """Tensors of one first size; sample i is the tuple of their rows i.

    Errors: ShapeError when the first sizes differ.

    Example:
        >>> fl.utils.data.TensorDataset(fl.zeros(10, 3), fl.ones(10))[0]
        (tensor([0., 0., 0.]), tensor(1.))
    """

    tensors: tuple

    def __init__(self, *tensors: Any) -> None:
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"TensorDataset: argument {position} is {type(tensor).__name__}; convert it with "
                    "flambeau.as_tensor(...)"
                )
            if tensor.ndim == 0:
                raise flambeau.errors.ShapeError(
                    f"TensorDataset: argument {position} has no dimensions, so it has no rows"
                )
        sizes = [tensor.shape[0] for tensor in tensors]
        if len(set(sizes)) > 1:
            raise _sizes_differ(
                "TensorDataset: Size mismatch between tensors: first sizes are "
                f"{', '.join(map(str, sizes))}; every tensor needs one row for each sample"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0] if self.tensors else 0


def _sizes_differ(text: str) -> Exception:
    class SizeMismatchError(flambeau.errors.ShapeError, AssertionError):
        """ShapeError that also is what PyTorch's assertion would have been."""

    SizeMismatchError.__name__ = SizeMismatchError.__qualname__ = "ShapeError"
    return SizeMismatchError(text)


class StackDataset(Dataset):
    """Several datasets of one length read together: sample i is the tuple (or dictionary) of their samples i."""

    datasets: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "StackDataset: give datasets either in order (tuples) or by name (dictionaries), at least one"
            )
        self.datasets = args or kwargs
        parts = list(args or kwargs.values())
        if any(len(part) != len(parts[0]) for part in parts):
            raise ValueError(f"Size mismatch between datasets: lengths are {[len(part) for part in parts]}")
        self._length = len(parts[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other."""

    datasets: list
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable) -> list[int]:
        """The running totals of the lengths."""
        totals, total = [], 0
        for part in sequence:
            total += len(part)
            totals.append(total)
        return totals

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable")
        for part in self.datasets:
            if isinstance(part, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        part = bisect.bisect_right(self.cumulative_sizes, index)
        if part == len(self.datasets):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]


class ChainDataset(IterableDataset):
    """Iterable datasets one after the other."""

    datasets: Iterable[Any]

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator:
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset; use ConcatDataset")
            yield from part

    def __len__(self) -> int:
        return sum(len(part) for part in self.datasets)


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order."""

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list:
        several = getattr(self.dataset, "__getitems__", None)
        if callable(several):
            return several([self.indices[i] for i in indices])
        return [self.dataset[self.indices[i]] for i in indices]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Cut a dataset at random into parts of the given lengths.

    Arguments: `lengths`, whole numbers that add up to the length, or fractions that add up to 1 (what rounding leaves
    over goes to the first parts, one each); `generator`. Errors: ValueError when they do not add up.

    Example:
        >>> train, test = fl.utils.data.random_split(dataset, [0.8, 0.2])
    """
    size = len(dataset)
    if lengths and math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        counts = []
        for position, fraction in enumerate(lengths):
            if fraction < 0 or fraction > 1:
                raise ValueError(f"Fraction at index {position} is not between 0 and 1")
            counts.append(math.floor(size * fraction))
        for position in range(size - sum(counts)):
            counts[position % len(counts)] += 1
        for position, count in enumerate(counts):
            if count == 0:
                warnings.warn(
                    f"Length of split at index {position} is 0. This might result in an empty dataset.", stacklevel=2
                )
        lengths = counts
    if sum(lengths) != size:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! They add up to {sum(lengths)}, "
            f"the dataset has {size} samples"
        )
    order = flambeau.randperm(size, generator=generator).tolist()
    parts, start = [], 0
    for length in lengths:
        parts.append(Subset(dataset, order[start : start + int(length)]))
        start += int(length)
    return parts
