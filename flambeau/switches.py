"""Process-wide switches of PyTorch programs: determinism, the precision of products, default device and tensor type.

Results are always deterministic and float32 products are always rounded in float32, so those switches keep their value,
answer with it, and change nothing.
"""

from __future__ import annotations

from typing import Any

from flambeau import dtypes
from flambeau.devices import check_device

__all__ = [
    "are_deterministic_algorithms_enabled", "get_deterministic_debug_mode", "get_float32_matmul_precision",
    "get_num_interop_threads", "set_flush_denormal", "set_num_interop_threads",
    "is_deterministic_algorithms_warn_only_enabled", "is_warn_always_enabled", "set_default_device",
    "set_default_tensor_type", "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_warn_always",
    "use_deterministic_algorithms",
]  # fmt: skip

_MODES = ("default", "warn", "error")
_PRECISIONS = ("highest", "high", "medium")
_deterministic: str = "default"
_precision = "highest"
_warn_always = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits in every run: accepted, and always so."""
    global _deterministic
    _deterministic = ("warn" if warn_only else "error") if mode else "default"


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` asked for it."""
    return _deterministic != "default"


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` asked for warnings instead of errors."""
    return _deterministic == "warn"


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same as `use_deterministic_algorithms` by a name or number: "default" 0, "warn" 1, "error" 2.

    Raises RuntimeError for another name or number, TypeError for another type.
    """
    global _deterministic
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode).__name__}")
    if isinstance(debug_mode, int):
        if not 0 <= debug_mode <= 2:
            raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
        debug_mode = _MODES[debug_mode]
    if debug_mode not in _MODES:
        raise RuntimeError(f"invalid value of debug_mode, expected one of {', '.join(_MODES)}, but got {debug_mode}")
    _deterministic = debug_mode


def get_deterministic_debug_mode() -> int:
    """The number that `set_deterministic_debug_mode` takes."""
    return _MODES.index(_deterministic)


def set_float32_matmul_precision(precision: str) -> None:
    """How float32 products may be rounded inside: "highest", "high" or "medium"; always the highest here.

    Raises ValueError for another name.
    """
    global _precision
    if precision not in _PRECISIONS:
        raise ValueError(f"set_float32_matmul_precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given; "highest" at the start."""
    return _precision


def get_num_interop_threads() -> int:
    """1: operations run one after the other, each on all threads.

    >>> fl.get_num_interop_threads()
    1
    """
    return 1


def set_num_interop_threads(threads: int) -> None:
    """Does nothing: operations run one after the other. RuntimeError unless `threads` is positive.

    >>> fl.set_num_interop_threads(2)
    """
    if threads < 1:
        raise RuntimeError(f"set_num_interop_threads: expects a positive number of threads, got {threads}")


def set_flush_denormal(mode: bool) -> bool:
    """False: numbers below the smallest normal one are kept as they are.

    >>> fl.set_flush_denormal(True)
    False
    """
    return False


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that are given once are given every time: kept, nothing here is given once by the core."""
    global _warn_always
    _warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was given."""
    return _warn_always


def set_default_device(device: Any) -> None:
    """Where tensors are made without `device=`; None or "cpu". DeviceError for a device that is not on this machine."""
    check_device(device)


_TYPES = {
    "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64, "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
}  # fmt: skip


def set_default_tensor_type(t: Any, /) -> None:
    """Set the default dtype by the name of a tensor type such as "torch.DoubleTensor", or by such a type.

    Raises TypeError for a type that is not floating, DeviceError for one of a device that is not on this machine.
    """
    name = t if isinstance(t, str) else f"{getattr(t, '__module__', '')}.{getattr(t, '__name__', t)}"
    package, _, kind = name.rpartition(".")
    if kind not in _TYPES:
        raise TypeError(
            f"set_default_tensor_type: only floating-point types are supported as the default type, got {name}; write "
            "flambeau.set_default_dtype(flambeau.float64)"
        )
    if package.endswith("cuda"):
        check_device("cuda")
    dtypes.set_default_dtype(_TYPES[kind])
