"""`flambeau.special`: special functions under the names of `torch.special`.

What is declared in `flambeau.ops` is re-exported; orthogonal polynomials and further Bessel functions come from SciPy
and have no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.errors import AutogradError
from flambeau.ops import elementwise as _elementwise
from flambeau.ops.arguments import Tensor, check_tensor, deliver, scipy_part, to_numpy, to_tensor, with_gradient
from flambeau.ops.arithmetic import logit, mvlgamma, polygamma, round
from flambeau.ops.gamma import igamma, igammac
from flambeau.ops.reduction import log_softmax, logsumexp, softmax

_ALIASES = {
    "digamma": "digamma", "entr": "entr", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "exp2": "exp2",
    "expit": "sigmoid", "expm1": "expm1", "gammaln": "lgamma", "i0": "i0", "i0e": "i0e", "i1": "i1", "i1e": "i1e",
    "log1p": "log1p", "log_ndtr": "log_ndtr", "ndtr": "ndtr", "ndtri": "ndtri", "psi": "digamma", "sinc": "sinc",
    "xlog1py": "xlog1py", "xlogy": "xlogy", "zeta": "zeta",
}  # fmt: skip
for _name, _source in _ALIASES.items():
    if hasattr(_elementwise, _source):
        globals()[_name] = getattr(_elementwise, _source)
del _name, _source

multigammaln = mvlgamma

__all__ = [  # noqa: PLE0604  (the first ones are strings)
    *[name for name in _ALIASES if name in globals()], "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1",
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "erfcx",
    "gammainc", "gammaincc", "hermite_polynomial_h",
    "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln",
    "polygamma", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "softmax", "spherical_bessel_j0",
]  # fmt: skip


def _from_scipy(name: str, compute: Callable[..., Any], text: str) -> Callable[..., Any]:
    """A function of tensors computed by `compute(scipy.special, *arrays)` in float64, without gradient."""

    def call(*inputs: Any, out: Any = None) -> Any:
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        if _core.is_grad_enabled() and any(x.requires_grad for x in tensors):
            raise AutogradError(f"special.{name}: has no gradient; call it under no_grad() or on x.detach()")
        if not tensors:
            raise TypeError(f"special.{name}(): at least one argument must be Tensor; use flambeau.tensor(...)")
        kind = tensors[0].dtype if tensors[0].dtype.is_floating_point else dtypes.get_default_dtype()
        places = [isinstance(x, Tensor) for x in inputs]
        numbers = [x for x in inputs if not isinstance(x, Tensor)]

        def run(*given: Any) -> Any:
            special = scipy_part(f"special.{name}", "special")
            fresh, plain = iter(given), iter(numbers)
            arrays = [to_numpy(next(fresh)).astype("float64") if at else next(plain) for at in places]
            return to_tensor(compute(special, *arrays), kind)

        return deliver(recording.host(f"special.{name}", run, *tensors), out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text} It has no gradient."
    return call


def _unary(name: str, function: str, text: str) -> Callable[..., Any]:
    """A function of one tensor that SciPy has under the name `function`."""
    return _from_scipy(name, lambda special, x: getattr(special, function)(x), text)


def _polynomial(name: str, function: str, which: str) -> Callable[..., Any]:
    """An orthogonal polynomial of whole degree n; 0 for negative degrees."""

    def compute(special: Any, x: Any, n: Any) -> Any:
        import numpy

        degree = numpy.asarray(n).astype("int64")
        return numpy.where(degree < 0, 0.0, getattr(special, function)(numpy.maximum(degree, 0), x))

    return _from_scipy(name, compute, f"The {which}.")


def _third_fourth(name: str, sign: float, shifted: bool, which: str) -> Callable[..., Any]:
    """V_n = U_n - U_(n-1) and W_n = U_n + U_(n-1); 0 for negative degrees."""

    def compute(special: Any, x: Any, n: Any) -> Any:
        import numpy

        degree = numpy.asarray(n).astype("int64")
        place = 2.0 * numpy.asarray(x) - 1.0 if shifted else x
        below = numpy.where(degree < 1, 0.0, special.eval_chebyu(numpy.maximum(degree - 1, 0), place))
        whole = special.eval_chebyu(numpy.maximum(degree, 0), place) + sign * below
        return numpy.where(degree < 0, 0.0, whole)

    return _from_scipy(name, compute, f"The {which}.")


airy_ai = _from_scipy("airy_ai", lambda s, x: s.airy(x)[0], "The Airy function Ai.")
bessel_j0 = _unary("bessel_j0", "j0", "The Bessel function of the first kind of order 0.")
bessel_j1 = _unary("bessel_j1", "j1", "The Bessel function of the first kind of order 1.")
bessel_y0 = _unary("bessel_y0", "y0", "The Bessel function of the second kind of order 0.")
bessel_y1 = _unary("bessel_y1", "y1", "The Bessel function of the second kind of order 1.")
_erfcx = _unary("erfcx", "erfcx", "The scaled complementary error function.")


def erfcx(input: Any, *, out: Any = None) -> Any:
    """The scaled complementary error function exp(x * x) * erfc(x)."""
    check_tensor("erfcx", input)
    value = input if input.dtype.is_floating_point else input.to(dtypes.get_default_dtype())
    slope = 2.0 / 3.141592653589793**0.5
    result = with_gradient(
        _erfcx(value.detach()), (value,), lambda g: (g * (2.0 * value * erfcx(value) - slope),), "special_erfcx"
    )
    return deliver(result, out)


gammainc, gammaincc = igamma, igammac
modified_bessel_i0 = _unary("modified_bessel_i0", "i0", "The modified Bessel function I of order 0.")
modified_bessel_i1 = _unary("modified_bessel_i1", "i1", "The modified Bessel function I of order 1.")
modified_bessel_k0 = _unary("modified_bessel_k0", "k0", "The modified Bessel function K of order 0.")
modified_bessel_k1 = _unary("modified_bessel_k1", "k1", "The modified Bessel function K of order 1.")
scaled_modified_bessel_k0 = _unary("scaled_modified_bessel_k0", "k0e", "exp(x) times K of order 0.")
scaled_modified_bessel_k1 = _unary("scaled_modified_bessel_k1", "k1e", "exp(x) times K of order 1.")
chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", "eval_chebyt", "Chebyshev polynomial T of degree n")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", "eval_chebyu", "Chebyshev polynomial U of degree n")
chebyshev_polynomial_v = _third_fourth("chebyshev_polynomial_v", -1.0, False, "Chebyshev polynomial V of degree n")
chebyshev_polynomial_w = _third_fourth("chebyshev_polynomial_w", 1.0, False, "Chebyshev polynomial W of degree n")
shifted_chebyshev_polynomial_t = _polynomial(
    "shifted_chebyshev_polynomial_t", "eval_sh_chebyt", "Chebyshev polynomial T of degree n at 2x - 1"
)
shifted_chebyshev_polynomial_u = _polynomial(
    "shifted_chebyshev_polynomial_u", "eval_sh_chebyu", "Chebyshev polynomial U of degree n at 2x - 1"
)
shifted_chebyshev_polynomial_v = _third_fourth(
    "shifted_chebyshev_polynomial_v", -1.0, True, "Chebyshev polynomial V of degree n at 2x - 1"
)
shifted_chebyshev_polynomial_w = _third_fourth(
    "shifted_chebyshev_polynomial_w", 1.0, True, "Chebyshev polynomial W of degree n at 2x - 1"
)
hermite_polynomial_h = _polynomial("hermite_polynomial_h", "eval_hermite", "Hermite polynomial H of degree n")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", "eval_hermitenorm", "Hermite polynomial He of degree n")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", "eval_laguerre", "Laguerre polynomial L of degree n")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", "eval_legendre", "Legendre polynomial P of degree n")
spherical_bessel_j0 = _from_scipy(
    "spherical_bessel_j0", lambda s, x: s.spherical_jn(0, abs(x)), "The spherical Bessel function of order 0."
)  # fmt: skip
