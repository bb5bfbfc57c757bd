"""Sine, cosine, tangent and their inverses, from primitives only.

See `mathematics` for the table of errors and costs. Arguments of any size are reduced to full accuracy. A float32 is
multiplied by the bits of 1 / (2 pi) that matter for its size, in float64, piece by piece (after Payne and Hanek). For a
float64 two reductions are computed and one is selected: subtracting a multiple of pi/2 in three parts (Cody and Waite,
each subtraction an fma), and Payne and Hanek's with a window into the bits of 2 / pi, in integers.
"""

from __future__ import annotations

from .mathematics_arithmetic import (
    NAN,
    add,
    bitcast,
    bits_of,
    both,
    cast,
    const,
    differ,
    div,
    either,
    eq,
    flip_sign,
    fma,
    isnan,
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
    sign_mask,
    sqrt,
    sub,
    two_product,
    two_sum,
    unsigned,
    where,
    with_sign,
)
from .mathematics_exponential import MAGIC
from .program import Value

TWO_OVER_PI = 0.6366197723675814
#: pi/2 cut (not rounded) into parts of 53 bits. n * part is exact inside an fma, and so is the first subtraction: what
#: remains is rounded once only (shorter parts, exact without an fma, would round twice).
HALF_PI = tuple(map(float.fromhex, ("0x1.921fb54442d18p+0", "0x1.1a62633145c06p-54", "0x1.c1cd129024e08p-107")))
#: Above this, in float64, the parts above no longer suffice.
LARGE = 1048576.0
#: 1 / (2 pi) from its first bit on, and from bit 56 on, where products with numbers above 2**79 begin to matter: three
#: pieces of 28 bits, whose products with a float32 are exact in float64, and one of 53.
TURNS = (
    ("0x1.45f3068p-3", "0x1.727220ap-29", "0x1.29fc274p-58", "0x1.7d1f534ddc0dbp-86"),
    ("0x1.29fc274p-58", "0x1.7d1f534p-86", "0x1.bb81b68p-115", "0x1.14acc9e21c821p-141"),
)
#: The bits of 2 / pi after the point, 64 a word, behind one word of zeros.
TWO_OVER_PI_WORDS = (
    0x0000000000000000, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561,
    0xB7246E3A424DD2E0, 0x06492EEA09D1921C, 0xFE1DEB1CB129A73E, 0xE88235F52EBB4484, 0xE99C7026B45F7E41,
    0x3991D639835339F4, 0x9C845F8BBDF9283B, 0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7,
    0x4F463F669E5FEA2D, 0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
)  # fmt: skip

# Minimax (Remez) polynomials fitted for this file, in s = r**2, |r| <= pi/4.
#: (sin(r) / r - 1) / s: 2**-28 and 2**-57.9.
SIN = {
    "float32": (-0.16666655242443085, 0.008332190103828907, -0.000195183718460612),
    "float64": (
        -0.1666666666666664, 0.008333333333323959, -0.0001984126983077239, 2.755731396679784e-06,
        -2.505079465682816e-08, 1.5898635195327843e-10,
    ),
}  # fmt: skip
#: (cos(r) - 1 + s / 2) / s**2: 2**-33 and 2**-64.
COS = {
    "float32": (0.04166664555668831, -0.00138873013202101, 2.4430661142105237e-05),
    "float64": (
        0.0416666666666666, -0.0013888888888874446, 2.4801587289640186e-05, -2.755731438873184e-07,
        2.0875727237466035e-09, -1.135981174178235e-11,
    ),
}  # fmt: skip
#: (asin(t) / t - 1) / t**2 in t**2, |t| <= 1/2: 2**-27.5 and 2**-55.9.
ASIN = {
    "float32": (
        0.16666731238365173, 0.07495957612991333, 0.04540137201547623, 0.024476485326886177, 0.04171398654580116,
    ),
    "float64": (
        0.16666666666665408, 0.07500000000337141, 0.044642856828218606, 0.03038195914164763, 0.0223717579358568,
        0.017359706502807177, 0.013885218419838634, 0.012169321072486602, 0.006527519103407246, 0.019529451166644212,
        -0.01622599427177036, 0.03191336871204838,
    ),
}  # fmt: skip
#: (atan(t) / t - 1) / t**2 in t**2: |t| <= 1 for float32 (2**-28.5), |t| <= tan(pi/8) for float64 (2**-64).
ATAN = {
    "float32": (
        -0.33333298563957214, 0.1999852955341339, -0.14264015853405, 0.10950881242752075, -0.08399314433336258,
        0.05788172036409378, -0.031097615137696266, 0.010869251564145088, -0.0017830145079642534,
    ),
    "float64": (
        -0.3333333333333333, 0.1999999999999868, -0.14285714285485612, 0.11111111093112294, -0.09090908294081354,
        0.07692285671081062, -0.06666264501750942, 0.05877350977502782, -0.05220314078276093, 0.04510616054221111,
        -0.03362539883567006, 0.015336777499455752,
    ),
}  # fmt: skip


def _reduce(size: Value) -> tuple[Value, Value]:
    # For size >= 0: r in [-pi/4, pi/4] and an integer whose low two bits are the quadrant.
    if size.dtype == "float32":
        return _reduce32(size)
    shifted = fma(size, TWO_OVER_PI, MAGIC["float64"])
    n = sub(shifted, MAGIC["float64"])
    r = size
    for part in HALF_PI:
        r = fma(n, -part, r)
    near = lt(size, LARGE)
    far_r, far_quadrant = _reduce64(size)
    return where(near, r, far_r), where(near, bits_of(shifted), far_quadrant)


def _reduce32(size: Value) -> tuple[Value, Value]:
    # In float64 and turns: size / (2 pi) piece by piece, whole turns dropped from every partial sum, each step exact.
    far = lt(2.0**79, size)
    wide = cast(size, "float64")
    first, second, third, last = (
        where(far, const(float.fromhex(b), "float64"), float.fromhex(a)) for a, b in zip(*TURNS)
    )
    turns = mul(wide, first)
    for piece in (second, third, last):
        turns = fma(wide, piece, sub(turns, rint(turns)))
    shifted = fma(turns, 4.0, MAGIC["float64"])
    n = sub(shifted, MAGIC["float64"])
    r = mul(fma(turns, 4.0, neg(n)), 1.5707963267948966)
    return cast(r, "float32"), cast(bits_of(shifted), "int32")


def _reduce64(size: Value) -> tuple[Value, Value]:
    # size = m * 2**e with an integer m; a window of 192 bits of 2 / pi begins where m times it still matters modulo 4.
    bits = unsigned(bits_of(size))
    m = either(both(bits, (1 << 52) - 1), 1 << 52)
    start = sub(shr(bits, 52), 1075 - 62)  # the bits of the table before the window: 30 to 1033 when it counts
    words: list[Value] = [const(word, "uint64") for word in TWO_OVER_PI_WORDS]
    for step, kept in ((16, 19), (8, 11), (4, 7), (2, 5), (1, 4)):
        far = ne(both(start, step << 6), 0)
        words = [where(far, words[i + step], words[i]) if i + step < len(words) else words[i] for i in range(kept)]
    offset = both(start, 63)
    window = [either(shl(words[i], offset), shr(shr(words[i + 1], 1), sub(63, offset))) for i in range(3)]
    digits = [half for word in reversed(window) for half in (both(word, 0xFFFFFFFF), shr(word, 32))]
    # Schoolbook multiplication modulo 2**192 with digits of 32 bits, lowest first.
    low, high = both(m, 0xFFFFFFFF), shr(m, 32)
    products = [mul(low, digit) for digit in digits]
    carry = shr(products[0], 32)
    columns = []
    for k in range(1, 6):
        column = add(add(carry, mul(high, digits[k - 1])), both(products[k], 0xFFFFFFFF))
        columns.append(column)
        carry = add(shr(products[k], 32), shr(column, 32))
    top = either(shl(columns[4], 32), both(columns[3], 0xFFFFFFFF))
    rest = either(shl(columns[2], 32), both(columns[1], 0xFFFFFFFF))
    # Two bits of quadrant, then the fraction, which is taken as signed: it is the distance to the nearest quadrant.
    quadrant = bitcast(add(shr(top, 62), both(shr(top, 61), 1)), "int64")
    fraction = bitcast(either(shl(top, 2), shr(rest, 62)), "int64")
    a = mul(cast(both(fraction, -4096), "float64"), 2.0**-64)
    b = cast(either(shl(both(fraction, 4095), 51), bitcast(shr(shl(rest, 2), 13), "int64")), "float64")
    a, b = two_sum(a, mul(b, 2.0**-115))
    first, second = _half_pi("float64")
    r, error = two_product(a, first)
    r = add(r, add(error, fma(a, second, mul(b, first))))
    # The bits of inf and NaN are no number.
    return where(lt(size, float("inf")), r, NAN), quadrant


def _kernels(r: Value) -> tuple[Value, Value]:
    # sin(r) and cos(r).
    s = mul(r, r)
    sine = fma(mul(r, s), polynomial(s, SIN[r.dtype]), r)
    cosine = fma(s, fma(s, polynomial(s, COS[r.dtype]), -0.5), 1.0)
    return sine, cosine


def _odd(quadrant: Value) -> Value:
    return ne(both(quadrant, 1), 0)


def _sign_of(quadrant: Value) -> Value:
    # The quadrant's second bit as a sign bit, above bits that do not matter.
    return shl(quadrant, 30 if quadrant.dtype == "int32" else 62)


def sin(x: Value) -> Value:
    r, quadrant = _reduce(magnitude(x))
    sine, cosine = _kernels(r)
    sign = both(differ(bits_of(x), _sign_of(quadrant)), sign_mask(x.dtype))
    return flip_sign(where(_odd(quadrant), cosine, sine), sign)


def cos(x: Value) -> Value:
    r, quadrant = _reduce(magnitude(x))
    sine, cosine = _kernels(r)
    sign = both(_sign_of(add(quadrant, 1)), sign_mask(x.dtype))
    return flip_sign(where(_odd(quadrant), sine, cosine), sign)


def tan(x: Value) -> Value:
    r, quadrant = _reduce(magnitude(x))
    sine, cosine = _kernels(r)
    odd = _odd(quadrant)
    y = div(where(odd, neg(cosine), sine), where(odd, sine, cosine))
    return flip_sign(y, sign_bit(x))


def _asin_parts(size: Value) -> tuple[Value, Value]:
    # For 0 <= size <= 1: p and whether size > 1/2; asin(size) is p, or pi/2 - 2 p then.
    large = lt(0.5, size)
    z = where(large, mul(sub(1.0, size), 0.5), mul(size, size))
    s = where(large, sqrt(z), size)
    return fma(mul(s, z), polynomial(z, ASIN[size.dtype]), s), large


def _half_pi(dtype: str) -> tuple[float, float]:
    # pi/2 rounded, and what is left.
    if dtype == "float32":
        return 1.5707963705062866, -4.371139000186241e-08
    return 1.5707963267948966, 6.123233995736766e-17


def asin(x: Value) -> Value:
    high, low = _half_pi(x.dtype)
    p, large = _asin_parts(magnitude(x))
    y = where(large, add(fma(p, -2.0, low), high), p)
    return with_sign(y, sign_bit(x))


def acos(x: Value) -> Value:
    high, low = _half_pi(x.dtype)
    p, large = _asin_parts(magnitude(x))
    negative = lt(x, 0.0)
    double = add(p, p)
    end = where(negative, add(add(sub(2 * low, double), high), high), double)
    middle = add(high, add(low, where(negative, p, neg(p))))
    return where(large, end, middle)


def _atan_unit(t: Value) -> Value:
    # atan(t) for 0 <= t <= 1.
    if t.dtype == "float32":
        s = mul(t, t)
        return fma(mul(t, s), polynomial(s, ATAN["float32"]), t)
    large = lt(0.41421356237309503, t)  # then atan(t) = pi/4 + atan((t - 1) / (t + 1))
    t = where(large, div(sub(t, 1.0), add(t, 1.0)), t)
    s = mul(t, t)
    y = mul(mul(t, s), polynomial(s, ATAN["float64"]))
    high, low = _half_pi("float64")
    return where(large, add(add(add(y, low / 2), t), high / 2), add(t, y))


def atan(x: Value) -> Value:
    high, low = _half_pi(x.dtype)
    size = magnitude(x)
    steep = lt(1.0, size)
    y = _atan_unit(where(steep, div(1.0, size), size))
    y = where(steep, add(high, sub(low, y)), y)
    return with_sign(y, sign_bit(x))


def atan2(y: Value, x: Value) -> Value:
    high, low = _half_pi(x.dtype)
    a, b = magnitude(y), magnitude(x)
    steep = lt(b, a)
    over, under = where(steep, b, a), where(steep, a, b)
    # 0 / 0 and inf / inf stand for the axes and the diagonals.
    same = eq(over, under)
    t = where(same, where(eq(under, 0.0), under, 1.0), div(over, under))
    p = _atan_unit(t)
    p = where(steep, add(high, sub(low, p)), p)
    left = lt(bits_of(x), 0)
    p = where(left, add(2 * high, sub(2 * low, p)), p)
    p = where(either(isnan(x), isnan(y)), NAN, p)
    return with_sign(p, sign_bit(y))
