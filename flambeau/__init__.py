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
from flambeau.layouts import *
from flambeau.printing import set_printoptions
from flambeau.tensor import _NAMESPACES, Tensor
from flambeau.tensor import takes_numpy_names as _takes_numpy_names

if TYPE_CHECKING:  # the function, which the loop below puts in the place of the submodule
    from flambeau.ops.from_data import tensor

for _namespace in _NAMESPACES:
    for _name in _namespace.__all__:
        globals()[_name] = _takes_numpy_names(getattr(_namespace, _name))
del _namespace, _name

char = dtypes.int8
is_inference_mode_enabled = _core.is_inference_mode_enabled
get_num_threads, set_num_threads = _core.get_num_threads, _core.set_num_threads

_LAZY = {
    "nn", "optim", "data", "utils", "cuda", "linalg", "autograd", "tabular", "serialization", "compiler", "ops",
    "special", "fft", "signal", "testing", "backends", "random", "func", "version", "profiler", "distributions",
    "quasirandom", "array_api", "sparse", "amp", "cpu", "jit", "hub", "multiprocessing", "distributed",
    "accelerator", "xpu", "mps", "onnx", "_dynamo", "_C", "_utils", "futures",
    "_vmap_internals", "masked", "return_types",
}  # fmt: skip
_LAZY_NAMES = {
    "save": "flambeau.serialization", "load": "flambeau.serialization", "finfo": "flambeau.dtypes",
    "compile": "flambeau.compiled", "Generator": "flambeau.ops.random", "manual_seed": "flambeau.ops.random",
    "vmap": "flambeau.func", "is_anomaly_enabled": "flambeau.autograd",
    "is_anomaly_check_nan_enabled": "flambeau.autograd",
}  # fmt: skip
for _module, _names in {
    "assertions": "_assert _check _check_index _check_is_size _check_not_implemented _check_tensor_all _check_type "
    "_check_value",
    "amp.autocast_mode": "autocast autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache "
    "get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype is_autocast_cache_enabled "
    "is_autocast_cpu_enabled is_autocast_enabled set_autocast_dtype set_autocast_enabled",
    "cuda.streams": "Event Stream",
    "futures": "Future",
    "ops.native": "alpha_dropout dropout feature_dropout",
    "sparse": "sparse_coo_tensor sparse_csr_tensor",
    "switches": "are_deterministic_algorithms_enabled get_deterministic_debug_mode get_float32_matmul_precision "
    "is_deterministic_algorithms_warn_only_enabled is_warn_always_enabled set_default_device set_default_tensor_type "
    "get_num_interop_threads set_num_interop_threads set_flush_denormal "
    "set_deterministic_debug_mode set_float32_matmul_precision set_warn_always use_deterministic_algorithms",
}.items():
    _LAZY_NAMES |= dict.fromkeys(_names.split(), f"flambeau.{_module}")
del _module, _names
OutOfMemoryError = MemoryError  # what is raised where memory is asked for that is not there


# Functions of nn.functional that are called from here as well.
_FUNCTIONAL = set(
    "adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d bilinear celu_ channel_shuffle group_norm layer_norm "
    "max_pool1d max_pool1d_with_indices max_pool2d max_pool3d pairwise_distance pixel_shuffle pixel_unshuffle "
    "rms_norm rrelu rrelu_ selu_ threshold threshold_ triplet_margin_loss".split()
)
_OF_TENSORS = {"get_device", "is_inference", "is_same_size", "is_signed"}  # methods that are functions as well


def __getattr__(name: str) -> Any:
    foreach = name.startswith("_foreach_")
    if name in _OF_TENSORS or (name[-1:] == "_" != name[:1] and name in Tensor.__dict__):  # exp_, clamp_ and the like
        return getattr(Tensor, name)
    if name in _FUNCTIONAL:
        return getattr(__getattr__("nn").functional, name)
    if name in _LAZY or name in _LAZY_NAMES or foreach:
        from importlib import import_module

        if foreach:
            value = getattr(import_module("flambeau.ops.foreach"), name)
        elif name in _LAZY_NAMES:
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
    module = type(value).__module__
    return type(value).__qualname__ if module == "builtins" else f"{module}.{type(value).__qualname__}"


def get_default_device() -> device:
    """The device tensors are made on without `device=`: the CPU."""
    return device("cpu")
