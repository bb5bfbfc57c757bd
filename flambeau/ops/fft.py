"""Discrete Fourier transforms, through SciPy's, which compute in the precision of their input.

Three host operations carry all of it: complex to complex over some dimensions, real to half a spectrum and back along
one. The gradient of each is its adjoint, which is another of the three, so transforms can be differentiated to any
order. Short-time transforms are in `spectral`, windows in `windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.devices import check_device
from flambeau.dtypes import dtype as DType
from flambeau.errors import DTypeError
from flambeau.ops.arguments import (
    check_tensor,
    deliver,
    integer,
    integers,
    to_numpy,
    to_tensor,
    with_gradient,
    wrap_dim,
)
from flambeau.ops.complex import conj

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

#: Of a transform with this normalisation, that of its adjoint: the same factor in the other direction.
_ADJOINT = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
#: Elements from which a transform is spread over the threads.
_PARALLEL = 1 << 16


# ------------------------------------------------------------------------------------------- the three host operations


def _workers(count: int) -> int:
    """Threads take whole lines, so their number does not change a bit."""
    return _core.get_num_threads() if count >= _PARALLEL else 1


def _c2c(x: Any, dims: tuple[int, ...], norm: str, forward: bool) -> Any:
    """The transform of a complex tensor over `dims`."""
    if not dims:
        return x
    if x.numel() == 0:
        return x.clone()
    axes = tuple([d - x.ndim for d in dims])

    def compute(x: Any) -> Any:
        import scipy.fft

        transform = scipy.fft.fftn if forward else scipy.fft.ifftn
        return to_tensor(transform(to_numpy(x), axes=axes, norm=norm, workers=_workers(x.numel())), x.dtype)

    result = recording.host("fft_c2c", compute, x, whole=True)
    return with_gradient(result, (x,), lambda g: (_c2c(g, dims, _ADJOINT[norm], not forward),), "fft_c2c")


def _r2c(x: Any, dim: int, norm: str) -> Any:
    """Half the spectrum of a real tensor along `dim`, forward."""
    length, kind = x.shape[dim], x.dtype.to_complex()
    if x.numel() == 0:
        return _core.full([s // 2 + 1 if d == dim else s for d, s in enumerate(x.shape)], 0, kind)
    axis = dim - x.ndim

    def compute(x: Any) -> Any:
        import scipy.fft

        return to_tensor(scipy.fft.rfft(to_numpy(x), axis=axis, norm=norm, workers=_workers(x.numel())), kind)

    result = recording.host("fft_r2c", compute, x, whole=True)

    def vjp(gradient: Any) -> tuple[Any]:
        # What the inverse counts twice, the frequencies that stand for their mirror images, has one share only.
        return (_c2r(gradient * _weights(length, dim, x, 0.5), dim, length, _ADJOINT[norm]),)

    return with_gradient(result, (x,), vjp, "fft_r2c")


def _c2r(x: Any, dim: int, length: int, norm: str) -> Any:
    """The real tensor of `length` along `dim` of which `x` is half the spectrum, inverse."""
    kind = x.dtype.to_real()
    if x.numel() == 0:
        return _core.full([length if d == dim else s for d, s in enumerate(x.shape)], 0, kind)
    axis = dim - x.ndim

    def compute(x: Any) -> Any:
        import scipy.fft

        return to_tensor(scipy.fft.irfft(to_numpy(x), length, axis=axis, norm=norm, workers=_workers(x.numel())), kind)

    result = recording.host("fft_c2r", compute, x, whole=True)
    return with_gradient(
        result, (x,), lambda g: (_r2c(g, dim, _ADJOINT[norm]) * _weights(length, dim, x, 2.0),), "fft_c2r"
    )


def _weights(length: int, dim: int, like: Any, interior: float) -> Any:
    """1 for the frequencies that are their own mirror image, `interior` for the others, along `dim`."""
    count = length // 2 + 1
    weights = _core.full((count,), interior, like.dtype.to_real())
    weights[0] = 1.0
    if length % 2 == 0:
        weights[count - 1] = 1.0
    return weights.reshape((count,) + (1,) * (like.ndim - 1 - dim))


# ------------------------------------------------------------------------------------------------------- arguments


def _norm(name: str, norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in _ADJOINT:
        raise RuntimeError(f"fft.{name}: Invalid normalization mode: {norm!r}; it is 'backward', 'ortho' or 'forward'")
    return norm


def _floating(name: str, x: Any, complex_: bool) -> Any:
    """The input in the dtype the transform computes in: complex if `complex_`, else a real input as it is."""
    check_tensor("fft." + name, x)
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise DTypeError(f"fft.{name}: Unsupported dtype {x.dtype}: convert with .float()")
    if x.dtype.category < 2:
        x = x.to(dtypes.get_default_dtype())
    return x.to(x.dtype.to_complex()) if complex_ else x


def _real(name: str, x: Any) -> Any:
    check_tensor("fft." + name, x)
    if x.is_complex():
        raise RuntimeError(f"fft.{name}: expects a real input tensor, but got {x.dtype}: use fft, or take .real")
    return _floating(name, x, False)


def _positive(name: str, n: int) -> int:
    if n < 1:
        raise RuntimeError(f"fft.{name}: Invalid number of data points ({n}) specified: it must be at least 1")
    return n


def _fit(x: Any, dim: int, n: int) -> Any:
    """`x` cut, or filled up with zeros, to `n` elements along `dim`."""
    size = x.shape[dim]
    if size > n:
        return x.narrow(dim, 0, n)
    if size == n:
        return x
    zeros = _core.full([n - size if d == dim else s for d, s in enumerate(x.shape)], 0, x.dtype)
    return _core.cat([x, zeros], dim)


def _one(name: str, x: Any, n: Any, dim: Any) -> tuple[int, int]:
    """The dimension and the length of a transform along one dimension."""
    if x.ndim == 0:
        raise IndexError(f"fft.{name}: Dimension specified as {dim} but tensor has no dimensions")
    dim = wrap_dim("fft." + name, dim, x.ndim)
    return dim, _positive(name, x.shape[dim] if n is None else integer("fft." + name, n, "n"))


def _several(name: str, x: Any, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """The dimensions and the lengths of a transform along several."""
    full = "fft." + name
    sizes = None if s is None else integers(full, s, "s")
    if dim is not None:
        dims = tuple([wrap_dim(full, d, x.ndim) for d in integers(full, dim, "dim")])
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"{full}: FFT dims must be unique, got {dim}")
        if sizes is not None and len(sizes) != len(dims):
            raise RuntimeError(
                f"{full}: When given, dim and shape arguments must have the same length: s is {s}, dim is {dim}"
            )
    elif sizes is not None:
        if len(sizes) > x.ndim:
            raise RuntimeError(
                f"{full}: Got shape with {len(sizes)} values but input tensor only has {x.ndim} dimensions"
            )
        dims = tuple(range(x.ndim - len(sizes), x.ndim))
    else:
        dims = tuple(range(x.ndim))
    lengths = [x.shape[d] if sizes is None or sizes[i] == -1 else sizes[i] for i, d in enumerate(dims)]
    for length in lengths:
        _positive(name, length)
    return dims, lengths


def _fit_all(x: Any, dims: Sequence[int], lengths: Sequence[int]) -> Any:
    for d, n in zip(dims, lengths, strict=True):
        x = _fit(x, d, n)
    return x


# ----------------------------------------------------------------------------------------------------- one dimension


def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """The discrete Fourier transform along `dim`: X[k] = sum over j of x[j] exp(-2 pi i j k / n), complex.

    `n` cuts the input or fills it up with zeros first. `norm`: "backward" (no factor), "ortho" (1 / sqrt(n)) or
    "forward" (1 / n). Raises RuntimeError for n < 1 and other norms, DTypeError for half precision.

    >>> fl.fft.fft(fl.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return deliver(_fft("fft", input, n, dim, norm, True), out)


def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `fft`: x[j] = 1 / n * sum over k of X[k] exp(2 pi i j k / n); "backward" is the factor 1 / n."""
    return deliver(_fft("ifft", input, n, dim, norm, False), out)


def _fft(name: str, input: Any, n: int | None, dim: int, norm: str | None, forward: bool) -> Any:
    mode = _norm(name, norm)
    x = _floating(name, input, True)
    dim, n = _one(name, x, n, dim)
    return _c2c(_fit(x, dim, n), (dim,), mode, forward)


def rfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """`fft` of a real tensor: its first n / 2 + 1 frequencies, the others being their conjugates.

    >>> fl.fft.rfft(fl.ones(4))
    tensor([4.+0.j, 0.+0.j, 0.+0.j])
    """
    mode = _norm("rfft", norm)
    x = _real("rfft", input)
    dim, n = _one("rfft", x, n, dim)
    return deliver(_r2c(_fit(x, dim, n), dim, mode), out)


def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `rfft`, real: of `n` elements, without it 2 * (size - 1).

    >>> fl.fft.irfft(fl.fft.rfft(fl.tensor([1.0, 2.0, 3.0, 4.0])))
    tensor([1., 2., 3., 4.])
    """
    return deliver(_half_to_real("irfft", input, n, dim, _norm("irfft", norm), False), out)


def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """`fft` of a signal whose second half is the conjugate of the first, which `input` holds: a real result."""
    return deliver(_half_to_real("hfft", input, n, dim, _ADJOINT[_norm("hfft", norm)], True), out)


def _half_to_real(name: str, input: Any, n: int | None, dim: int, mode: str, forward: bool) -> Any:
    x = _floating(name, input, True)
    dim, _ = _one(name, x, 1, dim)
    n = _positive(name, 2 * (x.shape[dim] - 1) if n is None else integer("fft." + name, n, "n"))
    x = _fit(x, dim, n // 2 + 1)
    return _c2r(conj(x) if forward else x, dim, n, mode)


def ihfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `hfft`: the first n / 2 + 1 elements of `ifft` of a real tensor."""
    mode = _ADJOINT[_norm("ihfft", norm)]
    x = _real("ihfft", input)
    dim, n = _one("ihfft", x, n, dim)
    return deliver(conj(_r2c(_fit(x, dim, n), dim, mode)), out)


# ------------------------------------------------------------------------------------------------ several dimensions


def fftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """`fft` over the dimensions `dim` (all, or the last len(s)), each cut or filled up to its length in `s`."""
    return deliver(_fftn("fftn", input, s, dim, norm, True), out)


def ifftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `fftn`."""
    return deliver(_fftn("ifftn", input, s, dim, norm, False), out)


def _fftn(name: str, input: Any, s: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    mode = _norm(name, norm)
    x = _floating(name, input, True)
    dims, lengths = _several(name, x, s, dim)
    return _c2c(_fit_all(x, dims, lengths), dims, mode, forward)


def rfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """`fftn` of a real tensor: half the spectrum along the last of the dimensions."""
    return deliver(_rfftn("rfftn", input, s, dim, norm), out)


def _rfftn(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    mode = _norm(name, norm)
    x = _real(name, input)
    dims, lengths = _several(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"fft.{name}: must transform at least one axis")
    return _c2c(_r2c(_fit_all(x, dims, lengths), dims[-1], mode), dims[:-1], mode, True)


def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `rfftn`, real; `s` says the lengths, the last one is 2 * (size - 1) without."""
    return deliver(_irfftn("irfftn", input, s, dim, norm), out)


def _irfftn(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    mode = _norm(name, norm)
    x, dims, lengths, last = _half_lengths(name, input, s, dim)
    return _c2r(_c2c(_fit_all(x, dims, lengths), dims[:-1], mode, False), dims[-1], last, mode)


def _half_lengths(name: str, input: Any, s: Any, dim: Any) -> tuple[Any, tuple[int, ...], list[int], int]:
    x = _floating(name, input, True)
    dims, lengths = _several(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"fft.{name}: must transform at least one axis")
    given = None if s is None else integers("fft." + name, s, "s")[-1]
    last = _positive(name, 2 * (x.shape[dims[-1]] - 1) if given in (None, -1) else given)
    return x, dims, [*lengths[:-1], last // 2 + 1], last


def hfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """`hfft` along the last of the dimensions after `fft` along the others."""
    return deliver(_hfftn("hfftn", input, s, dim, norm), out)


def _hfftn(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    mode = _norm(name, norm)
    x, dims, lengths, last = _half_lengths(name, input, s, dim)
    x = _c2c(_fit_all(x, dims, lengths), dims[:-1], mode, True)
    return _c2r(conj(x), dims[-1], last, _ADJOINT[mode])


def ihfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Any = None) -> Any:
    """The inverse of `hfftn`."""
    return deliver(_ihfftn("ihfftn", input, s, dim, norm), out)


def _ihfftn(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    mode = _norm(name, norm)
    x = _real(name, input)
    dims, lengths = _several(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"fft.{name}: must transform at least one axis")
    return _c2c(conj(_r2c(_fit_all(x, dims, lengths), dims[-1], _ADJOINT[mode])), dims[:-1], mode, False)


def fft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`fftn` over two dimensions, the last ones without `dim`."""
    return deliver(_fftn("fft2", input, s, dim, norm, True), out)


def ifft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`ifftn` over two dimensions."""
    return deliver(_fftn("ifft2", input, s, dim, norm, False), out)


def rfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`rfftn` over two dimensions."""
    return deliver(_rfftn("rfft2", input, s, dim, norm), out)


def irfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`irfftn` over two dimensions."""
    return deliver(_irfftn("irfft2", input, s, dim, norm), out)


def hfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`hfftn` over two dimensions."""
    return deliver(_hfftn("hfft2", input, s, dim, norm), out)


def ihfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Any = None) -> Any:
    """`ihfftn` over two dimensions."""
    return deliver(_ihfftn("ihfft2", input, s, dim, norm), out)


# -------------------------------------------------------------------------------------------------------- frequencies


def fftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: DType | None = None, device: Any = None,
            requires_grad: bool = False, **ignored: Any) -> Any:  # fmt: skip
    """The frequencies of the elements of `fft` of `n` samples `d` apart, in its order.

    >>> fl.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    n = integer("fft.fftfreq", n, "n")
    places = _core.arange(0, n, 1, dtypes.int64)
    return _frequencies(places - n * (places >= (n + 1) // 2).to(dtypes.int64), n, d, out, dtype, device, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: DType | None = None, device: Any = None,
             requires_grad: bool = False, **ignored: Any) -> Any:  # fmt: skip
    """The frequencies of the elements of `rfft` of `n` samples `d` apart.

    >>> fl.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    n = integer("fft.rfftfreq", n, "n")
    return _frequencies(_core.arange(0, n // 2 + 1, 1, dtypes.int64), n, d, out, dtype, device, requires_grad)


def _frequencies(places: Any, n: int, d: float, out: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    if device is not None:
        check_device(device)
    result = (places.to(dtypes.float64) * (1.0 / (n * d))).to(dtype or dtypes.get_default_dtype())
    result = deliver(result, out)
    return result.requires_grad_(True) if requires_grad else result


def fftshift(input: Any, dim: Any = None) -> Any:
    """`input` rolled by half its size along `dim` (all without it): the frequency 0 in the middle."""
    return _shift("fftshift", input, dim, 0)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shift("ifftshift", input, dim, 1)


def _shift(name: str, input: Any, dim: Any, more: int) -> Any:
    from flambeau.ops.shape import roll

    check_tensor("fft." + name, input)
    dims = tuple(range(input.ndim)) if dim is None else integers("fft." + name, dim, "dim")
    dims = tuple([wrap_dim("fft." + name, d, input.ndim) for d in dims])
    return roll(input, [(input.shape[d] + more) // 2 for d in dims], dims) if dims else input
