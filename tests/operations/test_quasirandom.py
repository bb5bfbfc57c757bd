"""Sobol points: the sequence, its state, scrambling, errors, and torch's numbers."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl
from flambeau.quasirandom import SobolEngine


def test_sequence() -> None:
    engine = SobolEngine(2)
    whole = engine.draw_base2(3, dtype=fl.float64)
    assert whole.tolist()[:4] == [[0.0, 0.0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    again = fl.cat([engine.reset().draw(dtype=fl.float64), engine.draw(3, dtype=fl.float64)])
    assert fl.equal(again, whole[:4])
    assert fl.equal(engine.fast_forward(2).draw(dtype=fl.float64), whole[6:7]) and engine.num_generated == 7
    out = fl.empty(0)
    assert engine.reset().draw(2, out=out) is out and tuple(out.shape) == (2, 2)
    assert engine.draw(0).shape == (0, 2)


def test_scrambling() -> None:
    first = SobolEngine(3, scramble=True, seed=5).draw(64)
    assert fl.equal(first, SobolEngine(3, scramble=True, seed=5).draw(64))
    assert not fl.equal(first, SobolEngine(3, scramble=True, seed=6).draw(64))
    fl.manual_seed(1)
    own = SobolEngine(3, scramble=True).draw(64)
    fl.manual_seed(1)
    assert fl.equal(own, SobolEngine(3, scramble=True).draw(64))
    for points in (first, own):  # of 64 points one lies in each 64th of every coordinate
        assert np.array_equal(np.sort(np.floor(points.numpy() * 64), axis=0), np.repeat(np.arange(64.0)[:, None], 3, 1))


def test_text_and_errors() -> None:
    assert repr(SobolEngine(2)) == "SobolEngine(dimension=2)"
    assert repr(SobolEngine(2, True, 3)) == "SobolEngine(dimension=2, scramble=True, seed=3)"
    for dimension in (0, 21202):
        with pytest.raises(ValueError, match="dimensionality"):
            SobolEngine(dimension)
    engine = SobolEngine(1)
    engine.draw(3)
    with pytest.raises(ValueError, match="balance properties"):
        engine.draw_base2(3)


@pytest.mark.torch
def test_like_torch() -> None:
    torch = pytest.importorskip("torch")
    for dimension in (1, 5, 300):
        theirs, ours = torch.quasirandom.SobolEngine(dimension), SobolEngine(dimension)
        for n in (1, 3, 8):
            assert np.array_equal(ours.draw(n).numpy(), theirs.draw(n).numpy())
        assert np.array_equal(ours.fast_forward(9).draw(2).numpy(), theirs.fast_forward(9).draw(2).numpy())
