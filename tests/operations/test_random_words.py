"""The random words of elements: what Philox 4x32-10 says, wherever a kernel begins and however it walks."""

from __future__ import annotations

import numpy
import pytest

import flambeau as fl
from flambeau.compiler import interpret, philox
from flambeau.compiler.program import Input, Program, Value
from flambeau.ops import philox as operations


def reference(places: numpy.ndarray, seed: int) -> numpy.ndarray:
    """The words at these places, by the text of the paper."""
    mask = 0xFFFFFFFF
    result = []
    for place in places.tolist():
        position = (place >> 6 << 4) + (place & 15)
        c = [position & mask, position >> 32, 1, 0]
        k0, k1 = seed & mask, seed >> 32
        for _ in range(10):
            a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [(b >> 32) ^ c[1] ^ k0, b & mask, (a >> 32) ^ c[3] ^ k1, a & mask]
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        result.append(c[place >> 4 & 3])
    return numpy.array(result, "uint32")


def uniforms(words: numpy.ndarray) -> numpy.ndarray:
    return (words >> 8).astype("float32") * numpy.float32(2.0**-24)


@pytest.mark.parametrize("position", [0, 64, 5, 3 * 64 + 63, (1 << 34) - 128, (1 << 40) + 7])
@pytest.mark.parametrize("count", [1, 63, 64, 200])
def test_words_are_those_of_philox(position: int, count: int) -> None:
    seed = 0x123456789ABCDEF
    found = operations.random_uniform.inplace(fl.empty(count), 0.0, 1.0, seed, position, 2.0**24)
    places = numpy.arange(count) + position
    assert numpy.array_equal(found.numpy(), uniforms(reference(places, seed)))


def test_the_known_answer_of_a_counter_of_zeros() -> None:
    # The first of the test vectors that the authors publish.
    leaves = [Value("input", (), "int64", i) for i in range(2)]
    program = Program("", "map", (Input("int64"), Input("int64")), philox.words(*leaves))
    found = interpret.run(program, [numpy.zeros(1), numpy.zeros(1)])
    assert [int(word[0]) for word in found] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("position", [0, 128, 3])
def test_strided_and_parallel_elements_get_the_same_words(position: int) -> None:
    places = numpy.arange(70000) + position
    threads = fl.get_num_threads()
    results = []
    for count in (1, 2, 3):
        fl.set_num_threads(count)
        results.append(operations.random_uniform.inplace(fl.empty(70000), 0.0, 1.0, 7, position, 2.0**24).numpy())
    fl.set_num_threads(threads)
    assert all(numpy.array_equal(result, results[0]) for result in results)
    assert numpy.array_equal(results[0][:300], uniforms(reference(places[:300], 7)))
    wide = operations.random_uniform.inplace(fl.empty(700, 200)[:, :100], 0.0, 1.0, 7, position, 2.0**24)
    assert numpy.array_equal(wide.numpy().reshape(-1), results[0])
    turned = operations.random_uniform.inplace(fl.empty(100, 700).t(), 0.0, 1.0, 7, position, 2.0**24)
    assert numpy.array_equal(turned.numpy().reshape(-1), results[0])


@pytest.mark.parametrize("odds", [0.0, 0.25, 1 / 3, 1.0 - 2.0**-40])
def test_dropout_keeps_words_that_reach_the_odds(odds: float) -> None:
    words = reference(numpy.arange(500) + 64, 11).astype("float64")
    found = operations.dropout(fl.ones(500), odds, 2.0, 11, 64).numpy()
    assert numpy.array_equal(found, numpy.where(words * 2.0**-32 >= odds, 2.0, 0.0).astype("float32"))
