"""Error functions, gamma functions, the remainder of a division and small change, from primitives only.

See `mathematics` for the table of errors and costs.
"""

from __future__ import annotations

from .mathematics_arithmetic import (
    INFINITY,
    NAN,
    add,
    at_most,
    bitcast,
    bits_of,
    both,
    cast,
    const,
    div,
    either,
    eq,
    float_of,
    fma,
    le,
    lt,
    magnitude,
    mul,
    ne,
    neg,
    polynomial,
    rint,
    shl,
    shr,
    sign_bit,
    sqrt,
    sub,
    two_product,
    unsigned,
    where,
    with_sign,
)
from .mathematics_exponential import MAGIC, exp_of_sum, log
from .program import Value

# Minimax (Remez) or Chebyshev polynomials fitted for this file; the exponent of two is the relative error.
#: erf(x) / x - 1 in x**2: |x| <= 0.93 (2**-25.8) and |x| <= 1 (2**-56).
ERF_SMALL = {
    "float32": (
        0.12837915122509003, -0.37612488865852356, 0.11281730234622955, -0.026762915775179863, 0.004987258464097977,
        -0.000595904653891921,
    ),
    "float64": (
        0.12837916709551256, -0.37612638903183343, 0.1128379167093695, -0.026866170641959137, 0.0052239775967358295,
        -0.0008548325484994161, 0.00012055280496324132, -1.4924465631601044e-05, 1.6444150411987037e-06,
        -1.6183989388223083e-07, 1.3616688624304483e-08, -7.607786320330474e-10,
    ),
}  # fmt: skip
#: log2(erfc(x)) on 0.92 <= x <= 3.95: 2**-29.2 of erf.
ERFC_LOG2 = (
    -0.00028230040334165096, -1.62689208984375, -0.9192594885826111, -0.1499418169260025, 0.032066792249679565,
    -0.004390469286590815, 0.0002826817217282951,
)  # fmt: skip
#: (2**r - 1) / r on |r| <= 1/2: 2**-23, under the weight erfc <= 0.19.
EXP2_ERF = (0.6931470036506653, 0.24022167921066284, 0.05550597235560417, 0.009676146320998669, 0.0013335270341485739)
#: (1 + 2 x) exp(x**2) erfc(x) in q = (x - K) / (x + K), K = 2 (2**-27.2) and K = 4 (2**-54.3), x >= 0.45: the variable
#: of Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", Math. Comp. 36 (1981).
ERFCX = {
    "float32": (
        1.2769783735275269, -0.09276384115219116, -0.16602946817874908, 0.16405171155929565, -0.054237332195043564,
        -0.008035545237362385, 0.00883685052394867, 0.0012562907068058848, -0.0017647776985540986,
        -0.0003589161206036806, 0.0004953581956215203,
    ),
    "float64": (
        1.2329951186255526, -0.1396211168405625, 0.015379652102618897, 0.06809705425469205, -0.10103906603624589,
        0.09373283499838088, -0.06633036581378904, 0.03716751553673952, -0.01619773403616569, 0.005031969987939468,
        -0.00075777346239376, -0.0001992567762058507, 0.00015062254892714692, -2.439878454613666e-05,
        -1.1224861203712803e-05, 5.708245875284905e-06, 2.9974236175940463e-07, -8.220789005223857e-07,
        6.688031553274609e-08, 1.0535817195567081e-07, -1.2176781109809603e-08, -1.0385650582168246e-08,
    ),
}  # fmt: skip
#: erfinv(x) / x in w - 3.125, w = -log(1 - x**2) <= 6.25, and in sqrt(w) - 3.25 (w <= 16.7) or sqrt(w) - 4.25
#: (w <= 37.5): 2**-26, 2**-25.2; 2**-23 and 2**-22.4 as the start of an iteration. The variables are those of Giles,
#: "Approximating the erfinv function", GPU Computing Gems 2 (2011).
ERFINV_CENTRE = {
    "float32": (
        1.6536545753479004, 0.24015818536281586, -0.006033683195710182, -0.0007406987133435905, 0.000186759396456182,
        -1.3887020031688735e-05, -1.379974264636985e-06, 4.2566279034872423e-07, -2.5652877155835085e-08,
        -4.607646708620905e-09, 6.98368085583212e-10,
    ),
    "float64": (
        1.65365469455719, 0.24015818536281586, -0.006034321151673794, -0.0007406978984363377, 0.00018727649876382202,
        -1.3887603927287273e-05, -1.5271311895048711e-06, 4.257694001807977e-07, -8.527947237269018e-09,
        -4.613402104780562e-09,
    ),
}  # fmt: skip
ERFINV_TAIL = {
    "float32": (
        3.083885669708252, 1.0052586793899536, 0.0053701456636190414, -0.003743828274309635, 0.0024964676704257727,
        -0.0017330852570012212, 0.0009509911178611219, -0.00025534862652421, -8.768277439230587e-06,
    ),
    "float64": (
        4.09222412109375, 1.009979486465454, 0.0007032789872027934, -0.0006139401812106371, 0.00023666754714213312,
        -5.680113099515438e-05, -1.4925343521099421e-06, -1.2668449016928207e-05, 1.5630514099029824e-05,
        -4.031968273920938e-06,
    ),
}  # fmt: skip
#: lgamma(2 + z) / z on |z| <= 1/2: 2**-53.9.
LGAMMA = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319563, 0.02058080842778338, -0.007385551028935545,
    0.002890510330865901, -0.0011927539009983087, 0.0005096695196526673, -0.00022315497746292723,
    9.945761692157133e-05, -4.4923727564247656e-05, 2.050601970174762e-05, -9.45628851510172e-06,
    4.3828545383846665e-06, -1.9743106888421067e-06, 9.242852225162277e-07, -5.811277768921246e-07,
    2.7475390051909663e-07,
)  # fmt: skip
#: (lgamma(x) - (x - 1/2) log(x) + x - log(2 pi) / 2) * x in 1 / x**2, x >= 7.5.
STIRLING = (
    0.08333333333333333, -0.002777777777755928, 0.0007936507768035669, -0.0005952332190030078, 0.0008410771005312656,
    -0.0018693135997539252, 0.004643229204678927,
)  # fmt: skip
#: (log(x) - 1 / (2 x) - digamma(x)) * x**2 in 1 / x**2, x >= 8.
DIGAMMA = (
    0.08333333333333333, -0.008333333333287285, 0.003968253916856427, -0.004166645977376254, 0.007571819342033477,
    -0.020704903088640116, 0.06376217105891369,
)  # fmt: skip
#: sin(pi z) / z - pi over z**2, and (cos(pi z) - 1) / z**2, |z| <= 1/2.
SIN_PI = (
    -5.167712780049969, 2.550164039877256, -0.599264529317067, 0.08214588653902012, -0.007370430187518692,
    0.00046629821358030283, -2.1899364996704086e-05, 7.65499805757313e-07,
)  # fmt: skip
COS_PI = (
    -4.934802200544679, 4.058712126416728, -1.3352627688530856, 0.23533063033424798, -0.025806891185519192,
    0.001929573447653177, -0.00010463656684244274, 4.303000907008394e-06, -1.3970570238103298e-07,
)  # fmt: skip
PI = 3.141592653589793


# --- error functions -------------------------------------------------------------------------------------------------


def _erf_small(size: Value) -> Value:
    square = mul(size, size)
    return fma(polynomial(square, ERF_SMALL[size.dtype]), size, size)


def _gauss(size: Value) -> Value:
    # exp(-size**2), with the rounding error of the square.
    square, error = two_product(size, size)
    return exp_of_sum(neg(square), neg(error))


def _erfcx(size: Value) -> Value:
    # exp(x**2) erfc(x) for x >= 0.45.
    center = 2.0 if size.dtype == "float32" else 4.0
    q = div(sub(size, center), add(size, center))
    return div(polynomial(q, ERFCX[size.dtype]), fma(size, 2.0, 1.0))


def erf(x: Value) -> Value:
    if x.dtype == "float32":
        size = at_most(magnitude(x), 4.0)
        magic = MAGIC["float32"] + 127
        z = polynomial(size, ERFC_LOG2)
        shifted = add(z, magic)
        p = polynomial(sub(z, sub(shifted, magic)), (1.0, *EXP2_ERF))
        large = fma(neg(p), float_of(shl(bits_of(shifted), 23)), 1.0)
        y = where(lt(size, 0.9249999), _erf_small(size), large)
    else:
        size = at_most(magnitude(x), 6.0)
        large = fma(neg(_gauss(size)), _erfcx(size), 1.0)
        y = where(lt(size, 1.0), _erf_small(size), large)
    return with_sign(y, sign_bit(x))


def erfc(x: Value) -> Value:
    size = at_most(magnitude(x), 10.5 if x.dtype == "float32" else 28.0)
    tail = mul(_gauss(size), _erfcx(size))
    tail = where(lt(x, 0.0), sub(2.0, tail), tail)
    return where(lt(size, 0.5), sub(1.0, with_sign(_erf_small(size), sign_bit(x))), tail)


def erfinv(x: Value) -> Value:
    single = x.dtype == "float32"
    size = magnitude(x)
    w = neg(log(fma(neg(size), size, 1.0)))
    z = where(
        lt(w, 6.25),
        polynomial(sub(w, 3.125), ERFINV_CENTRE[x.dtype]),
        polynomial(sub(sqrt(w), 3.25 if single else 4.25), ERFINV_TAIL[x.dtype]),
    )
    z = mul(z, size)
    if not single:
        # One step of Halley's iteration for erf(z) = x, written with erfc where x is near 1.
        gauss = _gauss(z)
        excess = where(lt(z, 0.5), sub(_erf_small(z), size), sub(sub(1.0, size), mul(gauss, _erfcx(z))))
        step = div(mul(excess, 0.8862269254527580), gauss)
        z = sub(z, div(step, fma(z, step, 1.0)))
    z = where(eq(size, 1.0), INFINITY, where(lt(size, 1.0), z, NAN))
    return with_sign(z, sign_bit(x))


# --- gamma functions -------------------------------------------------------------------------------------------------


def lgamma(x: Value) -> Value:
    # In float64 always: near its zeros the function is a small difference of large terms.
    if x.dtype == "float32":
        return cast(lgamma(cast(x, "float64")), "float32")
    size = magnitude(x)
    nearest = rint(size)
    z = sub(size, nearest)
    near = mul(z, polynomial(z, LGAMMA))
    # For size < 7.5: lgamma(2 + z) plus the logarithm of the factors between, or minus it below 3/2.
    product: Value = where(lt(nearest, 1.0), mul(size, add(size, 1.0)), where(lt(nearest, 2.0), size, 1.0))
    for k in range(1, 6):
        product = where(lt(nearest, k + 2.0), product, mul(product, sub(size, float(k))))
    large = le(7.5, size)
    logarithm = log(where(large, size, product))
    middle = add(near, where(lt(nearest, 2.0), neg(logarithm), logarithm))
    inverse = div(1.0, size)
    series = fma(inverse, polynomial(mul(inverse, inverse), STIRLING), 0.41893853320467274)  # log(2 pi) / 2 - 1 / 2
    stirling = fma(sub(size, 0.5), sub(logarithm, 1.0), series)
    y = where(large, stirling, middle)
    # lgamma(-x) = log(pi / (x |sin(pi x)|)) - lgamma(x).
    square = mul(z, z)
    sine = magnitude(mul(z, fma(square, polynomial(square, SIN_PI), PI)))
    mirrored = where(eq(z, 0.0), INFINITY, sub(log(div(PI, mul(size, sine))), y))
    y = where(lt(x, -(2.0**-64)), mirrored, y)
    return where(eq(size, INFINITY), size, y)


def digamma(x: Value) -> Value:
    if x.dtype == "float32":
        return cast(digamma(cast(x, "float64")), "float32")
    size = magnitude(x)
    low = lt(size, 8.0)
    y = where(low, add(size, 8.0), size)
    inverse = div(1.0, y)
    square = mul(inverse, inverse)
    tail = fma(inverse, 0.5, mul(square, polynomial(square, DIGAMMA)))
    # digamma(x + 8) - digamma(x) = 1/x + ... + 1/(x + 7), a ratio of polynomials in u = x (x + 7).
    u = mul(size, add(size, 7.0))
    over = mul(fma(size, 2.0, 7.0), polynomial(u, (720.0, 504.0, 84.0, 4.0)))
    under = mul(u, polynomial(u, (720.0, 252.0, 28.0, 1.0)))
    difference = where(low, div(over, where(low, under, 1.0)), 0.0)
    y = sub(sub(log(y), tail), difference)
    # digamma(-x) = digamma(x) + 1 / x + pi / tan(pi x).
    z = sub(size, rint(size))
    square = mul(z, z)
    cosine = fma(square, polynomial(square, COS_PI), 1.0)
    sine = mul(z, fma(square, polynomial(square, SIN_PI), PI))
    cotangent = div(mul(cosine, PI), sine)
    mirrored = add(add(y, div(1.0, size)), where(eq(z, 0.0), NAN, cotangent))
    mirrored = where(lt(size, 2.0**-60), div(1.0, size), mirrored)
    y = where(lt(x, 0.0), mirrored, y)
    return where(eq(x, 0.0), div(-1.0, x), y)


# --- remainder -------------------------------------------------------------------------------------------------------


def fmod(x: Value, y: Value) -> Value:
    a, b = magnitude(x), magnitude(y)
    r = _remainder32(a, b) if x.dtype == "float32" else _remainder64(a, b)
    r = where(both(lt(a, INFINITY), lt(0.0, b)), with_sign(r, sign_bit(x)), NAN)
    r = where(lt(a, b), x, r)
    return where(either(ne(x, x), ne(y, y)), NAN, r)


def _remainder32(a: Value, b: Value) -> Value:
    # Every subtraction of a multiple is exact in float64 and takes 50 of the at most 277 bits of the quotient.
    r, b = cast(a, "float64"), cast(b, "float64")
    inverse = div(1.0, b)
    for _ in range(6):
        r = fma(neg(rint(mul(r, inverse))), b, r)
    r = where(lt(r, 0.0), add(r, b), r)
    return cast(r, "float32")


def _remainder64(a: Value, b: Value) -> Value:
    # m 2**d modulo n with integers m, n < 2**53 as floats: powers of 2**32 by repeated squaring, remainders kept within
    # n / 2 of zero so that every intermediate is exact.
    def integer(value: Value) -> tuple[Value, Value]:
        bits = bits_of(value)
        field = shr(unsigned(bits), 52)
        subnormal = eq(field, 0)
        normal = float_of(either(both(bits, (1 << 52) - 1), 1075 << 52))
        return where(subnormal, mul(mul(value, 2.0**537), 2.0**537), normal), where(subnormal, 1, field)

    m, m_exponent = integer(a)
    n, n_exponent = integer(b)
    inverse = div(1.0, n)

    def reduced(value: Value) -> Value:
        return fma(neg(rint(mul(value, inverse))), n, value)

    def product(first: Value, second: Value) -> Value:
        high, low = two_product(first, second)
        return reduced(add(reduced(reduced(high)), low))

    distance = sub(m_exponent, n_exponent)
    r = reduced(reduced(m))
    r = reduced(mul(r, float_of(bitcast(shl(add(both(distance, 31), 1023), 52), "int64"))))
    factor = reduced(reduced(add(mul(n, 0.0), 2.0**32)))
    for bit in range(5, 11):
        r = where(ne(both(distance, 1 << bit), 0), product(r, factor), r)
        if bit < 10:
            factor = product(factor, factor)
    r = where(lt(r, 0.0), add(r, n), r)
    return mul(mul(r, 2.0**-52), float_of(bitcast(shl(n_exponent, 52), "int64")))


# --- small change ----------------------------------------------------------------------------------------------------


def rsqrt(x: Value) -> Value:
    return div(1.0, sqrt(x))


def sign(x: Value) -> Value:
    # 0 for both zeros and NaN, as in PyTorch.
    return where(lt(0.0, x), const(1.0, x.dtype), where(lt(x, 0.0), const(-1.0, x.dtype), 0.0))


def copysign(x: Value, y: Value) -> Value:
    return with_sign(magnitude(x), sign_bit(y))
