"""`embedding_bag`: sums, means or largest elements of groups of rows."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core, recording
from flambeau.nn.functional.embedding import embedding
from flambeau.ops.arguments import check_tensor

__all__ = ["embedding_bag"]


def _check(input: Any, offsets: Any, mode: str, weights: Any) -> None:
    name = "embedding_bag"
    check_tensor(name, input)
    for argument, tensor in (("offsets", offsets), ("per_sample_weights", weights)):
        if tensor is not None:
            check_tensor(name, tensor, argument)
    if weights is not None and weights.shape != input.shape:
        raise ValueError(
            f"{name}: If per_sample_weights ({tuple(weights.shape)}) is not None, then it must have the same shape as "
            f"the input ({tuple(input.shape)})"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode has to be one of sum, mean or max, but got {mode!r}")
    if weights is not None and mode != "sum":
        raise NotImplementedError(
            f"{name}: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode={mode!r})"
        )
    if input.dtype.is_floating_point:
        raise RuntimeError(f"{name}: Expected indices of dtype int32 or int64, got {input.dtype}; convert with .long()")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                f"{name}: if input is 2D, then offsets has to be None, as input is treated as a mini-batch of fixed "
                f"length sequences. However, found offsets of shape {tuple(offsets.shape)}"
            )
    elif input.ndim != 1:
        raise ValueError(f"{name}: input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    elif offsets is None:
        raise ValueError(f"{name}: offsets has to be a 1D Tensor but got None")
    elif offsets.ndim != 1:
        raise ValueError(f"{name}: offsets has to be a 1D Tensor")


def _bag_numbers(count: int, offsets: Any, include_last: bool) -> tuple[list[int], int]:
    """The bag of every index, and how many bags there are."""
    starts = [int(each) for each in recording.values("offsets", offsets)]
    if include_last:
        if not starts:
            raise RuntimeError("embedding_bag: include_last_offset: number of offset should be at least 1")
        starts = starts[:-1]
    if starts and starts[0] != 0:
        raise RuntimeError(
            f"embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}"
        )
    if starts and starts[-1] > count:
        raise RuntimeError(
            f"embedding_bag: offsets[-1] can not be greater than input's length {count}, got {starts[-1]}"
        )
    ends = starts[1:] + [count]
    bags: list[int] = []
    for bag, (start, end) in enumerate(zip(starts, ends, strict=True)):
        bags += [bag] * (end - start)
    return bags, len(starts)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of each bag's rows of `weight` (V, C): (bags, C); zeros for an empty bag.

    Arguments: `input`, row numbers: (bags, n), or a vector with `offsets`, where each bag starts (and, with
    `include_last_offset`, where the last one ends); `max_norm`, `norm_type`, `scale_grad_by_freq` as of `embedding`;
    `mode`, "sum", "mean" or "max"; `per_sample_weights`, factors of the rows, for sums; `padding_idx`, a number that
    does not count. Errors: ValueError, RuntimeError, NotImplementedError.

    Example:
        >>> F.embedding_bag(fl.tensor([0, 1, 1]), fl.tensor([[1.0], [2.0]]), fl.tensor([0, 2]), mode="sum")
        tensor([[3.],
                [2.]])
    """
    check_tensor("embedding_bag", weight, "weight")
    _check(input, offsets, mode, per_sample_weights)
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise RuntimeError(f"embedding_bag: padding_idx must be within the rows of weight, but got {padding_idx}")
        padding_idx %= weight.shape[0]
    options = (None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if input.ndim == 2 and padding_idx is None and input.shape[1]:
        rows = embedding(input, weight, *options)
        if mode == "max":
            return rows.max(dim=1).values
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.unsqueeze(-1)
        return rows.sum(1) if mode == "sum" else rows.mean(1)
    if input.ndim == 2:
        count = input.shape[0]
        bags = [bag for bag in range(count) for _ in range(input.shape[1])]
        input = input.reshape(-1)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    else:
        bags, count = _bag_numbers(input.shape[0], offsets, include_last_offset)
    if padding_idx is not None:
        _core.refuse_reading("embedding_bag with padding_idx")
        kept = [i for i, number in enumerate(input.tolist()) if number != padding_idx]
        where = flambeau.tensor(kept, dtype=flambeau.int64)
        input, bags = input.index_select(0, where), [bags[i] for i in kept]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.index_select(0, where)
    rows = embedding(input, weight, *options)
    if mode == "max":
        return _largest(rows, bags, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    empty = flambeau.zeros((count, weight.shape[1]), dtype=rows.dtype)
    total = empty.index_add(0, flambeau.tensor(bags, dtype=flambeau.int64), rows)
    if mode == "sum":
        return total
    sizes = [0] * count
    for bag in bags:
        sizes[bag] += 1
    return total / flambeau.tensor([float(max(size, 1)) for size in sizes], dtype=rows.dtype).unsqueeze(-1)


def _largest(rows: Any, bags: list[int], count: int) -> Any:
    """The largest element of each column in each bag."""
    members: list[list[int]] = [[] for _ in range(count)]
    for i, bag in enumerate(bags):
        members[bag].append(i)
    longest = max((len(each) for each in members), default=0)
    if not longest:
        return flambeau.zeros((count, rows.shape[1]), dtype=rows.dtype) + rows.sum() * 0
    table = [each + [len(bags)] * (longest - len(each)) for each in members]
    lowest = flambeau.full((1, rows.shape[1]), float("-inf"), dtype=rows.dtype)
    index = flambeau.tensor([i for each in table for i in each], dtype=flambeau.int64)
    found = flambeau.cat((rows, lowest)).index_select(0, index).reshape(count, longest, -1).max(dim=1).values
    nothing = flambeau.tensor([not each for each in members], dtype=flambeau.bool).unsqueeze(-1)
    return found.masked_fill(nothing, 0.0)
