"""The older names of mixed precision for CUDA: `flambeau.amp` with the device given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau import amp
from flambeau.cuda.amp import grad_scaler
from flambeau.cuda.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "grad_scaler"]


class autocast(amp.autocast):  # noqa: N801
    """`flambeau.amp.autocast("cuda", ...)`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


def custom_fwd(fwd: Callable | None = None, *, cast_inputs: Any = None) -> Any:
    """`flambeau.amp.custom_fwd` for CUDA."""
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


custom_bwd = functools.partial(amp.custom_bwd, device_type="cuda")
