"""Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) as scalar expressions.

Four words of 32 bits are a function of a seed and a position alone. `words` gives all four for a position; `word`
numbers them so that each is used: 64 elements in a row take the words of 16 positions, 16 elements the first words, the
next 16 the second ones. Vectors can so be filled with one word after the other (`Code.random_words`), while an
element's word is still a function of its place only.

What does not live here: operations that fill tensors (`flambeau.ops.philox`), and generators (`flambeau.ops.random`).
"""

from __future__ import annotations

from . import expression as e
from .program import Value

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_STEPS = (0x9E3779B9, 0xBB67AE85)  # what the key grows by each round

#: Elements that share their words: a generator hands out places in multiples of it.
BLOCK = 64
_LANES = 16
#: Third words of counters: `word` must not read again what `words` gave at another place.
WHOLE, SHARED = 0, 1


def rounds(c0: Value, c1: Value, k0: Value, k1: Value, kind: int) -> tuple[Value, Value, Value, Value]:
    """The four words of the counter (c0, c1, kind, 0) and the key (k0, k1), all uint32."""
    c2, c3 = e.constant(kind, "uint32"), e.constant(0, "uint32")
    for _ in range(10):
        product0 = e.mul(e.cast(c0, "uint64"), _MULTIPLIERS[0])
        product1 = e.mul(e.cast(c2, "uint64"), _MULTIPLIERS[1])
        high0, high1 = (e.cast(e.shift_right(p, 32), "uint32") for p in (product0, product1))
        low0, low1 = e.cast(product0, "uint32"), e.cast(product1, "uint32")
        c0, c1 = e.bitwise_xor(e.bitwise_xor(high1, c1), k0), low1
        c2, c3 = e.bitwise_xor(e.bitwise_xor(high0, c3), k1), low0
        k0, k1 = e.add(k0, _STEPS[0]), e.add(k1, _STEPS[1])
    return c0, c1, c2, c3


def halves(value: Value) -> tuple[Value, Value]:
    """The low and the high uint32 of a 64-bit value."""
    value = e.cast(value, "uint64")
    return e.cast(value, "uint32"), e.cast(e.shift_right(value, 32), "uint32")


def words(position: Value, seed: Value, kind: int = WHOLE) -> tuple[Value, Value, Value, Value]:
    """Four random uint32 words for an int64 position in the stream of an int64 seed."""
    return rounds(*halves(position), *halves(seed), kind)


def word(place: Value, seed: Value) -> Value:
    """The random uint32 word of one element for its int64 place in the stream of an int64 seed."""
    return e._make("random_word", (place, seed), "uint32")


def spelled_out(place: Value, seed: Value) -> Value:
    """What `word` is, in primitives."""
    place = e.cast(place, "uint64")
    block, inside = e.shift_right(place, 6), e.bitwise_and(place, _LANES - 1)
    four = words(e.bitwise_or(e.shift_left(block, 4), inside), seed, SHARED)
    which = e.cast(e.bitwise_and(e.shift_right(place, 4), 3), "uint32")
    result = four[3]
    for i in (2, 1, 0):
        result = e.where(e.eq(which, i), four[i], result)
    return result
