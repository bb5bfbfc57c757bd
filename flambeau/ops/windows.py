"""Window functions for signals: Hann, Hamming, Blackman, Bartlett, Kaiser. Filters and transforms are elsewhere."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.dtypes import dtype as DType
from flambeau.ops.arguments import constant
from flambeau.ops.create import ones

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]

METHODS: dict[str, Any] = {}


def _cosine_window(length: int, periodic: bool, coefficients: tuple[float, ...], dtype: DType | None) -> Any:
    if length < 0:
        raise RuntimeError(f"window: the length must be non-negative, got {length}")
    if length < 2:
        return ones((length,), dtype=dtype)
    step = 6.283185307179586 / (length if periodic else length - 1)
    angle = _core.arange(0.0, float(length), 1.0, dtypes.float64) * step
    result = _core.full((length,), coefficients[0], dtypes.float64)
    for k, coefficient in enumerate(coefficients[1:], 1):
        result = result + (angle * k).cos() * coefficient
    return result.to(dtype or dtypes._default)


def hann_window(window_length: int, periodic: bool = True, *, dtype: DType | None = None, **options: Any) -> Any:
    """The Hann window: (1 - cos(2 pi n / N)) / 2, with N = window_length (periodic) or window_length - 1."""
    return _cosine_window(window_length, periodic, (0.5, -0.5), dtype)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: DType | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """The Hamming window: alpha - beta cos(2 pi n / N)."""
    return _cosine_window(window_length, periodic, (alpha, -beta), dtype)


def blackman_window(window_length: int, periodic: bool = True, *, dtype: DType | None = None, **options: Any) -> Any:
    """The Blackman window: 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return _cosine_window(window_length, periodic, (0.42, -0.5, 0.08), dtype)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: DType | None = None, **options: Any) -> Any:
    """The Bartlett window: a triangle that is 0 at its ends."""
    if window_length < 2:
        return ones((window_length,), dtype=dtype)
    place = _core.arange(0.0, float(window_length), 1.0, dtypes.float64) * (2.0 / (window_length - (not periodic)))
    return (1.0 - (place - 1.0).abs()).to(dtype or dtypes._default)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: DType | None = None, **options: Any
) -> Any:
    """The Kaiser window with shape parameter `beta`."""
    import numpy

    values = numpy.kaiser(window_length + bool(periodic), beta)[:window_length] if window_length > 1 else None
    if values is None:
        return ones((window_length,), dtype=dtype)
    return constant(values).to(dtype or dtypes._default)
