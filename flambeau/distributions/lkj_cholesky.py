"""The distribution of Lewandowski, Kurowicka and Joe (2009) of correlation matrices, through their Cholesky factors."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fl
from flambeau.distributions import constraints
from flambeau.distributions.beta import Beta
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all, standard_normal

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors L (dim, dim) of correlation matrices C of density proportional to det(C) ** (concentration - 1).

    Concentration 1 is even over all correlation matrices; more favours the identity. Draws by the onion method.

    >>> LKJCholesky(2, 1.0).sample().shape
    flambeau.Size([2, 2])
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _expanded = {"concentration": 0}
    _kept = ("dim",)

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)
        self._beta = self._radii()

    def _radii(self) -> Any:
        """The squared length of each row left of the diagonal; that of the first row is not used."""
        half = 0.5 * fl.arange(-1, self.dim - 1, dtype=self.concentration.dtype).clamp(min=0)
        rest = (self.concentration + 0.5 * (self.dim - 2)).unsqueeze(-1) - half
        return Beta(half + 0.5, rest, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return new

    def sample(self, sample_shape: Any = ()) -> Any:
        with fl.no_grad():
            squares = self._beta.sample(sample_shape).unsqueeze(-1)
            noise = standard_normal(self._extended_shape(sample_shape), squares).tril(-1)
            length = noise.norm(dim=-1, keepdim=True)
            direction = fl.where(length > 0, noise / length, 0.0)  # the first row is empty
            rows = squares.sqrt() * direction
            tiny = fl.finfo(rows.dtype).tiny
            return rows + (1 - rows.square().sum(-1)).clamp(min=tiny).sqrt().diag_embed()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        row = fl.arange(2, self.dim + 1, dtype=value.dtype)
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - row
        # the normaliser of the paper, page 1999
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        normaliser = (
            0.5 * below * math.log(math.pi) + fl.special.multigammaln(alpha - 0.5, below) - below * fl.lgamma(alpha)
        )
        return (power * diagonal.log()).sum(-1) - normaliser
