"""tensor[key] = value: the same keys as reading, values that broadcast and convert, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same, counted
from .test_index_read import ADVANCED, BASIC

UNIQUE = [key for key in ADVANCED if not isinstance(key, range)]


@pytest.mark.parametrize("key", BASIC + UNIQUE, ids=str)
def test_a_number_is_written_everywhere_the_key_names(key):
    x, a = counted(4, 3, 5)
    x[key] = -3
    a[key] = -3
    assert_same(x, a)


@pytest.mark.parametrize("key", BASIC + UNIQUE, ids=str)
def test_a_tensor_an_array_and_a_list_are_written_alike(key):
    _x, a = counted(4, 3, 5)
    value = -np.arange(np.asarray(a[key]).size, dtype=np.float32).reshape(np.shape(a[key])) - 1
    a[key] = value
    for given in (fl.tensor(value), value, value.tolist() if value.size else value):
        y, _ = counted(4, 3, 5)
        y[key] = given
        assert_same(y, a)


def test_masks_write_in_order_and_broadcast():
    for value in (-1.0, np.arange(3, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)):
        x, a = counted(4, 3)
        rows = np.array([True, False, False, True])
        x[fl.tensor(rows)] = fl.tensor(value) if isinstance(value, np.ndarray) else value
        a[rows] = value
        assert_same(x, a)
    x, a = counted(4, 3)
    x[x > 4] = 0
    a[a > 4] = 0
    assert_same(x, a)
    x[x < 3] = fl.arange(10.0, 20)[: (a < 3).sum()]
    a[a < 3] = np.arange(10.0, 20)[: (a < 3).sum()]
    assert_same(x, a)


def test_values_broadcast_and_drop_leading_ones():
    x, a = counted(4, 3)
    x[1:3] = fl.tensor([7.0, 8, 9])
    a[1:3] = [7, 8, 9]
    x[:, 0] = fl.ones(1, 1, 4) * 5
    a[:, 0] = 5
    x[[0, 3]] = fl.tensor([[1.0], [2.0]])
    a[[0, 3]] = [[1], [2]]
    assert_same(x, a)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float64"]
)
def test_values_are_converted_to_the_tensors_dtype(dtype):
    for key in (1, [1], fl.tensor([False, True, False])):
        x = fl.zeros(3, dtype=getattr(fl, dtype))
        x[key] = fl.tensor([1.75])
        assert x.dtype is getattr(fl, dtype)
        assert x[1].item() == fl.tensor(1.75).to(x.dtype).item() and x[0].item() == x[2].item() == 0
        x[key] = True
        assert x[1].item() == 1


def test_writing_goes_through_views_of_views():
    x, a = counted(4, 3, 5)
    x.permute(2, 0, 1)[1::2][:, 1:][..., [0, 2]] = 0
    a.transpose(2, 0, 1)[1::2][:, 1:][..., [0, 2]] = 0
    x.transpose(0, 2)[1::2, 0] = -1
    a.swapaxes(0, 2)[1::2, 0] = -1
    x[1:][:, [0, 2]] = -2
    a[1:][:, [0, 2]] = -2
    assert_same(x, a)


def test_operators_in_place_write_back_through_the_key():
    x, a = counted(4, 3)
    x[1] += 10
    a[1] += 10
    x[:, [0, 2]] *= 2
    a[:, [0, 2]] *= 2
    x[x > 15] -= 1
    a[a > 15] -= 1
    assert_same(x, a)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (4, 0.0, IndexError),
        ((0, 3), 0.0, IndexError),
        ((0, 0, 0), 0.0, IndexError),
        ([0, 4], 0.0, IndexError),
        (slice(None, None, -1), 0.0, ValueError),
        (slice(0, 2), [1.0, 2.0], RuntimeError),
        ([0, 1], [1.0, 2.0], (RuntimeError, IndexError)),
        (slice(0, 2), "a", (TypeError, ValueError)),
        (slice(0, 2), None, (TypeError, ValueError)),
        ("a", 1.0, (TypeError, IndexError)),
    ],
    ids=str,
)
def test_a_refused_write_changes_nothing(key, value, error):
    x, a = counted(4, 3)
    with pytest.raises(error):
        x[key] = value
    assert_same(x, a)


def test_a_mask_of_values_of_the_wrong_length_is_refused():
    x, _ = counted(4)
    with pytest.raises((RuntimeError, IndexError)):
        x[x > 1] = fl.zeros(3)
    with pytest.raises(IndexError):
        x[fl.tensor([True, False])] = 0


def test_writing_nothing_is_allowed():
    x, a = counted(4, 3)
    x[0:0] = 5
    x[fl.zeros(4, dtype=fl.bool)] = 5
    x[[]] = 5
    x[False] = 5
    assert_same(x, a)


def test_elements_cannot_be_deleted():
    with pytest.raises(TypeError):
        del fl.zeros(3)[0]


def test_writing_counts_as_a_change_of_the_tensor_and_its_base():
    x = fl.zeros(4, 3)
    before = x._version
    x[0] = 1
    x[[0, 1]] = 1
    x[1:][0] = 1
    assert x._version == before + 3


def same(x):
    return x


def transposed(x):
    return x.T


def stepped(x):
    return x[::2]


@pytest.mark.parametrize("layout", [same, transposed, stepped])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_masks_write_numbers_and_values_like_numpy(dtype, layout):
    random = np.random.default_rng(0)
    for shape in [(7,), (4, 5), (0, 3), (2, 40000)]:
        base = random.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
        mask = random.random(layout(base).shape) < 0.4
        for value in (1, (np.arange(mask.sum()) % 100).astype(dtype), np.ones(1, "int64")):
            expected, x = base.copy(), fl.tensor(base)
            version = x._version
            layout(expected)[mask] = value
            layout(x)[fl.tensor(mask)] = value if np.ndim(value) == 0 else fl.tensor(value)
            np.testing.assert_array_equal(x.numpy(), expected)
            assert x._version > version


def test_a_mask_may_be_the_tensor_itself_and_a_value_one_of_its_elements():
    m = fl.tensor([True, False, True])
    m[m] = False
    assert m.tolist() == [False, False, False]
    x = fl.tensor([1.0, 5.0, 3.0])
    x[x > 2] = x[1]
    assert x.tolist() == [1.0, 5.0, 5.0]
    x[fl.tensor([True, True, False])] = x[1:]
    assert x.tolist() == [5.0, 5.0, 5.0]


def test_a_mask_write_of_the_wrong_count_changes_nothing():
    x = fl.zeros(3)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        x[fl.tensor([True, False, True])] = fl.ones(3)
    assert x.tolist() == [0.0, 0.0, 0.0]
    leaf = fl.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf[leaf == 0] = 1.0


def test_lists_of_numbers_and_of_bools_are_keys():
    x = fl.arange(12.0).reshape(3, 4)
    assert x[[2, 0]].tolist() == x[fl.tensor([2, 0])].tolist()
    assert x[[True, False, True]].tolist() == x[fl.tensor([0, 2])].tolist()
    assert x[:, [1, -1]].tolist() == [[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]]
    assert x[1:, [0, 1]].tolist() == [[4.0, 5.0], [8.0, 9.0]]
    with pytest.raises(IndexError):
        x[[3]]
    with pytest.raises((OverflowError, RuntimeError, TypeError)):
        x[[2**70]]
