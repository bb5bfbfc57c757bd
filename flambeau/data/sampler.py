"""Samplers: the order in which a loader visits samples, and how numbers are put together to batches.

Every random sampler draws one seed for each pass and makes its whole order from that seed, so the seed alone is enough
to come back to the same pass later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import flambeau

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """The base class: `__iter__` gives the numbers of samples (or lists of them) in the order of one pass."""

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}: define __iter__(self)")


def draw_seed(generator: Any) -> int:
    """A new seed from a generator, or from the one that `manual_seed` sets."""
    return int(flambeau.empty((), dtype=flambeau.int64).random_(generator=generator).item())


class SeededSampler(Sampler[int]):
    """A sampler whose passes each follow from one seed; `state_dict` holds the seed of the current pass."""

    generator: Any = None
    _seed: int | None = None
    _next_seed: int | None = None

    def begin(self) -> Any:
        """Start a pass: the generator of its numbers, new, or that of the pass a state was loaded for."""
        loaded, self._next_seed = self._next_seed, None
        if loaded is None or self.generator is not None:
            # Drawn also where a seed was loaded: the passes that follow then are those that followed the first time.
            self._seed = draw_seed(self.generator)
        if loaded is not None:
            self._seed = loaded
        generator = flambeau.Generator()
        assert self._seed is not None
        generator.manual_seed(self._seed)
        return generator

    def order(self) -> Any:
        """All numbers of one new pass, in one integer tensor."""
        raise NotImplementedError(f"{type(self).__name__}: define order(self)")

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def state_dict(self) -> dict[str, Any]:
        """The seed of the current pass."""
        return {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass be the one that the state was taken in."""
        self._next_seed = state_dict["seed"]


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... to the end of the dataset."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(SeededSampler):
    """All samples in random order, or with `replacement` independent draws.

    Arguments: `num_samples`, how many a pass gives (as many as the dataset has unless told); `generator`.
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many numbers one pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self) -> Any:
        """All numbers of one new pass, in one integer tensor."""
        size, count = len(self.data_source), self.num_samples
        generator = self.begin()
        if self.replacement:
            return flambeau.randint(0, size, (count,), generator=generator)
        if size == 0 or count == 0:
            return flambeau.zeros(0, dtype=flambeau.int64)
        rounds = [flambeau.randperm(size, generator=generator) for _ in range(-(-count // size))]
        return (rounds[0] if len(rounds) == 1 else flambeau.cat(rounds))[:count]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(SeededSampler):
    """The given numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def order(self) -> Any:
        """All numbers of one new pass, in one integer tensor."""
        permutation = flambeau.randperm(len(self.indices), generator=self.begin())
        return flambeau.as_tensor([int(i) for i in self.indices], dtype=flambeau.int64)[permutation]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(SeededSampler):
    """Draws with probabilities in proportion to `weights`, with replacement unless told otherwise."""

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = flambeau.as_tensor(weights, dtype=flambeau.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def order(self) -> Any:
        """All numbers of one new pass, in one integer tensor."""
        return flambeau.multinomial(self.weights, self.num_samples, self.replacement, generator=self.begin())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list]):
    """Puts the numbers of a sampler together to lists of `batch_size`; the shorter last one can be dropped."""

    sampler: Any

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
