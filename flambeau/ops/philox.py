"""Counter-based random bits as scalar expressions, the maps that fill tensors with them, and dropout.

The words (`flambeau.compiler.philox`) are a function of (seed, position) alone, so an element gets the same number on
every device and at every thread count, and dropout's mask is computed again in backward instead of being kept.
Generators, which hand out positions, are in `random`.
"""

from __future__ import annotations

import math
from typing import Any

from ..compiler import scalar as s
from ..compiler.declare import elementwise
from ..compiler.philox import word, words


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
    place = s.index() + position
    if x.dtype == "float64":
        unit = uniform_double(*words(place, seed)[:2])
    else:
        unit = uniform_single(word(place, seed), levels)
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
    dropped = s.cast(s.ceil(odds * 2.0**32), "int64")  # so many of the words are below the odds
    return s.where(s.cast(word(s.index() + position, seed), "int64") >= dropped, x * scale, 0.0)
