"""Views: the layout, elements, sharing and errors of every method that only looks at the same memory differently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fl

from .support import assert_same, counted, strides_of

# name, shape of the operand, the view by flambeau, the view by NumPy
CASES: list[tuple[str, tuple[int, ...], Any, Any]] = [
    ("view", (2, 6), lambda x: x.view(3, 4), lambda a: a.reshape(3, 4)),
    ("view infers one size", (2, 6), lambda x: x.view(-1, 3), lambda a: a.reshape(4, 3)),
    ("view of a tuple", (2, 6), lambda x: x.view((12,)), lambda a: a.reshape(12)),
    ("view splits a strided one", (4, 6), lambda x: x[:, ::2].view(2, 2, 3), lambda a: a[:, ::2].reshape(2, 2, 3)),
    ("view_as", (2, 6), lambda x: x.view_as(fl.empty(4, 3)), lambda a: a.reshape(4, 3)),
    ("reshape", (2, 6), lambda x: x.reshape(6, 2), lambda a: a.reshape(6, 2)),
    ("reshape adds ones", (4,), lambda x: x.reshape(1, 4, 1), lambda a: a.reshape(1, 4, 1)),
    ("flatten", (2, 3, 4), lambda x: x.flatten(), lambda a: a.reshape(24)),
    ("flatten of some", (2, 3, 4), lambda x: x.flatten(1, -1), lambda a: a.reshape(2, 12)),
    ("ravel", (2, 3), lambda x: x.ravel(), lambda a: a.reshape(6)),
    ("unflatten", (2, 12), lambda x: x.unflatten(1, (3, -1)), lambda a: a.reshape(2, 3, 4)),
    ("permute", (2, 3, 4), lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    ("permute with negative numbers", (2, 3, 4), lambda x: x.permute((-1, 0, -2)), lambda a: a.transpose(2, 0, 1)),
    ("transpose", (2, 3, 4), lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, 2)),
    ("swapaxes", (2, 3), lambda x: x.swapaxes(0, 1), lambda a: a.T),
    ("movedim", (2, 3, 4), lambda x: x.movedim(0, 2), lambda a: np.moveaxis(a, 0, 2)),
    ("movedim of several", (2, 3, 4), lambda x: x.movedim((0, 1), (2, 0)), lambda a: np.moveaxis(a, (0, 1), (2, 0))),
    ("T", (2, 3), lambda x: x.T, lambda a: a.T),
    ("mT", (2, 3, 4), lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    ("t", (2, 3), lambda x: x.t(), lambda a: a.T),
    ("t of a vector", (3,), lambda x: x.t(), lambda a: a),
    ("squeeze", (1, 3, 1), lambda x: x.squeeze(), lambda a: a.squeeze()),
    ("squeeze of one dimension", (1, 3, 1), lambda x: x.squeeze(0), lambda a: a.squeeze(0)),
    ("squeeze leaves sizes above one", (1, 3), lambda x: x.squeeze(1), lambda a: a),
    ("squeeze of several", (1, 3, 1), lambda x: x.squeeze((0, 2)), lambda a: a.squeeze((0, 2))),
    ("unsqueeze", (2, 3), lambda x: x.unsqueeze(1), lambda a: a[:, None]),
    ("unsqueeze at the end", (2, 3), lambda x: x.unsqueeze(-1), lambda a: a[..., None]),
    ("select", (2, 3, 4), lambda x: x.select(1, 2), lambda a: a[:, 2]),
    ("select from the end", (2, 3, 4), lambda x: x.select(-1, -1), lambda a: a[..., -1]),
    ("narrow", (5, 3), lambda x: x.narrow(0, 1, 3), lambda a: a[1:4]),
    ("narrow from the end", (5, 3), lambda x: x.narrow(0, -2, 2), lambda a: a[3:5]),
    ("narrow to nothing", (5, 3), lambda x: x.narrow(0, 5, 0), lambda a: a[5:5]),
    ("diagonal", (3, 4), lambda x: x.diagonal(), lambda a: a.diagonal()),
    ("diagonal above", (3, 4), lambda x: x.diagonal(1), lambda a: a.diagonal(1)),
    ("diagonal below", (2, 4, 3), lambda x: x.diagonal(-1, 1, 2), lambda a: a.diagonal(-1, 1, 2)),
    ("diagonal outside", (3, 4), lambda x: x.diagonal(7), lambda a: a.diagonal(7)),
    ("detach", (2, 3), lambda x: x.detach(), lambda a: a),
    ("slice of a slice", (9,), lambda x: x[1::2][1:3], lambda a: a[1::2][1:3]),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "look", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_view_has_the_layout_of_numpys_and_shares_the_memory(shape, look, expected):
    x, a = counted(*shape)
    y, b = look(x), expected(a)
    assert_same(y, b)
    if b.size:
        ours = [s for s, size in zip(y.stride(), y.shape) if size > 1]
        assert ours == [s for s, size in zip(strides_of(b), b.shape) if size > 1]
        assert y.data_ptr() - x.data_ptr() == b.__array_interface__["data"][0] - a.__array_interface__["data"][0]
        y.fill_(-5)
        assert (x == -5).sum().item() == b.size


def test_unfold_shows_overlapping_windows():
    x, a = counted(2, 7)
    y = x.unfold(1, 3, 2)
    assert y.shape == (2, 3, 3) and y.stride() == (7, 2, 1)
    assert_same(y, np.lib.stride_tricks.sliding_window_view(a, 3, axis=1)[:, ::2])
    x[0, 2] = 50
    assert y[0, 0, 2].item() == y[0, 1, 0].item() == 50


def test_expand_repeats_without_copying():
    x, a = counted(3, 1)
    y = x.expand(2, 3, 4)
    assert y.stride() == (0, 1, 0) and y.data_ptr() == x.data_ptr()
    assert_same(y, np.broadcast_to(a, (2, 3, 4)))
    assert x.expand(-1, 4).shape == (3, 4)
    assert fl.tensor(5.0).expand(2, 2).tolist() == [[5, 5], [5, 5]]
    assert x.expand(3, 0).shape == (3, 0)
    assert x.expand_as(fl.empty(3, 6)).shape == (3, 6)


def test_as_strided_takes_sizes_strides_and_offset_literally():
    x, a = counted(4, 5)
    y = x.as_strided((2, 3), (6, 2), 1)
    assert_same(y, np.lib.stride_tricks.as_strided(a.reshape(-1)[1:], (2, 3), (6 * 4, 2 * 4)))
    assert x[1:].as_strided((2,), (1,)).tolist() == [5, 6], "the offset of the view is kept when none is given"
    with pytest.raises(RuntimeError, match="as_strided"):
        x.as_strided((5, 5), (5, 1))
    with pytest.raises(RuntimeError, match="as_strided"):
        x.as_strided((2,), (1,), 19)


def test_split_chunk_and_unbind_hand_out_views_in_order():
    x, a = counted(7, 2)
    for ours, theirs in (
        (x.split(3), (a[:3], a[3:6], a[6:])),
        (x.split([2, 5]), (a[:2], a[2:])),
        (x.chunk(3), (a[:3], a[3:6], a[6:])),
        (x.tensor_split(3), (a[:3], a[3:5], a[5:])),
        (x.unbind(), tuple(a)),
        (x.unbind(1), (a[:, 0], a[:, 1])),
    ):
        assert len(ours) == len(theirs)
        for view, expected in zip(ours, theirs, strict=True):
            assert_same(view, expected)
    x.split(3)[1].zero_()
    assert x[3:6].sum().item() == 0


def test_splits_that_do_not_add_up_are_errors():
    x, _ = counted(7, 2)
    with pytest.raises(RuntimeError, match="split"):
        x.split([2, 3])
    with pytest.raises(RuntimeError):
        x.split(-1)
    with pytest.raises(RuntimeError):
        x.chunk(0)


def test_reshape_copies_only_when_strides_force_it():
    x, a = counted(3, 4)
    assert x.reshape(12).data_ptr() == x.data_ptr()
    copy = x.T.reshape(12)
    assert_same(copy, a.T.reshape(12))
    copy.zero_()
    assert x.sum().item() == a.sum()


def test_contiguous_is_the_tensor_itself_unless_strides_are_not_dense():
    x, a = counted(3, 4)
    assert x.contiguous() is x
    y = x.T.contiguous()
    assert y.is_contiguous() and not x.T.is_contiguous() and y.stride() == (3, 1)
    assert_same(y, a.T)
    assert fl.zeros(1, 3).T.is_contiguous() and fl.zeros(0, 3).T.is_contiguous()


def test_clone_shares_nothing():
    x, a = counted(3, 4)
    y = x.T.clone()
    y.zero_()
    assert_same(x, a)


def test_a_view_of_another_dtype_reads_the_same_bytes():
    x = fl.tensor([1.0, -2.0])
    assert x.view(fl.int32).tolist() == [0x3F800000, -0x40000000]
    x.view(fl.int32)[0] = 0x40400000
    assert x.tolist() == [3, -2]
    assert fl.tensor([1, 2], dtype=fl.int32).view(fl.uint8).tolist() == [1, 0, 0, 0, 2, 0, 0, 0]
    assert fl.tensor([1, 0, 0, 0], dtype=fl.uint8).view(fl.int32).tolist() == [1]
    bytes_ = fl.zeros(2, dtype=fl.int32).view(fl.uint8)
    with pytest.raises(RuntimeError):
        bytes_[:6].view(fl.int32)
    with pytest.raises(RuntimeError):
        fl.zeros(2, 2).T.view(fl.float64)


def test_a_view_of_other_bytes_shares_them_too():
    x = fl.tensor([1, 2], dtype=fl.int32)
    x.view(fl.uint8)[0] = 7
    assert x.tolist() == [7, 2]


@pytest.mark.parametrize(
    ("look", "error", "says"),
    [
        (lambda x: x.view(5), RuntimeError, "view"),
        (lambda x: x.view(-1, -1), RuntimeError, "infer"),
        (lambda x: x.view(-1, 5), RuntimeError, "view"),
        (lambda x: x.T.view(6), RuntimeError, "reshape"),
        (lambda x: x.reshape(4), RuntimeError, "reshape"),
        (lambda x: x.reshape(-2, 3), RuntimeError, "reshape"),
        (lambda x: x.permute(0), RuntimeError, "permute"),
        (lambda x: x.permute(0, 0), RuntimeError, "permute"),
        (lambda x: x.permute(0, 2), IndexError, "permute|[Dd]imension"),
        (lambda x: x.transpose(0, 2), IndexError, "[Dd]imension"),
        (lambda x: x.squeeze(2), IndexError, "[Dd]imension"),
        (lambda x: x.unsqueeze(4), IndexError, "[Dd]imension"),
        (lambda x: x.select(0, 2), IndexError, "select|index"),
        (lambda x: x.select(0, -3), IndexError, "select|index"),
        (lambda x: x.select(2, 0), IndexError, "[Dd]imension"),
        (lambda x: x.narrow(0, 1, 2), RuntimeError, "narrow"),
        (lambda x: x.narrow(0, 0, -1), RuntimeError, "narrow"),
        (lambda x: x.expand(2, 4), RuntimeError, "expand"),
        (lambda x: x.expand(3), RuntimeError, "expand"),
        (lambda x: x.expand(-1, 2, 3), RuntimeError, "expand"),
        (lambda x: x.diagonal(0, 1, 1), RuntimeError, "diagonal"),
        (lambda x: x.unfold(1, 4, 1), RuntimeError, "unfold"),
        (lambda x: x.unfold(1, 2, 0), RuntimeError, "unfold"),
        (lambda x: x.flatten(1, 0), RuntimeError, "flatten"),
        (lambda x: x.unflatten(1, (2, 2)), RuntimeError, "unflatten"),
        (lambda x: x.movedim((0, 1), (0,)), RuntimeError, "movedim"),
        (lambda x: x.view(2, 1.5), TypeError, "view|int"),
        (lambda x: fl.zeros(2, 2, 2).t(), RuntimeError, r"\bt\b"),
    ],
)  # fmt: skip
def test_a_view_that_does_not_exist_names_what_was_asked(look, error, says):
    x = fl.zeros(2, 3)
    with pytest.raises(error, match=says):
        look(x)


def test_shape_errors_are_value_errors_and_runtime_errors_and_show_both_shapes():
    with pytest.raises(fl.ShapeError, match=r"\(5,\).*\(2, 3\)"):
        fl.zeros(2, 3).view(5)
    with pytest.raises(fl.ShapeError, match=r"\(2, 3\).*\(2, 4\)|\(2, 4\).*\(2, 3\)"):
        fl.zeros(2, 3).expand(2, 4)


def test_writing_into_an_expanded_tensor_is_refused():
    x = fl.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="single memory location"):
        x[0:2] = 1


def test_copy_between_overlapping_views_behaves_as_if_the_source_were_read_first():
    x, _a = counted(6)
    x[1:].copy_(x[:-1].clone())
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


def test_shape_is_a_tuple_that_counts_its_elements():
    x = fl.zeros(2, 3)
    assert x.shape == (2, 3) and isinstance(x.shape, tuple) and x.shape.numel() == 6
    assert x.size() == x.shape and x.size(-1) == 3 and x.stride(0) == 3 and x.dim() == x.ndim == 2
    assert x.numel() == x.nelement() == 6 and x.element_size() == x.itemsize == 4 and x.nbytes == 24
    with pytest.raises(IndexError):
        x.size(2)


def test_views_remember_their_base_and_offset():
    x = fl.zeros(4, 4)
    y = x[1:, 2]
    assert y._base is x and x._base is None and y.storage_offset() == 6
    assert y[1:]._base is x, "a view of a view belongs to the first tensor"


@pytest.mark.parametrize("dtype", ["float32", "int64", "float64", "int16"])
def test_copies_of_lines_whose_elements_lie_apart(dtype):
    x = np.arange(3 * 11 * 26).reshape(3, 11, 26).astype(dtype)
    t = fl.tensor(x)
    for key in [
        np.s_[:, ::2, ::2], np.s_[:, 1:, 1::3], np.s_[..., ::4], np.s_[:, :, 25:], np.s_[::2, 3:4, ::2], np.s_[..., ::5]
    ]:  # fmt: skip
        np.testing.assert_array_equal(t[key].contiguous().numpy(), x[key])
        target, expected = fl.zeros(3, 11, 26, dtype=t.dtype), np.zeros_like(x)
        target[key].copy_(t[key] + 1)
        expected[key] = x[key] + 1
        np.testing.assert_array_equal(target.numpy(), expected)
    large = np.random.default_rng(0).standard_normal((64, 33, 66)).astype("float32")
    np.testing.assert_array_equal(fl.tensor(large)[:, 1::2, ::2].contiguous().numpy(), large[:, 1::2, ::2])
