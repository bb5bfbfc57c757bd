"""The connectionist temporal classification loss (Graves et al., 2006): all alignments of labels to time steps.

A label sequence is stretched by blanks between its labels; one step in time from all positions of all sequences is one
declared map. The backward sums are the forward ones of the reversed sequences, computed in the same steps.
"""

from __future__ import annotations

from math import inf, nan
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops import elementwise
from flambeau.ops.arguments import Tensor, check_tensor, in_float32, shape_error, to_numpy, to_tensor, with_gradient

from ..compiler import scalar as s
from ..compiler.declare import elementwise as _map

__all__ = ["ctc_loss"]

METHODS: dict[str, Any] = {}


@_map(accepts="real", differentiable=False, roles={"allowed": "bool"}, tolerance=16, domain=(0.1, 3.0))
def ctc_step(stay, move, skip, emitted, allowed):
    """log(exp(stay) + exp(move) + exp(skip) where allowed) + emitted; -inf where nothing leads here."""
    far = s.where(allowed, skip, -inf)
    first = s.where(stay > move, stay, move)
    top = s.where(first > far, first, far)
    safe = s.where(top == -inf, s.constant(0.0, top), top)
    total = s.exp(stay - safe) + s.exp(move - safe) + s.exp(far - safe)
    return s.where(top == -inf, s.constant(-inf, top), s.log(total) + safe) + emitted


@_map(accepts="real", differentiable=False, tolerance=16)
def ctc_share(forward, backward, emitted, loss):
    """The probability of a position at a time, given the labels: exp(forward + backward - emitted + loss)."""
    return s.exp(forward + backward - emitted + loss)


def _lengths(name: str, values: Any, count: int, argument: str) -> Any:
    """Lengths as an int64 array of `count` numbers."""
    import numpy

    if isinstance(values, Tensor):
        if values.dtype.is_floating_point:
            raise DTypeError(f"{name}: {argument} must be integral, got {values.dtype}; use {argument}.long()")
        values = to_numpy(values)
    found = numpy.asarray(values).astype("int64").reshape(-1)
    if len(found) != count:
        raise RuntimeError(f"{name}: {argument} must be of size batch_size: expected {count} values, got {len(found)}")
    if (found < 0).any():
        raise RuntimeError(f"{name}: {argument} must not be negative, got {found.min()}")
    return found


def _stretched(name: str, targets: Any, lengths: Any, classes: int, blank: int) -> Any:
    """The labels (N, 2 S + 1) with blanks between and around them, filled up with blanks."""
    import numpy

    labels, count = to_numpy(targets).astype("int64"), len(lengths)
    longest = int(lengths.max()) if count else 0
    padded = numpy.full((count, longest), blank, "int64")
    if labels.ndim == 1 and targets.ndim == 1:
        if labels.size < lengths.sum():
            raise ShapeError(
                f"{name}: targets has {labels.size} labels, target_lengths add up to {lengths.sum()}; concatenate them"
            )
        starts = numpy.cumsum(lengths) - lengths
        for n in range(count):
            padded[n, : lengths[n]] = labels[starts[n] : starts[n] + lengths[n]]
    else:
        if labels.shape[0] != count or labels.shape[1] < longest:
            raise ShapeError(
                f"{name}: targets must be (N, S) with N = {count} and S at least {longest} (the largest of "
                f"target_lengths), but it is {tuple(targets.shape)}"
            )
        inside = numpy.arange(longest) < lengths[:, None]
        padded = numpy.where(inside, labels[:, :longest], blank)
    if padded.size and (padded.min() < 0 or padded.max() >= classes):
        raise RuntimeError(
            f"{name}: targets must be labels from 0 to {classes - 1}, found {padded.min()} to {padded.max()}"
        )
    stretched = numpy.full((count, 2 * longest + 1), blank, "int64")
    stretched[:, 1::2] = padded
    return stretched


def _reachable(labels: Any) -> Any:
    """Whether a position may be reached from two before it: another label stood there, so no blank is needed."""
    import numpy

    allowed = numpy.zeros(labels.shape, bool)
    allowed[:, 2:] = labels[:, 2:] != labels[:, :-2]
    return allowed


def _sums(emitted: Any, allowed: Any, second: Any) -> Any:
    """The logarithms (T, N, L) of the summed probabilities of all ways to every position at every time."""
    T, count, L = emitted.shape
    before = _core.full((T, count, L + 2), -inf, emitted.dtype)  # two columns from which nothing comes
    first = before[0].narrow(1, 2, min(2, L))
    first.copy_(emitted[0].narrow(1, 0, min(2, L)))
    if L > 1:
        first.select(1, 1).masked_fill_(second, -inf)
    for t in range(1, T):
        row, place = before[t - 1], before[t].narrow(1, 2, L)
        ctc_step(row.narrow(1, 2, L), row.narrow(1, 1, L), row.narrow(1, 0, L), emitted[t], allowed, out=place)
    return before.narrow(2, 2, L)


def _end(sums: Any, times: Any, lengths: Any) -> Any:
    """-log of the probability of all ways that end at the last label or the blank after it."""
    import numpy

    _, count, L = sums.shape
    last = to_tensor(numpy.maximum(times - 1, 0))
    rows = sums.gather(0, last.reshape((1, count, 1)).expand((1, count, L))).squeeze(0)
    ends = to_tensor(numpy.stack([2 * lengths, numpy.maximum(2 * lengths - 1, 0)], 1))
    pair = rows.gather(1, ends)
    one = pair.select(1, 0)
    both = elementwise.logaddexp(one, pair.select(1, 1))
    total = elementwise.where(to_tensor(lengths == 0), one, both)
    nothing = elementwise.where(to_tensor(lengths == 0), _core.full((), 0.0, sums.dtype), -inf)
    return -elementwise.where(to_tensor(times == 0), nothing, total)


def _turned(T: int, times: Any, ends: Any, L: int) -> tuple[Any, Any]:
    """Time steps (T, N) and positions (N, L) counted from each sequence's end; what has no partner stays at 0."""
    import numpy

    steps = numpy.maximum(times[None, :] - 1 - numpy.arange(T)[:, None], 0)
    return steps, numpy.maximum(ends[:, None] - numpy.arange(L)[None, :], 0)


def _turn(values: Any, steps: Any, positions: Any) -> Any:
    """values[steps[t, n], n, positions[n, l]] for every (t, n, l)."""
    T, count, L = values.shape
    values = values.gather(0, to_tensor(steps).unsqueeze(2).expand((T, count, L)))
    return values.gather(2, to_tensor(positions).unsqueeze(0).expand((T, count, L)))


def _losses(name: str, log_probs: Any, targets: Any, times: Any, lengths: Any, blank: int, zero: bool) -> Any:
    """The loss of each sequence (N,)."""
    import numpy

    T, count, classes = log_probs.shape
    labels = _stretched(name, targets, lengths, classes, blank)
    L = labels.shape[1]
    wanted = _core.is_grad_enabled() and log_probs.requires_grad
    values = log_probs.detach()
    index = to_tensor(labels)
    emitted = values.gather(2, index.unsqueeze(0).expand((T, count, L)))
    empty = lengths == 0
    if not wanted:
        sums = _sums(emitted, to_tensor(_reachable(labels)), to_tensor(empty))
    else:
        steps, positions = _turned(T, times, 2 * lengths, L)
        turned = numpy.take_along_axis(labels, positions, 1)
        both = _core.cat([emitted, _turn(emitted, steps, positions)], 1)
        allowed = to_tensor(numpy.concatenate([_reachable(labels), _reachable(turned)]))
        together = _sums(both, allowed, to_tensor(numpy.concatenate([empty, empty])))
        sums, back = together.narrow(1, 0, count), together.narrow(1, count, count)
    loss = _end(sums, times, lengths)
    infinite = loss == inf
    result = loss.masked_fill(infinite, 0.0) if zero else loss
    if not wanted:
        return result

    def vjp(gradient: Any) -> tuple[Any]:
        column = loss.reshape((1, count, 1))
        share = ctc_share(sums, _turn(back, steps, positions), emitted, column)
        outside = numpy.arange(L)[None, :] > 2 * lengths[:, None]
        share = share.masked_fill(to_tensor(outside).unsqueeze(0), 0.0)
        spread = _core.full((T, count, classes), 0.0, values.dtype)
        spread = spread.scatter_add(2, index.unsqueeze(0).expand((T, count, L)), share)
        slope = (values.exp() - spread) * gradient.reshape((1, count, 1))
        slope = slope.masked_fill(infinite.reshape((1, count, 1)), 0.0 if zero else nan)
        late = numpy.arange(T)[:, None] >= times[None, :]
        return (slope.masked_fill(to_tensor(late).unsqueeze(2), 0.0),)

    return with_gradient(result, (log_probs,), vjp, "CtcLossBackward0")


@in_float32
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """-log of the probability that the labels come out of a sequence; see `nn.functional.ctc_loss`."""
    import numpy

    name = "ctc_loss"
    check_tensor(name, log_probs, "log_probs")
    check_tensor(name, targets, "targets")
    if reduction in (0, 1, 2):
        reduction = ("none", "mean", "sum")[int(reduction)]
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction; use 'mean', 'sum' or 'none'")
    if log_probs.ndim not in (2, 3):
        raise shape_error(name, "log_probs must be (T, N, C) or (T, C)", log_probs=log_probs)
    if log_probs.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"{name}: log_probs must be float32 or float64, got {log_probs.dtype}; use log_probs.float()")
    if targets.dtype.is_floating_point or targets.dtype is dtypes.bool:
        raise DTypeError(f"{name}: targets must be integral, got {targets.dtype}; use targets.long()")
    batched = log_probs.ndim == 3
    source = log_probs if batched else log_probs.unsqueeze(1)
    labels = targets if batched or targets.ndim == 2 else targets.unsqueeze(0)
    if labels.ndim not in (1, 2):
        raise shape_error(name, "targets must be (N, S) or concatenated to one vector", targets=targets)
    T, count, classes = source.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"{name}: blank must be in label range: 0 to {classes - 1}, got {blank}")
    times = _lengths(name, input_lengths, count, "input_lengths")
    lengths = _lengths(name, target_lengths, count, "target_lengths")
    if count and times.max() > T:
        raise RuntimeError(
            f"{name}: Expected input_lengths to have value at most {T}, but got value {times.max()} (log_probs is "
            f"{tuple(log_probs.shape)})"
        )
    if T == 0 or count == 0:
        raise shape_error(name, "log_probs must not be empty", log_probs=log_probs)
    losses = _losses(name, source, labels, times, lengths, blank, zero_infinity)
    if reduction == "mean":
        return (losses / to_tensor(numpy.maximum(lengths, 1), losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if batched else losses.squeeze(0)
