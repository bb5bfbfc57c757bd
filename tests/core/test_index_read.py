"""tensor[key]: integers, slices, None, Ellipsis, masks and integer arrays, alone and together, and wrong keys."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same, counted, strides_of

BASIC = [
    np.s_[0], np.s_[-1], np.s_[1, 2], np.s_[1, 2, 3], np.s_[:], np.s_[1:], np.s_[:-1], np.s_[::2], np.s_[1::3],
    np.s_[5:2], np.s_[-100:100], np.s_[100:], np.s_[:, 1], np.s_[:, :, -2:], np.s_[..., 0], np.s_[0, ...], np.s_[...],
    np.s_[None], np.s_[:, None], np.s_[..., None], np.s_[0, None, ..., None, 1], np.s_[()], np.s_[1:3, ::2, 1:4:2],
    np.s_[-2, ..., -1], np.s_[None, None, 2], np.s_[0:0], np.s_[..., 1:1], np.s_[0, 1, ..., 2],
]  # fmt: skip

ADVANCED = [
    [0, 2], [-1, 0, -1], [[0, 1], [2, 3]], np.array([3, 1]), np.array([], dtype=np.int64), np.array(2), [],
    ([0, 1], [1, 2]), ([0, 1], [1, 2], [0, 4]), (slice(None), [2, 0]), (Ellipsis, [1, 1, 0]), ([[0], [1]], [0, 2]),
    (slice(1, 3), [0, 1], slice(None, None, 2)), (slice(None), [0, 1], [2, 3]), ([0, 1], slice(None), [2, 3]),
    (None, [1, 0]), ([1, 0], None), (slice(None), None, [1, 0]), ([1], Ellipsis), (np.array([1, 2]), 0), (0, [1, 2]),
    (np.int64(1), np.uint8(2)), (np.array([1, 0], dtype=np.int32), slice(1, None)), range(3),
    (np.array([1, 0], dtype=np.int8),), (Ellipsis, [0, 1], [1, 1]),
]  # fmt: skip


@pytest.mark.parametrize("key", BASIC, ids=str)
def test_integers_slices_none_and_ellipsis_give_numpys_view(key):
    x, a = counted(4, 3, 5)
    y, b = x[key], a[key]
    assert_same(y, np.asarray(b))
    if y.ndim and b.size:
        assert [s for s, n in zip(y.stride(), y.shape) if n > 1] == [s for s, n in zip(strides_of(b), b.shape) if n > 1]
    y.fill_(-1)
    assert (x == -1).sum().item() == np.asarray(b).size, "the result shares the memory"


@pytest.mark.parametrize("key", ADVANCED, ids=str)
def test_integer_arrays_gather_a_copy_as_numpy_does(key):
    x, a = counted(4, 3, 5)
    y = x[key]
    assert_same(y, a[list(key)] if isinstance(key, range) else a[key])
    if not all(isinstance(part, np.integer) for part in (key if isinstance(key, tuple) else (key,))) and not (
        isinstance(key, np.ndarray) and key.ndim == 0
    ):
        y.fill_(-1)
        assert_same(x, a)


def test_uint8_chooses_as_bool_does():
    x, a = counted(4, 3)
    mask = np.array([1, 0, 2, 0], "u1")
    assert_same(x[fl.from_numpy(mask)], a[mask.astype(bool)])
    assert_same(x[:, fl.tensor([0, 1, 1], dtype=fl.uint8)], a[:, [1, 2]])
    assert x[fl.tensor(1, dtype=fl.uint8)].shape == (1, 4, 3)
    with pytest.raises(IndexError, match="mask"):
        x[fl.tensor([3, 0, 1], dtype=fl.uint8)]
    x[fl.from_numpy(mask)] = -1.0
    a[mask.astype(bool)] = -1
    assert_same(x, a)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_every_integer_dtype_is_an_index(dtype):
    x, a = counted(4, 3)
    at = fl.tensor([3, 0, 1]).to(getattr(fl, dtype))
    assert_same(x[at], a[[3, 0, 1]])
    assert_same(x[at[0]], a[3])


def test_an_integer_beside_an_array_is_applied_first_as_in_pytorch():
    x, a = counted(4, 3, 5)
    assert_same(x[0, :, [1, 2]], a[0][:, [1, 2]])
    assert_same(x[[1, 2], :, 0], a[..., 0][[1, 2]])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 5)])
def test_masks_pick_the_true_elements_in_order(shape):
    x, a = counted(4, 3, 5)
    mask = a.reshape(4, 3, 5)[(..., *([0] * (3 - len(shape))))] % 2 == 0
    assert mask.shape == shape
    for key in (mask, fl.tensor(mask), mask.tolist()):
        assert_same(x[key], a[mask])
    assert_same(x[~fl.tensor(mask)], a[~mask])


def test_masks_join_with_other_indices():
    x, a = counted(4, 3, 5)
    rows = np.array([True, False, True, True])
    last = np.array([True, False, True, False, True])
    keys = (
        np.s_[rows, 1:],
        np.s_[:, :, last],
        np.s_[..., last],
        np.s_[rows, 0],
        np.s_[rows, [0, 1, 2]],
        np.s_[rows, None],
    )
    for key in keys:
        ours = tuple(fl.tensor(part) if isinstance(part, np.ndarray) else part for part in key)
        assert_same(x[ours], a[key])
    assert x[fl.zeros(4, dtype=fl.bool)].shape == (0, 3, 5)


@pytest.mark.parametrize("key", [True, False, (True, 0), (slice(None), True), np.True_])
def test_a_bool_adds_a_dimension_of_size_one_or_zero(key):
    x, a = counted(4, 3)
    assert_same(x[key], a[key])


def test_a_tensor_without_dimensions_takes_only_empty_keys_and_bools():
    x = fl.tensor(7.0)
    assert x[...].item() == x[()].item() == 7 and x[None].tolist() == [7] and x[True].tolist() == [7]
    assert x[fl.tensor(False)].shape == (0,)
    with pytest.raises(IndexError, match="0-dim"):
        x[0]
    with pytest.raises(IndexError):
        x[:]


def test_slice_bounds_may_be_tensors_and_numpy_integers():
    x, a = counted(6)
    assert_same(x[fl.tensor(1) : fl.tensor(5) : np.int64(2)], a[1:5:2])
    assert_same(x[fl.tensor(2)], np.asarray(a[2]))


@pytest.mark.parametrize(
    ("key", "error", "says"),
    [
        (4, IndexError, "index 4 is out of bounds for dimension 0 with size 4"),
        (-5, IndexError, "out of bounds"),
        ((0, 3), IndexError, "dimension 1 with size 3"),
        ((0, 0, 0), IndexError, "too many indices"),
        ((..., ...), IndexError, "single ellipsis"),
        (slice(None, None, -1), ValueError, "flip"),
        (slice(None, None, 0), ValueError, "step"),
        ([0, 4], IndexError, "out of (bounds|range)"),
        ([0, -5], IndexError, "out of (bounds|range)"),
        (([0, 1], [0, 1, 2]), IndexError, "broadcast"),
        ([0.0, 1.0], IndexError, "long|int"),
        (0.5, (TypeError, IndexError), "integers"),
        ("a", (TypeError, IndexError), "integers|index"),
        (slice("a", None), TypeError, "integers|index"),
        (2**70, (IndexError, OverflowError, RuntimeError, TypeError), "index|int"),
        ([True, False, True], IndexError, "mask"),
        ([[True] * 4] * 4, IndexError, "mask"),
        ([[0, 1], [2]], (ValueError, TypeError, IndexError), "length"),
    ],
    ids=str,
)
def test_a_key_that_is_wrong_says_why(key, error, says):
    x, _ = counted(4, 3)
    with pytest.raises(error, match=says):
        x[key]


def test_indexing_reads_any_layout():
    x, a = counted(4, 3, 5)
    y, b = x.permute(2, 0, 1)[1::2], a.transpose(2, 0, 1)[1::2]
    assert_same(y[[1, 0]], b[[1, 0]])
    assert_same(y[y > 20], b[b > 20])
    assert_same(x[:1].expand(4, 3, 5)[[3, 1], :, [0, 2]], np.broadcast_to(a[:1], a.shape)[[3, 1], :, [0, 2]])


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float64"]
)
def test_indexing_keeps_every_dtype(dtype):
    x = fl.tensor([1, 0, 1, 1]).to(getattr(fl, dtype))
    for y in (x[[3, 0]], x[fl.tensor([True, False, False, True])], x[::3]):
        assert y.dtype is x.dtype and y.tolist() == [1, 1]
