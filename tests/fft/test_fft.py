"""Fourier transforms against SciPy's, their gradients to second order, and what they refuse."""

from __future__ import annotations

import numpy
import pytest
import scipy.fft
import scipy.signal

import flambeau as fl
from flambeau.autograd import gradcheck, gradgradcheck

NORMS = (None, "ortho", "forward")
COMPLEX = ("fft", "ifft", "irfft", "hfft", "fftn", "ifftn", "irfftn", "hfftn", "fft2", "ifft2", "irfft2", "hfft2")
REAL = ("rfft", "ihfft", "rfftn", "ihfftn", "rfft2", "ihfft2", "fft", "fftn")


def signal(*shape, kind="complex128", seed=0):
    rng = numpy.random.default_rng(seed)
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if kind[0] == "c" else real).astype(kind)


def scipys(name, array, norm, **options):
    if name.endswith("2"):
        options.setdefault("axes", (-2, -1))
    return getattr(scipy.fft, name)(array, norm=norm, **options)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "kind"), [(n, "complex128") for n in COMPLEX] + [(n, "float64") for n in REAL])
def test_value_and_gradients(name, kind, norm):
    function = getattr(fl.fft, name)
    array = signal(3, 4, 5, kind=kind)
    numpy.testing.assert_allclose(
        function(fl.from_numpy(array), norm=norm).numpy(), scipys(name, array, norm), atol=1e-12
    )
    for last in (3, 4):
        small = fl.from_numpy(signal(2, last, kind=kind, seed=1)).requires_grad_()
        assert gradcheck(lambda x: function(x, norm=norm), (small,))
        if norm == "ortho":
            assert gradgradcheck(lambda x: function(x, norm=norm), (small,))


@pytest.mark.parametrize("n", [1, 3, 6, 7, 12])
@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "rfft", "ihfft"])
def test_length_and_dimension(name, n):
    kind = "float64" if name in ("rfft", "ihfft") else "complex128"
    array = signal(5, 7, kind=kind)
    for dim in (0, -1):
        found = getattr(fl.fft, name)(fl.from_numpy(array), n, dim)
        numpy.testing.assert_allclose(found.numpy(), getattr(scipy.fft, name)(array, n, dim), atol=1e-12)
    small = fl.from_numpy(array[:2]).requires_grad_()
    assert gradcheck(lambda x: getattr(fl.fft, name)(x, n), (small,))


def test_lengths_over_several_dimensions():
    array = signal(3, 4, 6)
    x = fl.from_numpy(array)
    for name, options in (("fftn", {"s": (5, 2)}), ("ifftn", {"s": (2, 3), "axes": (0, 2)}), ("irfftn", {"s": (4, 7)}),
                          ("hfftn", {"s": (4, 7)})):  # fmt: skip
        given = {"dim": options["axes"]} if "axes" in options else {}
        found = getattr(fl.fft, name)(x, options["s"], **given)
        numpy.testing.assert_allclose(found.numpy(), getattr(scipy.fft, name)(array, **options), atol=1e-12)


def test_precision_stays_and_integers_become_floats():
    for kind, result in (("float32", fl.complex64), ("complex64", fl.complex64), ("float64", fl.complex128)):
        assert fl.fft.fft(fl.from_numpy(signal(4, kind=kind))).dtype is result
    assert fl.fft.rfft(fl.arange(4)).dtype is fl.complex64 and fl.fft.irfft(fl.ones(3)).dtype is fl.float32
    array = signal(4096, kind="complex64")
    error = numpy.abs(fl.fft.fft(fl.from_numpy(array)).numpy() - numpy.fft.fft(array.astype("complex128")))
    assert error.max() < 1e-4


def test_threads_do_not_change_a_bit():
    x = fl.from_numpy(signal(64, 2048, kind="complex64"))
    before, found = fl.get_num_threads(), []
    try:
        for threads in (1, 2):
            fl.set_num_threads(threads)
            found.append(fl.fft.fft2(x).numpy())
    finally:
        fl.set_num_threads(before)
    numpy.testing.assert_array_equal(*found)


def test_frequencies_and_shifts():
    for n in (1, 4, 5):
        numpy.testing.assert_allclose(fl.fft.fftfreq(n, 0.5).numpy(), numpy.fft.fftfreq(n, 0.5), rtol=1e-6)
        numpy.testing.assert_allclose(fl.fft.rfftfreq(n, 0.5).numpy(), numpy.fft.rfftfreq(n, 0.5), rtol=1e-6)
    array = numpy.arange(20).reshape(4, 5)
    for name in ("fftshift", "ifftshift"):
        for dims in (None, 0, (0, 1)):
            found = getattr(fl.fft, name)(fl.from_numpy(array), dims)
            numpy.testing.assert_array_equal(found.numpy(), getattr(numpy.fft, name)(array, dims))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: fl.fft.fft(fl.ones(3), 0), RuntimeError, "Invalid number of data points"),
        (lambda: fl.fft.fft(fl.ones(3), norm="other"), RuntimeError, "Invalid normalization mode"),
        (lambda: fl.fft.fft(fl.ones(3), dim=1), IndexError, "out of range"),
        (lambda: fl.fft.rfft(fl.tensor([1j])), RuntimeError, "expects a real input"),
        (lambda: fl.fft.fft(fl.ones(3).half()), RuntimeError, "Unsupported dtype"),
        (lambda: fl.fft.fftn(fl.ones(3, 3), dim=(0, 0)), RuntimeError, "must be unique"),
        (lambda: fl.fft.fftn(fl.ones(3, 3), s=(1, 2), dim=(0,)), RuntimeError, "same length"),
        (lambda: fl.fft.fftn(fl.ones(3), s=(1, 2)), RuntimeError, "only has 1 dimensions"),
        (lambda: fl.fft.irfft(fl.ones(1)), RuntimeError, "Invalid number of data points"),
        (lambda: fl.fft.fft(3), TypeError, "must be Tensor"),
        (lambda: fl.stft(fl.ones(8), 4), RuntimeError, "return_complex"),
        (lambda: fl.stft(fl.ones(8), 40, return_complex=True), RuntimeError, "n_fft|smaller|less than"),
        (lambda: fl.istft(fl.ones(3, 4), 4), RuntimeError, "complex-valued"),
        (lambda: fl.istft(fl.ones(3, 4, dtype=fl.complex64), 4, window=fl.zeros(4)), RuntimeError, "overlap add min"),
    ],
)
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("onesided", [False, True])
def test_short_time_transform(onesided, normalized):
    array = signal(2, 61, kind="float64")
    window = scipy.signal.windows.hann(12, sym=False)
    found = fl.stft(fl.from_numpy(array), 16, 4, 12, fl.from_numpy(window), normalized=normalized, onesided=onesided,
                    return_complex=True)  # fmt: skip
    padded, wide = numpy.pad(array, ((0, 0), (8, 8)), "reflect"), numpy.pad(window, (2, 2))
    frames = numpy.lib.stride_tricks.sliding_window_view(padded, 16, 1)[:, ::4] * wide
    expected = (numpy.fft.rfft if onesided else numpy.fft.fft)(frames, norm="ortho" if normalized else None)
    numpy.testing.assert_allclose(found.numpy(), expected.swapaxes(1, 2), atol=1e-12)
    back = fl.istft(found, 16, 4, 12, fl.from_numpy(window), normalized=normalized, onesided=onesided, length=60)
    numpy.testing.assert_allclose(back.numpy(), array[:, :60], atol=1e-12)


def test_short_time_gradients_and_forms():
    x = fl.from_numpy(signal(12, kind="float64")).requires_grad_()
    window = fl.hann_window(8, dtype=fl.float64)
    assert gradcheck(lambda t: fl.stft(t, 8, window=window, return_complex=True), (x,))
    spectrum = fl.stft(x.detach(), 8, window=window, return_complex=True).requires_grad_()
    assert gradcheck(lambda t: fl.istft(t, 8, window=window), (spectrum,))
    assert fl.stft(x.detach(), 8, return_complex=False).shape == (5, 7, 2)
    z = fl.from_numpy(signal(1, 20))
    whole = z.stft(8, window=fl.hann_window(8, dtype=fl.float64))
    assert whole.shape == (1, 8, 11)
    back = whole.istft(8, window=window, return_complex=True)
    numpy.testing.assert_allclose(back.numpy(), z.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", fl.signal.windows.__all__)
@pytest.mark.parametrize("sym", [True, False])
def test_windows(name, sym):
    options = {"general_cosine": {"a": [0.5, 0.3, 0.2]}, "general_hamming": {"alpha": 0.6}, "kaiser": {"beta": 8.0},
               "gaussian": {"std": 2.0}, "exponential": {"tau": 3.0}}.get(name, {})  # fmt: skip
    theirs = dict(options)
    for count in (1, 2, 9, 10):
        found = getattr(fl.signal.windows, name)(count, sym=sym, dtype=fl.float64, **options).numpy()
        expected = getattr(scipy.signal.windows, name)(count, sym=sym, **theirs)
        numpy.testing.assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(ValueError, match="non-negative"):
        getattr(fl.signal.windows, name)(-1, **options)
