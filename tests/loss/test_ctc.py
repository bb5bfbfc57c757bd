"""The CTC loss against the sum over all alignments, and its gradient against differences."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest

import flambeau
import flambeau.nn.functional as F
from flambeau.autograd import gradcheck


def collapse(path, blank):
    return tuple([label for label, _ in itertools.groupby(path) if label != blank])


def by_enumeration(log_probs, target, blank):
    """-log of the probability of every path that collapses to the target."""
    T, C = log_probs.shape
    total = 0.0
    for path in itertools.product(range(C), repeat=T):
        if collapse(path, blank) == tuple(target):
            total += math.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
    return -math.log(total) if total else math.inf


def problem(T=5, N=4, C=3, seed=0, dtype=flambeau.float64):
    flambeau.manual_seed(seed)
    return flambeau.randn(T, N, C, dtype=dtype).log_softmax(2)


@pytest.mark.parametrize("blank", [0, 2])
def test_all_alignments(blank):
    log_probs = problem()
    labels = [[1, 1], [1], [], [1, 0 if blank else 2]]
    times = (5, 4, 3, 5)
    padded = flambeau.tensor([[*line, *[1 - blank // 2] * (2 - len(line))] for line in labels])
    found = F.ctc_loss(log_probs, padded, times, tuple(map(len, labels)), blank, "none")
    for n, line in enumerate(labels):
        exact = by_enumeration(log_probs[: times[n], n].numpy(), line, blank)
        assert found[n].item() == pytest.approx(exact, abs=1e-12)
    joined = flambeau.tensor([label for line in labels for label in line])
    again = F.ctc_loss(log_probs, joined, flambeau.tensor(times), tuple(map(len, labels)), blank, "none")
    numpy.testing.assert_array_equal(again.numpy(), found.numpy())


def test_reductions():
    log_probs, targets, times, lengths = problem(), flambeau.tensor([[1, 2]] * 4), (5,) * 4, (2, 1, 2, 1)
    each = F.ctc_loss(log_probs, targets, times, lengths, reduction="none")
    total = F.ctc_loss(log_probs, targets, times, lengths, reduction="sum")
    mean = flambeau.nn.CTCLoss()(log_probs, targets, times, lengths)
    assert total.item() == pytest.approx(each.sum().item())
    assert mean.item() == pytest.approx((each / flambeau.tensor(lengths)).mean().item())
    one = F.ctc_loss(log_probs[:, 0], targets[0], (5,), (2,), reduction="none")
    assert one.ndim == 0 and one.item() == pytest.approx(each[0].item())


def test_gradient():
    raw = flambeau.randn(5, 3, 4, dtype=flambeau.float64).requires_grad_()
    targets, lengths = flambeau.tensor([[1, 1, 2], [3, 1, 0], [2, 0, 0]]), (3, 2, 0)

    def loss(raw):  # through log_softmax: the gradient is that of normalised inputs
        return F.ctc_loss(raw.log_softmax(2), targets, (5, 4, 3), lengths, reduction="none")

    assert gradcheck(loss, (raw,))
    raw.grad = None
    loss(raw).sum().backward()
    assert not raw.grad[4, 1].any() and not raw.grad[3:, 2].any()  # beyond the input's length


def test_what_does_not_fit():
    log_probs = problem().requires_grad_()
    arguments = (flambeau.tensor([[1, 1]] * 4), (2, 3, 3, 3), (2,) * 4)
    assert F.ctc_loss(log_probs, *arguments, reduction="none")[0].item() == math.inf
    loss = F.ctc_loss(log_probs, *arguments, reduction="none", zero_infinity=True)
    loss.sum().backward()
    assert loss[0].item() == 0.0 and not log_probs.grad[:, 0].any() and log_probs.grad[:, 1].any()


def test_single_precision_follows_double():
    log_probs, targets = problem(40, 3, 6), flambeau.randint(1, 6, (3, 12))
    arguments = (targets, (40, 38, 30), (12, 10, 9), 0, "none")
    numpy.testing.assert_allclose(
        F.ctc_loss(log_probs.float(), *arguments).numpy(), F.ctc_loss(log_probs, *arguments).numpy(), rtol=1e-5
    )


def test_threads_change_nothing():
    log_probs, targets = problem(30, 8, 20, dtype=flambeau.float32), flambeau.randint(1, 20, (8, 9))
    results = []
    before = flambeau.get_num_threads()
    for threads in (1, 2):
        flambeau.set_num_threads(threads)
        leaf = log_probs.clone().requires_grad_()
        F.ctc_loss(leaf, targets, (30,) * 8, (9,) * 8).backward()
        results.append(leaf.grad.numpy())
    flambeau.set_num_threads(before)
    numpy.testing.assert_array_equal(*results)


def test_errors():
    log_probs, targets = problem(), flambeau.tensor([[1, 2]] * 4)
    with pytest.raises(RuntimeError, match="at most 5"):
        F.ctc_loss(log_probs, targets, (6,) * 4, (2,) * 4)
    with pytest.raises(RuntimeError, match="expected 4 values"):
        F.ctc_loss(log_probs, targets, (5,) * 3, (2,) * 4)
    with pytest.raises(RuntimeError, match="blank"):
        F.ctc_loss(log_probs, targets, (5,) * 4, (2,) * 4, blank=3)
    with pytest.raises(RuntimeError, match="labels from 0 to 2"):
        F.ctc_loss(log_probs, targets + 5, (5,) * 4, (2,) * 4)
    with pytest.raises(flambeau.ShapeError, match="at least 3"):
        F.ctc_loss(log_probs, targets, (5,) * 4, (3,) * 4)
    with pytest.raises(flambeau.DTypeError, match="integral"):
        F.ctc_loss(log_probs, targets.float(), (5,) * 4, (2,) * 4)
    with pytest.raises(flambeau.DTypeError, match="float32 or float64"):
        F.ctc_loss(log_probs.half(), targets, (5,) * 4, (2,) * 4)
