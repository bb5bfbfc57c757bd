"""Densities, moments, quantiles and entropies against scipy.stats, or against numerical integrals where it has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import flambeau as fl

from .families import CASES, Case, definite, name, positive, simplex, to_tensor

UNIVARIATE = [case for case in CASES if case.scipy is not None]
LEGENDRE = np.polynomial.legendre.leggauss(300)
PLACES = np.array([0.01, 0.2, 0.5, 0.77, 0.99])


def close(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("case", UNIVARIATE, ids=name)
def test_univariate(case: Case) -> None:
    q = case.ours()
    assert case.scipy is not None
    frozen = case.scipy(stats, **case.parameters)
    discrete = q.support.is_discrete
    values = frozen.ppf(PLACES[:, None, None])  # (places, 1 or batch, batch)
    value = to_tensor(values)
    close(q.log_prob(value), frozen.logpmf(values) if discrete else frozen.logpdf(values))
    if case.family == "VonMises":  # has the circular variance, and neither cdf nor entropy
        return
    mean, variance = frozen.stats("mv")
    if np.isfinite(mean).all():
        close(q.mean, np.broadcast_to(mean, q.batch_shape))
        close(q.variance, np.broadcast_to(variance, q.batch_shape))
    if not discrete:
        close(q.log_prob(value).exp(), frozen.pdf(values))
    checks = (
        (lambda: q.cdf(value), lambda: frozen.cdf(values)),
        (lambda: q.icdf(to_tensor(PLACES[:, None, None] + 0 * values)), lambda: values),
        (q.entropy, lambda: np.broadcast_to(frozen.entropy(), q.batch_shape)),
    )
    for our, their in checks:
        try:
            found = our()
        except NotImplementedError:
            continue
        close(found, their(), 1e-7)


WITHOUT_CDF = {"Beta", "FisherSnedecor", "StudentT", "VonMises", "Bernoulli", "Binomial", "Geometric",
               "NegativeBinomial", "Poisson"}  # fmt: skip
WITHOUT_ICDF = WITHOUT_CDF | {"Gamma", "Chi2", "InverseGamma"}
WITHOUT_ENTROPY = {"FisherSnedecor", "NegativeBinomial", "Poisson", "VonMises"}


def test_no_method_was_lost() -> None:
    """The comparisons above pass over what is not implemented, so that is stated here."""
    half = fl.full((1,), 0.5, dtype=fl.float64)
    for case in UNIVARIATE:
        q = case.ours(validate_args=False)
        for names, method in (
            (WITHOUT_CDF, lambda q: q.cdf(half)),
            (WITHOUT_ICDF, lambda q: q.icdf(half)),
            (WITHOUT_ENTROPY, lambda q: q.entropy()),
        ):
            if case.family in names:
                with pytest.raises(NotImplementedError):
                    method(q)
            else:
                assert tuple(method(q).shape) == tuple(q.batch_shape)


UNIT = [case for case in CASES if case.family in ("Kumaraswamy", "ContinuousBernoulli", "RelaxedBernoulli", "Beta")]


@pytest.mark.parametrize("case", UNIT, ids=name)
def test_integrals_over_the_unit_interval(case: Case) -> None:
    q = case.ours()
    logits, weights = LEGENDRE
    logits, weights = 32.0 * logits, 32.0 * weights  # x = sigmoid(t), so that the ends are resolved
    x = to_tensor(1.0 / (1.0 + np.exp(-logits)))
    measure = to_tensor(weights) * x * (1 - x)
    log_prob = q.log_prob(x.unsqueeze(-1))
    density = log_prob.exp() * measure.unsqueeze(-1)
    close(density.sum(0), np.ones(q.batch_shape), 1e-6)
    if case.family == "RelaxedBernoulli":
        return
    mean = (density * x.unsqueeze(-1)).sum(0)
    close(q.mean, mean.numpy(), 1e-6)
    close(q.variance, (density * (x.unsqueeze(-1) - mean).square()).sum(0).numpy(), 1e-5)
    close(q.entropy(), -(density * log_prob).sum(0).numpy(), 1e-5)


def test_modes_are_modes() -> None:
    compared = 0
    for case in CASES:
        q = case.ours(validate_args=False)
        try:
            mode, _ = q.mode, q.support
        except NotImplementedError:
            continue
        if q.event_shape or q.support.is_discrete or not bool(fl.isfinite(mode).all()):
            continue
        inside = q.support.check(mode + 1e-3) & q.support.check(mode - 1e-3)
        compared += int(inside.sum())
        for step in (1e-3, -1e-3):
            assert bool((q.log_prob(mode + step) <= q.log_prob(mode))[inside].all()), case
    assert compared > 20


def test_normal_vectors() -> None:
    covariance, loc = definite(3), np.array([0.1, -0.2, 0.5])
    frozen = stats.multivariate_normal(loc, covariance)
    values = np.random.default_rng(0).normal(size=(5, 3))
    for matrix in (
        {"covariance_matrix": covariance},
        {"precision_matrix": np.linalg.inv(covariance)},
        {"scale_tril": np.linalg.cholesky(covariance)},
    ):
        q = fl.distributions.MultivariateNormal(to_tensor(loc), **{k: to_tensor(v) for k, v in matrix.items()})
        close(q.log_prob(to_tensor(values)), frozen.logpdf(values), 1e-8)
        close(q.entropy(), frozen.entropy(), 1e-8)
        close(q.covariance_matrix, covariance, 1e-8)
        close(q.precision_matrix, np.linalg.inv(covariance), 1e-7)
        close(q.scale_tril, np.linalg.cholesky(covariance), 1e-7)
    root, diagonal = np.array([[1.0], [0.5], [-2.0]]), np.array([0.5, 1.0, 2.0])
    frozen = stats.multivariate_normal(loc, root @ root.T + np.diag(diagonal))
    low = fl.distributions.LowRankMultivariateNormal(to_tensor(loc), to_tensor(root), to_tensor(diagonal))
    close(low.log_prob(to_tensor(values)), frozen.logpdf(values), 1e-8)
    close(low.entropy(), frozen.entropy(), 1e-8)


def test_vectors_and_matrices() -> None:
    a, p = positive(4), simplex(4)
    x = simplex(6, 4)
    q = fl.distributions.Dirichlet(to_tensor(a))
    close(q.log_prob(to_tensor(x)), [stats.dirichlet.logpdf(row / row.sum(), a) for row in x], 1e-6)
    close(q.entropy(), stats.dirichlet.entropy(a))
    close(q.variance, stats.dirichlet.var(a))
    counts = np.random.default_rng(0).multinomial(6, p, 5)
    m = fl.distributions.Multinomial(6, to_tensor(p))
    close(m.log_prob(to_tensor(counts)), stats.multinomial.logpmf(counts, 6, p), 1e-8)
    close(m.entropy(), stats.multinomial.entropy(6, p), 1e-8)
    scale = definite(3)
    w = fl.distributions.Wishart(5.5, to_tensor(scale))
    draws = stats.wishart(5.5, scale).rvs(4, random_state=1)
    close(w.log_prob(to_tensor(draws)), stats.wishart(5.5, scale).logpdf(np.moveaxis(draws, 0, -1)), 1e-7)
    close(w.entropy(), stats.wishart(5.5, scale).entropy(), 1e-8)
    close(w.mean, stats.wishart(5.5, scale).mean(), 1e-8)
    close(w.variance, stats.wishart(5.5, scale).var(), 1e-8)


def test_lkj_is_normalised() -> None:
    q = fl.distributions.LKJCholesky(2, fl.tensor(1.7, dtype=fl.float64))

    def density(r: float) -> float:
        return q.log_prob(to_tensor([[1.0, 0.0], [r, np.sqrt(1 - r * r)]])).exp().item()

    assert abs(integrate.quad(density, -1, 1, epsabs=1e-8)[0] - 1) < 1e-6


def test_one_dimension_of_log_probabilities() -> None:
    probs = simplex(4)
    q = fl.distributions.Categorical(to_tensor(probs))
    close(q.log_prob(fl.arange(4)), np.log(probs), 1e-12)
    close(q.entropy(), stats.entropy(probs))
    zero = fl.distributions.Categorical(logits=to_tensor([0.0, -np.inf, 0.0]), validate_args=False)
    close(zero.entropy(), np.log(2.0))
