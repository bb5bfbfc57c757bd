"""`flambeau.distributed` for programs of one process: the questions they ask, and a group that has one member.

Several processes working on one model are not there: `is_available()` is False, and a group of more than one process is
refused. In a group of one every collective gives what PyTorch's would.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = [
    "Backend", "ReduceOp", "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "barrier",
    "broadcast", "broadcast_object_list", "destroy_process_group", "gather", "get_backend", "get_rank",
    "get_world_size", "group", "init_process_group", "is_available", "is_gloo_available", "is_initialized",
    "is_mpi_available", "is_nccl_available", "is_torchelastic_launched", "monitored_barrier", "new_group", "reduce",
    "scatter",
]  # fmt: skip


class ReduceOp:
    """How `all_reduce` puts values together; with one member they stay as they are."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR = "sum", "avg", "product", "min", "max", "band", "bor", "bxor"


class Backend(str):
    """The names of what carries messages."""

    GLOO, NCCL, MPI, UCC = "gloo", "nccl", "mpi", "ucc"


class group:  # noqa: N801
    """The default group, which `None` stands for."""

    WORLD = None


class _Group:
    def size(self) -> int:
        return 1

    def rank(self) -> int:
        return 0


ProcessGroup = _Group
_world: _Group | None = None
_backend = "gloo"


def is_available() -> bool:
    """Whether groups of several processes can be made: False.

    >>> fl.distributed.is_available()
    False
    """
    return False


def is_nccl_available() -> bool:
    """False."""
    return False


def is_gloo_available() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher of several processes started this one."""
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _world is not None


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1,
    rank: int = -1, store: Any = None, **options: Any,
) -> None:  # fmt: skip
    """Make the default group, of one process.

    Arguments: `world_size` and `rank`, by default those of the environment (WORLD_SIZE, RANK), else 1 and 0; the
    others are accepted. Errors: NotImplementedError for more than one process, RuntimeError for a second call.
    """
    global _world, _backend
    if _world is not None:
        raise RuntimeError("init_process_group: trying to initialize the default process group twice!")
    size = int(os.environ.get("WORLD_SIZE", 1)) if world_size < 0 else world_size
    number = int(os.environ.get("RANK", 0)) if rank < 0 else rank
    if size != 1 or number != 0:
        raise NotImplementedError(
            f"init_process_group: a group of {size} processes was asked for (this one is number {number}), and groups "
            "of more than one are not there; run one process"
        )
    _world, _backend = _Group(), (backend or "gloo").partition(":")[0]


def destroy_process_group(group: Any = None) -> None:
    """Forget the default group."""
    global _world
    _member("destroy_process_group")
    _world = None


def _member(name: str) -> None:
    if _world is None:
        raise ValueError(
            f"{name}: Default process group has not been initialized, please make sure to call init_process_group."
        )


def get_rank(group: Any = None) -> int:
    """The number of this process: 0. ValueError without a group."""
    _member("get_rank")
    return 0


def get_world_size(group: Any = None) -> int:
    """How many processes the group has: 1. ValueError without a group."""
    _member("get_world_size")
    return 1


def get_backend(group: Any = None) -> str:
    """The backend that `init_process_group` was given."""
    _member("get_backend")
    return _backend


def new_group(ranks: Any = None, *args: Any, **options: Any) -> Any:
    """A group of the one process."""
    _member("new_group")
    if ranks is not None and list(ranks) not in ([0], []):
        raise ValueError(f"new_group: the ranks {list(ranks)} are not in a group of one process")
    return _world


class _Done:
    """What collectives return with async_op=True."""

    def wait(self, timeout: Any = None) -> bool:
        return True

    def is_completed(self) -> bool:
        return True


def _done(async_op: bool) -> Any:
    return _Done() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Any:
    """Wait for all processes: for none."""
    _member("barrier")
    return _done(async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait for all processes: for none."""
    _member("monitored_barrier")


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """The sum (or `op`) of one process's values: they stay as they are."""
    _member("all_reduce")
    return _done(async_op)


def reduce(tensor: Any, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """The sum (or `op`) of one process's values: they stay as they are."""
    _member("reduce")
    return _done(async_op)


def broadcast(tensor: Any, src: int = 0, group: Any = None, async_op: bool = False, **options: Any) -> Any:
    """Process `src`'s values in every process: they stay as they are."""
    _member("broadcast")
    return _done(async_op)


def broadcast_object_list(object_list: list, src: int = 0, group: Any = None, device: Any = None) -> None:
    """Process `src`'s objects in every process: they stay as they are."""
    _member("broadcast_object_list")


def all_gather(tensor_list: list, tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Every process's values in the tensors of a list, which must be one."""
    _member("all_gather")
    _one(tensor_list, "all_gather").copy_(tensor)
    return _done(async_op)


def all_gather_into_tensor(output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Every process's values behind one another."""
    _member("all_gather_into_tensor")
    output_tensor.view(input_tensor.shape).copy_(input_tensor)
    return _done(async_op)


def all_gather_object(object_list: list, obj: Any, group: Any = None) -> None:
    """Every process's object in a list, whose length must be one."""
    _member("all_gather_object")
    _one(object_list, "all_gather_object")
    object_list[0] = obj


def gather(tensor: Any, gather_list: Any = None, dst: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Every process's values in the tensors of a list, which must be one."""
    _member("gather")
    if gather_list:
        _one(gather_list, "gather").copy_(tensor)
    return _done(async_op)


def scatter(tensor: Any, scatter_list: Any = None, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """The part of a list that is for this process."""
    _member("scatter")
    if scatter_list:
        tensor.copy_(_one(scatter_list, "scatter"))
    return _done(async_op)


def _one(values: list, name: str) -> Any:
    if len(values) != 1:
        raise ValueError(f"{name}: the list must hold one entry a process, that is 1, and holds {len(values)}")
    return values[0]
