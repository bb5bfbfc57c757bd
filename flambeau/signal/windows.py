"""Window functions under the names of `torch.signal.windows`: symmetric unless `sym=False`, which is one period.

Every function takes the number of elements `M` and returns a tensor (M,); `dtype`, `device` and `requires_grad` are
those of a factory. ValueError for a negative `M`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import check_device
from flambeau.ops.arguments import integer

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def _made(name: str, M: int, sym: bool, shape: Callable[[Any, int], Any], options: dict[str, Any]) -> Any:
    """`shape` of the positions 0 .. M - 1 (float64) and the count from which the period follows, as a new tensor."""
    if integer(name, M, "M") < 0:
        raise ValueError(f"{name}: requires non-negative window length, got M={M}")
    if options.get("device") is not None:
        check_device(options["device"])
    dtype = options.get("dtype") or dtypes.get_default_dtype()
    if not dtype.is_floating_point:
        raise ValueError(f"{name}: expects float dtypes, got {dtype}")
    if M < 2:
        result = _core.full((M,), 1.0, dtype)
    else:
        places = _core.arange(0.0, float(M), 1.0, dtypes.float64)
        result = shape(places, M if sym else M + 1).to(dtype)
    return result.requires_grad_(True) if options.get("requires_grad") else result


def _cosines(name: str, M: int, coefficients: Sequence[float], sym: bool, options: dict[str, Any]) -> Any:
    def shape(k: Any, count: int) -> Any:
        angle = k * (2.0 * math.pi / (count - 1))
        total = angle * 0.0
        for i, a in enumerate(coefficients):
            total = total + (angle * float(i)).cos() * (a if i % 2 == 0 else -a)
        return total

    return _made(name, M, sym, shape, options)


def general_cosine(M: int, *, a: Sequence[float], sym: bool = True, **options: Any) -> Any:
    """sum over i of (-1)^i a[i] cos(2 pi i n / (M - 1))."""
    if not a:
        raise ValueError("general_cosine: coefficients cannot be empty")
    return _cosines("general_cosine", M, list(a), sym, options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Any:
    """alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    return _cosines("general_hamming", M, (alpha, 1.0 - alpha), sym, options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Any:
    """The Hamming window: `general_hamming` with alpha 0.54."""
    return _cosines("hamming", M, (0.54, 0.46), sym, options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Any:
    """The Hann window: `general_hamming` with alpha 0.5.

    >>> fl.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _cosines("hann", M, (0.5, 0.5), sym, options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Any:
    """The Blackman window: coefficients 0.42, 0.5, 0.08."""
    return _cosines("blackman", M, (0.42, 0.5, 0.08), sym, options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Nuttall's window of four terms with the lowest side lobes."""
    return _cosines("nuttall", M, (0.3635819, 0.4891775, 0.1365995, 0.0106411), sym, options)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Any:
    """The triangle 1 - |2 n / (M - 1) - 1|."""
    return _made("bartlett", M, sym, lambda k, count: 1.0 - (k * (2.0 / (count - 1)) - 1.0).abs(), options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Half a period of the sine: sin(pi (n + 1/2) / M)."""
    return _made("cosine", M, sym, lambda k, count: ((k + 0.5) * (math.pi / count)).sin(), options)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any) -> Any:
    """exp(-|n - center| / tau); the centre is the middle, and can be given for periodic windows only."""
    if tau <= 0:
        raise ValueError(f"exponential: Tau must be positive, got tau={tau}")
    if sym and center is not None:
        raise ValueError("exponential: Center must be None for symmetric windows; pass sym=False")

    def shape(k: Any, count: int) -> Any:
        middle = (count - 1) / 2.0 if center is None else center
        return (-(k - middle).abs() / tau).exp()

    return _made("exponential", M, sym, shape, options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Any:
    """exp(-((n - (M - 1) / 2) / std)^2 / 2)."""
    if std <= 0:
        raise ValueError(f"gaussian: Standard deviation must be positive, got std={std}")
    return _made(
        "gaussian", M, sym, lambda k, count: (((k - (count - 1) / 2.0) / std) ** 2 * -0.5).exp(), options
    )  # fmt: skip


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Any:
    """I0(beta sqrt(1 - (2 n / (M - 1) - 1)^2)) / I0(beta), I0 the modified Bessel function."""
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got beta={beta}")

    def shape(k: Any, count: int) -> Any:
        from flambeau.ops.elementwise import i0

        inside = (1.0 - (k * (2.0 / (count - 1)) - 1.0) ** 2).clamp(min=0.0)
        return i0(inside.sqrt() * beta) / i0(_core.full((), float(beta), dtypes.float64))

    return _made("kaiser", M, sym, shape, options)
