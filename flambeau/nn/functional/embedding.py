"""Looking up rows as functions: `embedding`, `one_hot`."""

from __future__ import annotations

from typing import Any

from flambeau.ops import index as _index
from flambeau.ops.arguments import check_tensor

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` (V, C) at the positions in `input` (any shape of integers): input.shape + (C,).

    Arguments: `padding_idx`, the row that gets no gradient; `max_norm`, rows that are used are first shortened to it,
    in place, in the norm `norm_type`; `scale_grad_by_freq`, divide each row's gradient by how often it is used;
    `sparse`, the gradient of `weight`, where it is a leaf, is a sparse tensor of the rows that were used.
    """
    return _index.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Zeros with a one at each index: shape tensor.shape + (num_classes,), as many classes as needed when -1."""
    check_tensor("one_hot", tensor, "tensor")
    return _index.one_hot(tensor, num_classes)
