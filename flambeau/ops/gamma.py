"""The regularised incomplete gamma functions, computed by SciPy; their gradient is that of x alone."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.dtypes import promote_types
from flambeau.errors import AutogradError
from flambeau.ops.arguments import (
    check_ordered,
    check_out,
    check_tensor,
    deliver,
    scipy_part,
    to_numpy,
    to_tensor,
    twin,
    with_gradient,
)

__all__ = ["igamma", "igammac"]


def _density(a: Any, x: Any) -> Any:
    """x ** (a - 1) * exp(-x) / gamma(a): the derivative of the lower function by x."""
    return ((a - 1.0) * x.log() - x - a.lgamma()).exp()


def _incomplete(name: str, function: str, sign: float, a: Any, x: Any, out: Any) -> Any:
    check_ordered(name, check_tensor(name, a, "input"))
    check_ordered(name, check_tensor(name, x, "other"))
    kind = promote_types(a.dtype, x.dtype)
    kind = kind if kind.is_floating_point else dtypes.get_default_dtype()
    check_out(name, out, kind)
    if _core.is_grad_enabled() and a.requires_grad:
        raise AutogradError(
            f"{name}: the derivative by the first argument is not implemented; pass input.detach(), the second "
            "argument has a gradient"
        )
    exact = getattr(scipy_part(name, "special"), function)(to_numpy(a).astype("float64"), to_numpy(x).astype("float64"))
    result = to_tensor(exact, kind)

    def vjp(gradient: Any) -> tuple[Any]:
        slope = gradient * (sign * _density(a.detach().to(x.dtype), x))
        return (slope.sum_to_size(x.shape),)

    return deliver(with_gradient(result, (x,), vjp, name), out)


def igamma(input: Any, other: Any, *, out: Any = None) -> Any:
    """The regularised lower incomplete gamma function P(a, x): 1 / gamma(a) times the integral of
    t ** (a - 1) * exp(-t) from 0 to x.

    Arguments: `input` a and `other` x, not negative, floating, broadcast. NaN for negative ones. Only x has a
    gradient: AutogradError where `input` requires one. Also `special.gammainc`.

    >>> fl.igamma(fl.tensor([1.0]), fl.tensor([0.0]))
    tensor([0.])
    """
    return _incomplete("igamma", "gammainc", 1.0, input, other, out)


def igammac(input: Any, other: Any, *, out: Any = None) -> Any:
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), exact where it is small.

    Arguments and gradient: as of `igamma`. Also `special.gammaincc`.

    >>> fl.igammac(fl.tensor([1.0]), fl.tensor([0.0]))
    tensor([1.])
    """
    return _incomplete("igammac", "gammaincc", -1.0, input, other, out)


METHODS = {"igamma": igamma, "igamma_": twin(igamma), "igammac": igammac, "igammac_": twin(igammac)}
