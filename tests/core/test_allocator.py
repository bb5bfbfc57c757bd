"""Memory of tensors: counts, peak, the cache and its limit, and what happens when there is no more."""

from __future__ import annotations

import gc

import pytest

import flambeau as fl
from flambeau import _core

from .support import output_of

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def cache():
    """The cache empty before, its limit as it was after."""
    gc.collect()
    limit = fl.memory_statistics()["limit"]
    fl.empty_cache()
    yield
    _core.set_cache_limit(limit)
    fl.empty_cache()


def test_statistics_follow_tensors():
    before = fl.memory_statistics()
    x = fl.zeros(3 * MEBIBYTE // 4)
    held = fl.memory_statistics()
    assert held["blocks"] == before["blocks"] + 1 and held["allocations"] == before["allocations"] + 1
    assert 3 * MEBIBYTE <= held["allocated"] - before["allocated"] <= 4 * MEBIBYTE
    assert held["reserved"] >= held["allocated"]
    view = x[1:]
    assert fl.memory_statistics()["blocks"] == held["blocks"], "a view takes no memory"
    del x
    assert fl.memory_statistics()["allocated"] == held["allocated"], "the view keeps all of it"
    del view
    after = fl.memory_statistics()
    assert after["allocated"] == before["allocated"] and after["blocks"] == before["blocks"]


@pytest.mark.parametrize("elements", [1, 100, 10_000, 1_000_000])
def test_released_memory_is_given_out_again(elements):
    x = fl.zeros(elements)
    place = x.data_ptr()
    hits = fl.memory_statistics()["hits"]
    del x
    y = fl.zeros(elements)
    assert fl.memory_statistics()["hits"] == hits + 1
    if elements < 10_000:
        assert y.data_ptr() == place


def test_memory_starts_on_64_bytes():
    for elements in (1, 3, 17, 1000, 300_000, 1_000_000):
        assert fl.empty(elements).data_ptr() % 64 == 0 and fl.empty(elements, dtype=fl.int8).data_ptr() % 64 == 0


def test_peak_is_the_most_that_was_held_at_once():
    _core.reset_peak_memory()
    start = fl.memory_statistics()["allocated"]
    fl.zeros(MEBIBYTE)
    fl.zeros(MEBIBYTE)
    assert 4 * MEBIBYTE <= fl.memory_statistics()["peak"] - start < 6 * MEBIBYTE
    held = [fl.zeros(MEBIBYTE), fl.zeros(MEBIBYTE)]
    del held
    assert fl.memory_statistics()["peak"] - start >= 8 * MEBIBYTE
    _core.reset_peak_memory()
    assert fl.memory_statistics()["peak"] == fl.memory_statistics()["allocated"]


def test_empty_cache_gives_back_what_nobody_holds():
    kept = fl.zeros(MEBIBYTE)
    fl.zeros(8 * MEBIBYTE)
    reserved = fl.memory_statistics()["reserved"]
    fl.empty_cache()
    after = fl.memory_statistics()
    assert after["reserved"] <= reserved - 32 * MEBIBYTE and after["reserved"] >= after["allocated"] > 0
    assert kept.sum().item() == 0


def test_empty_cache_gives_back_slabs_of_small_blocks():
    small = [fl.zeros(1000) for _ in range(20_000)]
    reserved = fl.memory_statistics()["reserved"]
    del small
    fl.empty_cache()
    assert fl.memory_statistics()["reserved"] < reserved - 40 * MEBIBYTE
    assert [fl.full((1000,), 2.0)[-1].item() for _ in range(3)] == [2, 2, 2]


def test_the_limit_bounds_what_is_kept():
    fl.empty_cache()
    before = fl.memory_statistics()
    pinned = before["reserved"] - before["allocated"]  # free blocks beside live ones of other tests
    _core.set_cache_limit(20 * MEBIBYTE)
    blocks = [fl.zeros(2 * MEBIBYTE + i * 1000) for i in range(10)]
    del blocks
    found = fl.memory_statistics()
    assert found["limit"] == 20 * MEBIBYTE and found["reserved"] - found["allocated"] <= 20 * MEBIBYTE + pinned
    _core.set_cache_limit(0)
    found = fl.memory_statistics()
    fl.zeros(MEBIBYTE)
    assert fl.memory_statistics()["reserved"] <= found["reserved"]


def test_small_blocks_respect_the_limit_too():
    _core.set_cache_limit(16 * MEBIBYTE)
    small = [fl.zeros(2000) for _ in range(10_000)]
    held = fl.memory_statistics()["reserved"]
    del small
    found = fl.memory_statistics()
    assert held > 70 * MEBIBYTE
    assert found["reserved"] - found["allocated"] <= 100 * MEBIBYTE, "slabs go back in steps"
    fl.empty_cache()
    found = fl.memory_statistics()
    assert found["reserved"] - found["allocated"] <= 24 * MEBIBYTE


@pytest.mark.parametrize(
    "ask",
    [
        lambda: fl.zeros(1 << 50),
        lambda: fl.empty(1 << 45, 4),
        lambda: fl.ones(1 << 48, dtype=fl.int8),
        lambda: fl.ones(1).expand(1 << 50).clone(),
        lambda: fl.ones(1).expand(1 << 50) + 1,
        lambda: fl.ones(1 << 23, 1) @ fl.ones(1, 1 << 23),
        lambda: fl.ones(1 << 24, 1) + fl.ones(1, 1 << 24),
        lambda: fl.ones(1).expand(1 << 48).cumsum(0),
        lambda: fl.ones(4).repeat(1 << 46),
        lambda: fl.arange(1 << 50),
        lambda: fl.rand(1 << 50),
        lambda: fl.eye(1 << 25),
    ],
)
def test_no_more_memory_is_a_memory_error_with_sizes_and_nothing_is_broken(ask):
    kept = fl.arange(1000.0)
    before = fl.memory_statistics()
    with pytest.raises(MemoryError, match=r"(?s)out of memory.*bytes.*MiB.*hold"):
        ask()
    gc.collect()
    after = fl.memory_statistics()
    assert after["blocks"] == before["blocks"] and after["allocated"] == before["allocated"]
    assert kept.sum().item() == 499_500 and (fl.ones(100) * 2).sum().item() == 200


@pytest.mark.parametrize("shape", [(1 << 62,), (1 << 40, 1 << 40), (2**63 - 1,), (1 << 31, 1 << 31, 4)])
def test_sizes_beyond_64_bits_are_errors(shape):
    with pytest.raises((MemoryError, RuntimeError, ValueError, OverflowError)):
        fl.zeros(shape)
    with pytest.raises((MemoryError, RuntimeError, ValueError, OverflowError)):
        fl.zeros(*shape, dtype=fl.int8)


@pytest.mark.parametrize("shape", [(-1,), (2, -3)])
def test_negative_sizes_are_errors(shape):
    for make in (fl.zeros, fl.empty, fl.ones, fl.rand):
        with pytest.raises(RuntimeError, match="negative"):
            make(shape)


def test_no_more_memory_in_backward_leaves_the_graph_whole():
    x = fl.ones(1, requires_grad=True)
    y = x.expand(1 << 50)

    class Huge(fl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            return gradient + fl.zeros(1 << 50)

    z = Huge.apply(x)
    with pytest.raises(MemoryError):
        z.backward()
    assert x.grad is None and y.shape == (1 << 50,)
    (x * 2).backward()
    assert x.grad.tolist() == [2]


def test_memory_really_refused_by_the_system():
    program = """
import resource
import flambeau as fl
(fl.ones(10) * 2).sum().item()
with open("/proc/self/statm") as file:
    limit = int(file.read().split()[0]) * resource.getpagesize() + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
held = []
try:
    while True:
        held.append(fl.ones(4 << 20))
except MemoryError as error:
    assert "out of memory" in str(error), error
    count = len(held)
del held[-2:]
assert count > 3 and held[0].sum().item() == 4 << 20
del held
print(fl.ones(4 << 20).sum().item())
"""
    assert output_of(program, FLAMBEAU_NUM_THREADS="1") == str(float(4 << 20))


def test_tensors_report_their_size_to_python():
    assert fl.zeros(10, 10).nbytes == 400 and fl.zeros(0).nbytes == 0
    assert fl.zeros(10, 10).T[::2].nbytes == 200
