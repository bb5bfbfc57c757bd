"""Counter-based random bits as scalar expressions, the maps that fill tensors with them, and dropout.

Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): words are a function of (seed,
position) alone, so an element gets the same number on every device and at every thread count, and dropout's mask is
computed again in backward instead of being kept. Generators, which hand out positions, are in `random`.
"""

from __future__ import annotations

import math
from typing import Any

from ..compiler import scalar as s
from ..compiler.declare import elementwise

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_STEPS = (0x9E3779B9, 0xBB67AE85)  # what the key grows by each round


def words(position, seed, rounds=10):
    """Four random uint32 words for an int64 position in the stream of an int64 seed."""
    position, seed = s.cast(position, "uint64"), s.cast(seed, "uint64")
    c0, c1 = s.cast(position, "uint32"), s.cast(position >> 32, "uint32")
    c2 = c3 = s.constant(0, "uint32")
    k0, k1 = s.cast(seed, "uint32"), s.cast(seed >> 32, "uint32")
    for _ in range(rounds):
        product0 = s.cast(c0, "uint64") * _MULTIPLIERS[0]
        product1 = s.cast(c2, "uint64") * _MULTIPLIERS[1]
        high0, high1 = s.cast(product0 >> 32, "uint32"), s.cast(product1 >> 32, "uint32")
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, s.cast(product1, "uint32"), high0 ^ c3 ^ k1, s.cast(product0, "uint32")
        k0, k1 = k0 + _STEPS[0], k1 + _STEPS[1]
    return c0, c1, c2, c3


def uniform_single(word, levels=2.0**24):
    """A float32 from [0, 1) out of one word, a multiple of 1 / levels."""
    fine = s.cast(s.cast(word >> 8, "int32"), "float32")
    return s.floor(fine * (levels * 2.0**-24)) / levels


def uniform_double(low, high):
    """A float64 from [0, 1) out of two words, a multiple of 2 ** -53."""
    bits = (s.cast(high, "uint64") << 21) ^ s.cast(low >> 11, "uint64")
    return s.cast(s.cast(bits, "int64"), "float64") * 2.0**-53


_OPTIONS: dict[str, Any] = {"promotion": "same"}
_PLACE = {"seed": "int64", "position": "int64"}


@elementwise(accepts="floating", roles=_PLACE, **_OPTIONS)
def random_uniform(x, low, high, seed, position, levels):
    """Numbers evenly distributed over [low, high); only the dtype of x is read."""
    w = words(s.index() + position, seed)
    unit = uniform_double(w[0], w[1]) if x.dtype == "float64" else uniform_single(w[0], levels)
    found = low + unit * (high - low)
    return s.where((found >= high) & (low < high), low, found)


@elementwise(accepts="floating", roles=_PLACE, **_OPTIONS)
def random_normal(x, mean, deviation, seed, position):
    """Normally distributed numbers, by the transform of Box and Muller; only the dtype of x is read."""
    w = words(s.index() + position, seed)
    if x.dtype == "float64":
        radius, turn = uniform_double(w[0], w[1]) + 2.0**-54, uniform_double(w[2], w[3])
    else:
        whole = s.cast(s.cast(w[0], "int64"), "float32")
        radius, turn = s.fma(whole, 2.0**-32, 2.0**-33), uniform_single(w[1])
    return mean + deviation * (s.sqrt(-2.0 * s.log(radius)) * s.cos(turn * (2.0 * math.pi)))


@elementwise(roles={**_PLACE, "low": "int64", "span": "int64"}, **_OPTIONS)
def random_integers(x, low, span, seed, position):
    """Integers evenly distributed over low, ..., low + span - 1, for spans below 2 ** 32."""
    word = s.cast(words(s.index() + position, seed)[0], "uint64")
    return low + s.cast((word * s.cast(span, "uint64")) >> 32, "int64")


@elementwise(roles={**_PLACE, "low": "int64", "span": "int64"}, **_OPTIONS)
def random_integers_wide(x, low, span, seed, position):
    """`random_integers` for spans up to 2 ** 63."""
    w = words(s.index() + position, seed)
    bits = (s.cast(w[0], "uint64") << 32) ^ s.cast(w[1], "uint64")
    return low + s.cast(s.remainder(bits, s.cast(span, "uint64")), "int64")


@elementwise(roles={**_PLACE, "odds": "double"}, **_OPTIONS)
def random_bernoulli(x, odds, seed, position):
    """1 with probability `odds`, else 0; only the dtype of x is read."""
    w = words(s.index() + position, seed)
    return s.cast(uniform_double(w[0], w[1]) < odds, x)


@elementwise(accepts="floating", roles={**_PLACE, "odds": "double"})
def dropout(x, odds, scale, seed, position):
    """x * scale where the number drawn for the element is at least `odds`, else 0; backward draws it again."""
    word = words(s.index() + position, seed)[0]
    kept = s.cast(s.cast(word, "int64"), "float64") * 2.0**-32 >= odds
    return s.where(kept, x * scale, 0.0)
