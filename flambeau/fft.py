"""`flambeau.fft`: discrete Fourier transforms under the names of `torch.fft`. They live in `flambeau.ops.fft`."""

from __future__ import annotations

from flambeau.ops.fft import *
from flambeau.ops.fft import __all__ as __all__
