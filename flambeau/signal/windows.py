"""Window functions under the names of `torch.signal.windows`: M numbers, symmetric or, with sym=False, periodic.

A periodic window is the symmetric one of M + 1 numbers without its last. The older `hann_window` and its kin are in
`flambeau.ops.windows`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import flambeau as fl

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def _check(name: str, M: int, dtype: Any) -> Any:
    """The dtype of the window; ValueError for a negative length or a dtype that is not a single or double float."""
    if M < 0:
        raise ValueError(f"{name}: expected M to be non-negative, got {M}")
    dtype = dtype or fl.get_default_dtype()
    if dtype not in (fl.float32, fl.float64):
        raise ValueError(f"{name}: only float32 and float64 are supported, got {dtype}; convert the window afterwards")
    return dtype


def _places(M: int, sym: bool) -> tuple[Any, int]:
    """The numbers 0, ..., M - 1 and the place of the last of the symmetric window."""
    return fl.arange(M, dtype=fl.float64), (M - 1 if sym else M) or 1


def _deliver(values: Any, dtype: Any, requires_grad: bool, options: dict[str, Any]) -> Any:
    if options.get("layout") not in (None, fl.strided):
        raise ValueError(f"windows are made for strided tensors only, got layout {options['layout']}; use .to_sparse()")
    if options.get("device") is not None:
        fl.empty(0, device=options["device"])  # refuses what is not there
    return values.to(dtype).requires_grad_(requires_grad)


def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """The sum over k of (-1) ** k * a[k] * cos(2 pi k n / N).

    >>> general_cosine(4, a=[0.5, 0.5])
    tensor([0.0000, 0.7500, 0.7500, 0.0000])
    """
    dtype, coefficients = _check("general_cosine", M, dtype), list(a)
    if not coefficients:
        raise ValueError("general_cosine: coefficients cannot be empty; pass for example a=[0.5, 0.5]")
    n, last = _places(M, sym)
    values = fl.zeros(M, dtype=fl.float64)
    for k, coefficient in enumerate(coefficients):
        values = values + (-1) ** k * float(coefficient) * fl.cos(n * (2 * math.pi * k / last))
    return _deliver(values if M != 1 else fl.ones(1), dtype, requires_grad, options)


def general_hamming(M: int, *, alpha: float = 0.54, **options: Any) -> Any:
    """alpha - (1 - alpha) * cos(2 pi n / N)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], **options)


def hamming(M: int, **options: Any) -> Any:
    """0.54 - 0.46 * cos(2 pi n / N)."""
    return general_hamming(M, **options)


def hann(M: int, **options: Any) -> Any:
    """(1 - cos(2 pi n / N)) / 2."""
    return general_hamming(M, alpha=0.5, **options)


def blackman(M: int, **options: Any) -> Any:
    """0.42 - 0.5 * cos(2 pi n / N) + 0.08 * cos(4 pi n / N)."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], **options)


def nuttall(M: int, **options: Any) -> Any:
    """Nuttall's minimal window of four terms."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], **options)


def bartlett(M: int, *, sym: bool = True, dtype: Any = None, requires_grad: bool = False, **options: Any) -> Any:
    """A triangle: 1 - |2 n / N - 1|."""
    dtype = _check("bartlett", M, dtype)
    n, last = _places(M, sym)
    values = fl.ones(1) if M == 1 else 1 - (n * (2 / last) - 1).abs()
    return _deliver(values, dtype, requires_grad, options)


def cosine(M: int, *, sym: bool = True, dtype: Any = None, requires_grad: bool = False, **options: Any) -> Any:
    """Half a wave: sin(pi (n + 1 / 2) / (N + 1))."""
    dtype = _check("cosine", M, dtype)
    n, _ = _places(M, sym)
    size = M + (not sym) if M > 1 else 1
    return _deliver(fl.sin((n + 0.5) * (math.pi / size)), dtype, requires_grad, options)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Any:  # fmt: skip
    """exp(-|n - center| / tau); `center` may be given for periodic windows only."""
    dtype = _check("exponential", M, dtype)
    if tau <= 0:
        raise ValueError(f"exponential: tau must be positive, got {tau}")
    if sym and center is not None:
        raise ValueError("exponential: center must be None for symmetric windows; pass sym=False")
    n, last = _places(M, sym)
    middle = (last / 2 if M != 1 else 0.0) if center is None else center
    return _deliver((-(n - middle).abs() / tau).exp(), dtype, requires_grad, options)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """exp(-(n - N / 2) ** 2 / (2 std ** 2))."""
    dtype = _check("gaussian", M, dtype)
    if std <= 0:
        raise ValueError(f"gaussian: std must be positive, got {std}")
    n, last = _places(M, sym)
    z = (n - (last / 2 if M != 1 else 0.0)) / std
    return _deliver((-0.5 * z * z).exp(), dtype, requires_grad, options)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """I0(beta * sqrt(1 - (2 n / N - 1) ** 2)) / I0(beta)."""
    dtype = _check("kaiser", M, dtype)
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got {beta}")
    n, last = _places(M, sym)
    z = n * (2 / last) - 1 if M != 1 else fl.zeros(1, dtype=fl.float64)
    inner = beta * (1 - z * z).clamp(min=0).sqrt()
    # scaled Bessel functions: neither overflows for a large beta
    values = fl.special.i0e(inner) / fl.special.i0e(fl.tensor(beta, dtype=fl.float64)) * (inner - beta).exp()
    return _deliver(values, dtype, requires_grad, options)
