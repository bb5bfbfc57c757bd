"""Draws whose gradient follows the parameters: gamma and Dirichlet; further, von Mises draws and multinomial counts.

A gamma draw x of shape a at a fixed place u of its distribution satisfies P(a, x) = u, so by the implicit function
theorem dx/da = -(dP/da) / p(x; a). `gamma_slope` computes that quotient. The draws come from NumPy's samplers at a
place of the generator's stream. The families of distributions are in `flambeau.distributions`.
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.errors import AutogradError
from flambeau.ops.arguments import check_floating, check_tensor, shape_error, to_numpy, to_tensor, with_gradient
from flambeau.ops.elementwise import digamma
from flambeau.ops.random import Generator, _host_generator

# ---------------------------------------------------------------------------------- the derivative of a gamma draw


def gamma_slope(a: Any, log_x: Any, tolerance: float = 1e-15) -> Any:
    """d log x / da of a gamma draw x (given by its logarithm) of shape `a` and rate 1; float64 NumPy arrays.

    `tolerance` is the relative size of a term that ends the sums.

    Three regions: the power series of P below about a, the continued fraction of 1 - P above it, and for large a near
    the middle the expansion of the quantile in powers of 1 / sqrt(a). The relative error is below 1e-13 for a < 2000
    and below 1e-8 beyond, against a 50-digit computation.
    """
    import numpy

    a, log_x = numpy.broadcast_arrays(numpy.asarray(a, "float64"), numpy.asarray(log_x, "float64"))
    with numpy.errstate(under="ignore"):
        x = numpy.exp(log_x)
    result = numpy.empty(a.shape)
    middle = (a >= _LARGE) & (numpy.abs(x - a) <= 8.0 * numpy.sqrt(a))
    low = ~middle & (x <= numpy.maximum(a, 1.5))
    high = ~middle & ~low
    for region, compute in ((low, _slope_series), (high, _slope_fraction), (middle, _slope_expansion)):
        if region.any():
            result[region] = compute(a[region], x[region], log_x[region], tolerance)
    return result


_LARGE = 2000.0
_STRIDE = 4  # terms between two looks at whether the sums have settled


def _digamma(a: Any) -> Any:
    return to_numpy(digamma(to_tensor(a)))


def _slope_series(a: Any, x: Any, log_x: Any, tolerance: float) -> Any:
    """From P / p = sum of t_n with t_n = x ** (n + 1) / (a (a + 1) ... (a + n)).

    Hence -dP/da / p = sum t_n (psi(a + n + 1) - log x). The slope is that over x, so the terms here lack one x.
    """
    import numpy

    term = 1.0 / a
    weight = _digamma(a + 1.0) - log_x
    total = term * weight
    n, active = 0, True
    while active:
        for _ in range(_STRIDE):
            n += 1
            place = a + n
            term *= x / place
            weight += 1.0 / place
            total += term * weight
        active = ((term > 0.0) & ((term * numpy.abs(weight) > tolerance * numpy.abs(total)) | (x > place))).any()
    return total


def _slope_fraction(a: Any, x: Any, log_x: Any, tolerance: float) -> Any:
    """From (1 - P) / p = x f with the continued fraction f of Legendre, by Lentz's algorithm, differentiated in a.

    f = 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a - ...))), and
    -dP/da / (p x) = f (log x - psi(a)) + df/da.
    """
    import numpy

    b = x + 1.0 - a  # above 0 in this region
    c, dc = numpy.full(a.shape, 1e300), numpy.zeros(a.shape)
    d = 1.0 / b
    dd = d * d  # d(1/b)/da with db/da = -1
    f, df = d.copy(), dd.copy()
    for n in range(1, 100_000):
        numerator = n * (a - n)
        b += 2.0
        ratio = numerator / c
        dc, c = (n - ratio * dc) / c - 1.0, b + ratio
        denominator, d_denominator = b + numerator * d, n * d + numerator * dd - 1.0
        d = 1.0 / denominator
        dd = -d * d * d_denominator
        step, d_step = c * d, dc * d + c * dd
        df, f = df * step + f * d_step, f * step
        if n % _STRIDE == 0:
            unsettled = (numpy.abs(step - 1.0) > 2 * tolerance) | (
                numpy.abs(f * d_step) > 2 * tolerance * numpy.abs(df)
            )
            if not unsettled.any():  # not "all settled": NaN ends it too
                break
    return f * (log_x - _digamma(a)) + df


def _slope_expansion(a: Any, x: Any, log_x: Any, tolerance: float) -> Any:
    """From Cornish and Fisher's expansion of the quantile at the normal quantile z, solved for z by Newton's method.

    x = a + sqrt(a) z + (z^2 - 1) / 3 + (z^3 - 7 z) / (36 sqrt(a)) - (3 z^4 + 7 z^2 - 16) / (810 a) + ...
    """
    import numpy

    root = numpy.sqrt(a)
    z = (x - a) / root
    for _ in range(6):
        s = z * z
        value = (
            root * z + (s - 1.0) / 3.0 + z * (s - 7.0) / (36.0 * root) - ((3.0 * s + 7.0) * s - 16.0) / (810.0 * a)
            + z * ((9.0 * s + 256.0) * s - 433.0) / (38880.0 * a * root)
        )  # fmt: skip
        slope = (
            root + 2.0 * z / 3.0 + (3.0 * s - 7.0) / (36.0 * root) - z * (12.0 * s + 14.0) / (810.0 * a)
            + ((45.0 * s + 768.0) * s - 433.0) / (38880.0 * a * root)
        )  # fmt: skip
        z = z - (value - (x - a)) / slope
    s = z * z
    change = (
        1.0 + z / (2.0 * root) - z * (s - 7.0) / (72.0 * a * root) + ((3.0 * s + 7.0) * s - 16.0) / (810.0 * a * a)
        - 1.5 * z * ((9.0 * s + 256.0) * s - 433.0) / (38880.0 * a * a * root)
    )  # fmt: skip
    return change / x


# ---------------------------------------------------------------------------------------------------------- operations


def _log_gamma_draws(alpha: Any, generator: Generator | None) -> tuple[Any, Any]:
    """(shapes a, logarithms of draws) as float64 arrays; for a < 1 from a draw of shape a + 1 times u ** (1 / a)."""
    import numpy

    a = to_numpy(alpha).astype("float64")
    source = _host_generator(generator)
    drawn = source.standard_gamma(numpy.where(a < 1.0, a + 1.0, a), a.shape)
    boost = source.standard_exponential(a.shape)
    with numpy.errstate(divide="ignore", over="ignore"):
        return a, numpy.log(drawn) - numpy.where(a < 1.0, boost / numpy.where(a > 0.0, a, 1.0), 0.0)


def _tolerance(alpha: Any) -> float:
    """Where the sums of the slope may end: beyond what the dtype of the result can hold."""
    return 1e-15 if alpha.dtype.name == "float64" else 1e-9


def _check_shapes(name: str, alpha: Any, argument: str) -> None:
    check_floating(name, check_tensor(name, alpha, argument), argument)
    if not (alpha.detach() > 0).all():
        raise RuntimeError(f"{name}: {argument} must be positive everywhere")


def _once(factor: Any, alpha: Any, name: str) -> Any:
    """A derivative computed outside the tape: a constant, whose own derivative is an error rather than zero."""

    def refuse(gradient: Any) -> Any:
        raise AutogradError(f"{name}: the derivative of a draw cannot be differentiated again; detach() it")

    return with_gradient(factor, (alpha,), refuse, name)


def standard_gamma(alpha: Any, generator: Generator | None = None) -> Any:
    """Gamma draws of rate 1, one for each shape in `alpha` (floating, positive), differentiable in `alpha`.

    The gradient is the implicit one: how the draw moves with alpha at a fixed quantile. Draws too small for the dtype
    are 0. Raises RuntimeError for shapes that are not positive.

    >>> standard_gamma(fl.ones(3)).shape
    flambeau.Size([3])
    """
    import numpy

    _check_shapes("standard_gamma", alpha, "alpha")
    a, log_x = _log_gamma_draws(alpha, generator)
    with numpy.errstate(under="ignore"):
        x = numpy.exp(log_x)
    result = to_tensor(numpy.asarray(x), alpha.dtype)

    def vjp(gradient: Any) -> tuple[Any]:
        with numpy.errstate(over="ignore", under="ignore"):
            slope = numpy.where(x > 0.0, gamma_slope(a, log_x, _tolerance(alpha)) * x, 0.0)
        return (gradient * _once(to_tensor(slope, alpha.dtype), alpha, "standard_gamma"),)

    return with_gradient(result, (alpha,), vjp, "standard_gamma")


def sample_dirichlet(concentration: Any, generator: Generator | None = None) -> Any:
    """Dirichlet draws (*, K) for concentrations (*, K) (floating, positive), differentiable in the concentrations.

    A draw is independent gamma draws over their sum, computed with their logarithms so that small concentrations do
    not underflow; the gradient is that of the gamma draws.
    Raises ShapeError for a 0-dim tensor and RuntimeError for concentrations that are not positive.

    >>> sample_dirichlet(fl.ones(2, 3)).sum(-1)
    tensor([1., 1.])
    """
    import numpy

    _check_shapes("sample_dirichlet", concentration, "concentration")
    if concentration.ndim == 0:
        raise shape_error("sample_dirichlet", "needs at least one dimension", concentration=concentration)
    a, log_x = _log_gamma_draws(concentration, generator)
    with numpy.errstate(under="ignore"):
        shares = numpy.exp(log_x - log_x.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    result = to_tensor(shares, concentration.dtype)

    def vjp(gradient: Any) -> tuple[Any]:
        values = _once(to_tensor(shares, concentration.dtype), concentration, "sample_dirichlet")
        slope = to_tensor(gamma_slope(a, log_x, _tolerance(concentration)), concentration.dtype)
        weighted = gradient * values
        return ((weighted - values * weighted.sum(-1, keepdim=True)) * slope,)

    return with_gradient(result, (concentration,), vjp, "sample_dirichlet")


def von_mises(location: Any, concentration: Any, generator: Generator | None = None) -> Any:
    """Angles in [-pi, pi) around `location` (two tensors of one shape), as peaked as `concentration` says.

    By the rejection method of Best and Fisher (1979), with a wrapped Cauchy distribution as the envelope. No gradient.
    """
    import numpy

    check_tensor("von_mises", location, "location")
    check_tensor("von_mises", concentration, "concentration")
    loc = to_numpy(location).astype("float64")
    kappa = numpy.broadcast_to(to_numpy(concentration).astype("float64"), loc.shape).ravel()
    if not (kappa > 0).all():
        raise RuntimeError("von_mises: concentration must be positive everywhere")
    source = _host_generator(generator)
    tau = 1.0 + numpy.sqrt(1.0 + 4.0 * kappa * kappa)
    rho = (tau - numpy.sqrt(2.0 * tau)) / (2.0 * kappa)
    with numpy.errstate(divide="ignore"):
        # the second form is the limit, which the first one loses to rounding
        r = numpy.where(kappa < 1e-5, 1.0 / kappa + kappa, (1.0 + rho * rho) / (2.0 * rho))
    angle, waiting = numpy.empty(kappa.shape), numpy.arange(kappa.size)
    while waiting.size:
        u = source.random((3, waiting.size))
        k, s = kappa[waiting], r[waiting]
        z = numpy.cos(math.pi * u[0])
        f = (1.0 + s * z) / (s + z)
        c = k * (s - f)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            accepted = (c * (2.0 - c) > u[1]) | (numpy.log(c / u[1]) + 1.0 - c >= 0.0)
        found = numpy.arccos(numpy.clip(f, -1.0, 1.0))
        angle[waiting] = numpy.where(u[2] < 0.5, -found, found)
        waiting = waiting[~accepted]
    wrapped = (angle.reshape(loc.shape) + loc + math.pi) % (2.0 * math.pi) - math.pi
    return to_tensor(numpy.asarray(wrapped), location.dtype)


def multinomial_counts(total_count: int, probs: Any, generator: Generator | None = None) -> Any:
    """How often each of K outcomes comes up in `total_count` draws, for probabilities (*, K). No gradient.

    >>> multinomial_counts(5, fl.tensor([0.5, 0.5])).sum()
    tensor(5.)
    """
    import numpy

    check_floating("multinomial_counts", check_tensor("multinomial_counts", probs, "probs"), "probs")
    weights = to_numpy(probs).astype("float64")
    weights = weights / weights.sum(-1, keepdims=True)
    if not (weights >= 0).all():
        raise RuntimeError("multinomial_counts: probs must be finite, not negative and not all 0")
    drawn = _host_generator(generator).multinomial(total_count, weights)
    return to_tensor(numpy.asarray(drawn, "float64"), probs.dtype)
