"""Transforms: inverses, Jacobians against autograd's, shapes, caches, and the registries of constraints."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau as fl
from flambeau.distributions import biject_to, constraints, transform_to
from flambeau.distributions import transforms as T

from .families import definite, factor, simplex, to_tensor

D = fl.distributions
_random = np.random.default_rng(3)


def numbers(*shape: int) -> Any:
    return to_tensor(_random.normal(size=shape))


def positive(*shape: int) -> Any:
    return numbers(*shape).exp()


TRANSFORMS = {
    "Exp": (T.ExpTransform(), numbers(2, 3)),
    "Power": (T.PowerTransform(to_tensor([0.5, 2.0, -1.0])), positive(2, 3)),
    "Sigmoid": (T.SigmoidTransform(), numbers(2, 3)),
    "Softplus": (T.SoftplusTransform(), numbers(2, 3)),
    "Tanh": (T.TanhTransform(), numbers(2, 3)),
    "Affine": (T.AffineTransform(1.5, -2.0), numbers(2, 3)),
    "AffineTensors": (T.AffineTransform(numbers(3), positive(3)), numbers(2, 3)),
    "AffineEvent": (T.AffineTransform(numbers(3), positive(3), event_dim=1), numbers(2, 3)),
    "AffineEventNumber": (T.AffineTransform(0.5, 3.0, event_dim=1), numbers(2, 3)),
    "Compose": (T.ComposeTransform([T.AffineTransform(0.5, 2.0), T.SigmoidTransform()]), numbers(2, 3)),
    "ComposeMixed": (T.ComposeTransform([T.AffineTransform(0.5, 2.0), T.StickBreakingTransform()]), numbers(2, 3)),
    "Independent": (T.IndependentTransform(T.ExpTransform(), 1), numbers(2, 3)),
    "Identity": (T.identity_transform, numbers(2, 3)),
    "Reshape": (T.ReshapeTransform((6,), (2, 3)), numbers(2, 6)),
    "StickBreaking": (T.StickBreakingTransform(), numbers(2, 3)),
    "CorrCholesky": (T.CorrCholeskyTransform(), numbers(2, 6)),
    "Cat": (T.CatTransform([T.ExpTransform(), T.AffineTransform(1.0, 2.0)], dim=-1, lengths=[2, 1]), numbers(2, 3)),
    "Stack": (T.StackTransform([T.ExpTransform(), T.SigmoidTransform()], dim=0), numbers(2, 3)),
    "CumulativeDistribution": (T.CumulativeDistributionTransform(D.Normal(0.0, 1.0)), numbers(2, 3)),
    "Inverse": (T.ExpTransform().inv, positive(2, 3)),
}
ONE_WAY = {
    "Abs": (T.AbsTransform(), numbers(2, 3)),
    "Softmax": (T.SoftmaxTransform(), numbers(2, 3)),
    "LowerCholesky": (T.LowerCholeskyTransform(), numbers(2, 3, 3)),
    "PositiveDefinite": (T.PositiveDefiniteTransform(), numbers(2, 3, 3)),
}


@pytest.mark.parametrize("each", [*TRANSFORMS, *ONE_WAY])
def test_round_trip(each: str) -> None:
    t, x = {**TRANSFORMS, **ONE_WAY}[each]
    y = t(x)
    back = t.inv(y)
    np.testing.assert_allclose(t(back).numpy(), y.numpy(), rtol=1e-9, atol=1e-12)
    if each in TRANSFORMS:
        assert t.bijective
        np.testing.assert_allclose(back.numpy(), x.numpy(), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(
            t.inv.log_abs_det_jacobian(y, x).numpy(), -t.log_abs_det_jacobian(x, y).numpy(), rtol=1e-12
        )
    assert t.inv.inv is t
    assert tuple(t.forward_shape(x.shape)) == tuple(y.shape) and tuple(t.inverse_shape(y.shape)) == tuple(x.shape)
    assert bool(t.codomain.check(y).all()), t.codomain
    assert t == t and (t.inv != t or each == "Identity") and repr(t) and repr(t.inv)
    cached = t.with_cache(1)
    assert cached.inv(cached(x)) is x or each in ("Compose", "ComposeMixed", "Identity", "Independent", "Inverse")
    if each not in ("AffineTensors", "AffineEvent", "Power", "CumulativeDistribution"):
        again = pickle.loads(pickle.dumps(t))
        assert fl.equal(again(x), y)


def free_coordinates(each: str, y: Any) -> Any:
    """The coordinates of an event that determine the others."""
    if each in ("StickBreaking", "ComposeMixed"):
        return y[..., :-1]
    if each == "CorrCholesky":
        rows, columns = fl.tril_indices(y.shape[-1], y.shape[-1], -1)
        return y[..., rows, columns]
    return y


@pytest.mark.parametrize("each", TRANSFORMS)
def test_jacobian(each: str) -> None:
    t, x = TRANSFORMS[each]
    x = x[0]
    if each == "Stack":
        t, x = T.StackTransform([T.ExpTransform(), T.SigmoidTransform(), T.TanhTransform()]), x
    found = t.log_abs_det_jacobian(x, t(x))

    def flat(v: Any) -> Any:
        return free_coordinates(each, t(v)).reshape(-1)

    jacobian = fl.autograd.functional.jacobian(flat, x).reshape(-1, x.numel())
    expected = fl.linalg.slogdet(jacobian).logabsdet
    assert abs(float(found.sum()) - float(expected)) < 1e-8
    event_dim = t.domain.event_dim
    assert tuple(found.shape) == tuple(x.shape[: x.ndim - event_dim])


def test_sign() -> None:
    assert T.ExpTransform().sign == 1 and T.AffineTransform(0.0, -2.0).sign == -1
    assert T.ComposeTransform([T.AffineTransform(0.0, -2.0), T.AffineTransform(1.0, -2.0)]).sign == 1
    assert T.AffineTransform(0.0, to_tensor([-2.0, 3.0])).sign.tolist() == [-1.0, 1.0]
    with pytest.raises(NotImplementedError):
        assert T.AbsTransform().sign


def test_equality() -> None:
    assert T.ExpTransform() == T.ExpTransform() and T.ExpTransform() != T.TanhTransform()
    assert T.AffineTransform(0.0, 1.0) == T.AffineTransform(0.0, 1.0) != T.AffineTransform(0.0, 2.0)
    assert T.AffineTransform(to_tensor([1.0]), 1.0) == T.AffineTransform(1.0, 1.0)
    assert T.PowerTransform(to_tensor(2.0)) == T.PowerTransform(to_tensor(2.0)) != T.PowerTransform(to_tensor(3.0))
    assert T.ComposeTransform([T.ExpTransform()]) == T.ComposeTransform([T.ExpTransform()])
    assert len({T.ExpTransform(), T.ExpTransform()}) == 1


def test_decreasing_transform_turns_the_distribution_round() -> None:
    q = D.TransformedDistribution(D.Normal(to_tensor(0.0), to_tensor(1.0)), T.AffineTransform(1.0, -2.0))
    p = D.Normal(to_tensor(1.0), to_tensor(2.0))
    x = to_tensor([-3.0, 0.0, 1.0, 4.0])
    np.testing.assert_allclose(q.cdf(x).numpy(), p.cdf(x).numpy(), rtol=1e-12)
    np.testing.assert_allclose(q.log_prob(x).numpy(), p.log_prob(x).numpy(), rtol=1e-12)
    u = to_tensor([0.1, 0.5, 0.8])
    np.testing.assert_allclose(q.icdf(u).numpy(), p.icdf(u).numpy(), rtol=1e-12)


CONSTRAINTS: dict[str, tuple[Any, Any]] = {
    "real": (constraints.real, numbers(4)),
    "positive": (constraints.positive, positive(4)),
    "nonnegative": (constraints.nonnegative, positive(4)),
    "greater_than": (constraints.greater_than(to_tensor([1.0, -2.0])), to_tensor([1.5, 0.0])),
    "greater_than_eq": (constraints.greater_than_eq(2.0), to_tensor([2.5, 3.0])),
    "less_than": (constraints.less_than(-1.0), to_tensor([-2.0, -1.5])),
    "interval": (constraints.interval(-1.0, to_tensor([2.0, 3.0])), to_tensor([0.5, 2.5])),
    "half_open": (constraints.half_open_interval(-1.0, 2.0), to_tensor([0.5, 1.5])),
    "unit_interval": (constraints.unit_interval, to_tensor([0.25, 0.5])),
    "simplex": (constraints.simplex, to_tensor(simplex(2, 4))),
    "corr_cholesky": (
        constraints.corr_cholesky,
        to_tensor(np.linalg.cholesky(np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]]))),
    ),
    "lower_cholesky": (constraints.lower_cholesky, to_tensor(factor(2, 3))),
    "positive_definite": (constraints.positive_definite, to_tensor(definite(2, 3))),
    "independent": (constraints.independent(constraints.positive, 1), positive(2, 3)),
    "cat": (
        constraints.cat([constraints.positive, constraints.unit_interval], -1, [1, 2]),
        to_tensor([[3.0, 0.5, 0.25]]),
    ),
    "stack": (constraints.stack([constraints.positive, constraints.real], 0), positive(2, 3)),
}


@pytest.mark.parametrize("each", CONSTRAINTS)
@pytest.mark.parametrize("registry", [biject_to, transform_to], ids=["biject_to", "transform_to"])
def test_registry(each: str, registry: Any) -> None:
    constraint, value = CONSTRAINTS[each]
    if registry is biject_to and each in ("lower_cholesky", "positive_definite"):
        with pytest.raises(NotImplementedError, match="Cannot transform"):
            registry(constraint)
        return
    t = registry(constraint)
    free = t.inv(value)
    np.testing.assert_allclose(t(free).numpy(), value.numpy(), rtol=1e-9, atol=1e-12)
    moved = t(free + to_tensor(_random.normal(size=tuple(free.shape))))
    assert bool(constraint.check(moved).all())
    assert t.bijective or registry is transform_to


def test_own_registration() -> None:
    class Even(constraints.Constraint):
        pass

    registry = D.constraint_registry.ConstraintRegistry()
    with pytest.raises(NotImplementedError):
        registry(Even())
    registry.register(Even, lambda c: T.identity_transform)
    assert registry(Even()) is T.identity_transform
    with pytest.raises(TypeError, match="Expected constraint"):
        registry.register(int, lambda c: T.identity_transform)


def test_errors() -> None:
    with pytest.raises(ValueError, match="different numbers of elements"):
        T.ReshapeTransform((2, 3), (5,))
    with pytest.raises(ValueError, match="Shape mismatch"):
        T.ReshapeTransform((2, 3), (6,)).forward_shape(fl.Size((4, 3, 2)))
    with pytest.raises(ValueError, match="cache_size"):
        T.ExpTransform(cache_size=2)
    with pytest.raises(ValueError, match="lengths"):
        T.CatTransform([T.ExpTransform()], lengths=[1, 2])
    with pytest.raises(TypeError, match="Transform"):
        T.StackTransform([math.exp])
    with pytest.raises(ValueError, match="must equal"):
        T.StackTransform([T.ExpTransform()])(numbers(2))
    with pytest.raises(ValueError, match="flattened"):
        T.CorrCholeskyTransform().forward_shape(fl.Size((4,)))
    with pytest.raises(ValueError, match="Too few"):
        T.IndependentTransform(T.ExpTransform(), 2)(numbers(3))
    with pytest.raises(ValueError, match="Please use either"):
        assert T.CorrCholeskyTransform().event_dim
