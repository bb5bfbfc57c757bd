"""NumPy in and out: what shares memory, what is copied, what is refused."""

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
def test_from_numpy_shares_every_dtype(name):
    array = np.array([0, 1, 1], dtype=name)
    x = fl.from_numpy(array)
    assert x.dtype is getattr(fl, name) and x.tolist() == array.tolist()
    array[0] = 1
    assert x[0].item() == 1
    x[1] = 0
    assert array[1] == 0


@pytest.mark.parametrize("name", NAMES)
def test_numpy_shares_every_dtype(name):
    x = fl.tensor([0, 1, 1], dtype=getattr(fl, name))
    array = x.numpy()
    assert array.dtype == name and array.tolist() == x.tolist()
    array[0] = 1
    assert x[0].item() == 1
    x[1] = 0
    assert array[1] == 0


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a, lambda a: a.T, lambda a: a[::2], lambda a: a[:, ::3], lambda a: a[1:, 2:], lambda a: a[:0],
        lambda a: a[:, 0], lambda a: a[None, :, None], lambda a: np.asfortranarray(a), lambda a: a.reshape(2, 2, 6),
        lambda a: a[0, 0:1], lambda a: np.broadcast_to(a[:1], (5, 6)).copy(),
    ],
)  # fmt: skip
def test_layouts_survive_the_way_in_and_out(look):
    array = look(np.arange(24, dtype=np.float32).reshape(4, 6))
    x = fl.from_numpy(array)
    assert x.shape == array.shape
    assert [s for s, n in zip(x.stride(), x.shape) if n > 1] == [
        s // 4 for s, n in zip(array.strides, array.shape) if n > 1
    ]
    np.testing.assert_array_equal(x.numpy(), array)
    if array.size:
        assert x.numpy().__array_interface__["data"] == array.__array_interface__["data"]


def test_arrays_without_dimensions():
    array = np.array(2.5)
    x = fl.from_numpy(array)
    assert x.shape == () and x.item() == 2.5
    array[...] = 3
    assert x.item() == 3
    out = fl.tensor(1.5).numpy()
    assert out.shape == () and out.dtype == np.float32 and out == 1.5
    y = fl.tensor(1.5)
    y.numpy()[...] = 7
    assert y.item() == 7


def test_views_of_tensors_give_views_of_arrays():
    x = fl.arange(24.0).reshape(4, 6)
    for y in (x.T, x[::2, 1::2], x[:, 3], x.unsqueeze(1), x[2:2], x[:1].expand(3, 6)):
        array = y.numpy()
        assert array.shape == y.shape and array.tolist() == y.tolist()
    x.T.numpy()[0, 0] = 50
    assert x[0, 0].item() == 50


def test_negative_strides_are_refused_or_copied():
    array = np.arange(4, dtype=np.float32)[::-1]
    with pytest.raises(ValueError, match=r"(?s)negative.*copy"):
        fl.from_numpy(array)
    assert fl.tensor(array).tolist() == [3, 2, 1, 0]
    assert fl.as_tensor(array.copy()).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]), np.array([None]), np.zeros(2, dtype="M8[s]"),
        np.zeros(2, dtype=[("a", "f4")]), np.zeros(2, dtype=np.longdouble), np.zeros(2, dtype="S3"),
    ],
    ids=lambda a: str(a.dtype),
)  # fmt: skip
def test_other_dtypes_are_refused(array):
    for make in (fl.from_numpy, fl.tensor, fl.as_tensor):
        with pytest.raises((TypeError, ValueError), match=r"(?i)dtype|byte order|must be a number|found"):
            make(array)


def test_foreign_byte_order_is_converted_in_a_copy_but_never_shared():
    array = np.array([1.0, 2.0], dtype=">f4")
    with pytest.raises(ValueError, match="byte order"):
        fl.from_numpy(array)
    assert fl.tensor(array).tolist() == [1, 2]


def test_from_numpy_takes_arrays_only():
    for wrong in ([1, 2], 3.0, "a", None, fl.ones(2)):
        with pytest.raises(TypeError):
            fl.from_numpy(wrong)


def test_read_only_arrays_are_shared_but_not_written():
    array = np.arange(3, dtype=np.float32)
    array.flags.writeable = False
    try:
        x = fl.from_numpy(array)
    except (ValueError, UserWarning):
        pytest.skip("read-only arrays are refused, which is safe too")
    assert (x + 1).tolist() == [1, 2, 3]
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 5), lambda: x[1:].zero_(), lambda: fl.add(x, 1, out=x)):
        with pytest.raises(RuntimeError, match="read-only"):
            write()
    with fl.no_grad(), pytest.raises(RuntimeError, match="read-only"):
        x.copy_(fl.zeros(3))
    assert array.tolist() == [0, 1, 2]
    assert not x.numpy().flags.writeable, "the way back is not a way around it"
    x.clone().add_(1)


def test_tensor_copies_and_as_tensor_shares():
    array = np.ones(2, dtype=np.float32)
    copied, shared, converted = fl.tensor(array), fl.as_tensor(array), fl.as_tensor(array, dtype=fl.float64)
    array[0] = 5
    assert copied.tolist() == [1, 1] and shared.tolist() == [5, 1] and converted.tolist() == [1, 1]
    assert fl.asarray(array).tolist() == [5, 1]
    assert fl.FloatTensor(np.ones(2)).dtype is fl.float32


def test_numpy_scalars_keep_their_dtype():
    assert fl.tensor(np.float64(1.5)).dtype is fl.float64 and fl.tensor(np.int32(3)).dtype is fl.int32
    assert fl.tensor([np.float64(1.5), np.float64(2)]).dtype is fl.float64
    assert fl.tensor(np.bool_(True)).dtype is fl.bool
    assert fl.tensor([np.array([1, 2]), np.array([3, 4])]).tolist() == [[1, 2], [3, 4]]
    assert fl.full((2,), np.float32(1.5)).tolist() == [1.5, 1.5]


def test_a_tensor_with_gradients_must_be_detached_first():
    x = fl.ones(2, requires_grad=True)
    for y in (x, x * 2):
        with pytest.raises(RuntimeError, match="detach"):
            y.numpy()
        with pytest.raises(RuntimeError, match="detach"):
            np.asarray(y)
        assert y.numpy(force=True).shape == (2,) and y.detach().numpy().shape == (2,)
    with fl.no_grad():
        assert (x * 2).numpy().tolist() == [2, 2]


def test_bfloat16_has_no_numpy_dtype():
    with pytest.raises(TypeError, match=r"(?i)bfloat16(.|\n)*float"):
        fl.ones(2, dtype=fl.bfloat16).numpy()
    assert fl.ones(2, dtype=fl.bfloat16).tolist() == [1, 1]


def test_the_array_protocol_honours_dtype_and_copy():
    x = fl.arange(3.0)
    assert np.asarray(x).base is not None and np.array(x).tolist() == [0, 1, 2]
    shared, copied = np.asarray(x), np.array(x)
    x[0] = 9
    assert shared[0] == 9 and copied[0] == 0
    assert np.asarray(x, dtype=np.int64).dtype == np.int64
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype=np.int64, copy=False)
    assert np.asarray(x, copy=False)[0] == 9


def test_numpy_functions_take_tensors():
    x = fl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.mean(x) == 2.5 and np.sqrt(x).tolist() == np.sqrt(x.numpy()).tolist()
    assert np.concatenate([x, x]).shape == (4, 2) and np.stack([x[0], x[1]]).shape == (2, 2)
    assert np.allclose(x, x.numpy()) and np.linalg.det(x) == pytest.approx(-2)
    np.testing.assert_array_equal(x, x.numpy())
    array = np.zeros((2, 2), dtype=np.float32)
    array[:] = x
    array[fl.tensor([0])] = 7
    assert array.tolist() == [[7, 7], [3, 4]]
    assert np.array([fl.tensor(1.0), fl.tensor(2.0)]).tolist() == [1, 2]


def test_memory_lives_as_long_as_either_side_needs_it():
    before = fl.memory_statistics()["blocks"]
    array = fl.arange(1000.0).numpy()
    gc.collect()
    fl.zeros(1000).fill_(-1)
    assert array[999] == 999
    x = fl.from_numpy(np.arange(1000.0))
    view = x[990:]
    del x
    gc.collect()
    assert view.tolist() == list(range(990, 1000))
    del array, view
    gc.collect()
    assert fl.memory_statistics()["blocks"] == before


def test_a_resized_array_cannot_pull_the_memory_away():
    array = np.arange(4.0)
    x = fl.from_numpy(array)
    with pytest.raises(ValueError):
        array.resize(1000, refcheck=True)
    assert x.tolist() == [0, 1, 2, 3]


def test_buffers_of_other_kinds():
    import array as arrays

    assert fl.frombuffer(bytearray(b"\x01\x02\x03"), dtype=fl.uint8).tolist() == [1, 2, 3]
    memory = bytearray(8)
    x = fl.frombuffer(memory, dtype=fl.int32)
    x[1] = 258
    assert memory[4:6] == b"\x02\x01"
    assert fl.frombuffer(arrays.array("d", [1.0, 2.0]), dtype=fl.float64, offset=8).tolist() == [2]
    for wrong in (
        lambda: fl.frombuffer(bytearray(3), dtype=fl.int32),
        lambda: fl.frombuffer(bytearray(), dtype=fl.int32),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            wrong()


def test_arrays_that_do_not_own_aligned_memory():
    raw = np.zeros(4 * 5 + 1, dtype=np.uint8)
    array = raw[1:].view(np.float32)
    array[:] = np.arange(5)
    x = fl.from_numpy(array)
    assert (x * 2).tolist() == [0, 2, 4, 6, 8] and x.sum().item() == 10
    odd = np.zeros(3, dtype=[("a", "u1"), ("b", "<f4")])["b"]  # a stride of 5 bytes
    try:
        assert fl.from_numpy(odd).tolist() == [0, 0, 0]
    except ValueError as error:
        assert "stride" in str(error)


def test_array_protocol_converts_and_copies_as_asked():
    x = fl.arange(6.0).reshape(2, 3)
    assert x.__array__().base is not None and x.__array__("float64").dtype == "float64"
    shared, own = np.asarray(x, copy=False), np.array(x)
    x[0, 0] = 9
    assert shared[0, 0] == 9 and own[0, 0] == 0
    with pytest.raises(ValueError, match="copy"):
        x.__array__("float64", copy=False)
    assert np.asarray(x.T).strides == (4, 12) and np.asarray(fl.tensor(3)).shape == ()


def test_the_buffer_protocol_tells_layout_and_format():
    x = fl.arange(6.0).reshape(2, 3)
    view = memoryview(x.T)
    assert view.shape == (3, 2) and view.strides == (4, 12) and view.format == "f" and view.nbytes == 24
    assert memoryview(x[:, ::2]).tolist() == [[0.0, 2.0], [3.0, 5.0]]
    for dtype, format in (("bool", "?"), ("int8", "b"), ("uint8", "B"), ("float16", "e"), ("float64", "d")):
        assert memoryview(fl.ones(2, dtype=getattr(fl, dtype))).format == format
    for refused in (fl.ones(2).bfloat16(), fl.ones(2, requires_grad=True)):
        with pytest.raises(BufferError):
            memoryview(refused)


def test_functions_of_numpy_return_tensors_or_arrays():
    x = fl.arange(6.0).reshape(2, 3)
    assert isinstance(np.sin(x), fl.Tensor) and isinstance(np.ones((2, 3), "float32") + x, fl.Tensor)
    assert np.stack([x, x]).shape == (2, 2, 3) and np.add(x, 1)[0, 0].item() == 1
