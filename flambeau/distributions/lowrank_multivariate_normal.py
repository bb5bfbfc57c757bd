"""The multivariate normal distribution with a covariance of low rank and a diagonal."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.multivariate_normal import _batch_mahalanobis, _batch_mv, _half_log_det
from flambeau.distributions.utils import lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


def _batch_capacitance_tril(factor: Any, diagonal: Any) -> Any:
    """The Cholesky factor of I + W^T D^-1 W."""
    inner = (factor.mT / diagonal.unsqueeze(-2)) @ factor
    return fl.linalg.cholesky(inner + fl.eye(inner.shape[-1], dtype=inner.dtype))


def _batch_lowrank_logdet(factor: Any, diagonal: Any, capacitance_tril: Any) -> Any:
    """log det(W W^T + D) = log det(I + W^T D^-1 W) + log det D (the matrix determinant lemma)."""
    return 2 * _half_log_det(capacitance_tril) + diagonal.log().sum(-1)


def _batch_lowrank_mahalanobis(factor: Any, diagonal: Any, x: Any, capacitance_tril: Any) -> Any:
    """x^T (W W^T + D)^-1 x by Woodbury's identity."""
    inner = _batch_mv(factor.mT / diagonal.unsqueeze(-2), x)
    return (x.square() / diagonal).sum(-1) - _batch_mahalanobis(capacitance_tril, inner)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors (*, n) with mean `loc` (*, n) and covariance W W^T + D.

    W is cov_factor (*, n, m) and D has the diagonal cov_diag (*, n). Densities cost n m^2 instead of n^3.

    >>> LowRankMultivariateNormal(fl.zeros(2), fl.ones(2, 1), fl.ones(2)).covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _expanded = {"loc": 1, "cov_factor": 2, "cov_diag": 1}
    _kept = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m, got {cov_factor.shape}"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}, got {cov_diag.shape}")
        try:
            batch_shape = fl.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand((*batch_shape, *event_shape))
        self.cov_diag = cov_diag.expand((*batch_shape, *event_shape))
        self.cov_factor = cov_factor.expand((*batch_shape, *cov_factor.shape[-2:]))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = _batch_capacitance_tril(cov_factor, cov_diag)

    @property
    def _parts(self) -> tuple[Any, Any]:
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag

    def _spread(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        factor, diagonal = self._parts
        return (factor.square().sum(-1) + diagonal).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The Cholesky factor of the covariance."""
        factor, diagonal = self._parts
        root = diagonal.sqrt().unsqueeze(-1)
        scaled = factor / root
        inner = scaled @ scaled.mT
        return self._spread(root * fl.linalg.cholesky(inner + fl.eye(inner.shape[-1], dtype=inner.dtype)))

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor, diagonal = self._parts
        return self._spread(factor @ factor.mT + fl.diag_embed(diagonal))

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        factor, diagonal = self._parts
        right = factor.mT / diagonal.unsqueeze(-2)
        batch = fl.broadcast_shapes(self._capacitance_tril.shape[:-2], right.shape[:-2])
        left = self._capacitance_tril.expand((*batch, *self._capacitance_tril.shape[-2:]))
        inner = fl.linalg.solve_triangular(left, right.expand((*batch, *right.shape[-2:])), upper=False)
        return self._spread(fl.diag_embed(diagonal.reciprocal()) - inner.mT @ inner)

    def rsample(self, sample_shape: Any = ()) -> Any:
        factor, diagonal = self._parts
        shape = self._extended_shape(sample_shape)
        common = standard_normal(shape[:-1] + factor.shape[-1:], self.loc)
        own = standard_normal(shape, self.loc)
        return self.loc + _batch_mv(factor, common) + diagonal.sqrt() * own

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        distance = _batch_lowrank_mahalanobis(*self._parts, value - self.loc, self._capacitance_tril)
        log_det = _batch_lowrank_logdet(*self._parts, self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + log_det + distance)

    def entropy(self) -> Any:
        log_det = _batch_lowrank_logdet(*self._parts, self._capacitance_tril)
        return (0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + log_det)).expand(self._batch_shape)
