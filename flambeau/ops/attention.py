"""Scaled dot-product attention: the row arithmetic of its blocks, its node and what it is as a composite.

The blocks are walked by the core (`_core.attention_forward`); what it computes with is here. A row meets its keys
block by block with a running maximum and sum (Milakov and Gimelshein, "Online normalizer calculation for
softmax", 2018); backward computes the weights again from the logarithm of the sum (Dao et al., "FlashAttention",
2022).
"""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.compiler import scalar as s
from flambeau.compiler.declare import Declaration
from flambeau.compiler.program import CODES
from flambeau.ops import philox
from flambeau.ops.arguments import Tensor

__all__ = ["attention", "attention_composite"]

_INFINITY = float("inf")
_NATIVE = (dtypes.float32, dtypes.float64)


# --- the arithmetic of one row and one block of keys -----------------------------------------------------------------


def _masked(scores: Any, scale: Any, mask: Any, last: Any) -> Any:
    """The scores as softmax sees them: scaled, biased or hidden by a mask, and hidden after the `last` position."""
    x = scores * s.cast(scale, scores)
    if mask is not None:
        x = s.where(mask, x, -_INFINITY) if mask.dtype == "bool" else x + mask
    if last is None:
        return x
    return s.where(s.cast(s.index(), "int32") <= s.cast(last, "int32"), x, -_INFINITY)  # as wide as the scores


def _dropped(weights: Any, place: Any, threshold: Any, kept: Any, seed: Any) -> Any:
    """The weights after dropout; `place` is the position of the row's first element in the random stream."""
    word = s.cast(philox.word(place + s.index(), seed), "int64")
    return s.where(word >= threshold, weights * s.cast(kept, weights), 0.0)


def _step(scores: Any, maximum: Any, total: Any, scale: Any, mask: Any, last: Any, dropout: Any) -> tuple[Any, ...]:
    """exp(x - maximum), and the running maximum, sum and factor by which what came before shrinks."""
    x = _masked(scores, scale, mask, last)
    highest = s.maximum(maximum, s.reduce_max(x))
    shift = s.where(highest == -_INFINITY, 0.0, highest)
    weights, factor = s.exp(x - shift), s.exp(maximum - shift)
    total = total * factor + s.reduce_sum(weights)
    return (weights if dropout is None else _dropped(weights, *dropout)), highest, total, factor


def _step_backward(
    scores: Any, grad: Any, summary: Any, difference: Any, scale: Any, mask: Any, last: Any, dropout: Any
) -> tuple[Any, ...]:
    """The weights again (after dropout), and the cotangent of the scores from that of the weights."""
    weights = s.exp(_masked(scores, scale, mask, last) - summary)
    result = weights if dropout is None else _dropped(weights, *dropout)
    if dropout is not None:
        grad = _dropped(grad, *dropout)
    return result, weights * (grad - difference) * s.cast(scale, weights)


def _declare(backward: bool, mask: str, causal: bool, dropout: bool) -> Declaration:
    """A step with the operands it needs, in the order in which the core passes them."""
    inputs = ["scores"] + ["grad"] * backward + ["mask"] * bool(mask)
    rows = ["summary", "difference"] if backward else ["maximum", "total"]
    rows += ["last"] * causal + ["place"] * dropout
    numbers = ["scale"] + ["threshold", "kept", "seed"] * dropout
    names = inputs + rows + numbers
    roles = {"last": "int64", "place": "int64", "scale": "double", "threshold": "int64", "kept": "double"}
    roles |= {"seed": "int64", "mask": mask or "compute"}

    def function(*values: Any) -> tuple[Any, ...]:
        at = dict(zip(names, values, strict=True))
        random = (at["place"], at["threshold"], at["kept"], at["seed"]) if dropout else None
        common = at["scale"], at.get("mask"), at.get("last"), random
        if backward:
            return _step_backward(at["scores"], at["grad"], at["summary"], at["difference"], *common)
        return _step(at["scores"], at["maximum"], at["total"], *common)

    return Declaration(
        "attention_step" + "_backward" * backward, "row", function, tuple(inputs + rows),
        tuple((name, None) for name in numbers), outputs=("result",) * (2 if backward else 4), accepts="floating",
        roles={name: role for name, role in roles.items() if name in names}, row_inputs=tuple(rows),
        differentiable=False,
    )  # fmt: skip


_RESCALE = Declaration("attention_rescale", "map", lambda sums, factor: sums * factor, ("sums", "factor"))
_FINISH = Declaration(
    "attention_finish", "map",
    lambda sums, total: s.where(total == 0.0, 0.0, sums / s.where(total == 0.0, 1.0, total)), ("sums", "total"),
)  # fmt: skip
#: Infinite where no key was seen, so that exp(x - summary) is zero there.
_SUMMARY = Declaration(
    "attention_summary", "map",
    lambda maximum, total: s.where(total == 0.0, _INFINITY, maximum + s.log(total)), ("maximum", "total"),
)  # fmt: skip
_DELTA = Declaration("attention_delta", "row", lambda grad, out: s.reduce_sum(grad * out), ("grad", "out"))

_kernels: dict[tuple[Any, ...], tuple[int, ...]] = {}


def _row_kernel(declaration: Declaration, codes: list[int], classes: str) -> tuple[int, int]:
    from flambeau.compiler import service

    resolved = declaration.resolve(tuple((code, 0) for code in codes))
    return service.compile_row(declaration, *resolved, "inner", classes)


def _compiled(backward: bool, code: int, mask: str, mask_class: str, causal: bool, dropout: bool) -> tuple[int, ...]:
    """Addresses and scratch sizes of the kernels of one kind of attention, in the order the core reads them."""
    key = (backward, code, mask, mask_class, causal, dropout)
    found = _kernels.get(key)
    if found is not None:
        return found

    def step(cut: bool) -> tuple[int, int]:
        declaration = _declare(backward, mask, cut, dropout)
        double, whole = CODES["float64"], CODES["int64"]
        codes = [code] + [code] * backward + ([CODES["bool"] if mask == "bool" else code] if mask else [])
        codes += [code, code] + [whole] * cut + [whole] * dropout + [double] + [whole, double, whole] * dropout
        classes = "cc" + "c" * backward + "c" * backward if backward else "c---c"
        classes += mask_class + "-" * (2 + cut + dropout + 1 + 3 * dropout)
        return _row_kernel(declaration, codes, classes)

    def plain(declaration: Declaration, classes: str) -> int:
        from flambeau.compiler import service

        return service.compile_map(declaration, *declaration.resolve(((code, 0), (code, 0))), classes)

    made: tuple[int, ...] = (*step(False), *(step(True) if causal else (0, 0)))
    if backward:
        made += _row_kernel(_DELTA, [code, code], "-cc")
    else:
        made += (plain(_RESCALE, "ccz"), plain(_FINISH, "ccz"), plain(_SUMMARY, "ccc"))
    _kernels[key] = made
    return made


# --- the node --------------------------------------------------------------------------------------------------------


def attention(
    q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, dropout: float, generator: Any = None
) -> Any:
    """softmax(scale * q @ k^T + mask) @ v for (N, H, T, E), (N, G, S, E), (N, G, S, D) where G divides H: (N, H, T, D).

    `mask` is None, or bool or of q's dtype and (N, H, T, S) (strides may be 0). Rows that see no key are zero.
    """
    place: tuple[Any, Any] = (0, 0)
    if dropout > 0.0:
        from flambeau.ops.random import next_place

        place = next_place(generator, q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2])
    options = (causal, float(scale), float(dropout), *place)
    biased = mask is not None and mask.requires_grad and _core.is_grad_enabled()
    if biased or dropout >= 1.0 or q.dtype not in _NATIVE or 0 in (*q.shape, *k.shape, *v.shape):
        return attention_composite(q, k, v, mask, *options)
    recording = _core.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    before = _core.set_grad_enabled(False)
    try:
        out = _core.empty((q.shape[0], q.shape[2], q.shape[1], v.shape[3]), q.dtype).transpose(1, 2)
        summary = _core.empty(tuple(q.shape[:3]), q.dtype) if recording else None
        _run(False, (q, k, v, out), mask, summary, options, ())
    finally:
        _core.set_grad_enabled(before)
    if recording:
        _record(q, k, v, mask, out, summary, options)
    return out


def _run(
    backward: bool, operands: tuple[Any, ...], mask: Any, summary: Any, options: tuple[Any, ...], more: tuple[Any, ...]
) -> None:
    causal, scale, dropout, seed, position = options
    q = operands[0]
    kind = mask_class = ""
    if mask is not None:
        kind = "bool" if mask.dtype is dtypes.bool else "compute"
        stride = mask.stride(-1)
        mask_class = "c" if stride == 1 else "z" if stride == 0 else "s"
    kernels = _compiled(backward, CODES[q.dtype.name], kind, mask_class, causal, dropout > 0.0)
    threshold = -int(-dropout * 4294967296.0 // 1)
    numbers = (scale, 1.0 / (1.0 - dropout), threshold, seed, position)
    run = _core.attention_backward if backward else _core.attention_forward
    run(operands, mask, summary, causal, dropout > 0.0, numbers, kernels, more)


def _record(q: Any, k: Any, v: Any, mask: Any, out: Any, summary: Any, options: tuple[Any, ...]) -> None:
    label = "scaled_dot_product_attention"

    def backward(grad: Any) -> tuple[Any, ...]:
        q, k, v = (each.unpack() for each in inputs)
        hidden = None if kept_mask is None else kept_mask.unpack()
        if _core.is_grad_enabled():
            return _again(q, k, v, hidden, options, grad)
        if grad.stride(-1) != 1 and grad.shape[-1] != 1:
            grad = grad.contiguous()
        made = tuple(
            _core.empty((t.shape[0], t.shape[2], t.shape[1], t.shape[3]), t.dtype).transpose(1, 2) for t in (q, k, v)
        )
        _run(True, (q, k, v, result.unpack().detach()), hidden, summary, options, (grad, *made))
        return made

    _core.attach((out,), (q, k, v), backward, "ScaledDotProductAttentionBackward0")
    inputs = tuple(_core.Saved(t, label) for t in (q, k, v))
    kept_mask = None if mask is None else _core.Saved(mask, label)
    result = _core.Saved(out, label, 0)


def _again(q: Any, k: Any, v: Any, mask: Any, options: tuple[Any, ...], grad: Any) -> tuple[Any, ...]:
    """The gradients as a graph that can be differentiated again."""
    from flambeau.autograd import grad as gradient

    wanted = [t for t in (q, k, v) if t.requires_grad]
    found = iter(gradient(attention_composite(q, k, v, mask, *options), wanted, grad, create_graph=True))
    return tuple(next(found) if t.requires_grad else None for t in (q, k, v))


def attention_composite(
    q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, dropout: float, seed: Any = 0, position: Any = 0
) -> Any:
    """`attention` by other operations, with all scores in memory."""
    weights = attention_weights(q, k, mask, causal, scale)
    if dropout >= 1.0:
        weights = weights * 0.0
    elif dropout > 0.0:
        weights = philox.dropout(weights, dropout, 1.0 / (1.0 - dropout), seed, position)
    if v.shape[1] != q.shape[1]:
        v = v.repeat_interleave(q.shape[1] // v.shape[1], 1)
    return weights @ v


def attention_weights(q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    """softmax(scale * q @ k^T + mask), zero in rows that see no key."""
    if k.shape[1] != q.shape[1]:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = (q * scale) @ k.transpose(-2, -1)
    if isinstance(mask, Tensor):
        scores = scores.masked_fill(~mask, -_INFINITY) if mask.dtype is dtypes.bool else scores + mask
    if causal:
        seen = _core.full((q.shape[2], k.shape[2]), True, dtypes.bool).tril()
        scores = scores.masked_fill(~seen, -_INFINITY)
    if mask is None and not causal:
        return scores.softmax(dim=-1)
    blind = (scores.detach() == -_INFINITY).all(dim=-1, keepdim=True)
    return scores.masked_fill(blind, 0.0).softmax(dim=-1).masked_fill(blind, 0.0)
