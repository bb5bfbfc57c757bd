"""uint16, uint32, uint64: made, converted, computed with (wrapping around), indexed, compared, printed."""

from __future__ import annotations

import numpy
import pytest

import flambeau as fl

NAMES = ["uint16", "uint32", "uint64"]
each = pytest.mark.parametrize("name", NAMES)


def numbers(name, count=67, seed=0):
    info = numpy.iinfo(name)
    rest = numpy.random.default_rng(seed).integers(0, info.max, count, dtype=name, endpoint=True)
    return numpy.concatenate([numpy.array([0, 1, 2, info.max, info.max - 1, info.max // 2 + 1], name), rest])


@each
def test_arithmetic_wraps_around(name):
    a, b = numbers(name), numbers(name, seed=1)[::-1].copy()
    x, y = fl.from_numpy(a), fl.from_numpy(b)
    safe = numpy.where(b == 0, 1, b).astype(name)
    with numpy.errstate(over="ignore"):
        for found, expected in (
            (x + y, a + b), (x - y, a - b), (x * y, a * b), (x & y, a & b), (x | y, a | b), (x ^ y, a ^ b),
            (~x, ~a), (x < y, a < b), (x >= y, a >= b), (x == x, a == a), (x != y, a != b),
            (x + 1, a + a.dtype.type(1)),
            (x // fl.from_numpy(safe), a // safe), (x % fl.from_numpy(safe), a % safe), (x.abs(), a),
            (fl.maximum(x, y), numpy.maximum(a, b)), (x.clamp(2, 1000), a.clip(2, 1000)),
            (x << 3, a << a.dtype.type(3)),
            (x >> 3, a >> a.dtype.type(3)), (x.sort().values, numpy.sort(a)), (x.flip(0), a[::-1]),
            (x.unique(), numpy.unique(a)), (x[x > 5], a[a > 5]), (fl.where(x > y, x, y), numpy.maximum(a, b)),
            (x.argmax(), a.argmax()), (x.amax(), a.max()), (x.amin(), a.min()),
        ):  # fmt: skip
            numpy.testing.assert_array_equal(found.numpy(), expected)
            assert found.numpy().dtype == numpy.asarray(expected).dtype
        assert x.sum().dtype is fl.int64 and x.sum().item() == int(a.astype("int64").sum())
        numpy.testing.assert_array_equal((x.reshape(-1, 1) @ x.reshape(1, -1)).numpy(), numpy.outer(a, a))
    assert (x + 1.5).dtype is fl.float32 and (x / 2).dtype is fl.float32


@each
def test_making_converting_and_storing(name, tmp_path):
    dtype = getattr(fl, name)
    largest = fl.iinfo(dtype).max
    assert largest == numpy.iinfo(name).max and fl.iinfo(dtype).min == 0 and not dtype.is_signed
    assert fl.tensor(largest, dtype=dtype).item() == largest
    assert fl.full((2,), largest, dtype=dtype).tolist() == [largest, largest]
    assert fl.tensor([1, largest], dtype=dtype).tolist() == [1, largest]
    with pytest.raises(RuntimeError, match="without overflow"):
        fl.tensor([-1], dtype=dtype)
    with pytest.raises(RuntimeError):
        fl.tensor([largest + 1], dtype=dtype)
    assert fl.arange(5, dtype=dtype).tolist() == [0, 1, 2, 3, 4]
    array = numbers(name)
    x = fl.from_numpy(array)
    for other in ("int64", "float64", "float32", "uint8", "int32", "bool"):
        numpy.testing.assert_array_equal(x.to(getattr(fl, other)).numpy(), array.astype(other))
    assert fl.tensor([3.7, 2.0**15]).to(dtype).tolist() == [3, 2**15]
    fl.save({"x": x}, tmp_path / "x.safetensors")
    assert fl.equal(fl.load(tmp_path / "x.safetensors")["x"], x)
    numpy.testing.assert_array_equal(numpy.from_dlpack(x), array)
    x[0] = 7
    x[[1, 2]] = fl.tensor([8, 9], dtype=dtype)
    assert x[:3].tolist() == [7, 8, 9] and fl.cat([x, x]).dtype is dtype
    assert repr(fl.tensor([1, 2], dtype=dtype)) == f"tensor([1, 2], dtype=flambeau.{name})"


def test_floats_to_all_of_uint64():
    x = fl.tensor([1e19, 2.0**63, 3.0, 2.0**64 - 4096], dtype=fl.float64)
    assert x.to(fl.uint64).tolist() == [10**19, 2**63, 3, 2**64 - 4096]


def test_other_integers_are_not_met():
    with pytest.raises(RuntimeError, match="promotion for uint16, uint32, uint64 types is not supported"):
        fl.ones(2, dtype=fl.uint16) + fl.ones(2, dtype=fl.int32)


def test_running_extremes_of_large_unsigned_numbers():
    found = fl.cummax(fl.tensor([1, 2**63 + 5, 3], dtype=fl.uint64), 0)
    assert found.values.tolist() == [1, 2**63 + 5, 2**63 + 5]
    assert found.indices.tolist() == [0, 1, 1]
