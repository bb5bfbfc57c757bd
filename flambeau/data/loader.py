"""`DataLoader`: batches of a dataset, made in this process, in worker processes, or by one gather from memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import flambeau
from flambeau import _core
from flambeau.data import worker as _worker
from flambeau.data.collate import default_collate, default_convert
from flambeau.data.dataset import IterableDataset, Subset, TensorDataset
from flambeau.data.sampler import BatchSampler, RandomSampler, SeededSampler, SequentialSampler, draw_seed

__all__ = ["DataLoader"]

Tensor = _core.Tensor


class _Endless:
    """The sampler of a stream: there is nothing to choose, only how often to ask."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader:
    """Walks over a dataset in batches.

    Arguments: `dataset`; `batch_size` (None gives single samples); `shuffle`, or a `sampler` of numbers, or a
    `batch_sampler` of lists of numbers; `num_workers`, processes that make batches (0: this one); `collate_fn`, makes a
    batch of a list of samples; `drop_last`, leave out a shorter last batch; `timeout`, seconds to wait for a worker (0:
    for ever); `worker_init_fn(number)`, called in every worker; `generator` for shuffling and the workers' seeds;
    `prefetch_factor`, batches that each worker makes ahead (2); `persistent_workers`, keep them between passes.
    `pin_memory` is accepted.

    A `TensorDataset` (or a `Subset` of one) with the usual `collate_fn` is gathered from memory, without processes: one
    call for each of its tensors. `state_dict()` and `load_state_dict()` keep and restore the place in a pass.

    Errors: ValueError for options that exclude one another; an exception in a worker comes back as the same class, with
    the worker's traceback; a worker that dies is a RuntimeError.

    Example:
        >>> loader = fl.utils.data.DataLoader(dataset, batch_size=32, shuffle=True)
        >>> for x, y in loader: ...
    """

    dataset: Any

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing; let num_workers > 0, or leave it "
                "out"
            )
        if num_workers > 0 and prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError("prefetch_factor option should be positive")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers > 0 else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self.generator = generator
        self._stream = isinstance(dataset, IterableDataset)
        if self._stream:
            if shuffle not in (False, None):
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}; "
                    "shuffle inside the dataset's __iter__"
                )
            for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._stream:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._batches = 0
        self._resume: dict[str, Any] | None = None
        self._begun: dict[str, Any] = {}
        self._pool: _Pool | None = None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        if self._stream:
            size = len(self.dataset)
            if self.batch_size is None:
                return size
            return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
        return len(self._index_sampler)

    def __iter__(self) -> Iterator:
        skip = self._begin()
        tensors = self._in_memory()
        if tensors is not None:
            batches = self._gather(*tensors, skip)
        elif self.num_workers == 0:
            batches = self._here(skip)
        else:
            batches = self._elsewhere(skip)
        return _Pass(self, batches, skip)

    # -- the place in a pass ------------------------------------------------------------------------------------------

    def _begin(self) -> int:
        """Remember what this pass follows from; the number of batches that a loaded state has done already."""
        resume, self._resume = self._resume, None
        if resume is not None:
            if resume.get("generator") is not None and self.generator is not None:
                self.generator.set_state(resume["generator"])
            if resume.get("sampler") is not None and hasattr(self.sampler, "load_state_dict"):
                self.sampler.load_state_dict(resume["sampler"])
        self._batches = 0 if resume is None else resume["batches"]
        state = None if self.generator is None else self.generator.get_state()
        seed = None if resume is None else resume.get("seed")
        if seed is None and self.num_workers > 0:
            seed = draw_seed(self.generator)
        elif seed is not None and self.generator is not None and self.num_workers > 0:
            draw_seed(self.generator)  # so that what follows is drawn from where it was drawn the first time
        self._begun = {"seed": seed, "generator": state}
        return self._batches

    def state_dict(self) -> dict[str, Any]:
        """The place in the current pass: batches given so far, and what the order of the pass follows from."""
        sampler = self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else None
        return {"batches": self._batches, "sampler": sampler if self._begun else None, **self._begun}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass go on where the state was taken: same order, behind the batches given by then.

        Batches of a dataset or sampler of unknown kind are walked over again without being made; a stream is walked
        over sample by sample.
        """
        if "batches" not in state_dict:
            raise ValueError(
                "DataLoader.load_state_dict: expected what DataLoader.state_dict() returned; 'batches' is missing"
            )
        self._resume = dict(state_dict) if state_dict["batches"] else None
        if self._resume is None:
            self._begun = {}

    # -- batches from memory ------------------------------------------------------------------------------------------

    def _in_memory(self) -> tuple[tuple, Any] | None:
        """The tensors and the subset's rows when batches can be gathered; else None."""
        if self.batch_sampler is None or self.collate_fn is not default_collate:
            return None
        dataset, rows = self.dataset, None
        while type(dataset) is Subset:
            own: Any = dataset.indices
            own = own if isinstance(own, Tensor) else flambeau.as_tensor([int(i) for i in own], dtype=flambeau.int64)
            rows = own if rows is None else own[rows]
            dataset = dataset.dataset
        kind = type(dataset)
        if not isinstance(dataset, TensorDataset) or kind.__getitem__ is not TensorDataset.__getitem__:
            return None
        return (dataset.tensors, rows) if not hasattr(dataset, "__getitems__") else None

    def _gather(self, tensors: tuple, rows: Any, skip: int) -> Iterator[list]:
        """Batches by one call for each tensor."""
        simple = type(self.batch_sampler) is BatchSampler
        if simple and type(self.sampler) is SequentialSampler and rows is None:
            for start, end in self._ranges(len(self.sampler), skip):
                # Cloned: a batch may be changed in place, the dataset must not.
                yield [tensor.narrow(0, start, end - start).clone() for tensor in tensors]
            return
        if simple and type(self.sampler) is SequentialSampler:
            order = rows
        elif simple and isinstance(self.sampler, SeededSampler):
            order = self.sampler.order()
            if rows is not None:
                order = rows[order]
        else:
            for position, indices in enumerate(self.batch_sampler):
                if position >= skip:
                    index = flambeau.as_tensor(indices, dtype=flambeau.int64)
                    index = index if rows is None else rows[index]
                    yield [tensor.index_select(0, _on(index, tensor)) for tensor in tensors]
            return
        for start, end in self._ranges(order.shape[0], skip):
            index = order.narrow(0, start, end - start)
            yield [tensor.index_select(0, _on(index, tensor)) for tensor in tensors]

    def _ranges(self, size: int, skip: int) -> Iterator[tuple[int, int]]:
        step = self.batch_sampler.batch_size
        last = size - size % step if self.batch_sampler.drop_last else size
        for start in range(skip * step, last, step):
            yield start, min(start + step, size)

    # -- batches made sample by sample --------------------------------------------------------------------------------

    def _here(self, skip: int) -> Iterator[Any]:
        batched = self.batch_sampler is not None
        if self._stream:
            source = iter(self.dataset)
            count = self.batch_size or 1
            for _ in range(skip * count):
                if next(source, _worker.End) is _worker.End:
                    return
            while True:
                batch = _worker.fetch_stream(source, self.collate_fn, batched, count, self.drop_last)
                if batch is _worker.End:
                    return
                yield batch
        for position, indices in enumerate(self._index_sampler):
            if position >= skip:
                yield _worker.fetch(self.dataset, self.collate_fn, batched, indices)

    def _elsewhere(self, skip: int) -> Iterator[Any]:
        pool = self._pool
        if pool is None or not pool.usable:
            pool = _Pool(self)
            if self.persistent_workers:
                self._pool = pool
        try:
            yield from pool.run(skip, self._begun["seed"])
        finally:
            if pool is not self._pool:
                pool.close()


def _on(index: Any, tensor: Any) -> Any:
    """The index where the tensor is."""
    return index if index.device == tensor.device else index.to(tensor.device)


class _Pass:
    """One pass over a loader: counts the batches that were given."""

    __slots__ = ("__weakref__", "_batches", "_count", "_loader")

    def __init__(self, loader: DataLoader, batches: Iterator, count: int) -> None:
        self._loader = loader
        self._batches = batches
        self._count = count

    def __iter__(self) -> _Pass:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            # The pass is over: a state taken now stands at the beginning of the next one.
            self._loader._batches, self._loader._begun = 0, {}
            raise
        self._count += 1
        self._loader._batches = self._count
        return batch


class _Pool:
    """The worker processes of a loader. Tasks go round; answers are taken in the same order."""

    def __init__(self, loader: DataLoader) -> None:
        import multiprocessing
        import os
        import weakref

        context = loader.multiprocessing_context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        self.loader = weakref.proxy(loader)  # the loader owns the pool
        self.usable = True
        self.workers: list[tuple[Any, Any]] = []
        batched = loader.batch_sampler is not None
        forked = context.get_start_method() == "fork"
        for number in range(loader.num_workers):
            mine, theirs = context.Pipe(duplex=True)
            # A forked worker inherits the main process's ends of the pipes made so far, and closes them.
            others = [connection for _, connection in self.workers] + [mine] if forked else []
            arguments = (theirs, others, loader.dataset, loader.collate_fn, batched, loader.drop_last, loader._stream)
            process = context.Process(
                target=_worker.run_worker,
                args=(*arguments, number, loader.num_workers, loader.worker_init_fn, os.getpid()),
                daemon=True,
            )
            try:
                process.start()
            except Exception:
                self.close()
                raise
            theirs.close()
            self.workers.append((process, mine))
        self._finalizer = weakref.finalize(self, _stop, self.workers)

    def close(self) -> None:
        """End all workers."""
        self.usable = False
        _stop(self.workers)

    def run(self, skip: int, seed: int) -> Iterator[Any]:
        """The batches of one pass."""
        loader = self.loader
        # An iterator left in the middle of a pass by a break leaves answers behind; they must not reach the next pass.
        finished = False
        try:
            for number in range(len(self.workers)):
                self._send(number, ("start", seed))
            yield from self._stream(skip) if loader._stream else self._batches(skip)
            finished = True
        finally:
            if not finished:
                self.close()

    def _batches(self, skip: int) -> Iterator[Any]:
        indices = iter(self.loader._index_sampler)
        for _ in range(skip):
            next(indices, None)
        count = len(self.workers)
        sent = taken = 0
        more = True
        while True:
            while more and sent - taken < count * self.loader.prefetch_factor:
                task = next(indices, _worker.End)
                if task is _worker.End:
                    more = False
                    break
                self._send(sent % count, ("batch", task))
                sent += 1
            if taken == sent:
                return
            answer = self._receive(taken % count)
            taken += 1
            yield answer

    def _stream(self, skip: int) -> Iterator[Any]:
        size = self.loader.batch_size or 1
        live = list(range(len(self.workers)))
        waiting = dict.fromkeys(live, 0)
        for _ in range(self.loader.prefetch_factor):
            for number in live:
                self._send(number, ("batch", size))
                waiting[number] += 1
        position = 0
        while live:
            number = live[position % len(live)]
            answer = self._receive(number)
            waiting[number] -= 1
            if answer is _worker.End:
                for _ in range(waiting[number]):
                    self._receive(number)  # the tasks sent ahead all have the same answer
                position = live.index(number)
                live.remove(number)
                continue
            self._send(number, ("batch", size))
            waiting[number] += 1
            position = (position + 1) % len(live)
            if skip:
                skip -= 1
            else:
                yield answer

    def _send(self, number: int, task: Any) -> None:
        process, connection = self.workers[number]
        try:
            connection.send_bytes(pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL))
        except (BrokenPipeError, ConnectionError, OSError):
            raise self._death(process) from None

    def _receive(self, number: int) -> Any:
        from multiprocessing.connection import wait

        process, connection = self.workers[number]
        timeout = self.loader.timeout or None
        ready = wait([connection, process.sentinel], timeout)
        if not ready:
            raise RuntimeError(
                f"DataLoader timed out after {self.loader.timeout} seconds waiting for worker {number} (pid "
                f"{process.pid})"
            )
        if connection not in ready and not connection.poll():
            raise self._death(process)
        try:
            answer = _worker.receive(connection)
        except (EOFError, ConnectionError, OSError):
            raise self._death(process) from None
        if isinstance(answer, _worker.Failure):
            answer.reraise()
        return answer

    def _death(self, process: Any) -> RuntimeError:
        import signal

        process.join(timeout=1.0)
        code = process.exitcode
        how = f"with exit code {code}"
        if code is not None and code < 0:
            try:
                how = f"by signal {signal.Signals(-code).name}"
            except ValueError:
                how = f"by signal {-code}"
            if -code == signal.SIGKILL:
                how += ", often the sign of too little memory"
        return RuntimeError(
            f"DataLoader worker (pid {process.pid}) exited unexpectedly {how}; run with num_workers=0 to see its own "
            "error"
        )


def _stop(workers: list) -> None:
    """Ask the workers to end, and end those that do not."""
    for _, connection in workers:
        try:
            connection.send_bytes(pickle.dumps(None))
        except (OSError, ValueError):
            pass
        connection.close()
    for process, _ in workers:
        process.join(timeout=0.5)
        if process.is_alive():
            process.terminate()
            process.join(timeout=5.0)
            if process.is_alive():
                process.kill()
                process.join()
    workers.clear()
