"""What is refused, and in which words; the switch of the checks; subclasses; the examples of the docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import Any

import pytest

import flambeau as fl
from flambeau.ops import sampling

from .families import CASES, Case, name, to_tensor

D = fl.distributions


@pytest.mark.parametrize("case", CASES, ids=name)
def test_invalid_parameters(case: Case) -> None:
    """NaN is outside of every set; each parameter is refused by name, unless the checks are off."""
    for parameter, value in case.parameters.items():
        if parameter in ("total_count", "dim", "temperature"):
            continue
        broken = Case(case.family, {**case.parameters, parameter: value * float("nan")})
        with pytest.raises((ValueError, fl.linalg.LinAlgError)):
            broken.ours()
        if parameter not in ("covariance_matrix", "precision_matrix", "df", "cov_diag", "cov_factor"):
            broken.ours(validate_args=False)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_invalid_values(case: Case) -> None:
    q = case.ours()
    wrong = fl.full((*q.batch_shape, *q.event_shape), float("nan"), dtype=fl.float64)
    with pytest.raises(ValueError, match="within the support"):
        q.log_prob(wrong)
    with pytest.raises(ValueError, match="must be a Tensor"):
        q.log_prob(0.5)
    with pytest.raises(ValueError, match=r"broadcastable|event_shape"):
        q.log_prob(fl.zeros(17, dtype=fl.float64).expand(11, 17))


def test_words() -> None:
    with pytest.raises(ValueError, match=r"Expected parameter scale .* to satisfy the constraint GreaterThan\(lower"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match=r"support \(Boolean\(\)\)"):
        D.Bernoulli(0.5).log_prob(fl.tensor(0.5))
    for family in (D.Bernoulli, D.Geometric, D.ContinuousBernoulli, D.Categorical):
        with pytest.raises(ValueError, match="Either `probs` or `logits` must be specified, but not both"):
            family()
        with pytest.raises(ValueError, match="but not both"):
            family(probs=fl.tensor([0.5]), logits=fl.tensor([0.5]))
    with pytest.raises(ValueError, match="Exactly one of covariance_matrix"):
        D.MultivariateNormal(fl.zeros(2))
    with pytest.raises(ValueError, match="at least two-dimensional"):
        D.MultivariateNormal(fl.zeros(2), fl.ones(2))
    with pytest.raises(ValueError, match="at least one-dimensional"):
        D.Categorical(fl.tensor(1.0))
    with pytest.raises(ValueError, match="at least one-dimensional"):
        D.Dirichlet(fl.tensor(1.0))
    with pytest.raises(NotImplementedError, match="inhomogeneous"):
        D.Multinomial(fl.tensor([1, 2]), fl.ones(2))
    with pytest.raises(NotImplementedError, match="Inhomogeneous total count"):
        D.Binomial(fl.tensor([1.0, 2.0]), fl.tensor(0.5)).enumerate_support()
    with pytest.raises(ValueError, match="to be positive"):
        D.Geometric(fl.tensor([0.0, 0.5]))
    with pytest.raises(ValueError, match="df"):
        D.Wishart(1.0, fl.eye(3))
    with pytest.warns(UserWarning, match="Low df"):
        D.Wishart(2.5, fl.eye(3))
    with pytest.raises(ValueError, match="dim"):
        D.LKJCholesky(1)
    with pytest.raises(ValueError, match="reinterpreted_batch_ndims"):
        D.Independent(D.Normal(fl.zeros(2), 1.0), 2)
    with pytest.raises(ValueError, match="Categorical"):
        D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(fl.zeros(2), 1.0))
    with pytest.raises(ValueError, match="does not equal"):
        D.MixtureSameFamily(D.Categorical(fl.ones(3)), D.Normal(fl.zeros(2), 1.0))
    with pytest.raises(ValueError, match="transforms must be"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), [abs])
    with pytest.raises(ValueError, match="broadcast_all"):
        D.Normal("0", 1.0)
    with pytest.raises(ValueError, match="cov_factor must be a batch of matrices"):
        D.LowRankMultivariateNormal(fl.zeros(3), fl.zeros(2, 1), fl.ones(3))
    with pytest.raises(NotImplementedError, match="does not implement rsample"):
        D.Bernoulli(0.5).rsample()
    with pytest.raises(ValueError, match="dependent"):
        D.constraints.dependent.check(fl.zeros(2))
    with pytest.warns(FutureWarning, match="sample_n"):
        assert tuple(D.Normal(0.0, 1.0).sample_n(3).shape) == (3,)


def test_draws_refuse_what_has_no_distribution() -> None:
    for draw in (sampling.standard_gamma, sampling.sample_dirichlet):
        for bad in (fl.tensor([1.0, 0.0]), fl.tensor([1.0, -1.0]), fl.tensor([1.0, float("nan")])):
            with pytest.raises(RuntimeError, match="must be positive"):
                draw(bad)
        with pytest.raises(TypeError):
            draw(1.0)
        with pytest.raises(TypeError, match="floating"):
            draw(fl.ones(2, dtype=fl.int64))
    with pytest.raises(ValueError, match="one dimension"):
        sampling.sample_dirichlet(fl.tensor(1.0))
    with pytest.raises(RuntimeError, match="positive"):
        sampling.von_mises(fl.zeros(2), fl.tensor([1.0, -1.0]))
    with pytest.raises(RuntimeError, match="probs"):
        sampling.multinomial_counts(3, fl.tensor([-1.0, 2.0]))


def test_switch() -> None:
    assert D.Distribution._validate_args
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
        with pytest.raises(ValueError):
            D.Normal(0.0, -1.0, validate_args=True)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args("yes")


def test_subclasses() -> None:
    class Standard(D.Normal):
        def __init__(self) -> None:
            super().__init__(0.0, 1.0)

    with pytest.raises(NotImplementedError, match=r"must also define a custom .expand"):
        Standard().expand((2,))

    class Bare(D.Distribution):
        pass

    with pytest.warns(UserWarning, match="arg_constraints"):
        bare = Bare()
    for attribute in ("mean", "variance", "mode", "support"):
        with pytest.raises(NotImplementedError):
            getattr(bare, attribute)
    for method in (bare.log_prob, bare.cdf, bare.icdf):
        with pytest.raises(NotImplementedError):
            method(fl.zeros(1))
    with pytest.raises(NotImplementedError):
        bare.expand((2,))


def test_attributes_are_computed_once_and_keep_their_gradient() -> None:
    logits = fl.zeros(3, requires_grad=True)
    q = D.Categorical(logits=logits)
    with fl.no_grad():
        probs = q.probs
    assert probs.requires_grad and q.probs is probs
    assert isinstance(D.Categorical.probs, D.utils.lazy_property) and isinstance(D.Categorical.probs, property)


def test_utilities() -> None:
    matrix = to_tensor([[1.0, 0.0, 0.0], [2.0, 3.0, 0.0], [4.0, 5.0, 6.0]])
    for diag in (0, -1, -2, 1):
        vector = D.utils.tril_matrix_to_vec(matrix, diag)
        assert fl.equal(D.utils.vec_to_tril_matrix(vector, diag), matrix.tril(diag))
    with pytest.raises(ValueError, match="lower triangular"):
        D.utils.vec_to_tril_matrix(fl.zeros(4))
    with pytest.raises(ValueError, match="outside"):
        D.utils.tril_matrix_to_vec(matrix, 3)


def modules() -> list[Any]:
    names = [m.name for m in pkgutil.walk_packages(D.__path__, "flambeau.distributions.")]
    return [D, sampling, *map(importlib.import_module, names)]


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.__name__)
def test_examples(module: Any) -> None:
    results = doctest.testmod(module, extraglobs={"fl": fl})
    assert results.failed == 0
