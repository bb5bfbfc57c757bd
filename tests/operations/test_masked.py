"""flambeau.masked against the plain operations on the elements that are left."""

from __future__ import annotations

import math

import pytest

import flambeau as fl
from flambeau import masked

MASK = fl.tensor([[True, False, True, True], [False, True, False, True], [False, False, False, False]])

REDUCTIONS = {
    "sum": fl.sum,
    "prod": fl.prod,
    "amax": lambda x: x.amax(),
    "amin": lambda x: x.amin(),
    "mean": fl.mean,
    "median": lambda x: x.sort()[0][(x.numel() - 1) // 2],
    "logsumexp": lambda x: x.logsumexp(0),
    "norm": lambda x: x.norm(),
    "var": lambda x: x.var(),
    "std": lambda x: x.std(),
}
EMPTY = {"sum": 0.0, "prod": 1.0, "amax": -math.inf, "amin": math.inf, "logsumexp": -math.inf, "norm": 0.0}


def matrix() -> fl.Tensor:
    return fl.tensor([[0.5, 9.0, -1.0, 2.0], [7.0, 3.0, 8.0, -2.0], [1.0, 1.0, 1.0, 1.0]], dtype=fl.float64)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_see_what_the_mask_leaves(name):
    x, reduce = matrix(), REDUCTIONS[name]
    found = getattr(masked, name)(x, dim=1, mask=MASK)
    for row in (0, 1):
        fl.testing.assert_close(found[row], reduce(x[row][MASK[row]]))
    assert found[2].item() == EMPTY[name] if name in EMPTY else math.isnan(found[2].item())
    kept = getattr(masked, name)(x, dim=1, keepdim=True, mask=MASK)
    fl.testing.assert_close(kept.squeeze(1), found, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in REDUCTIONS if name != "median"])
def test_masked_elements_have_no_gradient(name):
    x = matrix()[:2].requires_grad_(True)
    getattr(masked, name)(x, dim=1, mask=MASK[:2]).sum().backward()
    assert (x.grad[~MASK[:2]] == 0).all() and (x.grad[MASK[:2]] != 0).any()
    assert fl.autograd.gradcheck(lambda x: getattr(masked, name)(x, dim=1, mask=MASK[:2]), (x,))


def test_positions():
    x = fl.tensor([[5, 9, 7, 6], [1, 2, 3, 4]])
    mask = fl.tensor([True, False, True, True])
    assert masked.argmax(x, 1, mask=mask).tolist() == [2, 3]
    assert masked.argmin(x, 1, mask=mask).tolist() == [0, 0]


def test_normalisations_share_among_what_the_mask_leaves():
    x, mask = matrix()[0], MASK[0]
    for name, plain in (("softmax", fl.softmax), ("log_softmax", fl.log_softmax)):
        found = getattr(masked, name)(x, 0, mask=mask)
        fl.testing.assert_close(found[mask], plain(x[mask], 0))
        assert found[1].item() == (0 if name == "softmax" else -math.inf)
    assert masked.softmin(x, 0, mask=mask).argmax().item() == 2
    assert masked.normalize(x, 2.0, 0, mask=mask).norm().item() == pytest.approx(1.0)
    assert masked.cumsum(x, 0, mask=mask).tolist() == [0.5, 0.5, -0.5, 1.5]
    assert masked.cumprod(x, 0, mask=mask).tolist() == [0.5, 0.5, -0.5, -1.0]
    assert masked.logaddexp(x, x, other_mask=mask)[1].item() == 9.0


def test_a_mask_broadcasts_and_refusals_name_it():
    x = matrix()
    assert masked.sum(x, mask=fl.tensor([True, False, False, False])).item() == 8.5
    assert masked.sum(x > 0, 1).dtype is fl.int64
    with pytest.raises(IndexError, match="mask"):
        masked.sum(x[0], mask=MASK)
    with pytest.raises(ValueError, match="dtype="):
        masked.mean(fl.tensor([1, 2]))
    with pytest.raises(ValueError, match="masked out"):
        masked.median(fl.tensor([1, 2]), mask=fl.tensor([False, False]))
    with pytest.raises(IndexError, match="out of range"):
        masked.sum(x, 2, mask=MASK)
    with pytest.raises(RuntimeError, match="twice"):
        masked.sum(x, (0, -2), mask=MASK)
