"""Exponentials, logarithms, powers and the hyperbolic functions, from primitives only.

See `mathematics` for the table of errors and costs. Notation: magic numbers 1.5 * 2**23 (float32) and 1.5 * 2**52
(float64) round a small float to an integer when added, and leave that integer in the low bits of the sum.
"""

from __future__ import annotations

from .mathematics_arithmetic import (
    INFINITY,
    NAN,
    add,
    at_least,
    at_most,
    bitcast,
    bits_of,
    both,
    cast,
    const,
    div,
    either,
    eq,
    flip_sign,
    float_of,
    fma,
    lt,
    magnitude,
    mul,
    ne,
    neg,
    polynomial,
    shl,
    shr,
    sign_bit,
    sqrt,
    sub,
    trunc,
    two_product,
    two_sum,
    unsigned,
    where,
    with_sign,
)
from .program import Value

MAGIC = {"float32": 1.5 * 2**23, "float64": 1.5 * 2**52}
LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
#: ln 2 in two parts, the first short: n times it is exact, with or without an fma.
LN2_PARTS = {
    "float32": (float.fromhex("0x1.63p-1"), float.fromhex("-0x1.bd0106p-13")),
    "float64": (float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")),
}
#: log2(e), log10(e) and log10(2) in two parts; the high part of the last is short: times an exponent it is exact.
LOG2E_PARTS = {
    "float32": (float.fromhex("0x1.715476p+0"), float.fromhex("0x1.4ae0bf85ddf44p-26")),
    "float64": (float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.777d0ffda0d24p-56")),
}
LOG10E_PARTS = {
    "float32": (float.fromhex("0x1.bcb7b2p-2"), float.fromhex("-0x1.5b235e39ab2a9p-27")),
    "float64": (float.fromhex("0x1.bcb7b1526e50ep-2"), float.fromhex("0x1.95355baaafad3p-57")),
}
LOG10_2_PARTS = {
    "float32": (float.fromhex("0x1.344p-2"), float.fromhex("0x1.3509f79fef312p-18")),
    "float64": (float.fromhex("0x1.34413509f8p-2"), float.fromhex("-0x1.80433b83b532ap-44")),
}

# Minimax (Remez) polynomials fitted for this file; the comment is the relative error of the function they stand for.
#: (exp(r) - 1 - r) / r**2 on |r| <= ln 2: 2**-25.7 and 2**-60.7; in float32 then tuned for the error with rounding.
EXP_WIDE = {
    "float32": (
        0.500000536441803, 0.16666652262210846, 0.041659675538539886, 0.008333085104823112, 0.0014130707131698728,
        0.0002009351010201499,
    ),
    "float64": (
        0.5, 0.16666666666666638, 0.04166666666666643, 0.00833333333334178, 0.0013888888888949858,
        0.0001984126983239208, 2.4801587247517448e-05, 2.7557323679998317e-06, 2.7557341033111286e-07,
        2.5050951366769198e-08, 2.0872587170952153e-09, 1.620895139717673e-10, 1.1799341401007303e-11,
    ),
}  # fmt: skip
#: The same on |r| <= ln 2 / 2: 2**-28.2 and 2**-56.
EXP_NARROW = {
    "float32": (
        0.4999999403953552, 0.16666516661643982, 0.041668105870485306, 0.008369140326976776, 0.0013836730504408479,
    ),
    "float64": (
        0.5000000000000011, 0.16666666666665883, 0.04166666666652063, 0.008333333333502302, 0.0013888888948772515,
        0.00019841270017485597, 2.480148529106981e-05, 2.7556766370691264e-06, 2.7633746825724457e-07,
        2.535130527239044e-08,
    ),
}  # fmt: skip
#: (log(1 + f) - f + f**2 / 2) / f**3 on sqrt(1/2) - 1 <= f <= sqrt(2) - 1, float32: 2**-27.3.
LOG_FLOAT32 = (
    0.3333333134651184, -0.250008225440979, 0.20001260936260223, -0.16623325645923615, 0.1420089602470398,
    -0.1315958946943283, 0.1276787668466568, -0.07644452154636383,
)  # fmt: skip


#: (2**r - 1) / r on |r| <= 1/2: 2**-26.4, 2**-57 and, for float32 powers, 2**-34.
EXP2 = {
    "float32": (
        0.6931472420692444, 0.24022693932056427, 0.055502597242593765, 0.00961226411163807, 0.0013423622585833073,
        0.00017165704048238695,
    ),
    "float64": (
        0.6931471805599453, 0.24022650695910172, 0.055504108664824574, 0.009618129107577105, 0.0013333558145566474,
        0.00015403530478800913, 1.5252734739645358e-05, 1.3215424510541459e-06, 1.017765524400902e-07,
        7.0756120627977236e-09, 4.519446468544893e-10,
    ),
}  # fmt: skip
EXP2_POWER = (
    0.6931471807058852, 0.2402265106736497, 0.05550410360462179, 0.009618038006620254, 0.0013333940388759063,
    0.00015466799840182946, 1.5194857697795283e-05,
)  # fmt: skip
#: 2 atanh(s) / s / ln 2 in s**2, |s| <= 0.1716: 2**-45.
LOG2_POWER = (
    2.8853900817778495, 0.9617966941143461, 0.5770779420988843, 0.41220927935264445, 0.31990454087005515,
    0.28291762756507777,
)  # fmt: skip
#: log((1 + s) / (1 - s)) = 2 s + s R(s**2), R without its constant: FreeBSD's e_log.c (Sun Microsystems, 1993),
#: 2**-58.45.
LOG_FLOAT64 = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
#: (tanh(x) / x - 1) / x**2 in x**2, |x| <= 0.55, float32: 2**-24.7.
TANH_SMALL = (-0.3333294689655304, 0.133207306265831, -0.05267205089330673, 0.016437744721770287)
#: tanh(x) = x + x**3 P / Q, |x| < 0.625, float64: Cephes, tanh.c (Moshier).
TANH_P = (-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1)
TANH_Q = (4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1.0)


def _single(x: Value) -> bool:
    return x.dtype == "float32"


def exp(x: Value) -> Value:
    single = _single(x)
    p, scale = _exp_parts(at_least(at_most(x, 89.0 if single else 710.0), -104.0 if single else -746.0))
    return mul(mul(p, scale), scale)


def exp_of_sum(x: Value, tail: Value) -> Value:
    """exp(x + tail) for x <= 0 and a tail that is tiny beside x."""
    p, scale = _exp_parts(at_least(x, -104.0 if _single(x) else -746.0), tail)
    return mul(mul(p, scale), scale)


def _exp_parts(x: Value, tail: Value | None = None) -> tuple[Value, Value]:
    # exp(x) = p * scale * scale, x = 2 n ln 2 + r, scale = 2**n. Both factors are normal numbers, so overflow and
    # gradual underflow happen in the last multiplication, by themselves.
    dtype, single = x.dtype, _single(x)
    high, low = LN2_PARTS[dtype]
    magic = MAGIC[dtype] + (127 if single else 1023)
    shifted = fma(x, LOG2E / 2, magic)
    n = sub(shifted, magic)
    r = fma(n, -2 * high, x)
    r = fma(n, -2 * low, r) if tail is None else add(r, fma(n, -2 * low, tail))
    return polynomial(r, (1.0, 1.0, *EXP_WIDE[dtype])), float_of(shl(bits_of(shifted), 23 if single else 52))


def _scale_by_power(p: Value, shifted: Value) -> Value:
    # p * 2**n in two multiplications; `shifted` is n + twice the exponent's bias + the magic number.
    width = 23 if _single(p) else 52
    whole = unsigned(bits_of(shifted))
    half = shr(whole, 1)
    return mul(mul(p, float_of(shl(half, width))), float_of(shl(sub(whole, half), width)))


def exp2(x: Value) -> Value:
    single = _single(x)
    x = at_least(at_most(x, 129.0 if single else 1025.0), -151.0 if single else -1076.0)
    magic = MAGIC[x.dtype] + (254 if single else 2046)
    shifted = add(x, magic)
    r = sub(x, sub(shifted, magic))
    return _scale_by_power(polynomial(r, (1.0, *EXP2[x.dtype])), shifted)


def expm1(x: Value) -> Value:
    # 2**n expm1(r) + (2**n - 1), computed at half its size because 2**n itself may overflow.
    dtype, single = x.dtype, _single(x)
    high, low = LN2_PARTS[dtype]
    clamped = at_least(at_most(x, 89.0 if single else 710.0), -20.0 if single else -40.0)
    magic = MAGIC[dtype] + (126 if single else 1022)
    shifted = fma(clamped, LOG2E, magic)
    n = sub(shifted, magic)
    r = fma(n, -low, fma(n, -high, clamped))
    q = fma(mul(r, r), polynomial(r, EXP_NARROW[dtype]), r)
    half = float_of(shl(bits_of(shifted), 23 if single else 52))
    y = fma(half, q, sub(half, 0.5))
    return where(eq(x, 0.0), x, add(y, y))


def tanh(x: Value) -> Value:
    # |x| small: an odd polynomial. Otherwise 1 - 2 / (exp(2 |x|) + 1), whose subtrahend is at most 1/2.
    dtype, single = x.dtype, _single(x)
    high, low = LN2_PARTS[dtype]
    magic = MAGIC[dtype] + (127 if single else 1023)
    size = at_most(magnitude(x), 10.0 if single else 20.0)
    shifted = fma(size, 2 * LOG2E, magic)
    n = sub(shifted, magic)
    scale = float_of(shl(bits_of(shifted), 23 if single else 52))
    square = mul(size, size)
    if single:
        r = fma(n, -LN2 / 2, size)  # half the usual r, the polynomial is in 2 r
        p = polynomial(r, (1.0, 2.0, *(c * 2.0 ** (k + 2) for k, c in enumerate(EXP_NARROW[dtype]))))
        large = sub(1.0, div(2.0, fma(p, scale, 1.0)))
        small = fma(mul(size, square), polynomial(square, TANH_SMALL), size)
        y = where(lt(size, 0.55), small, large)
    else:
        r = fma(n, -low, fma(n, -high, add(size, size)))
        p = polynomial(r, (1.0, 1.0, *EXP_NARROW[dtype]))
        small = lt(size, 0.625)
        over = where(small, mul(mul(size, square), polynomial(square, TANH_P)), const(-2.0, dtype))
        under = where(small, polynomial(square, TANH_Q), fma(p, scale, 1.0))
        y = add(where(small, size, 1.0), div(over, under))
    return with_sign(y, sign_bit(x))


#: (sinh(x) / x - 1) / x**2 in x**2, |x| <= 1: 2**-25.2 and 2**-61.8.
SINH_SMALL = {
    "float32": (0.16666719317436218, 0.00833014864474535, 0.0002038391394307837),
    "float64": (
        0.16666666666666669, 0.008333333333332912, 0.0001984126984159341, 2.75573191067557e-06, 2.505213099962222e-08,
        1.6056658955115492e-10, 7.77661372370985e-13,
    ),
}  # fmt: skip


def _half_exp(size: Value) -> Value:
    # exp(size) / 2 for size >= 0, which is finite wherever sinh and cosh are.
    p, scale = _exp_parts(at_most(size, 90.0 if _single(size) else 711.0))
    return mul(mul(mul(p, 0.5), scale), scale)


def sinh(x: Value) -> Value:
    size = magnitude(x)
    half = _half_exp(size)
    square = mul(size, size)
    small = fma(mul(size, square), polynomial(square, SINH_SMALL[x.dtype]), size)
    return with_sign(where(lt(size, 1.0), small, sub(half, div(0.25, half))), sign_bit(x))


def cosh(x: Value) -> Value:
    half = _half_exp(magnitude(x))
    return add(half, div(0.25, half))


# --- logarithms ------------------------------------------------------------------------------------------------------

#: The bits of sqrt(1/2): subtracting them leaves the exponent for which the mantissa is in [sqrt(1/2), sqrt(2)).
#: BIAS is added to exponents while they are integers, so that those of subnormal numbers are positive too.
BIAS = 64
ROOT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}


def split_exponent(x: Value, subnormal: bool = True) -> tuple[Value, Value, Value]:
    """For x > 0: e and m with x = m * 2**e and sqrt(1/2) <= m < sqrt(2), e as a float; and an integer.

    The integer has e + BIAS + the dtype's bias above the bits of the mantissa.
    """
    root = ROOT_HALF[x.dtype]
    integer, width, bias = ("int32", 23, 127) if _single(x) else ("int64", 52, 1023)
    offset = const(root - (bias + BIAS << width), integer)
    if subnormal:
        tiny = lt(x, 2.0 ** (1 - bias))
        x = where(tiny, mul(x, 2.0 ** (width + 1)), x)
        offset = where(tiny, const(root - (bias + BIAS - width - 1 << width), integer), offset)
    shifted = sub(bits_of(x), offset)
    biased = shr(unsigned(shifted), width)
    if _single(x):
        e = cast(sub(bitcast(biased, integer), bias + BIAS), "float32")
    else:  # few CPUs convert 64-bit integers: write the integer into the low bits of a float instead
        e = sub(float_of(either(biased, 0x4330000000000000)), 2.0**52 + bias + BIAS)
    m = float_of(add(both(shifted, (1 << width) - 1), root))
    return e, m, shifted


def _log_special(x: Value, y: Value) -> Value:
    # log(inf) = inf, log(0) = -inf, log(x < 0) = NaN, NaN kept.
    y = where(lt(x, INFINITY), y, x)
    return where(lt(0.0, x), y, where(eq(x, 0.0), const(-INFINITY, x.dtype), NAN))


def _log_kernel(f: Value) -> tuple[Value, Value]:
    # log(1 + f) as high + low, high being f for float32 and f - f**2 / 2 for float64.
    if _single(f):
        return f, mul(mul(f, f), fma(f, polynomial(f, LOG_FLOAT32), -0.5))
    s = div(f, add(f, 2.0))
    z = mul(s, s)
    half = mul(mul(f, f), 0.5)
    r = mul(s, fma(z, polynomial(z, LOG_FLOAT64), half))
    high = sub(f, half)
    return high, add(sub(sub(f, high), half), r)


def log(x: Value) -> Value:
    e, m, _ = split_exponent(x)
    return _log_special(x, _log_sum(e, sub(m, 1.0)))


def _log_sum(e: Value, f: Value) -> Value:
    if _single(f):
        tail = fma(f, polynomial(f, LOG_FLOAT32), -0.5)
        return fma(e, LN2, fma(mul(f, f), tail, f))
    s = div(f, add(f, 2.0))
    z = mul(s, s)
    half = mul(mul(f, f), 0.5)
    high, low = LN2_PARTS["float64"]
    r = fma(s, fma(z, polynomial(z, LOG_FLOAT64), half), mul(e, low))
    return fma(e, high, sub(f, sub(half, r)))


def _log_base(x: Value, factor: tuple[float, float], unit: tuple[float, float]) -> Value:
    # e * unit + factor * log(m), both constants in two parts; the sum of the two large terms keeps its error.
    e, m, _ = split_exponent(x)
    high, low = _log_kernel(sub(m, 1.0))
    main, rest = two_product(high, factor[0])
    rest = add(rest, fma(high, factor[1], mul(low, factor[0])))
    if unit[1] != 0.0:
        rest = fma(e, unit[1], rest)
    total = fma(e, unit[0], main)
    rest = add(rest, sub(main, sub(total, mul(e, unit[0]))))
    return _log_special(x, add(total, rest))


def log2(x: Value) -> Value:
    return _log_base(x, LOG2E_PARTS[x.dtype], (1.0, 0.0))


def log10(x: Value) -> Value:
    return _log_base(x, LOG10E_PARTS[x.dtype], LOG10_2_PARTS[x.dtype])


def log1p(x: Value) -> Value:
    # log(u) with u = 1 + x, and the rounding error of u put back into the reduced argument f.
    u = add(x, 1.0)
    e, m, shifted = split_exponent(u, subnormal=False)
    lost = sub(x, sub(u, 1.0))
    width, bias = (23, 127) if _single(x) else (52, 1023)
    # 2**(1 - e): zero, harmlessly, for the largest e.
    scale = float_of(sub((2 * bias + BIAS + 1) << width, both(shifted, -1 << width)))
    f = fma(mul(lost, 0.5), scale, sub(m, 1.0))
    y = where(lt(x, INFINITY), _log_sum(e, f), x)
    y = where(lt(-1.0, x), y, where(eq(x, -1.0), const(-INFINITY, x.dtype), NAN))
    return where(eq(x, 0.0), x, y)


def asinh(x: Value) -> Value:
    # log1p(t + t**2 / (1 + sqrt(t**2 + 1))), and log(2 t) for large t.
    size = magnitude(x)
    large = lt(2.0**30 if _single(x) else 2.0**60, size)
    root = sqrt(fma(size, size, 1.0))
    z = fma(size, div(size, add(root, 1.0)), size)
    y = log1p(where(large, size, z))
    return with_sign(magnitude(where(large, add(y, LN2), y)), sign_bit(x))


def acosh(x: Value) -> Value:
    # log1p(t + sqrt(t (t + 2))) with t = x - 1, and log(2 x) for large x.
    large = lt(2.0**30 if _single(x) else 2.0**60, x)
    t = sub(x, 1.0)
    y = log1p(where(large, t, add(t, sqrt(mul(t, add(t, 2.0))))))
    return where(lt(x, 1.0), NAN, where(large, add(y, LN2), y))


def atanh(x: Value) -> Value:
    size = magnitude(x)
    y = mul(log1p(div(add(size, size), sub(1.0, size))), 0.5)
    return with_sign(y, sign_bit(x))


# --- powers ----------------------------------------------------------------------------------------------------------


def power(x: Value, y: Value) -> Value:
    magnitude_ = _power32(magnitude(x), y) if _single(x) else _power64(magnitude(x), y)
    return _power_special(x, y, magnitude_)


def _power_special(x: Value, y: Value, p: Value) -> Value:
    # C99, F.9.4.4. An infinite y is an even integer here, as there.
    half = mul(y, 0.5)
    integer = eq(trunc(y), y)
    odd = both(integer, ne(trunc(half), half))
    p = flip_sign(p, where(odd, sign_bit(x), const(0, "int32" if _single(x) else "int64")))
    # A negative finite base needs an integer; -0.0 and -inf do not.
    invalid = both(both(lt(x, 0.0), lt(-INFINITY, x)), ne(trunc(y), y))
    p = where(invalid, NAN, p)
    one = either(eq(y, 0.0), eq(x, 1.0))
    one = either(one, both(eq(x, -1.0), eq(magnitude(y), INFINITY)))
    return where(one, const(1.0, x.dtype), p)


def _power32(size: Value, y: Value) -> Value:
    # In float64, with polynomials for float32's precision; the final conversion rounds and handles the range.
    wide, exponent = cast(size, "float64"), cast(y, "float64")
    e, m, _ = split_exponent(wide, subnormal=False)
    s = div(sub(m, 1.0), add(m, 1.0))
    logarithm = fma(s, polynomial(mul(s, s), LOG2_POWER), e)
    logarithm = where(lt(wide, INFINITY), logarithm, wide)
    logarithm = where(eq(wide, 0.0), -INFINITY, logarithm)
    z = at_least(at_most(mul(exponent, logarithm), 200.0), -200.0)
    magic = MAGIC["float64"] + 1023
    shifted = add(z, magic)
    p = polynomial(sub(z, sub(shifted, magic)), (1.0, *EXP2_POWER))
    return cast(mul(p, float_of(shl(bits_of(shifted), 52))), "float32")


#: atanh(s) = s + s**3 / 3 + s**5 P(s**2), |s| <= 0.1716: 2**-73 of atanh.
ATANH_TAIL = (
    0.1999999999999999, 0.14285714285721923, 0.11111111108893765, 0.09090909422168814, 0.07692279200613553,
    0.06668132833774942, 0.058378774798697845, 0.05990991415568957,
)  # fmt: skip


def _power64(size: Value, y: Value) -> Value:
    # log2 as an unevaluated sum of two floats, about 2**-66 accurate, because the exponent multiplies its error.
    e, m, _ = split_exponent(size)
    f = sub(m, 1.0)
    under = add(m, 1.0)
    under_low = sub(m, sub(under, 1.0))
    inverse = div(1.0, under)
    s = mul(f, inverse)
    s_low = mul(inverse, sub(fma(neg(s), under, f), mul(s, under_low)))
    z = mul(s, s)
    z_low = fma(add(s, s), s_low, fma(s, s, neg(z)))
    third, third_low = 0.3333333333333333, 1.850371707708594e-17
    w = mul(z, polynomial(z, ATANH_TAIL))
    a = add(w, third)
    a_low = add(add(sub(third, a), w), third_low)
    b, b_error = two_product(z, a)
    b_low = add(b_error, fma(z, a_low, mul(z_low, a)))
    c, c_error = two_product(s, b)
    c_low = add(c_error, fma(s, b_low, mul(s_low, b)))
    high, error = two_sum(s, c)
    low = add(error, add(s_low, c_low))
    factor, factor_low = (2.0 * part for part in LOG2E_PARTS["float64"])
    main, main_error = two_product(high, factor)
    main_low = add(main_error, fma(high, factor_low, mul(low, factor)))
    logarithm, error = two_sum(e, main)
    rest = add(error, main_low)
    logarithm = where(lt(size, INFINITY), logarithm, size)
    logarithm = where(eq(size, 0.0), -INFINITY, logarithm)
    product = mul(y, logarithm)
    tail = fma(y, rest, fma(y, logarithm, neg(product)))
    tail = where(lt(magnitude(product), 1100.0), tail, 0.0)
    product = at_least(at_most(product, 1100.0), -1100.0)
    magic = MAGIC["float64"] + 2046
    shifted = add(product, magic)
    r = add(sub(product, sub(shifted, magic)), tail)
    return _scale_by_power(polynomial(r, (1.0, *EXP2["float64"])), shifted)
