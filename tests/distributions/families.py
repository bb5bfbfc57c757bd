"""One table of all families with parameters, from which the tests of this folder are made.

A case names the family, its parameters as NumPy arrays, and SciPy's distribution of the same parameters where SciPy has
one, made by a function of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import flambeau as fl

_random = np.random.default_rng(20)


def real(*shape: int) -> Any:
    return _random.normal(size=shape)


def positive(*shape: int) -> Any:
    return _random.gamma(3.0, 0.5, shape) + 0.2


def probability(*shape: int) -> Any:
    return _random.uniform(0.1, 0.9, shape)


def simplex(*shape: int) -> Any:
    return _random.dirichlet(np.full(shape[-1], 2.0), shape[:-1])


def definite(*shape: int) -> Any:
    root = _random.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1])


def factor(*shape: int) -> Any:
    return np.linalg.cholesky(definite(*shape))


@dataclass(frozen=True)
class Case:
    family: str
    parameters: dict[str, Any]
    scipy: Callable[..., Any] | None = None  # of (scipy.stats, **parameters)

    def make(self, namespace: Any, tensor: Callable[[Any], Any], **options: Any) -> Any:
        """The distribution in a namespace such as flambeau.distributions, with its parameters as its tensors."""
        parameters = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in self.parameters.items()}
        return getattr(namespace, self.family)(**parameters, **options)

    def ours(self, **options: Any) -> Any:
        return self.make(fl.distributions, to_tensor, **options)


def to_tensor(array: Any, requires_grad: bool = False) -> Any:
    return fl.tensor(np.asarray(array).tolist(), dtype=fl.float64, requires_grad=requires_grad)


def _odds(logits: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-logits))


CASES = [
    Case("Bernoulli", {"probs": probability(3)}, lambda s, probs: s.bernoulli(probs)),
    Case("Bernoulli", {"logits": real(2, 3)}, lambda s, logits: s.bernoulli(_odds(logits))),
    Case("Beta", {"concentration1": positive(3), "concentration0": positive(3)},
         lambda s, concentration1, concentration0: s.beta(concentration1, concentration0)),
    Case("Binomial", {"total_count": 7, "probs": probability(3)}, lambda s, total_count, probs: s.binom(7, probs)),
    Case("Binomial", {"total_count": 7, "logits": real(3)}, lambda s, total_count, logits: s.binom(7, _odds(logits))),
    Case("Categorical", {"probs": simplex(2, 4)}),
    Case("Categorical", {"logits": real(3, 4)}),
    Case("Cauchy", {"loc": real(3), "scale": positive(3)}, lambda s, loc, scale: s.cauchy(loc, scale)),
    Case("Chi2", {"df": positive(3)}, lambda s, df: s.chi2(df)),
    Case("ContinuousBernoulli", {"probs": np.array([0.2, 0.5, 0.4995, 0.9])}),
    Case("ContinuousBernoulli", {"logits": real(4)}),
    Case("Dirichlet", {"concentration": positive(2, 3)}),
    Case("Exponential", {"rate": positive(3)}, lambda s, rate: s.expon(scale=1 / rate)),
    Case("FisherSnedecor", {"df1": positive(3) + 2.0, "df2": positive(3) + 5.0}, lambda s, df1, df2: s.f(df1, df2)),
    Case("Gamma", {"concentration": positive(3), "rate": positive(3)},
         lambda s, concentration, rate: s.gamma(concentration, scale=1 / rate)),
    Case("GeneralizedPareto", {"loc": real(3), "scale": positive(3), "concentration": np.array([-0.5, 0.0, 0.3])},
         lambda s, loc, scale, concentration: s.genpareto(concentration, loc, scale)),
    Case("Geometric", {"probs": probability(3)}, lambda s, probs: s.geom(probs, loc=-1)),
    Case("Geometric", {"logits": real(3)}, lambda s, logits: s.geom(_odds(logits), loc=-1)),
    Case("Gumbel", {"loc": real(3), "scale": positive(3)}, lambda s, loc, scale: s.gumbel_r(loc, scale)),
    Case("HalfCauchy", {"scale": positive(3)}, lambda s, scale: s.halfcauchy(scale=scale)),
    Case("HalfNormal", {"scale": positive(3)}, lambda s, scale: s.halfnorm(scale=scale)),
    Case("InverseGamma", {"concentration": positive(3) + 2.5, "rate": positive(3)},
         lambda s, concentration, rate: s.invgamma(concentration, scale=rate)),
    Case("Kumaraswamy", {"concentration1": positive(3) + 1.0, "concentration0": positive(3) + 1.0}),
    Case("LKJCholesky", {"dim": 3, "concentration": positive(2)}),
    Case("Laplace", {"loc": real(3), "scale": positive(3)}, lambda s, loc, scale: s.laplace(loc, scale)),
    Case("LogNormal", {"loc": real(3), "scale": 0.5 * positive(3)},
         lambda s, loc, scale: s.lognorm(scale, scale=np.exp(loc))),
    Case("LogisticNormal", {"loc": real(2, 3), "scale": positive(2, 3)}),
    Case("LowRankMultivariateNormal", {"loc": real(2, 3), "cov_factor": real(2, 3, 2), "cov_diag": positive(2, 3)}),
    Case("LowRankMultivariateNormal", {"loc": real(2, 3), "cov_factor": real(3, 2), "cov_diag": positive(3)}),
    Case("Multinomial", {"total_count": 5, "probs": simplex(2, 3)}),
    Case("Multinomial", {"total_count": 5, "logits": real(3)}),
    Case("MultivariateNormal", {"loc": real(2, 3), "covariance_matrix": definite(3)}),
    Case("MultivariateNormal", {"loc": real(3), "precision_matrix": definite(2, 3)}),
    Case("MultivariateNormal", {"loc": real(2, 3), "scale_tril": factor(2, 3)}),
    Case("NegativeBinomial", {"total_count": positive(3), "probs": probability(3)},
         lambda s, total_count, probs: s.nbinom(total_count, 1 - probs)),
    Case("NegativeBinomial", {"total_count": positive(3), "logits": real(3)},
         lambda s, total_count, logits: s.nbinom(total_count, 1 - _odds(logits))),
    Case("Normal", {"loc": real(2, 3), "scale": positive(3)}, lambda s, loc, scale: s.norm(loc, scale)),
    Case("OneHotCategorical", {"probs": simplex(2, 3)}),
    Case("OneHotCategoricalStraightThrough", {"logits": real(2, 3)}),
    Case("Pareto", {"scale": positive(3), "alpha": positive(3) + 2.0},
         lambda s, scale, alpha: s.pareto(alpha, scale=scale)),
    Case("Poisson", {"rate": positive(3)}, lambda s, rate: s.poisson(rate)),
    Case("RelaxedBernoulli", {"temperature": np.array(0.7), "probs": probability(3)}),
    Case("RelaxedBernoulli", {"temperature": np.array(0.7), "logits": real(3)}),
    Case("RelaxedOneHotCategorical", {"temperature": np.array(0.7), "probs": simplex(2, 3)}),
    Case("RelaxedOneHotCategorical", {"temperature": np.array(0.7), "logits": real(2, 3)}),
    Case("StudentT", {"df": positive(3) + 4.0, "loc": real(3), "scale": positive(3)},
         lambda s, df, loc, scale: s.t(df, loc, scale)),
    Case("Uniform", {"low": real(3) - 3.0, "high": real(3) + 3.0},
         lambda s, low, high: s.uniform(low, high - low)),
    Case("VonMises", {"loc": real(3), "concentration": positive(3)},
         lambda s, loc, concentration: s.vonmises(concentration, loc)),
    Case("Weibull", {"scale": positive(3), "concentration": positive(3)},
         lambda s, scale, concentration: s.weibull_min(concentration, scale=scale)),
    Case("Wishart", {"df": positive(2) + 4.0, "covariance_matrix": definite(3)}),
    Case("Wishart", {"df": positive(2) + 4.0, "precision_matrix": definite(2, 3)}),
    Case("Wishart", {"df": positive(2) + 4.0, "scale_tril": factor(2, 3)}),
]  # fmt: skip


def name(case: Case) -> str:
    return case.family + "-" + "-".join(case.parameters)
