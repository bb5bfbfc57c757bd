"""Sobol sequences: points that fill the unit cube more evenly than random ones. The numbers are SciPy's.

SciPy has the direction numbers of Joe and Kuo (2008) that PyTorch has, so unscrambled points are PyTorch's.
"""

from __future__ import annotations

import warnings
from typing import Any

import flambeau as fl
from flambeau.ops.arguments import deliver, to_tensor
from flambeau.ops.random import Generator, _host_generator

__all__ = ["SobolEngine"]


class SobolEngine:
    """Points of a Sobol sequence in [0, 1) ** dimension, for up to 21,201 dimensions.

    scramble: points moved by a random matrix and shift for each dimension (Owen, 1998) from the generator's stream, or
    from that of `seed`. Raises ValueError for dimensions outside of that range.

    >>> SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}], got {dimension}"
            )
        from scipy.stats import qmc

        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self.num_generated = 0
        key = None
        if scramble:
            source = _host_generator(None if seed is None else Generator().manual_seed(seed))
            key = int(source.integers(1 << 62))
        self._engine = qmc.Sobol(dimension, scramble=scramble, bits=self.MAXBIT, seed=key)

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """The next n points (n, dimension)."""
        with warnings.catch_warnings():  # a number of points that is no power of 2 is the caller's choice
            warnings.simplefilter("ignore", UserWarning)
            points = self._engine.random(n)
        self.num_generated += n
        return deliver(to_tensor(points, dtype or fl.get_default_dtype()), out)

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """The next 2 ** m points; ValueError unless all points so far are then a power of 2 in number."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                f"The balance properties of Sobol' points require n to be a power of 2. {self.num_generated} points "
                f"have been previously generated, then: n={self.num_generated}+2**{m}={total}. If you still want to do "
                "this, please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Back to the first point; returns the engine."""
        self._engine.reset()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out n points; returns the engine."""
        self._engine.fast_forward(n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        if self.scramble:
            parts.append("scramble=True")
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(parts)})"
