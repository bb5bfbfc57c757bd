"""Entries of PyTorch's operator database where flambeau is known to differ, each with the reason."""

from __future__ import annotations

_TRIANGLE = "only one triangle of the factor is read, so only it has a gradient; PyTorch gives the other one some too"
_WEIGHTS = "float32 weights beside a float64 input are summed in float64; PyTorch sums them in float32"
_OVERWRITTEN = "a view of one element without dimensions: PyTorch gives what was overwritten a gradient"
_STRICT = "an input and a target that differ by broadcasting are an error in a loss"

_PHASE = "the imaginary part of a logarithm is known up to 2 pi: PyTorch adds up what each step gives"

DIFFERENT: dict[str, str] = {
    "as_strided_scatter": _OVERWRITTEN,
    "cholesky_inverse": _TRIANGLE,
    "cholesky_solve": _TRIANGLE,
    "cov": _WEIGHTS,
    "nn.functional.gaussian_nll_loss": _STRICT,
    "nn.functional.batch_norm.without_cudnn": "the database has samples for CUDA only",
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
MISSING: dict[str, str] = {"chalf": "there is no complex32: complex numbers are complex64 and complex128"}
