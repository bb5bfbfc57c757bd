"""DistributedSampler: each of several processes visits its own part of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flambeau
from flambeau.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th sample from number `rank` of an order that all processes share.

    Arguments: `num_replicas`, how many processes; `rank`, which one this is (both from the environment variables
    WORLD_SIZE and RANK if left out); `shuffle`, a new order each epoch, from `seed` and the number given to
    `set_epoch`; `drop_last`, cut the dataset to a multiple of `num_replicas`, otherwise samples from the start are
    added. Errors: RuntimeError without a number of processes, ValueError for a rank out of range.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        from os import environ

        if num_replicas is None or rank is None:
            if "WORLD_SIZE" not in environ or "RANK" not in environ:
                raise RuntimeError(
                    "DistributedSampler: no group of processes is running (WORLD_SIZE and RANK are not set); give "
                    "num_replicas and rank"
                )
            num_replicas = int(environ["WORLD_SIZE"]) if num_replicas is None else num_replicas
            rank = int(environ["RANK"]) if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else -(-count // num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.shuffle:
            order = flambeau.randperm(
                count, generator=flambeau.Generator().manual_seed(self.seed + self.epoch)
            ).tolist()
        else:
            order = list(range(count))
        if len(order) < self.total_size and order:
            order = order * -(-self.total_size // count)
        return iter(order[: self.total_size][self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins, so that the order is another one and the same in all processes."""
        self.epoch = epoch
