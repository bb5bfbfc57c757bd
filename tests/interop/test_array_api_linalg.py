"""The array API namespace against NumPy: products, factors and transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fl

from .array_api import (
    FLOATS,
    SIGNED,
    arrays,
    check,
    checked,
    covered,
    reductions,
    run,
    tensor,
    xp,
)


@st.composite
def matrices(draw: Any, square: bool = True, kind: list[str] = FLOATS, symmetric: bool = False) -> np.ndarray:
    batch = draw(st.sampled_from([(), (2,), (2, 1)]))
    rows = draw(st.integers(1, 4))
    columns = rows if square else draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    a = random.standard_normal((*batch, rows, columns))
    if square:
        a = a + 4 * np.eye(rows)
    if symmetric:
        a = a @ np.swapaxes(a, -1, -2)
    return a.astype(draw(st.sampled_from(kind)))


def tolerance(a: np.ndarray) -> float:
    return 2e-3 if a.dtype == "float32" else 1e-8


@checked
@given(matrices(), st.integers(-2, 3))
def test_square_matrices(a: np.ndarray, n: int) -> None:
    how = {"rtol": tolerance(a)}
    run("linalg.det", (a,), {}, **how)
    run("linalg.inv", (a,), {}, **how)
    run("linalg.slogdet", (a,), {}, **how)
    run("linalg.matrix_power", (a, n), {}, **how)
    run("linalg.trace", (a,), {"offset": n}, **how)
    run("linalg.diagonal", (a,), {"offset": n}, **how)
    run("linalg.solve", (a, a), {}, **how)
    run("linalg.solve", (a, a[..., 0, :].reshape(-1)[: a.shape[-1]]), {}, **how)
    run("linalg.matrix_transpose", (a,), {})


@checked
@given(matrices(symmetric=True), st.booleans())
def test_symmetric_matrices(a: np.ndarray, upper: bool) -> None:
    how = {"rtol": tolerance(a)}
    run("linalg.cholesky", (a,), {"upper": upper}, **how)
    run("linalg.eigvalsh", (a,), {}, **how)
    covered.add("linalg.eigh")
    values, vectors = xp.linalg.eigh(tensor(a))
    check(vectors @ fl.diag_embed(values) @ vectors.mT, a, rtol=10 * tolerance(a))


@checked
@given(matrices(square=False), st.sampled_from(["reduced", "complete"]))
def test_factors(a: np.ndarray, mode: str) -> None:
    covered.update({"linalg.qr", "linalg.svd"})
    how = {"rtol": tolerance(a)}
    q, r = xp.linalg.qr(tensor(a), mode=mode)
    check(q @ r, a, **how)
    assert q.shape == np.linalg.qr(a, mode).Q.shape
    u, s, vh = xp.linalg.svd(tensor(a), full_matrices=False)
    check(u @ fl.diag_embed(s) @ vh, a, **how)
    assert xp.linalg.svd(tensor(a)).U.shape == np.linalg.svd(a).U.shape
    run("linalg.svdvals", (a,), {}, **how)
    run("linalg.pinv", (a,), {"rtol": 1e-4}, **how)
    run("linalg.matrix_rank", (a,), {})
    for kind in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        run("linalg.matrix_norm", (a,), {"ord": kind, "keepdims": mode == "complete"}, **how)


@checked
@given(st.data())
def test_products(data: Any) -> None:
    kind = data.draw(st.sampled_from([FLOATS, SIGNED]))
    n, m, k = (data.draw(st.integers(0, 3)) for _ in range(3))
    a = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(2, n, k)))
    b = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(k, m)))
    for prefix in ("", "linalg."):
        run(prefix + "matmul", (a, b), {}, rtol=1e-3)
        run(prefix + "tensordot", (a, b), {"axes": 1}, rtol=1e-3)
        run(prefix + "tensordot", (a, b), {"axes": ((2,), (0,))}, rtol=1e-3)
        run(prefix + "vecdot", (a, a[:1]), {}, rtol=1e-3)
        run(prefix + "vecdot", (a, a), {"axis": -2}, rtol=1e-3)
    run("linalg.outer", (a.reshape(-1), b.reshape(-1)), {})
    three = data.draw(arrays(dtypes=kind, low=-2, high=2, shape=(n, 3)))
    run("linalg.cross", (three, three[::-1].copy()), {}, rtol=1e-3)
    run("matmul", (a, np.asarray(2, a.dtype)), {})


@checked
@given(st.data())
def test_vector_norms(data: Any) -> None:
    a = data.draw(arrays(min_side=1, min_dims=1))
    options = data.draw(reductions(a))
    options["ord"] = data.draw(st.sampled_from([2, 1, 3, 0, np.inf, -np.inf]))
    if options["axis"] == ():
        return
    run("linalg.vector_norm", (a,), options, rtol=1e-4 if a.dtype == "float32" else None)


def test_transforms() -> None:
    random = np.random.default_rng(0)
    x, z = random.standard_normal((3, 6)), random.standard_normal((3, 6)) + 1j * random.standard_normal((3, 6))
    for name in ("fft", "ifft", "hfft", "irfft"):
        run("fft." + name, (z,), {"axis": 0, "norm": "ortho"}, rtol=1e-9)
    for name in ("fftn", "ifftn", "irfftn"):
        run("fft." + name, (z,), {"axes": (0, 1)}, rtol=1e-9)
    for name in ("rfft", "ihfft"):
        run("fft." + name, (x,), {"n": 5}, rtol=1e-9)
    run("fft.rfftn", (x,), {"axes": (0, 1)}, rtol=1e-9)
    for name in ("fftfreq", "rfftfreq"):
        run("fft." + name, (7,), {"d": 0.5}, dtype=False)
    for name in ("fftshift", "ifftshift"):
        run("fft." + name, (x,), {"axes": (1,)})
