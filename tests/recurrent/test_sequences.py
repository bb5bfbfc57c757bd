"""Padding and packing: there and back, order, errors, gradients."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)


def test_pack_and_back():
    x = fl.arange(24.0).reshape(4, 3, 2)
    packed = pack_padded_sequence(x, [4, 2, 1])
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.data[:, 0].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 18.0]
    padded, lengths = pad_packed_sequence(packed, padding_value=-1.0)
    assert lengths.tolist() == [4, 2, 1]
    assert fl.equal(padded[:2, 1], x[:2, 1]) and float(padded[2, 1, 0]) == -1.0
    longer, _ = pad_packed_sequence(packed, batch_first=True, total_length=6)
    assert tuple(longer.shape) == (3, 6, 2)
    with pytest.raises(ValueError, match="total_length"):
        pad_packed_sequence(packed, total_length=3)


def test_unsorted():
    x = fl.arange(6.0).reshape(3, 2)
    with pytest.raises(RuntimeError, match="enforce_sorted"):
        pack_padded_sequence(x, [1, 3])
    packed = pack_padded_sequence(x, fl.tensor([1, 3]), enforce_sorted=False)
    assert packed.sorted_indices.tolist() == [1, 0] and packed.unsorted_indices.tolist() == [1, 0]
    padded, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == [1, 3] and padded.tolist() == [[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]]


def test_gradient():
    x = fl.ones(3, 2, requires_grad=True)
    pack_padded_sequence(x, [3, 1]).data.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]


def test_pad_sequence():
    parts = [fl.ones(2, 3), fl.ones(4, 3)]
    assert tuple(pad_sequence(parts).shape) == (4, 2, 3)
    left = pad_sequence(parts, batch_first=True, padding_value=5.0, padding_side="left")
    assert left[0, :, 0].tolist() == [5.0, 5.0, 1.0, 1.0]
    assert [tuple(t.shape) for t in unpad_sequence(pad_sequence(parts), [2, 4])] == [(2, 3), (4, 3)]
    packed = pack_sequence(parts, enforce_sorted=False)
    assert isinstance(packed, PackedSequence)
    assert all(fl.equal(a, b) for a, b in zip(unpack_sequence(packed), parts, strict=True))
    assert packed.double().data.dtype == fl.float64


def test_errors():
    x = fl.zeros(3, 2)
    with pytest.raises(RuntimeError, match="greater than 0"):
        pack_padded_sequence(x, [3, 0])
    with pytest.raises(RuntimeError, match="batch_size"):
        pack_padded_sequence(x, [3])
    with pytest.raises(RuntimeError, match="steps of the input"):
        pack_padded_sequence(x, [4, 1])
    with pytest.raises(RuntimeError, match="empty"):
        pad_sequence([])
