"""What a program asks about CUDA: availability, counts, seeds, synchronisation.

On a machine without a CUDA driver every question has an answer (no device, zero bytes) and every command that needs
a device raises DeviceError; importing this costs nothing and loads nothing.
"""

from __future__ import annotations

from typing import Any

from flambeau.cuda.streams import Event, Stream, StreamContext, current_stream, default_stream, set_stream, stream
from flambeau.devices import NO_CUDA, device
from flambeau.errors import DeviceError

__all__ = [
    "DeferredCudaCallError", "Event", "OutOfMemoryError", "Stream", "StreamContext", "amp", "can_device_access_peer",
    "current_device", "current_stream", "default_stream", "device", "device_count", "empty_cache", "get_arch_list",
    "get_device_capability", "get_device_name", "get_device_properties", "get_rng_state", "get_rng_state_all", "init",
    "initial_seed", "ipc_collect", "is_available", "is_bf16_supported", "is_current_stream_capturing",
    "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated", "max_memory_cached",
    "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_cached", "memory_reserved", "memory_stats",
    "memory_summary", "reset_max_memory_allocated", "reset_max_memory_cached", "reset_peak_memory_stats", "seed",
    "seed_all", "set_device", "set_per_process_memory_fraction", "set_rng_state", "set_rng_state_all", "set_stream",
    "stream", "synchronize", "utilization",
]  # fmt: skip


def is_available() -> bool:
    """Whether tensors can be made on a CUDA device of this machine.

    >>> fl.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many CUDA devices this machine has."""
    return 0


def is_initialized() -> bool:
    """Whether the CUDA driver has been started by this process."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes in bfloat16."""
    return False


def init() -> None:
    """Start the CUDA driver; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def current_device() -> int:
    """The number of the current CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def set_device(device: Any) -> None:
    """Make a CUDA device the current one; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def get_device_name(device: Any = None) -> str:
    """The name of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def synchronize(device: Any = None) -> None:
    """Wait for all work of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def empty_cache() -> None:
    """Give cached CUDA memory back to the driver; nothing to do without a device."""


def manual_seed(seed: int) -> None:
    """Seed the current CUDA device; nothing to do without a device, where `flambeau.manual_seed` seeds everything."""


def manual_seed_all(seed: int) -> None:
    """Seed every CUDA device; nothing to do without a device."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that live tensors take on a CUDA device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The largest number of bytes that live tensors took on a CUDA device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that the caching allocator holds on a CUDA device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The largest number of bytes that the caching allocator held on a CUDA device."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peak counts of a CUDA device again; nothing to do without a device."""


OutOfMemoryError = MemoryError
DeferredCudaCallError = DeviceError
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved
reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def get_device_properties(device: Any = None) -> Any:
    """Name, memory and capability of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The (major, minor) capability of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether one CUDA device reads another's memory; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, all) bytes of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def utilization(device: Any = None) -> int:
    """The percentage of time a CUDA device worked; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of a CUDA device's random numbers; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Set the state of a CUDA device's random numbers; nothing to do without a device."""


def get_rng_state_all() -> list:
    """The states of all CUDA devices' random numbers: none without a device.

    >>> fl.cuda.get_rng_state_all()
    []
    """
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Set the states that `get_rng_state_all` returned; DeviceError for more states than devices."""
    if list(new_states):
        raise DeviceError(NO_CUDA)


def initial_seed() -> int:
    """The seed of the current CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def seed() -> None:
    """Seed the current CUDA device by chance; nothing to do without a device."""


def seed_all() -> None:
    """Seed every CUDA device by chance; nothing to do without a device."""


def get_arch_list() -> list[str]:
    """The kinds of CUDA devices that there is code for: code is made for the device that is there."""
    return []


def is_current_stream_capturing() -> bool:
    """Whether work is being captured into a CUDA graph."""
    return False


def ipc_collect() -> None:
    """Free memory that other processes gave back; nothing to do without a device."""


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Counts of the caching allocator of a CUDA device, empty without one."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The counts of the caching allocator of a CUDA device as text."""
    return "No CUDA device: no memory is allocated or cached on one."


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit the memory of a CUDA device; DeviceError without one."""
    raise DeviceError(NO_CUDA)


def __getattr__(name: str) -> Any:
    if name == "amp":
        from importlib import import_module

        return import_module("flambeau.cuda.amp")
    if name.endswith("Tensor"):
        import flambeau

        typed = getattr(flambeau, name, None)
        if typed is not None:
            return _typed(name)
    raise AttributeError(f"module 'flambeau.cuda' has no attribute {name!r}")


def _typed(name: str) -> Any:
    """A class such as `FloatTensor` on CUDA: no tensor is an instance of it, and making one is a DeviceError."""

    def make(cls: Any, *args: Any, **options: Any) -> Any:
        raise DeviceError(NO_CUDA)

    made = type(name, (), {"__new__": make, "__doc__": f"`flambeau.{name}` on a CUDA device.", "__module__": __name__})
    globals()[name] = made
    return made
