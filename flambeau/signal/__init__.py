"""`flambeau.signal`: the path where PyTorch programs look for signal processing. It holds the windows, no filters."""

from flambeau.signal import windows

__all__ = ["windows"]
