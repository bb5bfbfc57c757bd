"""The text of tensors: PyTorch's, letter for letter, but for the name of the module."""

from __future__ import annotations

import random

import numpy as np
import pytest

import flambeau as fl

DTYPES = [
    "float32", "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex64", "complex128", "uint16", "uint32", "uint64",
]  # fmt: skip
OPTIONS = [
    {}, {}, {}, {"precision": 2}, {"precision": 6, "sci_mode": True}, {"sci_mode": False}, {"linewidth": 40},
    {"threshold": 5, "edgeitems": 2}, {"profile": "short"}, {"profile": "full"}, {"precision": 0},
    {"threshold": 20, "edgeitems": 1, "linewidth": 60},
]  # fmt: skip


@pytest.fixture(autouse=True)
def default_options():
    fl.set_printoptions(profile="default")
    yield
    fl.set_printoptions(profile="default")


def values(r: random.Random, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of one of several kinds: whole, large, small, of many sizes, with NaN and infinities."""
    g = np.random.default_rng(r.randrange(1 << 30))
    if "complex" in dtype:
        a = np.empty(shape, dtype="complex128")
        a.real, a.imag = values(r, "float64", shape), values(r, "float64", shape)
        with np.errstate(all="ignore"):
            return np.asarray(a.astype(dtype))
    if dtype == "bool":
        return g.random(shape) < 0.5
    if "int" in dtype:
        limits = np.iinfo(dtype)
        high = min(limits.max, r.choice([5, 1000, limits.max]), (1 << 63) - 1)
        return g.integers(max(limits.min, -high), high, shape).astype(dtype)
    a = g.standard_normal(shape)
    kind = r.choice(["unit", "whole", "large", "small", "mixed", "special"])
    if kind == "whole":
        a = np.round(a * 10)
    if kind in ("large", "small"):
        a = a * 10.0 ** (r.randint(2, 8) * (1 if kind == "large" else -1))
    if kind == "mixed":
        a = a * 10.0 ** g.integers(-6, 6, shape)
    if kind == "special":
        a = np.where(g.random(shape) < 0.3, g.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape), a)
    with np.errstate(all="ignore"):
        return np.asarray(a.astype("float32" if dtype == "bfloat16" else dtype))


@pytest.mark.torch
def test_random_tensors_are_written_as_pytorch_writes_them():
    torch = pytest.importorskip("torch")
    r = random.Random(0)
    for _ in range(250):
        dtype, options = r.choice(DTYPES), r.choice(OPTIONS)
        shape = tuple(r.choice([1, 2, 3, 4, 7]) for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4])))
        if shape and r.random() < 0.1:
            shape = (*shape[:-1], 0)
        if r.random() < 0.1:
            shape = r.choice([(1001,), (40, 30), (3, 20, 20), (7, 8, 1, 20), (1100, 1), (1, 1100)])
        a = values(r, dtype, shape)
        x = fl.tensor(a) if a.ndim else fl.tensor(a.item(), dtype=getattr(fl, a.dtype.name))
        t = torch.tensor(a) if a.ndim else torch.tensor(a.item(), dtype=getattr(torch, a.dtype.name))
        x, t = x.to(getattr(fl, dtype)), t.to(getattr(torch, dtype))
        if ("float" in dtype or "complex" in dtype) and r.random() < 0.3:
            x.requires_grad_()
            t.requires_grad_()
            if r.random() < 0.5:
                x, t = (x.clone(), t.clone()) if r.random() < 0.5 else (x.unsqueeze(0), t.unsqueeze(0))
        fl.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")
        fl.set_printoptions(**options)
        torch.set_printoptions(**options)
        text = repr(t)
        torch.set_printoptions(profile="default")
        assert repr(x) == text.replace("torch.", "flambeau."), (dtype, shape, options)


def test_numbers_share_width_and_notation():
    assert repr(fl.tensor([1.0, -2.5, 1000.0])) == "tensor([   1.0000,   -2.5000, 1000.0000])"
    assert repr(fl.tensor([1e-5, 1.0])) == "tensor([1.0000e-05, 1.0000e+00])"
    assert repr(fl.tensor([1.0, float("nan"), float("inf")])) == "tensor([1., nan, inf])"
    assert repr(fl.tensor([[1, -2], [30, 4]])) == "tensor([[ 1, -2],\n        [30,  4]])"
    assert repr(fl.zeros(2, 0)) == "tensor([], size=(2, 0))"
    assert repr(fl.tensor(True)) == "tensor(True)" and repr(fl.tensor(2.5)) == "tensor(2.5000)"


def test_options_change_the_text_and_a_block_restores_them():
    x = fl.tensor([1 / 3, 2.0])
    with fl.printing.printoptions(precision=2):
        assert repr(x) == "tensor([0.33, 2.00])"
    assert repr(x) == "tensor([0.3333, 2.0000])"
    fl.set_printoptions(sci_mode=True, precision=1)
    assert repr(x) == "tensor([3.3e-01, 2.0e+00])"
    fl.set_printoptions(profile="default", threshold=4, edgeitems=1)
    assert repr(fl.arange(6)) == "tensor([0,  ..., 5])"
    with pytest.raises(ValueError, match="profile"):
        fl.set_printoptions(profile="none")


def test_a_line_that_is_full_gets_the_suffix_below():
    text = repr(fl.ones(9, dtype=fl.float64, requires_grad=True) * 1.5)
    assert text.endswith(",\n       dtype=flambeau.float64, grad_fn=<MulBackward0>)")
