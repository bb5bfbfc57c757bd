"""The windows of flambeau.signal against SciPy's, and against torch's in their edge cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import windows as reference

import flambeau as fl
from flambeau.signal import windows

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("bartlett", {}, "bartlett", {}),
    ("blackman", {}, "blackman", {}),
    ("cosine", {}, "cosine", {}),
    ("exponential", {"tau": 2.0}, "exponential", {"tau": 2.0}),
    ("gaussian", {"std": 3.0}, "gaussian", {"std": 3.0}),
    ("general_cosine", {"a": [0.3, 0.4, 0.2]}, "general_cosine", {"a": [0.3, 0.4, 0.2]}),
    ("general_hamming", {"alpha": 0.7}, "general_hamming", {"alpha": 0.7}),
    ("hamming", {}, "hamming", {}),
    ("hann", {}, "hann", {}),
    ("kaiser", {"beta": 2.5}, "kaiser", {"beta": 2.5}),
    ("kaiser", {"beta": 400.0}, "kaiser", {"beta": 400.0}),
    ("nuttall", {}, "nuttall", {}),
]


@pytest.mark.parametrize(("name", "options", "theirs", "given"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_window(name: str, options: dict[str, Any], theirs: str, given: dict[str, Any]) -> None:
    for length in (0, 1, 2, 5, 8):
        for sym in (True, False):
            found = getattr(windows, name)(length, sym=sym, dtype=fl.float64, **options)
            expected = getattr(reference, theirs)(length, sym=sym, **given)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    assert getattr(windows, name)(3, requires_grad=True, **options).requires_grad
    assert getattr(windows, name)(3, **options).dtype is fl.float32


def test_center() -> None:
    found = windows.exponential(5, center=1, sym=False, tau=2.0, dtype=fl.float64)
    np.testing.assert_allclose(found.numpy(), reference.exponential(5, 1, 2.0, sym=False))


def test_errors() -> None:
    for bad in (
        lambda: windows.hann(-1),
        lambda: windows.hann(3, dtype=fl.int64),
        lambda: windows.kaiser(3, beta=-1.0),
        lambda: windows.gaussian(3, std=0.0),
        lambda: windows.exponential(3, tau=0.0),
        lambda: windows.exponential(3, center=1.0),
        lambda: windows.general_cosine(3, a=[]),
    ):
        with pytest.raises(ValueError):
            bad()
    with pytest.raises(fl.DeviceError):
        windows.hann(3, device="meta")


@pytest.mark.torch
def test_like_torch() -> None:
    torch_windows = pytest.importorskip("torch.signal.windows")
    assert windows.__all__ == torch_windows.__all__
    for name, options, _, _ in CASES:
        if options.get("beta") == 400.0:
            continue  # overflows to NaN there
        for length in (0, 1, 2, 5):
            for sym in (True, False):
                expected = getattr(torch_windows, name)(length, sym=sym, **options)
                found = getattr(windows, name)(length, sym=sym, **options)
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
