"""The loss of sequences without alignment as a function: `ctc_loss`."""

from __future__ import annotations

from typing import Any

from flambeau.ops import ctc as _ctc

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """-log of the probability that the labels come out of a sequence, over all their alignments to its time steps.

    Arguments: `log_probs` (T, N, C) or (T, C), logarithms of probabilities (`log_softmax`); `targets` (N, S), labels,
    or all labels of the batch one after the other; `input_lengths` and `target_lengths` (N,), tensors or tuples;
    `blank`, the number of the class that is no label; `reduction`, 'none' (N,), 'sum', or 'mean' of each loss over the
    length of its target; `zero_infinity`, losses of targets that do not fit count as 0 instead of infinite. The
    gradient, as PyTorch's, is that of log_probs that are normalised. Errors: ShapeError, DTypeError, RuntimeError.

    Example:
        >>> half = fl.full((2, 1, 2), 0.5).log()
        >>> F.ctc_loss(half, fl.tensor([[1]]), (2,), (1,))
        tensor(0.2877)
    """
    return _ctc.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
