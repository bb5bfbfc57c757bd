"""`flambeau.signal`: signal processing; only `windows` lives here, transforms are in `flambeau.fft` and `stft`."""

from __future__ import annotations

from flambeau.signal import windows as windows

__all__ = ["windows"]
