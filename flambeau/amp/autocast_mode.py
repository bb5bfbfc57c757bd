"""`autocast`: regions where products, convolutions and attention run in bfloat16 or float16.

What runs in which dtype is PyTorch's list for the CPU: products of matrices, linear layers, convolutions, attention and
recurrent layers in the narrow dtype, losses in float32, everything else in the dtype of its operands.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import device as Device

__all__ = [
    "autocast", "autocast_decrement_nesting", "autocast_increment_nesting", "clear_autocast_cache", "custom_bwd",
    "custom_fwd", "get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype", "is_autocast_available",
    "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_autocast_enabled", "set_autocast_dtype",
    "set_autocast_enabled",
]  # fmt: skip

_default: dict[str, Any] = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
_nesting = 0

#: Losses, which run in float32; each also as its sum and its mean.
_WIDE = (
    "mse_loss l1_loss smooth_l1_loss huber_loss gaussian_nll_loss poisson_nll_loss poisson_nll_log_loss "
    "binary_cross_entropy binary_cross_entropy_weighted binary_cross_entropy_with_logits "
    "binary_cross_entropy_with_logits_weighted soft_margin_loss hinge_embedding_loss margin_ranking_loss kl_div "
    "kl_div_log cross_entropy cross_entropy_weighted cross_entropy_soft cross_entropy_soft_weighted nll_loss "
    "nll_loss_weighted multi_margin_loss multi_margin_loss_weighted"
)
_core.set_wide_operations(["prod", *[name + end for name in _WIDE.split() for end in ("", "_sum", "_mean")]])


def _kind(device: Any) -> str:
    if not isinstance(device, (str, Device)):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device)}`")
    kind = device.type if isinstance(device, Device) else device.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        raise RuntimeError(f"autocast: unsupported autocast device_type {kind!r}; use 'cpu'")
    return kind


class autocast:  # noqa: N801
    """A region (a `with` block, or a decorated function) where products run in a narrower dtype.

    Matrix products, linear and recurrent layers, convolutions and attention convert their float operands to `dtype`;
    losses convert theirs to float32; gradients come back in the dtype of the parameters. The loss is computed inside,
    `backward()` is called outside.

    Arguments: `device_type`, "cpu"; other devices warn that they are not there and change nothing; `dtype`, bfloat16
    (the default on the CPU) or float16; `enabled`; `cache_enabled` is accepted: weights are converted where they are
    used. Errors: RuntimeError for an unknown device, a warning for a dtype that is not supported.

    >>> with fl.autocast("cpu"): (fl.ones(2, 2) @ fl.ones(2, 2)).dtype
    flambeau.bfloat16
    """

    def __init__(
        self, device_type: Any, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = kind = _kind(device_type)
        self.fast_dtype = dtype = _default.get(kind, dtypes.bfloat16) if dtype is None else dtype
        if kind != "cpu" and enabled:
            warnings.warn(
                f"User provided device_type of {kind!r}, but {kind.upper()} is not available. Disabling", stacklevel=2
            )
            enabled = False
        if kind == "cpu" and enabled and dtype not in (dtypes.bfloat16, dtypes.float16):
            if dtype is not dtypes.float32:
                warnings.warn(
                    "In CPU autocast, but the target dtype is not supported. Disabling autocast. CPU Autocast only "
                    "supports dtype of flambeau.bfloat16, flambeau.float16 currently.",
                    stacklevel=2,
                )
            enabled = False
        self._enabled = bool(enabled)
        self._before: list[tuple[Any, Any]] = []

    def __enter__(self) -> autocast:
        if self.device == "cpu":
            dtype = self.fast_dtype if self._enabled else None
            self._before.append((_core.set_autocast(dtype), _default["cpu"]))
            if self._enabled:
                _default["cpu"] = self.fast_dtype
        return self

    def __exit__(self, *exception: object) -> None:
        if self.device == "cpu":
            dtype, default = self._before.pop()
            _core.set_autocast(dtype)
            _default["cpu"] = default

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` does anything for a kind of device: for the CPU.

    >>> fl.amp.is_autocast_available("cpu")
    True
    """
    return _kind(device_type) == "cpu"


def is_autocast_enabled(device_type: Any = None) -> bool:
    """Whether an autocast region runs for a kind of device; without one for CUDA, as programs expect."""
    return device_type is not None and _kind(device_type) == "cpu" and _core.autocast_dtype() is not None


def is_autocast_cpu_enabled() -> bool:
    """Whether an autocast region runs for the CPU."""
    return _core.autocast_dtype() is not None


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch autocast on or off for a kind of device until it is switched again."""
    if enabled is not None and _kind(device_type) == "cpu":
        _core.set_autocast(_default["cpu"] if enabled else None)


def get_autocast_dtype(device_type: str) -> Any:
    """What autocast converts to on a kind of device.

    >>> fl.get_autocast_dtype("cpu")
    flambeau.bfloat16
    """
    return _default.get(_kind(device_type), dtypes.bfloat16)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set what autocast converts to on a kind of device."""
    _default[_kind(device_type)] = dtype
    if device_type == "cpu" and _core.autocast_dtype() is not None:
        _core.set_autocast(dtype)


def get_autocast_cpu_dtype() -> Any:
    """What autocast converts to on the CPU."""
    return _default["cpu"]


def get_autocast_gpu_dtype() -> Any:
    """What autocast would convert to on a CUDA device."""
    return _default["cuda"]


def is_autocast_cache_enabled() -> bool:
    """False: weights are converted where they are used."""
    return False


def clear_autocast_cache() -> None:
    """Nothing to do: converted weights are not kept."""


def autocast_increment_nesting() -> int:
    """One region more; for programs that enter one by hand.

    >>> fl.autocast_increment_nesting(), fl.autocast_decrement_nesting()
    (1, 0)
    """
    global _nesting
    _nesting += 1
    return _nesting


def autocast_decrement_nesting() -> int:
    """One region less.

    >>> fl.autocast_increment_nesting(), fl.autocast_decrement_nesting()
    (1, 0)
    """
    global _nesting
    _nesting -= 1
    return _nesting


def _converted(value: Any, kind: str, dtype: Any) -> Any:
    if isinstance(value, _core.Tensor):
        convert = value.is_floating_point() and value.device.type == kind and value.dtype is not dtypes.float64
        return value.to(dtype) if convert else value
    if isinstance(value, dict):
        return {_converted(k, kind, dtype): _converted(v, kind, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_converted(each, kind, dtype) for each in value])
    return value


def custom_fwd(fwd: Callable | None = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """A decorator for `forward` of an autograd Function: remembers autocast for `custom_bwd`.

    Arguments: `device_type`; `cast_inputs`, inside a region tensors are converted to it and forward runs without
    autocast.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    kind = _kind(device_type)

    @functools.wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        args[0]._dtype = get_autocast_dtype(kind)
        on = is_autocast_enabled(kind)
        if cast_inputs is None or not on:
            args[0]._fwd_used_autocast = on
            return fwd(*args, **kwargs)
        args[0]._fwd_used_autocast = False
        with autocast(kind, enabled=False):
            return fwd(*_converted(args, kind, cast_inputs), **_converted(kwargs, kind, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable | None = None, *, device_type: str = "cuda") -> Any:
    """A decorator for `backward` of an autograd Function: runs it with the autocast that forward had."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    kind = _kind(device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        with autocast(kind, enabled=args[0]._fwd_used_autocast, dtype=args[0]._dtype):
            return bwd(*args, **kwargs)

    return decorated
