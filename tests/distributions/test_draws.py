"""What is drawn: shapes, repeatability, moments and distributions of the draws, from fixed seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import flambeau as fl
from flambeau.ops import sampling

from .families import CASES, Case, name, to_tensor

N = 20_000


@pytest.mark.parametrize("case", CASES, ids=name)
def test_shape_and_repetition(case: Case) -> None:
    q = case.ours()
    fl.manual_seed(3)
    first = q.sample((2, 3))
    assert tuple(first.shape) == (2, 3, *q.batch_shape, *q.event_shape)
    assert not first.requires_grad
    assert bool(q.support.check(first).all())
    after = fl.rand(2)
    fl.manual_seed(3)
    again = q.sample((2, 3))
    assert fl.equal(first, again) and fl.equal(after, fl.rand(2))
    assert not fl.equal(first, q.sample((2, 3))) or case.family in ("Bernoulli", "Binomial")
    assert tuple(q.sample().shape) == (*q.batch_shape, *q.event_shape)
    assert tuple(q.sample((0,)).shape) == (0, *q.batch_shape, *q.event_shape)
    wide = q.expand((4, *q.batch_shape))
    assert tuple(wide.sample((2,)).shape) == (2, 4, *q.batch_shape, *q.event_shape)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_moments(case: Case) -> None:
    q = case.ours()
    if case.family in ("VonMises", "LKJCholesky"):
        pytest.skip("has tests of its own below")
    try:
        mean, variance = q.mean.numpy(), q.variance.numpy()
    except NotImplementedError:
        pytest.skip("no moments")
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        pytest.skip("infinite moments")
    fl.manual_seed(11)
    drawn = q.sample((N,)).numpy()
    error = np.abs(drawn.mean(0) - mean) / np.sqrt(variance / N)
    assert error.max() < 4.5, error
    fourth = ((drawn - mean) ** 4).mean(0)
    spread = np.sqrt(np.maximum(fourth - variance**2, 1e-12) / N)
    error = np.abs(((drawn - mean) ** 2).mean(0) - variance) / spread
    assert error.max() < 6.0, error  # heavy tails make the estimate of the spread itself uncertain


@pytest.mark.parametrize("case", [c for c in CASES if c.scipy and c.family != "VonMises"], ids=name)
def test_distribution(case: Case) -> None:
    """Kolmogorov and Smirnov's distance of the draws; for whole numbers, where it is conservative, at their steps."""
    q = case.ours()
    assert case.scipy is not None
    frozen = case.scipy(stats, **case.parameters)
    fl.manual_seed(5)
    drawn = np.sort(q.sample((N,)).numpy(), axis=0)
    expected = frozen.cdf(drawn)
    steps = np.arange(1, N + 1).reshape(-1, *(1,) * (drawn.ndim - 1)) / N
    if q.support.is_discrete:  # compare where the values change
        last = np.concatenate([drawn[1:] != drawn[:-1], np.ones_like(drawn[:1], bool)])
        distance = np.where(last, np.abs(expected - steps), 0.0).max()
    else:
        distance = np.maximum(np.abs(expected - steps), np.abs(expected - steps + 1 / N)).max()
    assert distance * np.sqrt(N) < 2.1, distance  # 2 exp(-2 * 2.1 ** 2) = 3e-4


def test_float32_and_small_shapes() -> None:
    fl.manual_seed(0)
    gamma = fl.distributions.Gamma(fl.tensor([1e-3, 0.1, 2.0]), 1.0)
    drawn = gamma.sample((1000,))
    assert drawn.dtype is fl.float32
    assert bool((drawn > 0).all()) and bool(fl.isfinite(gamma.log_prob(drawn)).all())
    shares = fl.distributions.Dirichlet(fl.full((3,), 1e-3)).sample((1000,))
    assert bool(fl.isfinite(shares).all()) and float((shares.sum(-1) - 1).abs().max()) < 1e-6
    assert float((shares.max(-1).values > 0.99).float().mean()) > 0.97  # nearly always a corner


def test_wishart_and_lkj() -> None:
    fl.manual_seed(1)
    q = fl.distributions.LKJCholesky(4, fl.tensor(2.0))
    drawn = q.sample((4000,))
    correlation = (drawn @ drawn.mT).numpy()
    # each correlation is 2 Beta(b, b) - 1 with b = concentration + (dim - 2) / 2
    expected = stats.beta(3.0, 3.0, loc=-1, scale=2)
    for i in range(4):
        for j in range(i):
            assert stats.kstest(correlation[:, i, j], expected.cdf).pvalue > 1e-4


def test_von_mises_for_every_concentration() -> None:
    kappa = np.array([1e-7, 0.1, 3.0, 400.0, 1e7])
    fl.manual_seed(2)
    drawn = fl.distributions.VonMises(to_tensor(np.full(5, 0.5)), to_tensor(kappa)).sample((N,)).numpy()
    assert drawn.min() >= -np.pi and drawn.max() < np.pi
    for i, k in enumerate(kappa[:4]):
        found = (drawn[:, i] - 0.5 + np.pi) % (2 * np.pi) - np.pi
        assert stats.kstest(found, stats.vonmises(k).cdf).pvalue > 1e-4
    assert abs(np.std(drawn[:, 4]) * np.sqrt(kappa[4]) - 1) < 0.02


def test_thread_count_does_not_matter() -> None:
    def everything() -> list[Any]:
        fl.manual_seed(4)
        return [case.ours().sample((50,)) for case in CASES]

    fl.set_num_threads(1)
    one = everything()
    fl.set_num_threads(2)
    assert all(fl.equal(a, b) for a, b in zip(one, everything(), strict=True))


def test_generators_of_their_own() -> None:
    a = fl.ones(5)
    before = fl.get_rng_state().tolist()
    first = sampling.standard_gamma(a, generator=fl.Generator().manual_seed(1))
    assert fl.equal(first, sampling.standard_gamma(a, generator=fl.Generator().manual_seed(1)))
    assert not fl.equal(first, sampling.standard_gamma(a, generator=fl.Generator().manual_seed(2)))
    assert fl.get_rng_state().tolist() == before


def test_one_hot_and_mixture() -> None:
    fl.manual_seed(6)
    q = fl.distributions.OneHotCategorical(fl.tensor([0.0, 0.25, 0.75]))
    assert float(q.sample((500,))[:, 0].sum()) == 0.0
    mixture = fl.distributions.MixtureSameFamily(
        fl.distributions.Categorical(fl.tensor([0.25, 0.75])),
        fl.distributions.Independent(fl.distributions.Normal(fl.tensor([[-9.0, 0.0], [9.0, 1.0]]), 0.1), 1),
    )
    drawn = mixture.sample((4000,))
    assert tuple(drawn.shape) == (4000, 2)
    right = (drawn[:, 0] > 0).float()
    assert abs(float(right.mean()) - 0.75) < 0.03
    assert abs(float(((drawn[:, 1] - right) ** 2).mean()) - 0.01) < 0.002  # the parts of one vector stay together


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (300, 1), (300, 2), (300, 7), (50, 64)])
def test_multinomial_takes_the_column_where_the_sum_passes_the_number(rows: int, columns: int) -> None:
    weights = np.random.default_rng(8).random((rows, columns))
    weights[np.random.default_rng(9).random(weights.shape) < 0.4] = 0.0
    weights[:, columns // 2] += 0.1
    drawn = fl.multinomial(to_tensor(weights), 40, True, generator=fl.Generator().manual_seed(5)).numpy()
    numbers = fl.rand(rows, 40, dtype=fl.float64, generator=fl.Generator().manual_seed(5)).numpy()
    for row, found, places in zip(weights, drawn, numbers, strict=True):
        edges = row.cumsum()
        assert (found == np.searchsorted(edges, places * edges[-1], "right")).all()
        assert (row[found] > 0).all()
