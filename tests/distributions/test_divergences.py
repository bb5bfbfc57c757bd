"""Divergences against integrals and sums of their definition, dispatch over subclasses, infinite ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import flambeau as fl
from flambeau.distributions import kl_divergence, register_kl

from .families import CASES, Case, definite, simplex, to_tensor

D = fl.distributions
LEGENDRE = np.polynomial.legendre.leggauss(300)
CONTINUOUS = ["Beta", "Cauchy", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "HalfNormal", "Laplace",
              "Normal", "Pareto", "Uniform"]  # fmt: skip
DISCRETE = ["Bernoulli", "Binomial", "Geometric", "Poisson"]
WITH = {
    "Beta": ([0.7, 2.0], [1.5, 3.0]), "Cauchy": ([0.5, -1.0], [1.0, 2.0]), "ContinuousBernoulli": ([0.3, 0.8],),
    "Exponential": ([0.7, 2.0],), "Gamma": ([0.8, 3.0], [1.5, 2.0]), "Gumbel": ([0.5, -1.0], [2.0, 3.0]),
    "HalfNormal": ([0.7, 2.0],), "Laplace": ([0.5, -1.0], [0.3, 0.5]), "Normal": ([0.5, -0.3], [1.0, 0.8]),
    "Pareto": ([0.5, 1.5], [3.5, 4.0]), "Uniform": ([0.1, 0.25], [0.6, 0.9]),
    "Bernoulli": ([0.2, 0.9],), "Binomial": (5, [0.2, 0.9]), "Geometric": ([0.2, 0.7],), "Poisson": ([0.8, 3.0],),
}  # fmt: skip
OTHER = {
    "Beta": ([1.7, 0.8], [1.2, 1.0]), "Cauchy": ([0.0, -2.0], [1.5, 1.0]), "ContinuousBernoulli": ([0.6, 0.1],),
    "Exponential": ([0.9, 1.2],), "Gamma": ([1.8, 1.2], [1.1, 2.5]), "Gumbel": ([0.2, 1.0], [1.3, 2.0]),
    "HalfNormal": ([0.9, 1.0],), "Laplace": ([0.1, 1.0], [1.3, 0.7]), "Normal": ([0.0, 0.3], [1.3, 2.0]),
    "Pareto": ([0.05, 0.2], [2.5, 1.0]), "Uniform": ([0.0, 0.0], [1.0, 1.0]),
    "Bernoulli": ([0.5, 0.4],), "Binomial": (5, [0.6, 0.5]), "Geometric": ([0.4, 0.5],), "Poisson": ([1.8, 2.0],),
}  # fmt: skip


def make(family: str, parameters: Any) -> Any:
    given = [to_tensor(v) if isinstance(v, list) else v for v in parameters]
    if family == "ContinuousBernoulli":
        return D.ContinuousBernoulli(probs=given[0])
    return getattr(D, family)(*given)


def registered(left: list[str], right: list[str]) -> list[tuple[str, str]]:
    pairs = {(p.__name__, q.__name__) for p, q in D.kl._KL_REGISTRY}
    return sorted((p, q) for p, q in pairs if p in left and q in right)


def frozen_quantiles(p: Any, family: str, places: Any) -> Any:
    if family == "Gamma":
        return stats.gamma(p.concentration.numpy(), scale=1 / p.rate.numpy()).ppf(places)
    if family == "Beta":
        return stats.beta(p.concentration1.numpy(), p.concentration0.numpy()).ppf(places)
    return p.icdf(to_tensor(places)).numpy()


@pytest.mark.parametrize(("left", "right"), registered(CONTINUOUS, CONTINUOUS))
def test_continuous(left: str, right: str) -> None:
    """The integral over the quantiles of p, with their places close together at both ends."""
    p, q = make(left, WITH[left]), make(right, OTHER[right])
    t, weights = LEGENDRE
    t, weights = 16.0 * t, 16.0 * weights
    places = 1.0 / (1.0 + np.exp(-t))
    weights = weights * places * (1.0 - places)
    x = frozen_quantiles(p, left, np.repeat(places[:, None], 2, 1))
    if left == "Uniform":
        x = np.minimum(x, p.high.numpy() * (1 - 1e-15))
    value = to_tensor(x)
    inside = q.support.check(value).numpy().all()
    found = kl_divergence(p, q).numpy()
    assert found.shape == (2,)
    if not inside:
        assert np.isinf(found).all()
        return
    difference = p.log_prob(value) - q.log_prob(value)
    np.testing.assert_allclose(found, (difference.numpy() * weights[:, None]).sum(0), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("left", "right"), registered(DISCRETE, DISCRETE))
def test_discrete(left: str, right: str) -> None:
    p, q = make(left, WITH[left]), make(right, OTHER[right])
    found = kl_divergence(p, q).numpy()
    if left == "Poisson" and right != "Poisson":
        assert np.isinf(found).all()
        return
    top = {"Bernoulli": 1, "Binomial": 5}.get(left, 200)
    value = fl.arange(top + 1, dtype=fl.float64).unsqueeze(-1)
    log_p = p.log_prob(value)
    expected = (log_p.exp() * (log_p - q.log_prob(value))).sum(0)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-8)


def test_uniform_outside_the_support_is_infinite() -> None:
    wide = D.Uniform(to_tensor([-1.0, 0.2]), to_tensor([0.5, 3.0]))
    for q in (D.Beta(to_tensor(1.0), to_tensor(2.0)), D.ContinuousBernoulli(to_tensor(0.3))):
        assert np.isinf(kl_divergence(wide, q).numpy()).all()
    for q in (D.Exponential(to_tensor(1.0)), D.Gamma(to_tensor(2.0), to_tensor(1.0))):
        assert np.isinf(kl_divergence(wide, q).numpy()).tolist() == [True, False]
    assert np.isinf(kl_divergence(wide, D.Uniform(-2.0, 1.0)).numpy()).tolist() == [False, True]
    assert float(kl_divergence(D.Uniform(0.0, 1.0), D.ContinuousBernoulli(probs=0.5))) == pytest.approx(0, abs=1e-6)
    assert float(kl_divergence(D.ContinuousBernoulli(probs=0.5), D.Uniform(0.0, 1.0))) == pytest.approx(0, abs=1e-6)


def test_heavy_tails_are_infinite() -> None:
    pareto = D.Pareto(to_tensor(1.0), to_tensor([0.9, 1.5, 2.5]))
    assert np.isinf(kl_divergence(pareto, D.Exponential(to_tensor(1.0))).numpy()).tolist() == [True, False, False]
    assert np.isinf(kl_divergence(pareto, D.Normal(to_tensor(0.0), 1.0)).numpy()).tolist() == [True, True, False]


def test_probability_zero() -> None:
    p, q = D.Bernoulli(probs=to_tensor([0.0, 0.0, 1.0, 0.5])), D.Bernoulli(probs=to_tensor([0.0, 1.0, 0.0, 0.0]))
    found = kl_divergence(p, q).numpy()
    assert found[0] == pytest.approx(0) and np.isinf(found[1:]).all()
    a, b = D.Categorical(to_tensor([0.5, 0.5, 0.0])), D.Categorical(to_tensor([0.25, 0.5, 0.25]))
    assert float(kl_divergence(a, b)) == pytest.approx(0.5 * np.log(2.0))
    assert np.isinf(float(kl_divergence(b, a)))


def test_normal_vectors() -> None:
    loc, other = to_tensor([0.1, -0.3, 0.7]), to_tensor([0.0, 0.5, 0.2])
    root, diagonal = np.array([[1.0], [0.5], [-2.0]]), np.array([0.5, 1.0, 2.0])
    low_covariance, covariance = root @ root.T + np.diag(diagonal), definite(3)
    kinds = {
        "low": (lambda m: D.LowRankMultivariateNormal(m, to_tensor(root), to_tensor(diagonal)), low_covariance),
        "full": (lambda m: D.MultivariateNormal(m, to_tensor(covariance)), covariance),
    }
    for make_p, s in kinds.values():
        for make_q, t in kinds.values():
            found = float(kl_divergence(make_p(loc), make_q(other)))
            d = (other - loc).numpy()
            inverse = np.linalg.inv(t)
            logs = np.linalg.slogdet(t)[1] - np.linalg.slogdet(s)[1]
            assert found == pytest.approx(0.5 * (np.trace(inverse @ s) + d @ inverse @ d - 3 + logs), rel=1e-8)
    with pytest.raises(ValueError, match="event shapes"):
        kl_divergence(kinds["full"][0](loc), D.MultivariateNormal(fl.zeros(2), fl.eye(2)))


def test_vectors_of_shares() -> None:
    p, q = D.Dirichlet(to_tensor([1.0, 2.0, 3.0])), D.Dirichlet(to_tensor([2.0, 2.0, 0.5]))
    fl.manual_seed(0)
    x = p.sample((20_000,))
    difference = p.log_prob(x) - q.log_prob(x)
    assert abs(float(difference.mean() - kl_divergence(p, q))) < 4.5 * float(difference.std()) / 20_000**0.5
    a, b = simplex(4), simplex(4)
    one_hot = kl_divergence(D.OneHotCategorical(to_tensor(a)), D.OneHotCategorical(to_tensor(b)))
    assert float(one_hot) == pytest.approx(stats.entropy(a, b))


@pytest.mark.parametrize("case", [c for c in CASES if issubclass(getattr(D, c.family), D.ExponentialFamily)],
                         ids=lambda c: c.family)  # fmt: skip
def test_exponential_families(case: Case) -> None:
    """The entropy, and the divergence from itself, by the derivative of the log normaliser."""
    q = case.ours()
    try:
        carrier = q._mean_carrier_measure
    except NotImplementedError:
        carrier = None
    if carrier is not None and case.family != "Wishart":
        bregman = D.ExponentialFamily.entropy(q)
        np.testing.assert_allclose(bregman.detach().numpy(), q.entropy().numpy(), rtol=1e-7, atol=1e-9)
    if case.family != "Wishart":
        general = D.kl._KL_REGISTRY[D.ExponentialFamily, D.ExponentialFamily]
        np.testing.assert_allclose(general(q, q).detach().numpy(), 0.0, atol=1e-9)


def test_wrappers() -> None:
    p, q = D.Normal(fl.zeros(2, 3), 1.0), D.Normal(fl.ones(2, 3), 2.0)
    each = kl_divergence(p, q)
    together = kl_divergence(D.Independent(p, 1), D.Independent(q, 1))
    assert fl.allclose(together, each.sum(-1))
    assert fl.allclose(kl_divergence(D.LogNormal(fl.zeros(2, 3), 1.0), D.LogNormal(fl.ones(2, 3), 2.0)), each)
    with pytest.raises(NotImplementedError):
        kl_divergence(D.Independent(p, 1), D.Independent(q, 2))
    with pytest.raises(NotImplementedError):
        kl_divergence(D.LogNormal(0.0, 1.0), D.HalfCauchy(1.0))


def test_dispatch() -> None:
    class Near(D.Normal):
        pass

    class Nearer(Near):
        pass

    p, q = Nearer(0.0, 1.0), Nearer(1.0, 1.0)
    registry = dict(D.kl._KL_REGISTRY)
    try:
        assert float(kl_divergence(p, q)) == 0.5
        register_kl(Near, Near)(lambda p, q: "near")
        assert kl_divergence(p, q) == "near"
        register_kl(Nearer, D.Normal)(lambda p, q: "left")
        with pytest.warns(RuntimeWarning, match="Ambiguous"):
            assert kl_divergence(p, q) == "left"
    finally:
        D.kl._KL_REGISTRY.clear()
        D.kl._KL_REGISTRY.update(registry)
        D.kl._KL_MEMOIZE.clear()
    with pytest.raises(NotImplementedError, match="No KL"):
        kl_divergence(D.Normal(0.0, 1.0), D.Cauchy(0.0, 1.0))
    with pytest.raises(TypeError, match="Distribution subclass"):
        register_kl(int, D.Normal)
    with pytest.raises(NotImplementedError, match="total_count"):
        kl_divergence(D.Binomial(3, to_tensor(0.5)), D.Binomial(4, to_tensor(0.5)))
