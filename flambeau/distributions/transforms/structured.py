"""Transforms of whole vectors and matrices: onto the simplex, onto Cholesky factors, reshaping, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.transforms.base import Parameterless, Transform
from flambeau.distributions.transforms.elementwise import clipped_sigmoid
from flambeau.distributions.utils import (
    _sum_rightmost,
    lazy_property,
    softplus,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)


def _check_ndim(shape: Any, least: int) -> None:
    if len(shape) < least:
        raise ValueError(f"Too few dimensions on input: needs {least}, got shape {tuple(shape)}")


class ReshapeTransform(Transform):
    """The last dimensions reshaped from in_shape to out_shape."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = fl.Size(in_shape), fl.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(
                f"in_shape, out_shape have different numbers of elements: {self.in_shape}, {self.out_shape}"
            )
        super().__init__(cache_size=cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ReshapeTransform(self.in_shape, self.out_shape, cache_size=cache_size)

    def _call(self, x: Any) -> Any:
        return x.reshape(x.shape[: x.ndim - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y: Any) -> Any:
        return y.reshape(y.shape[: y.ndim - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    @staticmethod
    def _replace(shape: Any, old: Any, new: Any) -> Any:
        _check_ndim(shape, len(old))
        cut = len(shape) - len(old)
        if tuple(shape[cut:]) != tuple(old):
            raise ValueError(f"Shape mismatch: expected {tuple(old)} but got {tuple(shape[cut:])}")
        return shape[:cut] + new

    def forward_shape(self, shape: Any) -> Any:
        return self._replace(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._replace(shape, self.out_shape, self.in_shape)


class SoftmaxTransform(Parameterless):
    """y = softmax(x): onto the simplex, not one to one; log is the pseudo-inverse."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        return fl.softmax(x, dim=-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        _check_ndim(shape, 1)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(Parameterless):
    """From K - 1 numbers to K shares of a stick: each number says how much of the rest is broken off.

    The offsets log(K - i) are such that x = 0 gives equal shares.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    @staticmethod
    def _offset(x: Any) -> Any:
        return fl.arange(x.shape[-1], 0, -1, dtype=x.dtype).log()

    def _call(self, x: Any) -> Any:
        broken = clipped_sigmoid(x - self._offset(x))
        rest = (1 - broken).cumprod(-1)
        one = fl.ones((*x.shape[:-1], 1), dtype=x.dtype)
        return fl.cat([broken, one], -1) * fl.cat([one, rest], -1)

    def _inverse(self, y: Any) -> Any:
        shares = y[..., :-1]
        rest = (1 - shares.cumsum(-1)).clamp(min=fl.finfo(y.dtype).tiny)
        return shares.log() - rest.log() + self._offset(shares)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x)
        return (y[..., :-1].log() - softplus(x)).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _check_ndim(shape, 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape: Any) -> Any:
        _check_ndim(shape, 1)
        return shape[:-1] + (shape[-1] - 1,)


def _shifted(x: Any) -> Any:
    """1 before x along the last dimension, without the last element."""
    return fl.cat([fl.ones((*x.shape[:-1], 1), dtype=x.dtype), x[..., :-1]], -1)


class CorrCholeskyTransform(Transform):
    """From D (D - 1) / 2 numbers to the Cholesky factor of a D x D correlation matrix.

    tanh(x) fills the strict lower triangle as partial correlations; each row is then scaled to length 1.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        eps = fl.finfo(x.dtype).eps
        partial = vec_to_tril_matrix(x.tanh().clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - partial * partial).sqrt().cumprod(-1)
        return (partial + fl.eye(partial.shape[-1], dtype=x.dtype)) * _shifted(left)

    def _inverse(self, y: Any) -> Any:
        left = _shifted(1 - (y * y).cumsum(-1))
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        # every factor sqrt(1 - sum of squares so far) scales one element; diagonal -2 leaves out the factors 1
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        return 0.5 * left.log().sum(-1) - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _check_ndim(shape, 1)
        size = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != shape[-1]:
            raise ValueError(f"Input is not a flattened lower-diagonal number: {shape[-1]} is not D (D - 1) / 2")
        return shape[:-1] + (size, size)

    def inverse_shape(self, shape: Any) -> Any:
        _check_ndim(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError(f"Input is not square: {tuple(shape)}")
        return shape[:-2] + (shape[-1] * (shape[-1] - 1) // 2,)


class LowerCholeskyTransform(Parameterless):
    """Lower triangular matrices with a positive diagonal: the exponential of the diagonal, zeros above it."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Parameterless):
    """Positive definite matrices: L L^T of the lower Cholesky transform."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(fl.linalg.cholesky(y))


def _transforms(tseq: Sequence[Any], cache_size: int) -> list[Any]:
    for t in tseq:
        if not isinstance(t, Transform):
            raise TypeError(f"all elements of tseq must be Transform, got {type(t).__name__}")
    return [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)


def _check_size(dim: int, tensor: Any, size: int) -> None:
    if not -tensor.ndim <= dim < tensor.ndim:
        raise ValueError(f"dim {dim} out of range for tensor with {tensor.ndim} dimensions")
    if tensor.shape[dim] != size:
        raise ValueError(f"size {tensor.shape[dim]} of dimension {dim} must equal {size}, one place for each transform")


class CatTransform(Transform):
    """Transforms side by side along `dim`, the i-th over `lengths[i]` places."""

    def __init__(
        self, tseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size=cache_size)
        self.transforms = _transforms(tseq, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise ValueError(f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})")
        self.dim = dim

    @lazy_property
    def event_dim(self) -> Any:
        return max(t.event_dim for t in self.transforms)

    @lazy_property
    def length(self) -> int:
        """The size of dimension `dim`."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _each(self, function: Callable[..., Any], *tensors: Any) -> list[Any]:
        for tensor in tensors:
            _check_size(self.dim, tensor, self.length)
        results, start = [], 0
        for transform, length in zip(self.transforms, self.lengths):
            results.append(function(transform, *[t.narrow(self.dim, start, length) for t in tensors]))
            start += length
        return results

    def _call(self, x: Any) -> Any:
        return fl.cat(self._each(lambda t, part: t(part), x), dim=self.dim)

    def _inverse(self, y: Any) -> Any:
        return fl.cat(self._each(lambda t, part: t.inv(part), y), dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        def one(t: Any, before: Any, after: Any) -> Any:
            return _sum_rightmost(t.log_abs_det_jacobian(before, after), self.event_dim - t.event_dim)

        terms = self._each(one, x, y)
        dim = self.dim - x.ndim if self.dim >= 0 else self.dim
        dim += self.event_dim
        return fl.cat(terms, dim=dim) if dim < 0 else sum(terms)

    @property
    def bijective(self) -> Any:
        return all(t.bijective for t in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(Transform):
    """Transforms stacked along `dim`, the i-th for place i."""

    def __init__(self, tseq: Sequence[Any], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.transforms = _transforms(tseq, cache_size)
        self.dim = dim

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _each(self, function: Callable[..., Any], *tensors: Any) -> Any:
        for tensor in tensors:
            _check_size(self.dim, tensor, len(self.transforms))
        parts = zip(self.transforms, *[t.unbind(self.dim) for t in tensors])
        return fl.stack([function(*part) for part in parts], dim=self.dim)

    def _call(self, x: Any) -> Any:
        return self._each(lambda t, part: t(part), x)

    def _inverse(self, y: Any) -> Any:
        return self._each(lambda t, part: t.inv(part), y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self._each(lambda t, before, after: t.log_abs_det_jacobian(before, after), x, y)

    @property
    def bijective(self) -> Any:
        return all(t.bijective for t in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
