"""Sequences of different lengths: padded into one tensor, or packed so that no step is computed for padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import flambeau
from flambeau import _core, recording

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip

Tensor = _core.Tensor


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """Sequences of different lengths, step after step: what `pack_padded_sequence` returns and recurrent layers take.

    `data` (rows, *) holds step 0 of every sequence, then step 1 of those that have one, and so on; `batch_sizes`, an
    int64 vector, how many there are at each step. `sorted_indices` says which sequence came where when they were
    sorted by length, longest first; `unsorted_indices` is the way back. Both may be None.
    """

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequences with `data.to(...)`."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequences in the memory of the CPU."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """The sequences as float64."""
        return self.to(dtype=flambeau.float64)

    def float(self) -> PackedSequence:
        """The sequences as float32."""
        return self.to(dtype=flambeau.float32)

    def half(self) -> PackedSequence:
        """The sequences as float16."""
        return self.to(dtype=flambeau.float16)

    def long(self) -> PackedSequence:
        """The sequences as int64."""
        return self.to(dtype=flambeau.int64)

    def int(self) -> PackedSequence:
        """The sequences as int32."""
        return self.to(dtype=flambeau.int32)

    def pin_memory(self) -> PackedSequence:
        """The sequences themselves."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether `data` is pinned: never, on the CPU."""
        return False


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes one (None for None)."""
    return None if permutation is None else permutation.argsort()


def _lengths(name: str, lengths: Any) -> list[int]:
    found = recording.values(name, lengths) if isinstance(lengths, Tensor) else lengths
    return [int(each) for each in found]


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences (T, B, *) and their lengths as a `PackedSequence`.

    Arguments: `lengths`, a vector or list of B lengths, each at least 1; `batch_first`, the input is (B, T, *);
    `enforce_sorted`, refuse lengths that do not fall (then the order need not be kept). Errors: RuntimeError.

    Example:
        >>> pack_padded_sequence(fl.tensor([[1, 2], [3, 0]]), [2, 1]).data
        tensor([1, 2, 3])
    """
    sizes = _lengths("pack_padded_sequence", lengths)
    if batch_first:
        input = input.transpose(0, 1)
    if len(sizes) != input.shape[1]:
        raise RuntimeError(
            f"pack_padded_sequence: Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={input.shape[1]})"
        )
    if not sizes or min(sizes) <= 0:
        raise RuntimeError(
            "pack_padded_sequence: Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if max(sizes) > input.shape[0]:
        raise RuntimeError(
            f"pack_padded_sequence: Expected lengths up to {input.shape[0]}, the steps of the input, "
            f"but found {max(sizes)}"
        )
    order = None
    if not enforce_sorted:
        order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        sizes = [sizes[i] for i in order]
    elif any(a < b for a, b in itertools.pairwise(sizes)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    places = order or list(range(len(sizes)))
    batch, rows, batch_sizes, running = input.shape[1], [], [], len(sizes)
    for t in range(sizes[0]):
        while sizes[running - 1] <= t:
            running -= 1
        batch_sizes.append(running)
        rows += [t * batch + places[i] for i in range(running)]
    index = flambeau.tensor(rows, dtype=flambeau.int64)
    data = input.reshape(input.shape[0] * batch, *input.shape[2:]).index_select(0, index)
    counts = flambeau.tensor(batch_sizes, dtype=flambeau.int64)
    if order is None:
        return PackedSequence(data, counts)
    back = sorted(range(len(order)), key=order.__getitem__)
    indices = [flambeau.tensor(each, dtype=flambeau.int64) for each in (order, back)]
    return PackedSequence(data, counts, *indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """A `PackedSequence` as (padded sequences (T, B, *), lengths): the inverse of `pack_padded_sequence`.

    Arguments: `batch_first`, give (B, T, *); `padding_value`; `total_length`, T where it is to be longer. Errors:
    ValueError where it is shorter than the longest sequence.
    """
    sizes = recording.values("batch_sizes", sequence.batch_sizes)
    steps, batch = len(sizes), sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                f"Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    unsorted = sequence.unsorted_indices
    places = list(range(batch)) if unsorted is None else recording.values("unsorted_indices", unsorted)
    data, start = sequence.data, 0
    filler, rows, lengths = data.shape[0], [], [0] * batch
    for t in range(steps):
        running = sizes[t] if t < len(sizes) else 0
        rows += [start + place if place < running else filler for place in places]
        start += running
        for b, place in enumerate(places):
            lengths[b] += place < running
    tail = flambeau.full((1, *data.shape[1:]), padding_value, dtype=data.dtype)
    padded = flambeau.cat((data, tail)).index_select(0, flambeau.tensor(rows, dtype=flambeau.int64))
    padded = padded.reshape(steps, batch, *data.shape[1:])
    return padded.transpose(0, 1) if batch_first else padded, flambeau.tensor(lengths, dtype=flambeau.int64)


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences (L_i, *) of different lengths as one tensor (max L, B, *), filled up with `padding_value`.

    Arguments: `batch_first`, give (B, max L, *); `padding_side`, "right" or "left". Errors: RuntimeError for no
    sequence, or for a padding_side that is neither.

    Example:
        >>> pad_sequence([fl.ones(2), fl.ones(1)], batch_first=True)
        tensor([[1., 1.],
                [1., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    parts = list(sequences.unbind(0)) if isinstance(sequences, Tensor) else list(sequences)
    if not parts:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: padding_side must be 'left' or 'right', but got {padding_side!r}")
    longest = max(part.shape[0] for part in parts)
    padded = []
    for part in parts:
        if part.shape[0] < longest:
            space = (longest - part.shape[0], *part.shape[1:])
            filler = flambeau.full(space, padding_value, dtype=part.dtype)
            part = flambeau.cat((part, filler) if padding_side == "right" else (filler, part))
        padded.append(part)
    return flambeau.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences that were padded into one tensor, as a list."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [each[:length] for each, length in zip(padded_sequences, _lengths("unpad_sequence", lengths), strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """A list of sequences (L_i, *) as a `PackedSequence`."""
    lengths = [each.shape[0] for each in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a `PackedSequence`, as a list."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
