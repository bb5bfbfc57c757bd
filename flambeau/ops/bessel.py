"""Modified Bessel functions of the first kind, orders 0 and 1, by Chebyshev series.

Up to 8 the series is in x / 4 - 1, beyond in 16 / x - 1, of the function divided by how it grows. The coefficients
come from interpolating the exponentially scaled function at 200 Chebyshev points.
"""

from __future__ import annotations

from ..compiler import scalar as s
from ..compiler.declare import elementwise

_I0_NEAR = (
    0.338397637204738, -0.30468267234319835, 0.17162090152220863, -0.09490109704804749,
    0.049305284239670545, -0.023737414805899353, 0.010546460394594748, -0.004324309995050515,
    0.001639475616941317, -0.0005763755745385569, 0.00018850288509575486, -5.754195010051921e-05,
    1.644844807049961e-05, -4.416738358531402e-06, 1.1173875389114407e-06, -2.6707938531211896e-07,
    6.046995004727052e-08, -1.3000250169148409e-08, 2.659823703510256e-09, -5.18979322849944e-10,
    9.675803380737591e-11, -1.726826348580346e-11, 2.954790856435352e-12, -4.85346207668158e-13,
    7.646439037500841e-14, -1.1679268663300491e-14, 1.5376588891058418e-15, -1.0880185641326534e-16,
    -4.662936703425657e-17, -8.895661984809067e-17,
)  # fmt: skip
_I0_FAR = (
    0.40224520550705434, 0.003369116478255698, 6.889758346915187e-05, 2.891370520892167e-06,
    2.048918588570814e-07, 2.266668996497856e-08, 3.396231893493251e-09, 4.940602815750595e-10,
    1.1889156326105876e-11, -3.149915883682297e-11, -1.3215872840532938e-11, -1.7940782193193173e-12,
    7.179368211041038e-13, 3.8527847578961885e-13, 1.5307755063531658e-14, -4.1466829969749597e-14,
    -9.658940314238862e-15, 3.733680031814402e-15, 1.8118839761882555e-15, -2.3092638912203257e-16,
    -3.4638958368304885e-16, 5.88418203051333e-17, -9.992007221626409e-17, 1.354472090042691e-16,
    -1.0880185641326534e-16,
)  # fmt: skip
_I1_NEAR = (
    0.1262935932218168, -0.176416518357834, 0.10264365868984704, -0.05294598120809491,
    0.02472644903062644, -0.010564084894626142, 0.004156422944312771, -0.0015135724506312276,
    0.0005122859561685564, -0.00016176081582588043, 4.781565107545474e-05, -1.3273163655881659e-05,
    3.470251308021477e-06, -8.568720265031416e-07, 2.0032947525422396e-07, -4.4450591245304154e-08,
    9.38153729673763e-09, -1.887249776177935e-09, 3.625590050404526e-10, -6.663478213653207e-11,
    1.1736166483089506e-11, -1.9839861697956705e-12, 3.2226415980218806e-13, -5.028963356856764e-14,
    7.457368056407177e-15, -1.1096332186433244e-15, 7.494005416219807e-17, 4.038436252074007e-17,
    -5.162537064506978e-17,
)  # fmt: skip
_I1_FAR = (
    0.3892881175091401, -0.009761097491361425, -0.00011058893876265907, -3.8825648088014475e-06,
    -2.512236238816357e-07, -2.631468840164075e-08, -3.835380517624998e-09, -5.589743112821566e-10,
    -1.8974946058847308e-11, 3.2526044080327665e-11, 1.4125753899918436e-11, 2.035722701521081e-12,
    -7.199396634405275e-13, -4.0836001247157586e-13, -2.111644192837048e-14, 4.275690912436403e-14,
    1.0311751452718453e-14, -3.884670363163423e-15, -1.8407497748285097e-15, 4.440892098500626e-16,
    2.4202861936828414e-16, -9.992007221626408e-18, -1.887379141862766e-16, 1.4210854715202004e-16,
    -9.325873406851315e-17,
)  # fmt: skip


def _series(coefficients, t):
    """The Chebyshev series at t in [-1, 1] (Clenshaw's recurrence)."""
    twice = t + t
    previous, current = s.constant(0.0, t), s.constant(coefficients[-1], t)
    for coefficient in coefficients[-2:0:-1]:
        previous, current = current, s.fma(twice, current, coefficient - previous)
    return s.fma(t, current, coefficients[0] - previous)


def _scaled(x, near, far):
    """The near series at |x| and the far one, which is divided by sqrt(|x|); where to take which."""
    size = s.absolute(x)
    small = size <= 8.0
    inner, outer = s.where(small, size, 8.0), s.where(small, 8.0, size)
    return size, small, _series(near, inner * 0.25 - 1.0), _series(far, 16.0 / outer - 1.0) * s.rsqrt(outer)


def _i0e(x):
    _, small, near, far = _scaled(x, _I0_NEAR, _I0_FAR)
    return s.where(small, near, far)


def _i1e(x):
    size, small, near, far = _scaled(x, _I1_NEAR, _I1_FAR)
    return s.copysign(s.where(small, near * size, far), x)


def _i1_over_x(x, i1):
    """I1(x) / x, 1/2 at 0."""
    zero = x == 0.0
    return s.where(zero, 0.5, i1 / s.where(zero, 1.0, x))


@elementwise(accepts="real", promotion="float", tolerance=16)
def i0(x):
    """The modified Bessel function of the first kind of order 0; its derivative is `i1`."""
    return _i0e(x) * s.exp(s.absolute(x))


@i0.vjp
def _(grad, x):
    return grad * (_i1e(x) * s.exp(s.absolute(x)))


@elementwise(accepts="real", promotion="float", tolerance=16)
def i0e(x):
    """i0(x) * exp(-|x|)."""
    return _i0e(x)


@i0e.vjp
def _(grad, x, output):
    return grad * (_i1e(x) - s.sign(x) * output)


@elementwise(promotion="float", tolerance=16)
def i1(x):
    """The modified Bessel function of the first kind of order 1."""
    return _i1e(x) * s.exp(s.absolute(x))


@i1.vjp
def _(grad, x, output):
    return grad * (_i0e(x) * s.exp(s.absolute(x)) - _i1_over_x(x, output))


@elementwise(promotion="float", tolerance=16)
def i1e(x):
    """i1(x) * exp(-|x|)."""
    return _i1e(x)


@i1e.vjp
def _(grad, x, output):
    return grad * (_i0e(x) - s.sign(x) * output - _i1_over_x(x, output))
