"""flambeau: tensors, define-by-run gradients, modules and optimizers, with PyTorch's API.

    import flambeau as fl          # or, to move a script over:  import flambeau as torch

The namespace holds every operation, the factories and the dtypes; `nn`, `optim`, `utils.data` and the other parts are
imported when first used.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from flambeau import _core, dtypes
from flambeau.autograd.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from flambeau.devices import device
from flambeau.dtypes import *
from flambeau.errors import AutogradError, DeviceError, DTypeError, ShapeError
from flambeau.printing import set_printoptions
from flambeau.tensor import _NAMESPACES, Tensor

if TYPE_CHECKING:  # the function, which the loop below puts in the place of the submodule
    from flambeau.ops.create import tensor

for _namespace in _NAMESPACES:
    for _name in _namespace.__all__:
        globals()[_name] = getattr(_namespace, _name)
del _namespace, _name

char = dtypes.int8
strided = "strided"
contiguous_format, preserve_format, channels_last = "contiguous_format", "preserve_format", "channels_last"
is_inference_mode_enabled = _core.is_inference_mode_enabled
get_num_threads, set_num_threads = _core.get_num_threads, _core.set_num_threads

_LAZY = {
    "nn", "optim", "data", "utils", "cuda", "linalg", "autograd", "tabular", "serialization", "compiler", "ops",
    "special", "fft", "signal", "testing", "backends", "random", "func", "version",
}  # fmt: skip
_LAZY_NAMES = {
    "save": "flambeau.serialization", "load": "flambeau.serialization", "finfo": "flambeau.dtypes",
    "compile": "flambeau.compiled", "Generator": "flambeau.ops.random", "manual_seed": "flambeau.ops.random",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY or name in _LAZY_NAMES:
        from importlib import import_module

        if name in _LAZY_NAMES:
            value = getattr(import_module(_LAZY_NAMES[name]), name)
        else:
            try:
                value = import_module(f"flambeau.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"flambeau.{name}":
                    raise
                raise AttributeError(f"module 'flambeau' has no attribute {name!r}") from None
        globals()[name] = value
        return value
    raise AttributeError(f"module 'flambeau' has no attribute {name!r}")


def memory_statistics() -> dict[str, dtypes._int]:
    """Bytes of tensor memory in use and cached, and how allocations were answered."""
    return _core.memory_statistics()


def empty_cache() -> None:
    """Give cached tensor memory back to the system."""
    _core.empty_cache()


def compilations() -> dict[str, dtypes._int]:
    """How many kernels this process compiled ("compiled") and read from the disk cache ("loaded")."""
    from flambeau.compiler import service

    return service.compilations()


def typename(value: Any) -> str:
    """The full name of an object's type."""
    if isinstance(value, Tensor):
        return value.type()
    return f"{type(value).__module__}.{type(value).__qualname__}"


def get_default_device() -> device:
    """The device tensors are made on without `device=`: the CPU."""
    return device("cpu")
