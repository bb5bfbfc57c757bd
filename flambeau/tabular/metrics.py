"""The figures a model is judged by, in the target's own units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["measure"]


def measure(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | int | None]:
    """MAE, MAPE, the shares within 10% and 20% of the truth, and R2.

    Arguments: two float arrays (N,). Rows with a true value of zero have no relative error: they are left out of MAPE
    and of the shares, and `zeros` counts them. A figure that cannot be had (no such rows, constant truth) is None.
    """
    import numpy as np

    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    error = np.abs(predicted - truth)
    nonzero = truth != 0.0
    relative = error[nonzero] / np.abs(truth[nonzero])
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "mae": float(error.mean()),
        "mape": float(100.0 * relative.mean()) if len(relative) else None,
        "within_10": float(100.0 * (relative <= 0.1).mean()) if len(relative) else None,
        "within_20": float(100.0 * (relative <= 0.2).mean()) if len(relative) else None,
        "r2": 1.0 - float((error**2).sum()) / spread if spread > 0.0 else None,
        "rows": len(truth),
        "zeros": int((~nonzero).sum()),
    }
