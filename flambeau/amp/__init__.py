"""Mixed precision: `autocast`, regions where products run in a narrower dtype, and `GradScaler` for float16 gradients.

What does not live here: which operations ask for the dtype of a region (the core's products, convolutions, attention).
"""

from __future__ import annotations

from flambeau.amp import autocast_mode, grad_scaler
from flambeau.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from flambeau.amp.grad_scaler import GradScaler

__all__ = [
    "GradScaler", "autocast", "autocast_mode", "custom_bwd", "custom_fwd", "grad_scaler", "is_autocast_available",
]  # fmt: skip
