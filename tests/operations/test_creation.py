"""Making tensors: what `tensor` takes and refuses, sharing with NumPy, ranges, random streams."""

from __future__ import annotations

import math

import numpy
import pytest

import flambeau as fl


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, fl.int64, ()), (1.5, fl.float32, ()), (True, fl.bool, ()), ([], fl.float32, (0,)),
        ([[], []], fl.float32, (2, 0)), ([1, 2], fl.int64, (2,)), ([1, 2.5], fl.float32, (2,)),
        ([True, 2], fl.int64, (2,)), ([True], fl.bool, (1,)),
        ([[1, 2], (3, 4)], fl.int64, (2, 2)), (range(3), fl.int64, (3,)), (numpy.ones((2, 1)), fl.float64, (2, 1)),
        (numpy.float32(2), fl.float32, ()), ([numpy.ones(2, "int32")] * 2, fl.int32, (2, 2)),
    ],
)  # fmt: skip
def test_dtype_and_shape_follow_the_data(data, dtype, shape):
    made = fl.tensor(data)
    assert made.dtype is dtype and tuple(made.shape) == shape


@pytest.mark.parametrize(
    ("data", "options", "error"),
    [
        ([[1, 2], [3]], {}, ValueError), ([1, [2]], {}, TypeError), ("text", {}, TypeError), (None, {}, TypeError),
        ([None], {}, TypeError), ({}, {}, TypeError), ([1j], {"dtype": fl.float32}, RuntimeError),
        ([300], {"dtype": fl.uint8}, OverflowError),
        (2**63, {}, RuntimeError), ([math.nan], {"dtype": fl.int64}, ValueError), (1, {"device": "cuda"}, RuntimeError),
        (numpy.array(["a"]), {}, TypeError), (numpy.array([None]), {}, TypeError),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_refused(data, options, error):
    with pytest.raises(error):
        fl.tensor(data, **options)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_numpy_shares_memory(dtype):
    array = numpy.zeros((2, 3), dtype)
    tensor = fl.from_numpy(array)
    tensor[0, 1] = 1
    assert array[0, 1] == 1 and tensor.numpy()[0, 1] == 1


def test_numpy_arrays_that_cannot_be_shared():
    with pytest.raises(ValueError, match="negative"):
        fl.from_numpy(numpy.arange(3)[::-1])
    with pytest.raises(TypeError, match="bytes24"):
        fl.from_numpy(numpy.zeros(1, "S3"))
    with pytest.raises(ValueError, match="byte order"):
        fl.from_numpy(numpy.zeros(1, ">f4"))


@pytest.mark.parametrize("arguments", [(5,), (1, 5), (0, 5, 2), (5, 0, -2), (0.0, 1.0, 0.25), (3, 3)])
def test_arange(arguments):
    found = fl.arange(*arguments).numpy()
    numpy.testing.assert_array_equal(found, numpy.arange(*arguments).astype(found.dtype))


def test_ranges_refuse_impossible_steps():
    for arguments in ((0, 5, 0), (0, 5, -1), (5, 0, 1), (0, math.inf)):
        with pytest.raises(RuntimeError):
            fl.arange(*arguments)


@pytest.mark.parametrize("dtype", [fl.float32, fl.float64])
def test_a_seed_repeats_the_stream_and_threads_do_not_matter(dtype):
    found = []
    for threads in (1, 2):
        before = fl.get_num_threads()
        fl.set_num_threads(threads)
        try:
            fl.manual_seed(7)
            found.append([t.numpy().copy() for t in (fl.rand(70_000, dtype=dtype), fl.randn(70_000, dtype=dtype))])
            found[-1] += [fl.randint(0, 9, (1000,)).numpy().copy(), fl.randperm(100).numpy().copy()]
        finally:
            fl.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        numpy.testing.assert_array_equal(one, two)


def test_random_numbers_are_distributed_as_asked():
    fl.manual_seed(3)
    uniform = fl.rand(200_000).numpy()
    assert 0.0 <= uniform.min() and uniform.max() < 1.0 and abs(uniform.mean() - 0.5) < 0.003
    for dtype in (fl.float32, fl.float64):
        normal = fl.randn(200_000, dtype=dtype).numpy()
        assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01 and abs((normal**4).mean() - 3) < 0.15
    counts = numpy.bincount(fl.randint(-2, 3, (100_000,)).numpy() + 2, minlength=5)
    assert counts.size == 5 and abs(counts - 20_000).max() < 700
    assert abs(fl.bernoulli(fl.full((100_000,), 0.3)).numpy().mean() - 0.3) < 0.01
    assert sorted(fl.randperm(50).tolist()) == list(range(50))
    half = fl.rand(50_000, dtype=fl.float16).numpy()
    assert half.max() < 1.0
    drawn = fl.multinomial(fl.tensor([0.0, 1.0, 3.0]), 40_000, replacement=True).numpy()
    assert abs((drawn == 2).mean() - 0.75) < 0.02 and not (drawn == 0).any()
    assert sorted(fl.multinomial(fl.ones(6), 6).tolist()) == list(range(6))


def test_generator_state_can_be_kept():
    generator = fl.Generator().manual_seed(1)
    fl.rand(3, generator=generator)
    state = generator.get_state()
    first = fl.rand(4, generator=generator).tolist()
    generator.set_state(state)
    assert fl.rand(4, generator=generator).tolist() == first


def test_dropout_draws_the_same_mask_again_in_backward():
    from flambeau.ops.random import random_dropout

    x = fl.ones(300, 40).t().requires_grad_(True)
    y = random_dropout(x, 0.25)
    y.sum().backward()
    numpy.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert abs(y.detach().numpy().mean() - 1.0) < 0.05
