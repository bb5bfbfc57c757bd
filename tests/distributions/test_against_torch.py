"""Every family against torch.distributions of the same parameters: shapes, text, densities, moments, divergences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as fl

from .families import CASES, Case, name, to_tensor

torch = pytest.importorskip("torch")
theirs = torch.distributions
ours = fl.distributions
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Singular sample")]

# Where torch 2.13 is wrong, so that no comparison is made; the tests against SciPy and integrals have the right values.
KNOWN = {
    ("GeneralizedPareto", "log_prob"): "mixes float32 and float64",
    ("GeneralizedPareto", "cdf"): "mixes float32 and float64",
    ("Kumaraswamy", "mode"): "NaN for concentration0 > 1",
    ("Multinomial", "entropy expanded"): "the attribute it needs is not expanded",
    ("Multinomial", "perplexity expanded"): "the attribute it needs is not expanded",
    ("Weibull", "mode"): "NaN for concentration < 1, where the mode is 0",
}


def their_tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except NotImplementedError:
        return NotImplementedError


def check(their: Callable[[], Any], our: Callable[[], Any]) -> None:
    expected, found = outcome(their), outcome(our)
    if expected is NotImplementedError or found is NotImplementedError:
        assert expected is found
        return
    expected, found = expected.detach().numpy(), found.detach().numpy()
    assert expected.dtype == found.dtype and expected.shape == found.shape
    # torch's own von Mises density is good to 1e-7, by its coefficients
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_family(case: Case) -> None:
    p, q = case.make(theirs, their_tensor), case.ours()
    assert repr(q).replace("flambeau.", "torch.") == repr(p)
    assert (q.batch_shape, q.event_shape) == (tuple(p.batch_shape), tuple(p.event_shape))
    assert (q.has_rsample, q.has_enumerate_support) == (p.has_rsample, p.has_enumerate_support)
    assert list(q.arg_constraints) == list(p.arg_constraints)
    if case.family != "Uniform":  # whose constraints hold tensors
        assert repr(q.arg_constraints) == repr(p.arg_constraints)
    torch.manual_seed(0)
    x = p.sample((4,))
    y = q.sample((4,))
    assert tuple(y.shape) == tuple(x.shape) and repr(y.dtype)[9:] == repr(x.dtype)[6:]
    value = fl.tensor(x.tolist(), dtype=getattr(fl, repr(x.dtype)[6:]))
    places = np.random.default_rng(1).uniform(0.01, 0.99, (4, *p.batch_shape))
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "log_prob": (lambda: p.log_prob(x), lambda: q.log_prob(value)),
        "cdf": (lambda: p.cdf(x), lambda: q.cdf(value)),
        "icdf": (lambda: p.icdf(their_tensor(places)), lambda: q.icdf(to_tensor(places))),
        "support without expansion": (
            lambda: p.enumerate_support(expand=False),
            lambda: q.enumerate_support(expand=False),
        ),
    }
    wide_p, wide_q = p.expand((5, *p.batch_shape)), q.expand((5, *q.batch_shape))
    pairs["log_prob expanded"] = (lambda: wide_p.log_prob(x[:, None]), lambda: wide_q.log_prob(value.unsqueeze(1)))
    for suffix, d, e in (("", p, q), (" expanded", wide_p, wide_q)):
        for what in ("mean", "mode", "variance", "stddev"):
            pairs[what + suffix] = (lambda d=d, what=what: getattr(d, what), lambda e=e, what=what: getattr(e, what))
        for what in ("entropy", "perplexity", "enumerate_support"):
            pairs[what + suffix] = getattr(d, what), getattr(e, what)
    for parameter in ("probs", "logits", "scale_tril", "covariance_matrix", "precision_matrix", "df"):
        if hasattr(p, parameter):
            pairs[parameter] = (lambda x=parameter: getattr(p, x), lambda x=parameter: getattr(q, x))
    for what, (their, our) in pairs.items():
        if (case.family, what) in KNOWN or (case.family, what.removesuffix(" expanded")) in KNOWN:
            continue
        try:
            check(their, our)
        except Exception as error:
            raise AssertionError(f"{what}: {error}") from error


def test_names_and_signatures() -> None:
    assert set(ours.__all__) >= set(theirs.__all__)
    for module in ("constraints", "transforms", "kl", "constraint_registry"):
        assert set(getattr(ours, module).__all__) >= set(getattr(theirs, module).__all__)
    for each in theirs.__all__:
        their, our = getattr(theirs, each), getattr(ours, each)
        if inspect.isclass(their):
            expected = list(inspect.signature(their.__init__).parameters.values())
            found = list(inspect.signature(our.__init__).parameters.values())
            assert [x.name for x in found] == [x.name for x in expected], each
            for a, b in zip(found, expected, strict=True):
                default = tuple(b.default) if isinstance(b.default, torch.Size) else b.default
                assert a.default == default, (each, a.name)
    their_pairs = {(p.__name__, q.__name__) for p, q in theirs.kl._KL_REGISTRY}
    assert {(p.__name__, q.__name__) for p, q in ours.kl._KL_REGISTRY} == their_pairs


CONSTRAINTS = {
    "boolean": [[0.0, 1.0, 0.5]],
    "corr_cholesky": [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.9]]],
    "lower_cholesky": [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.5], [0.6, 0.8]], [[-1.0, 0.0], [0.6, 0.8]]],
    "lower_triangular": [[[1.0, 0.0], [0.6, -0.8]], [[1.0, 0.5], [0.6, 0.8]]],
    "nonnegative": [[0.0, 1.0, -1.0, np.nan]],
    "nonnegative_integer": [[0.0, 1.0, 0.5, -1.0]],
    "one_hot": [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]],
    "positive": [[0.0, 1.0, -1.0, np.inf]],
    "positive_definite": [[[1.0, 0.2], [0.2, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.3], [0.2, 1.0]]],
    "positive_integer": [[0.0, 1.0, 1.5]],
    "positive_semidefinite": [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]],
    "real": [[0.0, np.nan, np.inf]],
    "real_vector": [[0.0, np.nan], [1.0, 2.0]],
    "simplex": [[0.2, 0.8], [0.2, 0.7], [-0.2, 1.2]],
    "square": [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0]]],
    "symmetric": [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [2.1, 1.0]]],
    "unit_interval": [[0.0, 1.0, 1.1, -0.1]],
}


@pytest.mark.parametrize("each", CONSTRAINTS)
def test_constraint(each: str) -> None:
    their, our = getattr(theirs.constraints, each), getattr(ours.constraints, each)
    assert repr(our) == repr(their)
    assert (our.is_discrete, our.event_dim) == (their.is_discrete, their.event_dim)
    for value in CONSTRAINTS[each]:
        assert our.check(to_tensor(value)).tolist() == their.check(their_tensor(value)).tolist(), value


def test_made_constraints() -> None:
    value = [[0.5, 1.0, 2.0], [3.0, -1.0, 0.0]]
    for make in (
        lambda c: c.interval(0.0, 1.0),
        lambda c: c.half_open_interval(0.0, 1.0),
        lambda c: c.greater_than(0.5),
        lambda c: c.greater_than_eq(0.5),
        lambda c: c.less_than(1.0),
        lambda c: c.integer_interval(0, 2),
        lambda c: c.independent(c.positive, 1),
        lambda c: c.multinomial(3),
        lambda c: c.cat([c.positive, c.real], 0),
        lambda c: c.stack([c.positive, c.boolean], 0),
        lambda c: c.MixtureSameFamilyConstraint(c.positive),
    ):
        their, our = make(theirs.constraints), make(ours.constraints)
        assert our.check(to_tensor(value)).tolist() == their.check(their_tensor(value)).tolist(), their
        assert (our.is_discrete, our.event_dim) == (their.is_discrete, their.event_dim)


SAMPLES = {
    "Independent": lambda d, t: d.Independent(d.Normal(t(np.zeros((2, 3))), t(np.ones(3))), 1),
    "Mixture": lambda d, t: d.MixtureSameFamily(
        d.Categorical(t(np.array([[0.2, 0.8], [0.5, 0.5]]))), d.Normal(t(np.array([[0.0, 1.0], [2.0, 3.0]])), 1.0)
    ),
    "MixtureOfVectors": lambda d, t: d.MixtureSameFamily(
        d.Categorical(t(np.array([0.2, 0.8]))),
        d.Independent(d.Normal(t(np.arange(6.0).reshape(2, 3)), t(np.ones(3))), 1),
    ),
    "Transformed": lambda d, t: d.TransformedDistribution(
        d.Normal(t(np.zeros(3)), t(np.ones(3))),
        [d.AffineTransform(t(np.array(1.0)), t(np.array(-2.0))), d.ExpTransform()],
    ),
    "TransformedVectors": lambda d, t: d.TransformedDistribution(
        d.Normal(t(np.zeros((2, 3))), t(np.ones(3))), d.StickBreakingTransform()
    ),
}


@pytest.mark.parametrize("each", SAMPLES)
def test_composed(each: str) -> None:
    p, q = SAMPLES[each](theirs, their_tensor), SAMPLES[each](ours, to_tensor)
    assert (q.batch_shape, q.event_shape) == (tuple(p.batch_shape), tuple(p.event_shape))
    assert repr(q.support) == repr(p.support) and q.has_rsample == p.has_rsample
    torch.manual_seed(0)
    x = p.sample((4,))
    assert tuple(q.sample((4,)).shape) == tuple(x.shape)
    value = to_tensor(x.numpy())
    wide_p, wide_q = p.expand((5, *p.batch_shape)), q.expand((5, *q.batch_shape))
    check(lambda: p.log_prob(x), lambda: q.log_prob(value))
    check(lambda: wide_p.log_prob(x[:, None]), lambda: wide_q.log_prob(value.unsqueeze(1)))
    for what in ("mean", "variance"):
        check(lambda what=what: getattr(p, what), lambda what=what: getattr(q, what))
    if not p.event_shape:
        check(lambda: p.cdf(x), lambda: q.cdf(value))


# Pairs where torch 2.13's divergence is infinite although the support of q holds that of p.
WRONG = {("ContinuousBernoulli", "Uniform"), ("Uniform", "ContinuousBernoulli")}


def test_divergences() -> None:
    first: dict[str, list[Case]] = {}
    for case in CASES:
        first.setdefault(case.family, []).append(case)
    compared = 0
    for type_p, type_q in list(theirs.kl._KL_REGISTRY):
        key = type_p.__name__, type_q.__name__
        if key in WRONG or key[0] not in first or key[1] not in first:
            continue
        for a in first[key[0]]:
            for b in first[key[1]]:
                p, q = a.make(theirs, their_tensor), b.make(theirs, their_tensor)
                try:  # the shapes of the table do not always fit
                    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
                    expected = theirs.kl_divergence(p, q)
                except (RuntimeError, IndexError, ValueError):
                    continue
                found = ours.kl_divergence(a.ours(), b.ours())
                np.testing.assert_allclose(
                    found.numpy(), expected.expand(shape).numpy(), rtol=1e-6, atol=1e-7, err_msg=str(key)
                )
                compared += 1
    assert compared > 90
