"""float32 exp and erf by tables that lie in vector registers, for CPUs that pick from 16 floats in one instruction.

A table shortens the argument that is left for the polynomial, and so the polynomial: exp takes 14 operations instead of
18 and erf 21 instead of 31, of which a CPU also computes more at the same time, since picking is not arithmetic.
`mathematics` chooses these forms where `Target.tables` says so; the portable ones are in `mathematics_exponential` and
`mathematics_special`.

           error  ops
  exp       1.07   14
  exp2      1.06   13
  erf       1.30   21
"""

from __future__ import annotations

import math

from .mathematics_arithmetic import (
    add,
    at_least,
    at_most,
    bits_of,
    fma,
    lookup,
    lt,
    magnitude,
    mul,
    polynomial,
    scale,
    sign_bit,
    sub,
    where,
    with_sign,
)
from .mathematics_exponential import LN2_PARTS, LOG2E, MAGIC
from .program import Value

#: Added to a number, it rounds it to sixteenths and leaves their count, modulo 16, in the low bits of the sum.
SIXTEENTHS = MAGIC["float32"] / 16
#: 2**(k / 16).
POWERS = tuple(2.0 ** (k / 16) for k in range(16))
#: (exp(r) - 1) / r on |r| <= ln 2 / 32: 2**-26.7. (2**r - 1) / r on |r| <= 1 / 32: the same.
EXP = (1.0, 0.5, 1 / 6)
EXP2 = tuple(math.log(2.0) ** k / math.factorial(k) for k in (1, 2, 3))

#: The width of the pieces of erf. Every piece has a polynomial around a point of its own, chosen near the middle so
#: that erf and its slope are nearly float32 numbers there; row k are the coefficients of the k-th power. The first
#: piece is erf(x) - x around 0. From 3.93 on erf is 1.
PIECE = 65 / 256
ERF_POINTS = (
    0.0, 0.2543661594390869, 0.506950855255127, 0.7624397277832031, 1.0154943466186523, 1.2684012651443481,
    1.5217479467391968, 1.777182936668396, 2.0321381092071533, 2.284262180328369, 2.5400431156158447,
    2.797006130218506, 3.046437978744507, 3.303697109222412, 3.550222396850586, 3.808349132537842,
)  # fmt: skip
ERF = (
    (
        0.0, 0.28094950318336487, 0.5265868902206421, 0.7190789580345154, 0.8490334749221802, 0.9271533489227295,
        0.9686086773872375, 0.9880397915840149, 0.9959453344345093, 0.9987639784812927, 0.9996720552444458,
        0.9999236464500427, 0.999983549118042, 0.9999970197677612, 0.999999463558197, 0.9999999403953552,
    ),
    (
        0.12837916612625122, 1.0576825141906738, 0.8726534247398376, 0.6309478282928467, 0.4023445248603821,
        0.22581040859222412, 0.11136585474014282, 0.04794997349381447, 0.018155112862586975, 0.00611462676897645,
        0.0017801871290430427, 0.0004517141205724329, 0.00010516267502680421, 2.05298147193389e-05,
        3.789423317357432e-06, 5.670939913215989e-07,
    ),
    (
        3.274850541856722e-07, -0.26903417706489563, -0.4423867166042328, -0.4810570776462555, -0.40857940912246704,
        -0.2864203453063965, -0.16947290301322937, -0.08521658182144165, -0.036893319338560104, -0.013967214152216911,
        -0.004521150141954422, -0.0012636061292141676, -0.0003200506034772843, -6.811307684984058e-05,
        -2.6492439246794675e-06, -8.596398402005434e-06,
    ),
    (
        -0.3761444389820099, -0.30696308612823486, -0.14139780402183533, 0.03419889882206917, 0.14248868823051453,
        0.1669234037399292, 0.13480398058891296, 0.08498106151819229, 0.04393076151609421, 0.01923225261271,
        0.007063521537929773, 0.0022048153914511204, 0.0006155633018352091, 0.00014238388394005597,
        2.4664723241585307e-05, 3.1878769277682295e-06,
    ),
    (
        0.0003301180840935558, 0.127810999751091, 0.1821807622909546, 0.14676088094711304, 0.06398661434650421,
        -0.009922033175826073, -0.04566073417663574, -0.046940259635448456, -0.032365426421165466,
        -0.017369812354445457, -0.007543206214904785, -0.0026763721834868193, -0.0008608063217252493,
        -0.00019821259775198996, -0.0007270342321135104, 0.00040846149204298854,
    ),
    (
        0.11076347529888153, 0.0799264907836914, 0.006609462667256594, -0.054584894329309464, -0.06828205287456512,
        -0.04460633173584938, -0.01234501227736473, 0.007816573604941368, 0.013031871989369392, 0.010018055327236652,
        0.005476378835737705, 0.0023769347462803125, 0.0008366168476641178, 0.0002579305146355182,
        0.0007998263463377953, 0.000285985239315778,
    ),
)  # fmt: skip


def _never_positive(x: Value) -> bool:
    # x - max(x), as in softmax, needs no limit from above.
    return x.op == "sub" and x.args[1].op == "reduce_max" and x.args[1].args[0] is x.args[0]


def exp(x: Value) -> Value:
    """2**n exp(r), n a multiple of 1/16; the fraction of n goes through the table, its whole part to the exponent."""
    x = at_least(x if _never_positive(x) else at_most(x, 89.0), -104.0)
    high, low = LN2_PARTS["float32"]
    shifted = fma(x, LOG2E, SIXTEENTHS)
    n = sub(shifted, SIXTEENTHS)
    r = fma(n, -low, fma(n, -high, x))
    power = lookup(bits_of(shifted), POWERS)
    return scale(fma(power, mul(r, polynomial(r, EXP)), power), n)


def exp2(x: Value) -> Value:
    x = at_least(at_most(x, 129.0), -151.0)
    shifted = add(x, SIXTEENTHS)
    n = sub(shifted, SIXTEENTHS)
    r = sub(x, n)
    power = lookup(bits_of(shifted), POWERS)
    return scale(fma(power, mul(r, polynomial(r, EXP2)), power), n)


def erf(x: Value) -> Value:
    """A polynomial for each of 16 pieces."""
    size = at_most(magnitude(x), 3.93)
    piece = bits_of(fma(size, 1 / PIECE, MAGIC["float32"]))
    t = sub(size, lookup(piece, ERF_POINTS))
    y = lookup(piece, ERF[-1])
    for row in reversed(ERF[1:-1]):
        y = fma(y, t, lookup(piece, row))
    # In the first piece the polynomial is added to t itself; in the others the constant is larger than any t.
    first = lookup(piece, ERF[0])
    return with_sign(fma(y, t, where(lt(t, first), first, t)), sign_bit(x))
