"""Entries of PyTorch's operator database where flambeau is known to differ, each with the reason."""

from __future__ import annotations

_TRIANGLE = "only one triangle of the factor is read, so only it has a gradient; PyTorch gives the other one some too"
_WEIGHTS = "PyTorch sums float32 weights in float32 even where the input is float64"
_OVERWRITTEN = "a view of one element without dimensions: PyTorch gives what was overwritten a gradient"
_STRICT = "shapes that differ by broadcasting are an error in a loss"
_FLOATS = "takes floating-point dtypes only, PyTorch also integers"

_PHASE = "the imaginary part of a logarithm is known up to 2 pi: PyTorch adds up what each step gives"

DIFFERENT: dict[str, str] = {
    "sum_to_size": "a bool scalar summed to its own shape stays bool; PyTorch makes it int64 there and nowhere else",
    "as_strided_scatter": _OVERWRITTEN,
    "cholesky_inverse": _TRIANGLE,
    "cholesky_solve": _TRIANGLE,
    "cov": _WEIGHTS,
    "nn.functional.gaussian_nll_loss": _STRICT,
    "nn.functional.hardtanh": _FLOATS,
    "nn.functional.margin_ranking_loss": _FLOATS,
    "nn.functional.poisson_nll_loss": _FLOATS,
}

#: The same in complex dtypes only.
DIFFERENT_COMPLEX: dict[str, str] = {
    "cholesky_inverse": _TRIANGLE,
    "cholesky_solve": _TRIANGLE,
    "cov": _WEIGHTS,
    "as_strided_scatter": _OVERWRITTEN,
    "logcumsumexp": _PHASE,
}

#: Counted entries that do not exist in flambeau.
MISSING: dict[str, str] = {}
