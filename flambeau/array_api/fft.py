"""The `fft` extension of the array API standard; it is there where `flambeau.fft` is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flambeau.array_api.common import array

_fft: Any = import_module("flambeau.fft")

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]  # fmt: skip


def _one(name: str, sentence: str) -> Any:
    """A transform along one dimension."""

    def function(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
        return getattr(_fft, name)(array(name, x), n, axis, norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = sentence
    return function


def _many(name: str, sentence: str) -> Any:
    """A transform along several dimensions."""

    def function(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        return getattr(_fft, name)(array(name, x), s, axes, norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = sentence
    return function


fft = _one("fft", "The discrete Fourier transform along `axis`.")
ifft = _one("ifft", "The inverse of `fft`.")
rfft = _one("rfft", "The discrete Fourier transform of real values: the n // 2 + 1 coefficients that are not repeated.")
irfft = _one("irfft", "The inverse of `rfft`: real values.")
hfft = _one("hfft", "The transform of a signal with Hermitian symmetry: real values.")
ihfft = _one("ihfft", "The inverse of `hfft`.")
fftn = _many("fftn", "The discrete Fourier transform along several dimensions.")
ifftn = _many("ifftn", "The inverse of `fftn`.")
rfftn = _many("rfftn", "The discrete Fourier transform of real values along several dimensions.")
irfftn = _many("irfftn", "The inverse of `rfftn`: real values.")


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the coefficients of `fft`."""
    return _fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the coefficients of `rfft`."""
    return _fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The coefficient of frequency 0 moved to the middle."""
    return _fft.fftshift(array("fftshift", x), axes)


def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _fft.ifftshift(array("ifftshift", x), axes)
