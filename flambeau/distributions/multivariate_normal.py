"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import lazy_property, standard_normal

__all__ = ["MultivariateNormal"]


def _batch_mv(matrix: Any, vector: Any) -> Any:
    """matrix @ vector over broadcast batches."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(factor: Any, x: Any) -> Any:
    """The squared length of L^-1 x, for L (*, n, n) and x (*, n) whose batches broadcast."""
    if factor.ndim == 2:  # one solve with every x as a column
        columns = x.reshape(-1, x.shape[-1]).mT
        return fl.linalg.solve_triangular(factor, columns, upper=False).square().sum(-2).reshape(x.shape[:-1])
    batch = fl.broadcast_shapes(factor.shape[:-2], x.shape[:-1])
    factor = factor.expand((*batch, *factor.shape[-2:]))
    columns = x.expand((*batch, x.shape[-1])).unsqueeze(-1)
    return fl.linalg.solve_triangular(factor, columns, upper=False).square().sum((-2, -1))


def _half_log_det(factor: Any) -> Any:
    """log det of a Cholesky factor: half of that of its matrix."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _precision_to_scale_tril(precision: Any) -> Any:
    """The Cholesky factor of the inverse of a matrix, from the factor of the matrix with its order reversed."""
    reverse = fl.linalg.cholesky(fl.flip(precision, (-2, -1)))
    inverse = fl.flip(reverse, (-2, -1)).mT
    identity = fl.eye(precision.shape[-1], dtype=precision.dtype).expand(inverse.shape)
    return fl.linalg.solve_triangular(inverse, identity, upper=False)


def one_matrix(batch_shape: Any, named: dict[str, Any]) -> tuple[str, Any]:
    """The name and value of the one matrix among covariance, precision and scale_tril; ValueError otherwise."""
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified, got "
            f"{', '.join(given) or 'none'}."
        )
    ((name, matrix),) = given.items()
    if matrix.ndim < 2:
        raise ValueError(
            f"{name} must be at least two-dimensional, with optional leading batch dimensions; got {matrix.shape}"
        )
    return name, matrix


def scale_tril_of(name: str, matrix: Any) -> Any:
    """The Cholesky factor of the covariance for a matrix given under `name`."""
    if name == "scale_tril":
        return matrix
    return fl.linalg.cholesky(matrix) if name == "covariance_matrix" else _precision_to_scale_tril(matrix)


class ScaleTril:
    """The attributes scale_tril, covariance_matrix and precision_matrix, each computed when it was not given."""

    _unbroadcasted_scale_tril: Any
    _batch_shape: Any

    def _spread(self, matrix: Any) -> Any:
        return matrix.expand((*self._batch_shape, *matrix.shape[-2:]))

    @lazy_property
    def scale_tril(self) -> Any:
        """The Cholesky factor of the covariance."""
        return self._spread(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return self._spread(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        factor = self._unbroadcasted_scale_tril
        identity = fl.eye(factor.shape[-1], dtype=factor.dtype).expand(factor.shape)
        inverse = fl.linalg.solve_triangular(factor, identity, upper=False)
        return self._spread(inverse.mT @ inverse)


class MultivariateNormal(ScaleTril, Distribution):
    """Normal vectors (*, n) with mean `loc` (*, n) and one of three matrices (*, n, n).

    covariance_matrix, its inverse precision_matrix, or its Cholesky factor scale_tril, which is used as it is and is
    therefore the cheapest. ValueError unless exactly one is given.

    >>> MultivariateNormal(fl.zeros(2), fl.eye(2)).entropy()
    tensor(2.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _expanded = {"loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        named = dict(covariance_matrix=covariance_matrix, precision_matrix=precision_matrix, scale_tril=scale_tril)  # noqa: C408
        name, matrix = one_matrix(loc.shape[:-1], named)
        batch_shape = fl.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand((*batch_shape, loc.shape[-1]))
        setattr(self, name, matrix.expand((*batch_shape, *matrix.shape[-2:])))
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = scale_tril_of(name, matrix)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        squares = self._unbroadcasted_scale_tril.square().sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        factor = self._unbroadcasted_scale_tril
        distance = _batch_mahalanobis(factor, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - _half_log_det(factor)

    def entropy(self) -> Any:
        constant = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (constant + _half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)
