"""Worker processes of a loader: what runs in them, how batches travel back, and how their failures are told.

A worker has one pipe. Tasks (numbers of samples) come in, batches go out: first the structure, pickled, then the raw
memory of each tensor. A thread in the worker sends, so that the next batch is made while the last one travels.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, NamedTuple

import flambeau
from flambeau import _core
from flambeau.utils.memory import bytes_of, empty_with_bytes

__all__ = ["Failure", "WorkerInfo", "get_worker_info", "receive", "run_worker"]

Tensor = _core.Tensor


class WorkerInfo:
    """What a worker knows of itself: `id`, `num_workers`, `seed` and its copy of the `dataset`."""

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, dataset={self.dataset!r})"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What the current process is as a loader's worker; None in the main process."""
    return _worker_info


class Failure:
    """An exception on its way from a worker: its class where that can travel, and its traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        import traceback

        self.kind: Any = type(error)
        try:
            pickle.loads(pickle.dumps(self.kind))
        except Exception:
            self.kind = RuntimeError
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.text = f"Caught {type(error).__name__} {where}.\nOriginal {text}"

    def reraise(self) -> None:
        """Raise the same class of exception here, with the worker's traceback in its text."""
        if self.kind is KeyError:
            raise KeyError(_Raw(self.text))
        try:
            error = self.kind(self.text)
        except Exception:
            raise RuntimeError(self.text) from None
        raise error


class _Raw(str):
    """Text whose repr is itself: KeyError shows the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class End:
    """A worker's answer when its stream has no more samples."""


class _Wire(NamedTuple):
    """The place of a tensor in a batch that travels: which buffer, and how to read it."""

    position: int
    dtype: str
    shape: tuple


def _pack(value: Any, buffers: list) -> Any:
    """The structure with every tensor's memory moved to `buffers`."""
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        buffers.append(bytes_of(tensor))
        return _Wire(len(buffers) - 1, tensor.dtype.name, tuple(tensor.shape))
    if type(value) in (list, tuple):
        return type(value)(_pack(each, buffers) for each in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_pack(each, buffers) for each in value))
    if type(value) is dict:
        return {key: _pack(each, buffers) for key, each in value.items()}
    return value


def _unpack(value: Any, tensors: list) -> Any:
    """The structure with the tensors that arrived in their places."""
    if isinstance(value, _Wire):
        return tensors[value.position]
    if type(value) in (list, tuple):
        return type(value)(_unpack(each, tensors) for each in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_unpack(each, tensors) for each in value))
    if type(value) is dict:
        return {key: _unpack(each, tensors) for key, each in value.items()}
    return value


def send(connection: Any, answer: Any) -> None:
    """Put one answer into a pipe."""
    buffers: list = []
    packed = _pack(answer, buffers)
    wires: list[_Wire] = []
    _collect(packed, wires)
    connection.send_bytes(pickle.dumps((packed, wires), protocol=pickle.HIGHEST_PROTOCOL))
    for buffer in buffers:
        # Past the connection's own framing, which would copy: the receiver knows from the wires how much comes.
        done = 0
        while done < len(buffer):
            done += os.write(connection.fileno(), buffer[done:])


def _collect(value: Any, wires: list) -> None:
    if isinstance(value, _Wire):
        wires.append(value)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _collect(each, wires)
    elif type(value) is dict:
        for each in value.values():
            _collect(each, wires)


def receive(connection: Any) -> Any:
    """Take one answer out of a pipe; the tensors' bytes go straight into their memory."""
    answer, wires = pickle.loads(connection.recv_bytes())
    tensors = []
    for wire in wires:
        tensor, memory = empty_with_bytes(wire.shape, getattr(flambeau, wire.dtype))
        done = 0
        while done < len(memory):
            count = os.readv(connection.fileno(), [memory[done:]])
            if not count:
                raise EOFError
            done += count
        tensors.append(tensor)
    return _unpack(answer, tensors)


def fetch(dataset: Any, collate: Any, batched: bool, indices: Any) -> Any:
    """The batch of the samples at `indices`."""
    if not batched:
        return collate(dataset[indices])
    together = getattr(dataset, "__getitems__", None)
    return collate(together(indices) if together else [dataset[index] for index in indices])


def fetch_stream(iterator: Any, collate: Any, batched: bool, count: int, drop_last: bool) -> Any:
    """The next batch of a stream, or `End`."""
    if not batched:
        for sample in iterator:
            return collate(sample)
        return End
    samples = []
    for sample in iterator:
        samples.append(sample)
        if len(samples) == count:
            break
    if not samples or (drop_last and len(samples) < count):
        return End
    return collate(samples)


def _seed_everything(seed: int) -> None:
    import random

    random.seed(seed)
    flambeau.manual_seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)


def run_worker(
    connection: Any,
    others: list,
    dataset: Any,
    collate: Any,
    batched: bool,
    drop_last: bool,
    stream: bool,
    number: int,
    count: int,
    init: Any,
    parent: int,
) -> None:
    """The life of a worker: answer tasks until None comes or the parent is gone."""
    import queue
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides what an interrupt means
    for other in others:
        other.close()  # inherited ends; while they are open nobody would see that the main process is gone
    flambeau.set_num_threads(1)
    answers: Any = queue.SimpleQueue()

    def sender() -> None:
        while True:
            answer = answers.get()
            if answer is None:
                return
            try:
                send(connection, answer)
            except (BrokenPipeError, OSError):
                os._exit(0)  # the main process is gone
            except Exception as error:
                send(connection, Failure(error, f"in DataLoader worker process {number}, sending a batch"))

    thread = threading.Thread(target=sender, daemon=True)
    thread.start()
    iterator: Any = None
    try:
        while True:
            while not connection.poll(5.0):
                if os.getppid() != parent:
                    return
            task = pickle.loads(connection.recv_bytes())
            if task is None:
                return
            what, value = task
            try:
                if what == "start":
                    iterator = None
                    _start(dataset, value + number, number, count, init)
                    if stream:
                        iterator = iter(dataset)
                    continue
                if stream:
                    answers.put(fetch_stream(iterator, collate, batched, value, drop_last))
                else:
                    answers.put(fetch(dataset, collate, batched, value))
            except Exception as error:
                answers.put(Failure(error, f"in DataLoader worker process {number}"))
    except (EOFError, KeyboardInterrupt):
        return
    finally:
        answers.put(None)
        thread.join(timeout=5.0)


def _start(dataset: Any, seed: int, number: int, count: int, init: Any) -> None:
    """Begin a pass; the function for new workers runs before the first one only."""
    global _worker_info
    first = _worker_info is None
    _worker_info = WorkerInfo(number, count, seed, dataset)
    _seed_everything(seed)
    if first and init is not None:
        init(number)
