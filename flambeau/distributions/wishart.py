"""The Wishart distribution of positive definite matrices."""

from __future__ import annotations

import math
import warnings
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.chi2 import Chi2
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.multivariate_normal import ScaleTril, _half_log_det, one_matrix, scale_tril_of
from flambeau.distributions.utils import Number, standard_normal

__all__ = ["Wishart"]


def _mvdigamma(x: Any, p: int) -> Any:
    """The derivative of the logarithm of the multivariate gamma function."""
    return fl.digamma(x.unsqueeze(-1) - fl.arange(p, dtype=x.dtype) / 2).sum(-1)


class Wishart(ScaleTril, ExponentialFamily):
    """The sum of x x^T over `df` normal vectors x of mean 0 and the given covariance (or precision, or scale_tril).

    df is a number or a tensor, above n - 1. Draws by Bartlett's decomposition, differentiable in df and the matrix.
    ValueError unless exactly one matrix is given.

    >>> Wishart(3.0, fl.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _expanded = {"df": 0, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        named = dict(covariance_matrix=covariance_matrix, precision_matrix=precision_matrix, scale_tril=scale_tril)  # noqa: C408
        name, matrix = one_matrix((), named)
        df = fl.tensor(df, dtype=matrix.dtype) if isinstance(df, Number) else df
        batch_shape, event_shape = fl.broadcast_shapes(matrix.shape[:-2], df.shape), matrix.shape[-2:]
        self.df = df.expand(batch_shape)
        size = event_shape[-1]
        if (self.df.detach() <= size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        if (self.df.detach() < size).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        setattr(self, name, matrix.expand((*batch_shape, *event_shape)))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self._unbroadcasted_scale_tril = scale_tril_of(name, matrix)

    @property
    def arg_constraints(self) -> dict[str, Any]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def _per_matrix(self, x: Any) -> Any:
        return x.unsqueeze(-1).unsqueeze(-1)

    @property
    def mean(self) -> Any:
        return self._per_matrix(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        """The mode; NaN for df <= n + 1, where there is none."""
        factor = self.df - self._event_shape[-1] - 1
        return self._per_matrix(fl.where(factor > 0, factor, math.nan)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._per_matrix(self.df) * (v.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape: Any) -> Any:
        """A lower triangular matrix of normal numbers with chi draws on the diagonal, times the scale, squared."""
        factor = self._unbroadcasted_scale_tril
        n = self._event_shape[-1]
        freedom = self.df.unsqueeze(-1) - fl.arange(n, dtype=factor.dtype)
        roots = Chi2(freedom, validate_args=False).rsample(sample_shape).sqrt()
        noise = standard_normal(self._extended_shape(sample_shape), factor).tril(-1)
        lower = factor @ (noise + roots.clamp(min=fl.finfo(factor.dtype).eps).diag_embed())
        return lower @ lower.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        """Draws; those that rounding left singular are drawn again, `max_try_correction` (10) times at most."""
        sample = self._bartlett_sampling(sample_shape)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            singular = ~constraints.positive_definite_each(sample)
            if not singular.any():
                break
            sample = fl.where(self._per_matrix(singular), self._bartlett_sampling(sample_shape), sample)
        return sample

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        log_det = fl.linalg.slogdet(value).logabsdet
        trace = (self.precision_matrix * value).sum((-2, -1))
        normaliser = nu * (p * math.log(2) / 2 + _half_log_det(factor)) + fl.special.multigammaln(nu / 2, p)
        return (nu - p - 1) / 2 * log_det - trace / 2 - normaliser

    def entropy(self) -> Any:
        nu, p = self.df, self._event_shape[-1]
        return (
            (p + 1) * (p * math.log(2) / 2 + _half_log_det(self._unbroadcasted_scale_tril))
            + fl.special.multigammaln(nu / 2, p)
            - (nu - p - 1) / 2 * _mvdigamma(nu / 2, p)
            + nu * p / 2
        )

    @property
    def _natural_params(self) -> Any:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        half_df = y + (p + 1) / 2
        log_det = fl.linalg.slogdet(-2 * x).logabsdet
        return half_df * (p * math.log(2) - log_det) + fl.special.multigammaln(half_df, p)
