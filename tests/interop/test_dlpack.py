"""DLPack: the same memory under another library's name, both ways."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import flambeau as fl

NAMES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
    "complex64", "complex128",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_numpy_reads_and_writes_a_tensor(name):
    x = fl.tensor([0, 1, 1], dtype=getattr(fl, name))
    array = np.from_dlpack(x)
    assert array.dtype == name and array.tolist() == x.tolist()
    x[0] = 1
    assert array[0] == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_reads_and_writes_an_array(name):
    array = np.array([0, 1, 1], dtype=name)
    x = fl.from_dlpack(array)
    assert x.dtype is getattr(fl, name) and x.tolist() == array.tolist()
    x[1] = 0
    assert array[1] == 0


def test_strides_survive():
    x = fl.arange(24.0).reshape(4, 6)
    for y in (x.T, x[::2, 1:], x[:, 0], x[0:0], fl.tensor(1.0)):
        assert np.from_dlpack(y).tolist() == y.tolist()
        assert fl.from_dlpack(y).tolist() == y.tolist()
    assert fl.from_dlpack(x.T.numpy()).stride() == x.T.stride()


def test_memory_is_kept_and_released():
    gc.collect()
    before = fl.memory_statistics()["blocks"]
    array = np.from_dlpack(fl.arange(100.0))
    fl.zeros(100)
    assert array[99] == 99
    x = fl.from_dlpack(np.arange(100.0))
    assert x[99].item() == 99
    capsule = fl.ones(5).__dlpack__()
    del array, x, capsule
    gc.collect()
    assert fl.memory_statistics()["blocks"] == before


def test_a_capsule_is_used_once():
    capsule = fl.arange(3.0).__dlpack__()
    assert fl.from_dlpack(capsule).tolist() == [0, 1, 2]
    with pytest.raises((RuntimeError, ValueError, BufferError)):
        fl.from_dlpack(capsule)


def test_read_only_memory_is_not_handed_out_for_writing():
    array = np.arange(3.0)
    array.flags.writeable = False
    try:
        x = fl.from_dlpack(array)
    except (BufferError, ValueError):
        return
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)


def test_gradients_do_not_travel():
    x = fl.ones(2, requires_grad=True)
    with pytest.raises((BufferError, RuntimeError), match="detach"):
        np.from_dlpack(x)
    assert np.from_dlpack(x.detach()).tolist() == [1, 1]


def test_the_device_is_the_cpu():
    assert fl.ones(1).__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError):
        fl.ones(1).__dlpack__(dl_device=(2, 0))


def test_copy_makes_a_copy():
    x = fl.arange(3.0)
    y = fl.from_dlpack(x.__dlpack__(copy=True))
    y.zero_()
    assert x.tolist() == [0, 1, 2]


def test_other_objects_are_a_type_error():
    for wrong in (3, "a", [1.0], None, object()):
        with pytest.raises((TypeError, AttributeError, RuntimeError)):
            fl.from_dlpack(wrong)


@pytest.mark.torch
@pytest.mark.parametrize("name", [*NAMES, "bfloat16"])
def test_pytorch_shares_memory_both_ways(name):
    torch = pytest.importorskip("torch")
    x = fl.tensor([0, 1, 1], dtype=getattr(fl, name))
    t = torch.from_dlpack(x)
    assert str(t.dtype) == f"torch.{name}" and t.tolist() == x.tolist()
    t[0] = 1
    assert x[0].item() == 1
    s = torch.tensor([[0, 1, 1], [1, 0, 1]], dtype=getattr(torch, name)).T
    y = fl.from_dlpack(s)
    assert y.dtype is getattr(fl, name) and y.tolist() == s.tolist() and y.stride() == s.stride()
    y[0, 0] = 1
    assert s[0, 0].item() == 1


@pytest.mark.torch
def test_memory_of_pytorch_stays_alive():
    torch = pytest.importorskip("torch")
    x = fl.from_dlpack(torch.arange(1000.0))
    gc.collect()
    torch.zeros(1000)
    assert x[999].item() == 999


def test_what_the_consumer_asks_for_is_given_or_refused():
    x = fl.arange(6.0).reshape(2, 3)
    for version, name in (
        (None, "dltensor"),
        ((0, 8), "dltensor"),
        ((1, 0), "dltensor_versioned"),
        ((2, 0), "dltensor_versioned"),
    ):
        assert f'"{name}"' in repr(x.__dlpack__(max_version=version)), version
    assert "dltensor" in repr(x.__dlpack__(stream=-1, dl_device=(1, 0), copy=False))
    for wrong in ({"stream": 1}, {"dl_device": (2, 0)}):
        with pytest.raises(BufferError, match="CPU"):
            x.__dlpack__(**wrong)


def test_copies_are_made_when_asked_for():
    array = np.arange(4.0)
    shared, own = fl.from_dlpack(array, copy=False), fl.from_dlpack(array, copy=True)
    array[0] = 9
    assert shared[0].item() == 9 and own[0].item() == 0
    assert fl.from_dlpack(array, device="cpu").tolist() == array.tolist()
    with pytest.raises(RuntimeError, match="cuda"):
        fl.from_dlpack(array, device="cuda")
    capsule = fl.arange(3.0).__dlpack__()
    assert fl.from_dlpack(capsule, copy=True).tolist() == [0, 1, 2]
    assert np.from_dlpack(fl.ones(2), copy=True).flags.writeable and np.from_dlpack(fl.ones(2), device="cpu").sum() == 2


def test_read_only_memory_travels_as_such():
    array = np.arange(3.0)
    array.flags.writeable = False
    x = fl.from_dlpack(array)
    assert not np.from_dlpack(x).flags.writeable
    assert fl.from_dlpack(array, copy=True).add_(1).tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="clone"):
        x.__dlpack__()


def test_exporters_of_the_time_before_versions_are_taken():
    class Old:
        def __init__(self, tensor):
            self.tensor = tensor

        def __dlpack__(self, stream=None):
            return self.tensor.__dlpack__()

        def __dlpack_device__(self):
            return (1, 0)

    x = fl.arange(3.0)
    y = fl.from_dlpack(Old(x))
    y[0] = 5
    assert x[0].item() == 5 and fl.from_dlpack(Old(x), copy=True).add_(1)[1].item() == 2 and x[1].item() == 1


def test_the_older_names():
    x = fl.arange(3.0)
    y = fl.utils.dlpack.from_dlpack(fl.utils.dlpack.to_dlpack(x))
    y.zero_()
    assert x.tolist() == [0, 0, 0]
