"""Short-time Fourier transforms: signals as frames of frequencies, and back. The transforms are in `fft`."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import DTypeError
from flambeau.ops.arguments import check_tensor, integer, shape_error
from flambeau.ops.complex import view_as_real

__all__ = ["istft", "stft"]


def _window(name: str, window: Any, length: int, size: int, like: Any) -> Any:
    """The window of `length` in the middle of a frame of `size`."""
    if window is None:
        window = _core.full((length,), 1, like.dtype.to_real())
    elif check_tensor(name, window, "window").ndim != 1 or window.shape[0] != length:
        raise shape_error(name, f"expected a 1D window tensor of size win_length={length}", window=window)
    if length == size:
        return window
    left = (size - length) // 2
    before = _core.full((left,), 0, window.dtype)
    after = _core.full((size - length - left,), 0, window.dtype)
    return _core.cat([before, window, after], 0)


def _sizes(name: str, n_fft: Any, hop: Any, win: Any) -> tuple[int, int, int]:
    n_fft = integer(name, n_fft, "n_fft")
    win = n_fft if win is None else integer(name, win, "win_length")
    hop = n_fft // 4 if hop is None else integer(name, hop, "hop_length")
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win}, n_fft={n_fft}")
    return n_fft, hop, win


def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Any:  # fmt: skip
    """The short-time Fourier transform of signals (T) or (B, T): frames of `n_fft` samples, `hop_length` apart.

    X[w, m] = sum over k of window[k] x[m * hop_length + k] exp(-2 pi i w k / n_fft), of shape (*, F, frames) with
    F = n_fft / 2 + 1 where `onesided` (the default for real signals and windows), else n_fft. `center` fills the signal
    up at both ends by `pad_mode`, so that frame m is around sample m * hop_length; `normalized` divides by
    sqrt(n_fft). Without `return_complex` the result is real, with the parts in a last dimension of size 2.

    >>> fl.stft(fl.ones(8), 4, return_complex=True).shape
    flambeau.Size([3, 9])
    """
    from flambeau.ops import fft

    if check_tensor("stft", input).dtype.category < 2:
        raise DTypeError(f"stft: expected a tensor of floating point or complex values, got {input.dtype}")
    if input.ndim not in (1, 2):
        raise shape_error("stft", "expected a 1D or 2D tensor", input=input)
    n_fft, hop, win = _sizes("stft", n_fft, hop_length, win_length)
    complex_input = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not complex_input:
            raise RuntimeError(
                "stft: requires the return_complex parameter be given for real inputs; pass return_complex=True, and "
                "view_as_real(...) the result where real numbers are wanted"
            )
        return_complex = True
    x = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {x.shape[-1]}, the padded length, but got n_fft={n_fft}")
    if onesided is None:
        onesided = not complex_input
    frames = x.unfold(-1, n_fft, hop) * _window("stft", window, win, n_fft, x)
    norm = "ortho" if normalized else None
    if frames.is_complex():
        if onesided:
            raise RuntimeError("stft: Cannot have onesided output if window or input is complex; pass onesided=False")
        result = fft.fft(frames, norm=norm)
    else:
        result = fft.rfft(frames, norm=norm) if onesided else fft.fft(frames, norm=norm)
    result = result.transpose(-2, -1)
    if input.ndim == 1:
        result = result.squeeze(0)
    return result if return_complex else view_as_real(result)


def _padded(x: Any, amount: int, mode: str) -> Any:
    from flambeau.nn.functional import pad

    if x.is_complex():
        parts = [_padded(part.contiguous(), amount, mode) for part in (x.real, x.imag)]
        from flambeau.ops.complex import complex

        return complex(*parts)
    return pad(x.unsqueeze(0), (amount, amount), mode).squeeze(0)


def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Any:  # fmt: skip
    """The inverse of `stft`, complex (F, frames) or (B, F, frames): overlapping frames added and divided by the window.

    `length` cuts the signal or fills it up with zeros. Raises RuntimeError where the windows leave a sample uncovered.

    >>> fl.istft(fl.stft(fl.ones(8), 4, return_complex=True), 4)
    tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    from flambeau.ops import fft

    n_fft, hop, win = _sizes("istft", n_fft, hop_length, win_length)
    if not check_tensor("istft", input).is_complex():
        raise RuntimeError(
            "istft: requires a complex-valued input tensor matching the output from stft with return_complex=True; "
            "view_as_complex(...) it"
        )
    if input.ndim not in (2, 3):
        raise shape_error("istft", "expected a tensor with 2 or 3 dimensions", input=input)
    if input.numel() == 0:
        raise shape_error("istft", "input tensor cannot be empty", input=input)
    x = input.unsqueeze(0) if input.ndim == 2 else input
    if onesided is None:
        onesided = x.shape[1] != n_fft
    if x.shape[1] != (n_fft // 2 + 1 if onesided else n_fft):
        raise shape_error("istft", f"the frequencies do not match n_fft={n_fft}, onesided={onesided}", input=input)
    weights = _window("istft", window, win, n_fft, x)
    norm = "ortho" if normalized else None
    x = x.transpose(1, 2)
    if return_complex:
        if onesided:
            raise RuntimeError("istft: cannot have onesided with return_complex; pass onesided=False")
        frames = fft.ifft(x, norm=norm)
    else:
        if weights.is_complex():
            raise RuntimeError("istft: a complex window needs return_complex=True")
        frames = fft.irfft(x if onesided else x.narrow(-1, 0, n_fft // 2 + 1), n_fft, norm=norm)
    count = frames.shape[1]
    total = n_fft + hop * (count - 1)
    places = (_core.arange(0, count, 1, dtypes.int64) * hop).unsqueeze(1) + _core.arange(0, n_fft, 1, dtypes.int64)
    places = places.reshape((-1,))
    frames = (frames * weights).reshape((frames.shape[0], -1))
    signal = _core.index_add(_core.full((frames.shape[0], total), 0, frames.dtype), 1, places, frames)
    squares = (weights * weights).expand((count, n_fft)).reshape((-1,))
    envelope = _core.index_add(_core.full((total,), 0, squares.dtype), 0, places, squares)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    signal, envelope = signal[:, start:end], envelope[start:end]
    lowest = envelope.detach().abs().amin().item() if envelope.numel() else 1.0
    if not lowest > 1e-11:
        raise RuntimeError(
            f"istft: window overlap add min: {lowest}: a sample is in no window; use a smaller hop_length"
        )
    signal = signal / envelope
    if length is not None and signal.shape[1] < length:
        zeros = _core.full((signal.shape[0], length - signal.shape[1]), 0, signal.dtype)
        signal = _core.cat([signal, zeros], 1)
    return signal.squeeze(0) if input.ndim == 2 else signal


METHODS = {"istft": istft, "stft": stft}
