"""The target's own scale: optional logarithm, then mean 0 and standard deviation 1, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TargetScale"]


class TargetScale:
    """Maps the target to what the network learns and back to its units."""

    def __init__(self, log: bool, mean: float, scale: float, low: float | None, high: float | None) -> None:
        self.log, self.mean, self.scale = log, mean, scale
        self.low, self.high = low, high  # bounds of predictions in the (log) target, None for no bounds

    @classmethod
    def fit(cls, values: np.ndarray, allow_log: bool) -> TargetScale:
        """Takes the logarithm when all values are positive and their skew exceeds 1 and shrinks; bounds go with it."""
        import numpy as np
        from sklearn.preprocessing import StandardScaler

        from .encoding import _skew

        log = bool(
            allow_log and values.min() > 0.0 and _skew(values) > 1.0 and abs(_skew(np.log(values))) < _skew(values)
        )
        used = np.log(values) if log else values
        scaler = StandardScaler().fit(used[:, None])
        margin = 0.1 * float(used.max() - used.min())
        bounds = (float(used.min()) - margin, float(used.max()) + margin) if allow_log else (None, None)
        return cls(log, float(scaler.mean_[0]), float(scaler.scale_[0]), *bounds)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Target units to standardised float64."""
        import numpy as np

        return ((np.log(values) if self.log else values) - self.mean) / self.scale

    def inverse(self, outputs: np.ndarray) -> np.ndarray:
        """Network outputs to target units, float64."""
        import numpy as np

        values = np.asarray(outputs, dtype=np.float64) * self.scale + self.mean
        if self.low is not None:
            values = np.clip(values, self.low, self.high)
        return np.exp(values) if self.log else values

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TargetScale:
        return cls(**values)
