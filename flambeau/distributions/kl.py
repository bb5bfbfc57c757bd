"""Kullback-Leibler divergences between pairs of families.

KL(p || q) = -H(p) - E_p[log q(x)]. Between different families only E_p[log q] is needed, which for most q is a
combination of a few expectations under p: of x, x ** 2, log x and exp(-t x). Those are written once for each p, and the
expected log density once for each q. Pairs of one family have their own formulas, without the cancellation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import flambeau as fl
from flambeau.distributions.bernoulli import Bernoulli
from flambeau.distributions.beta import Beta
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.cauchy import Cauchy
from flambeau.distributions.continuous_bernoulli import ContinuousBernoulli
from flambeau.distributions.dirichlet import Dirichlet
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.exponential import Exponential
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.geometric import Geometric
from flambeau.distributions.gumbel import Gumbel
from flambeau.distributions.half_normal import HalfNormal
from flambeau.distributions.independent import Independent
from flambeau.distributions.laplace import Laplace
from flambeau.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _batch_lowrank_logdet,
    _batch_lowrank_mahalanobis,
)
from flambeau.distributions.multivariate_normal import MultivariateNormal, _batch_mahalanobis, _half_log_det
from flambeau.distributions.normal import Normal
from flambeau.distributions.one_hot_categorical import OneHotCategorical
from flambeau.distributions.pareto import Pareto
from flambeau.distributions.poisson import Poisson
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.uniform import Uniform
from flambeau.distributions.utils import _sum_rightmost, broadcast_all, euler_constant, softplus

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: Any, type_q: Any) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """A decorator that enters a function of (p, q) for two classes, and for their subclasses.

    The most specific pair is taken; where the order of p and q decides, a RuntimeWarning says which pair to register.
    """
    for argument, value in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(value, type) and issubclass(value, Distribution)):
            raise TypeError(f"Expected {argument} to be a Distribution subclass but got {value}")

    def enter(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return enter


def _dispatch_kl(type_p: type, type_q: type) -> Any:
    """The function of the nearest registered pair, or NotImplemented."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return NotImplemented
    order_p, order_q = type_p.__mro__.index, type_q.__mro__.index
    by_p = min(matches, key=lambda pair: (order_p(pair[0]), order_q(pair[1])))
    by_q = min(matches, key=lambda pair: (order_q(pair[1]), order_p(pair[0])))
    if _KL_REGISTRY[by_p] is not _KL_REGISTRY[by_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({by_p[0].__name__}, {by_q[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[by_p]


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p || q) = E_p[log p(x) - log q(x)] for each pair of the batch; infinite where q leaves out values of p.

    Raises NotImplementedError for pairs of classes that nobody registered.

    >>> from flambeau.distributions.normal import Normal
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    key = type(p), type(q)
    function = _KL_MEMOIZE.get(key)
    if function is None:
        function = _KL_MEMOIZE[key] = _dispatch_kl(*key)
    if function is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; register_kl "
            "enters one"
        )
    return function(p, q)


# ------------------------------------------------------------------------------------------------------- one family


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    yes = fl.where(p.probs == 0, 0.0, fl.where(q.probs == 0, math.inf, yes))
    no = fl.where(p.probs == 1, 0.0, fl.where(q.probs == 1, math.inf, no))
    return yes + no


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return fl.where(p.total_count > q.total_count, math.inf, p.total_count * each)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    return fl.where(p.probs == 0, 0.0, fl.where(q.probs == 0, math.inf, terms)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale).square() + (p.loc - q.loc).square()).log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    normalisers = p._cont_bern_log_norm() - q._cont_bern_log_norm()
    return p.mean * (p.logits - q.logits) + normalisers + fl.log1p(-p.probs) - fl.log1p(-q.probs)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    normalisers = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return normalisers + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser: A(s) - A(t) - <s - t, A'(t)>."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman "
            f"divergences: {type(p).__name__} and {type(q).__name__}"
        )
    with fl.enable_grad():
        own = [t.detach().requires_grad_() for t in p._natural_params]
        normaliser = p._log_normalizer(*own)
        gradients = fl.autograd.grad(normaliser.sum(), own, create_graph=True)
    other = q._natural_params
    result = q._log_normalizer(*other) - normaliser
    for t, s, gradient in zip(own, other, gradients):
        term = (s - t) * gradient
        result = result - _sum_rightmost(term, term.ndim - result.ndim)
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    scales = b * (p.rate / q.rate).log() + (q.rate - p.rate) * (a / p.rate)
    return scales + fl.lgamma(b) - fl.lgamma(a) + (a - b) * fl.digamma(a)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - fl.log1p(-q.probs) / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    tail = fl.exp((1 + ratio).lgamma() - shift)
    return shift + ratio * euler_constant + tail - ratio.log() - (1 + euler_constant)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return distance / q.scale + ratio * fl.exp(-distance / p.scale) - ratio.log() - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    inside = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return fl.where(p.scale < q.scale, math.inf, inside)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    outside = (q.low > p.low) | (q.high < p.high)
    return fl.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL between Independents of different reinterpreted_batch_ndims")
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL between TransformedDistributions needs equal transforms and event shapes")
    return kl_divergence(p.base_dist, q.base_dist)


# -------------------------------------------------------------------------------------------------- normal vectors


def _check_events(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be "
            f"computed: {p.event_shape} and {q.event_shape}"
        )


def _square_norm(matrix: Any) -> Any:
    return matrix.square().sum((-2, -1))


def _solve_lower(factor: Any, right: Any) -> Any:
    """L^-1 R over broadcast batches."""
    batch = fl.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
    factor, right = factor.expand((*batch, *factor.shape[-2:])), right.expand((*batch, *right.shape[-2:]))
    return fl.linalg.solve_triangular(factor, right, upper=False)


def _log_det(d: Any) -> Any:
    """log det of the covariance."""
    if isinstance(d, MultivariateNormal):
        return 2 * _half_log_det(d._unbroadcasted_scale_tril)
    factor, diagonal = d._parts
    return _batch_lowrank_logdet(factor, diagonal, d._capacitance_tril)


def _roots(d: Any) -> list[Any]:
    """Matrices R whose R R^T sum to the covariance."""
    if isinstance(d, MultivariateNormal):
        return [d._unbroadcasted_scale_tril]
    return [d._unbroadcasted_cov_factor, fl.diag_embed(d._unbroadcasted_cov_diag.sqrt())]


def _distance_and_trace(q: Any, difference: Any, roots: list[Any]) -> tuple[Any, Any]:
    """x^T S^-1 x and tr(S^-1 R R^T), summed over the roots R, for the covariance S of q."""
    if isinstance(q, MultivariateNormal):
        factor = q._unbroadcasted_scale_tril
        trace = sum(_square_norm(_solve_lower(factor, root)) for root in roots)
        return _batch_mahalanobis(factor, difference), trace
    factor, diagonal = q._parts
    inner = _solve_lower(q._capacitance_tril, factor.mT / diagonal.unsqueeze(-2))
    trace = sum(_square_norm(root / diagonal.sqrt().unsqueeze(-1)) - _square_norm(inner @ root) for root in roots)
    return _batch_lowrank_mahalanobis(factor, diagonal, difference, q._capacitance_tril), trace


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _normal_vectors(p: Any, q: Any) -> Any:
    _check_events(p, q)
    distance, trace = _distance_and_trace(q, q.loc - p.loc, _roots(p))
    return 0.5 * (_log_det(q) - _log_det(p) + distance + trace - p.event_shape[0])


# ------------------------------------------------------------------------------------ expectations under p


def _xlogx(x: Any) -> Any:
    return fl.xlogy(x, x)


def _mean_log(p: Any) -> Any:
    """E[log x]."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -p.rate.log() - euler_constant
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return (_xlogx(p.high) - _xlogx(p.low)) / (p.high - p.low) - 1  # Uniform


def _mean_exp(p: Any, t: Any) -> Any:
    """E[exp(-t x)]."""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + t)
    if isinstance(p, Gamma):
        return (1 + t / p.rate).pow(-p.concentration)
    if isinstance(p, Normal):
        return fl.exp(0.5 * (t * p.scale).square() - t * p.loc)
    return (fl.exp(-t * p.low) - fl.exp(-t * p.high)) / (t * (p.high - p.low))  # Uniform


# ---------------------------------------------------------------------------------- the expected log density of q


def _to_exponential(p: Any, q: Any) -> Any:
    return q.rate.log() - q.rate * p.mean


def _to_gamma(p: Any, q: Any) -> Any:
    a = q.concentration
    return a * q.rate.log() - a.lgamma() + (a - 1) * _mean_log(p) - q.rate * p.mean


def _to_gumbel(p: Any, q: Any) -> Any:
    shift = q.loc / q.scale
    return shift - p.mean / q.scale - fl.exp(shift) * _mean_exp(p, 1 / q.scale) - q.scale.log()


def _to_normal(p: Any, q: Any) -> Any:
    spread = (p.variance + (p.mean - q.loc).square()) / q.scale.square()
    return -0.5 * spread - q.scale.log() - 0.5 * math.log(2 * math.pi)


def _to_continuous_bernoulli(p: Any, q: Any) -> Any:
    return p.mean * q.logits + fl.log1p(-q.probs) + q._cont_bern_log_norm()


def _to_uniform(p: Any, q: Any) -> Any:
    outside = (q.low > p.support.lower_bound) | (q.high < p.support.upper_bound)
    return fl.where(outside, -math.inf, -(q.high - q.low).log())


def _uniform_to_beta(p: Any, q: Any) -> Any:
    a, b, width = q.concentration1, q.concentration0, p.high - p.low
    mean_rest = (_xlogx(1 - p.low) - _xlogx(1 - p.high)) / width - 1
    normaliser = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return (a - 1) * _mean_log(p) + (b - 1) * mean_rest - normaliser


def _uniform_to_pareto(p: Any, q: Any) -> Any:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p)


def _enter_crosses() -> None:
    expectations: dict[Any, tuple[Callable[[Any, Any], Any], tuple[Any, ...]]] = {
        Exponential: (_to_exponential, (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform)),
        Gamma: (_to_gamma, (Beta, Exponential, Pareto, Uniform)),
        Gumbel: (_to_gumbel, (Exponential, Gamma, Normal, Uniform)),
        Normal: (_to_normal, (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform)),
        ContinuousBernoulli: (_to_continuous_bernoulli, (Beta, Uniform)),
        Uniform: (_to_uniform, (Beta, ContinuousBernoulli)),
        Beta: (_uniform_to_beta, (Uniform,)),
        Pareto: (_uniform_to_pareto, (Uniform,)),
    }
    for type_q, (expected, types_p) in expectations.items():
        for type_p in types_p:
            register_kl(type_p, type_q)(_cross(expected, type_p is Uniform))
    for type_p, types_q in {
        Beta: (Pareto,),
        ContinuousBernoulli: (Pareto,),
        Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
        Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
        Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Pareto: (Beta, ContinuousBernoulli, Uniform),
        Poisson: (Bernoulli, Binomial),
    }.items():
        for type_q in types_q:
            register_kl(type_p, type_q)(_infinite)


def _cross(expected: Callable[[Any, Any], Any], bounded: bool) -> Callable[[Any, Any], Any]:
    def divergence(p: Any, q: Any) -> Any:
        result = -p.entropy() - expected(p, q)
        if bounded:  # a uniform p may lie outside the support of q
            support = q.support
            low, high = getattr(support, "lower_bound", -math.inf), getattr(support, "upper_bound", math.inf)
            result = fl.where((p.low < low) | (p.high > high), math.inf, result)
        return result

    return divergence


def _infinite(p: Any, q: Any) -> Any:
    shape = fl.broadcast_shapes(p.batch_shape, q.batch_shape)
    return fl.full(shape, math.inf, dtype=p.mean.dtype)


_enter_crosses()


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    """E|x - m| of a normal x: the mean of a folded normal distribution."""
    loc, loc_q = broadcast_all(p.loc, q.loc)
    z = (loc - loc_q) / p.scale
    folded = p.scale * math.sqrt(2 / math.pi) * fl.exp(-0.5 * z.square()) + (loc - loc_q) * fl.erf(z * math.sqrt(0.5))
    return (2 * q.scale).log() + folded / q.scale - p.entropy()
