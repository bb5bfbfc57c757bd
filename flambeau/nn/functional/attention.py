"""Attention as functions: `scaled_dot_product_attention`, `multi_head_attention_forward`."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import DTypeError, ShapeError
from flambeau.nn.functional.dropout import dropout
from flambeau.nn.functional.linear import linear
from flambeau.ops.arguments import Tensor, check_tensor
from flambeau.ops.attention import attention, attention_weights
from flambeau.ops.constructors import broadcast_shapes

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def _check_types(name: str, needed: dict[str, Any], optional: dict[str, Any]) -> None:
    """TypeError for what is no tensor; `optional` ones may be None."""
    for argument, value in {**needed, **{key: t for key, t in optional.items() if t is not None}}.items():
        check_tensor(name, value, argument)


def _shapes(query: Any, key: Any, value: Any) -> str:
    return f"query is {tuple(query.shape)}, key is {tuple(key.shape)}, value is {tuple(value.shape)}"


def _check(query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float, is_causal: bool) -> None:
    name = "scaled_dot_product_attention"
    _check_types(name, {"query": query, "key": key, "value": value}, {"attn_mask": attn_mask})
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{name}: query, key, value must be at least 2 dimensional: {_shapes(query, key, value)}")
    if not query.dtype == key.dtype == value.dtype:
        raise DTypeError(
            f"{name}: Expected query, key, and value to have the same dtype, but got {query.dtype}, {key.dtype}, "
            f"{value.dtype}; convert with .to(...)"
        )
    if not query.dtype.is_floating_point:
        raise DTypeError(f"{name}: needs floating operands, got {query.dtype}; convert with .float()")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(
            f"{name}: inner sizes differ: {_shapes(query, key, value)}; the last sizes of both must be equal"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"{name}: one value is needed for each key: {_shapes(query, key, value)}")
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {dropout_p}")
    if attn_mask is None:
        return
    if is_causal:
        raise RuntimeError(f"{name}: Explicit attn_mask should not be set when is_causal=True; put both in attn_mask")
    if attn_mask.dtype is not flambeau.bool and attn_mask.dtype != query.dtype:
        raise DTypeError(
            f"{name}: Expected attn_mask dtype to be bool or float or to match query dtype, but got {attn_mask.dtype} "
            f"and {query.dtype}"
        )


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query keyᵀ · scale + attn_mask) value, in memory that is linear in the lengths.

    Arguments: `query` (..., H, L, E), `key` (..., H, S, E), `value` (..., H, S, D), leading dimensions broadcast;
    `attn_mask` broadcast to (..., H, L, S), bool (True: takes part) or added to the scores; `dropout_p`, of the
    weights; `is_causal`, query i sees the keys up to i; `scale`, 1/√E when None; `enable_gqa`, key and value may have
    fewer heads, each for several heads of the query. Returns (..., H, L, D); rows that see no key are zero. Errors:
    ShapeError, DTypeError; RuntimeError for a mask together with is_causal.

    Example:
        >>> F.scaled_dot_product_attention(fl.ones(1, 2, 4), fl.ones(1, 3, 4), fl.ones(1, 3, 5)).shape
        Size([1, 2, 5])
    """
    narrow = _core.autocast_dtype()
    if narrow is not None:
        query, key, value, attn_mask = (_lowered(each, narrow) for each in (query, key, value, attn_mask))
    _check(query, key, value, attn_mask, dropout_p, is_causal)
    length, inner = query.shape[-2:]
    keys, width = value.shape[-2:]
    if scale is None:
        scale = 1.0 / math.sqrt(inner) if inner else 1.0
    if query.ndim == key.ndim == value.ndim == 4 and query.shape[0] == key.shape[0] == value.shape[0]:
        lead: tuple[int, ...] = tuple(query.shape[:2])
        heads, groups = query.shape[1], key.shape[1]
        flat = groups == value.shape[1] and (heads == groups or (enable_gqa and groups and heads % groups == 0))
    else:
        flat = False
    if not flat:
        lead, query, key, value = _batched(query, key, value, enable_gqa)
    mask = attn_mask
    if mask is not None:
        try:
            mask = mask.expand(*lead, length, keys)
        except RuntimeError as error:
            raise ShapeError(
                f"scaled_dot_product_attention: attn_mask {tuple(attn_mask.shape)} cannot be broadcast to "
                f"{(*lead, length, keys)}"
            ) from error
        if not flat:
            mask = mask.reshape(query.shape[0], query.shape[1], length, keys)
    result = attention(query, key, value, mask, bool(is_causal), scale, float(dropout_p))
    return result if flat else result.reshape(*lead, length, width)


def _lowered(value: Any, dtype: Any) -> Any:
    """A float tensor in the dtype of an autocast region; anything else as it is."""
    if not isinstance(value, Tensor) or value.dtype.name not in ("float32", "float16", "bfloat16"):
        return value
    return value.to(dtype)


def _batched(query: Any, key: Any, value: Any, grouped: bool) -> tuple[tuple[int, ...], Any, Any, Any]:
    """The leading dimensions of the result, and the operands with two of them."""
    tensors = [query, key, value]
    leads = [tuple(t.shape[:-2]) for t in tensors]
    heads = [lead[-1] if lead else 1 for lead in leads]
    if grouped and min(t.ndim for t in tensors) >= 3:
        if 0 in heads[1:] or heads[0] % heads[1] or heads[0] % heads[2]:
            raise ShapeError(
                f"scaled_dot_product_attention: the number of heads of key and value must divide that of query: "
                f"{_shapes(query, key, value)}"
            )
        if heads[1] != heads[2]:
            key, value = (t.repeat_interleave(heads[0] // t.shape[-3], -3) for t in (key, value))
            tensors, heads = [query, key, value], [heads[0]] * 3
        leads = [lead[:-1] for lead in leads]
        outer = broadcast_shapes(*leads)
        tensors = [t.expand(*outer, *t.shape[-3:]).reshape(-1, *t.shape[-3:]) for t in tensors]
        return (*outer, heads[0]), tensors[0], tensors[1], tensors[2]
    try:
        lead = broadcast_shapes(*leads)
    except RuntimeError as error:
        raise ShapeError(
            f"scaled_dot_product_attention: the leading dimensions cannot be broadcast: {_shapes(query, key, value)}; "
            f"with enable_gqa=True key and value may have fewer heads"
        ) from error
    full = (1,) * (2 - len(lead)) + lead
    batch = math.prod(full[:-1])
    tensors = [t.expand(*full, *t.shape[-2:]).reshape(batch, full[-1], *t.shape[-2:]) for t in tensors]
    return lead, tensors[0], tensors[1], tensors[2]


# --- several heads ---------------------------------------------------------------------------------------------------


def _mask_of(name: str, mask: Any, query: Any) -> Any:
    """A mask as True where a key is hidden, or as what is added to the scores."""
    if mask is None or mask.dtype is flambeau.bool:
        return mask
    if not mask.dtype.is_floating_point:
        raise DTypeError(f"multi_head_attention_forward: only bool and floating types of {name} are supported")
    return mask.to(query.dtype)


def _joined(hidden: Any, padding: Any, query: Any) -> Any:
    """Two masks, either None, as one for `attention`: True where a key takes part, or what is added."""
    if hidden is None or padding is None:
        only = hidden if padding is None else padding
        return ~only if only is not None and only.dtype is flambeau.bool else only
    if hidden.dtype is flambeau.bool and padding.dtype is flambeau.bool:
        return ~(hidden | padding)
    added = [
        flambeau.zeros(mask.shape, dtype=query.dtype).masked_fill(mask, -math.inf)
        if mask.dtype is flambeau.bool
        else mask
        for mask in (hidden, padding)
    ]
    return added[0] + added[1]


def _check_heads(
    query: Any, key: Any, value: Any, hidden: Any, padding: Any, width: int, heads: int, separate: bool
) -> None:
    name = "multi_head_attention_forward"
    if query.ndim not in (2, 3):
        raise ShapeError(
            f"{name}: query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor"
        )
    if not query.ndim == key.ndim == value.ndim:
        raise ShapeError(f"{name}: query, key and value need as many dimensions: {_shapes(query, key, value)}")
    if query.shape[-1] != width:
        raise ShapeError(f"{name}: was expecting embedding dimension of {width}, but got {query.shape[-1]}")
    if heads <= 0 or width % heads:
        raise ShapeError(f"{name}: embed_dim {width} not divisible by num_heads {heads}")
    fits = key.shape[:-1] == value.shape[:-1] if separate else key.shape == value.shape
    if not fits:
        raise ShapeError(f"{name}: key and value do not fit: {_shapes(query, key, value)}")
    batch = query.shape[1] if query.ndim == 3 else 1
    length, keys = query.shape[0], key.shape[0]
    if padding is not None and tuple(padding.shape) != ((batch, keys) if query.ndim == 3 else (keys,)):
        raise ShapeError(
            f"{name}: expecting key_padding_mask shape of {(batch, keys) if query.ndim == 3 else (keys,)}, "
            f"but got {tuple(padding.shape)}"
        )
    if hidden is not None:
        wanted = (length, keys) if hidden.ndim == 2 else (batch * heads, length, keys)
        if hidden.ndim not in (2, 3):
            raise ShapeError(f"{name}: attn_mask's dimension {hidden.ndim} is not supported")
        if tuple(hidden.shape) != wanted:
            raise ShapeError(
                f"{name}: The shape of the {hidden.ndim}D attn_mask is {tuple(hidden.shape)}, but should be {wanted}."
            )


def _projected(query: Any, key: Any, value: Any, weight: Any, bias: Any, separate: Any) -> tuple[Any, Any, Any]:
    """Query, key and value after their projections; one product where they are one tensor."""
    width = query.shape[-1]
    if separate is not None:
        parts = (None, None, None) if bias is None else bias.chunk(3)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), separate, parts, strict=True))
        return q, k, v
    if query is key and key is value:
        return tuple(linear(query, weight, bias).chunk(3, -1))
    q_weight, kv_weight = weight.split([width, 2 * width])
    q_bias, kv_bias = (None, None) if bias is None else bias.split([width, 2 * width])
    if key is value:
        k, v = linear(key, kv_weight, kv_bias).chunk(2, -1)
        return linear(query, q_weight, q_bias), k, v
    k_weight, v_weight = kv_weight.chunk(2)
    k_bias, v_bias = (None, None) if kv_bias is None else kv_bias.chunk(2)
    return linear(query, q_weight, q_bias), linear(key, k_weight, k_bias), linear(value, v_weight, v_bias)


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of several heads over projections of query (L, N, E), key and value (S, N, E), or without N.

    Arguments: as of `MultiheadAttention`, with its parameters; `key_padding_mask` (N, S) and `attn_mask` (L, S) or
    (N·heads, L, S), True or -inf where a key is hidden; `static_k`, `static_v` (N·heads, S, E/heads) in place of the
    projected key and value. Returns the output (L, N, E) and the weights (N, L, S), (N, heads, L, S) without
    averaging, or None. Errors: ShapeError, DTypeError, RuntimeError.
    """
    _check_types(
        "multi_head_attention_forward",
        {"query": query, "key": key, "value": value, "out_proj_weight": out_proj_weight},
        {
            "in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias, "bias_k": bias_k, "bias_v": bias_v,
            "out_proj_bias": out_proj_bias, "key_padding_mask": key_padding_mask, "attn_mask": attn_mask,
            "q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight, "v_proj_weight": v_proj_weight,
            "static_k": static_k, "static_v": static_v,
        },
    )  # fmt: skip
    for argument, number in (("embed_dim_to_check", embed_dim_to_check), ("num_heads", num_heads)):
        if not isinstance(number, int):
            raise TypeError(
                f"multi_head_attention_forward(): argument '{argument}' must be int, not {type(number).__name__}"
            )
    if in_proj_weight is None and not use_separate_proj_weight:
        raise RuntimeError("multi_head_attention_forward: in_proj_weight is None; give it, or the three separate ones")
    hidden, padding = _mask_of("attn_mask", attn_mask, query), _mask_of("key_padding_mask", key_padding_mask, query)
    _check_heads(query, key, value, hidden, padding, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    single = query.ndim == 2
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _projected(query, key, value, in_proj_weight, in_proj_bias, separate)
    if single:
        q, k, v = q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1)
        padding = None if padding is None else padding.unsqueeze(0)
    length, batch, width = q.shape
    size = width // num_heads
    if bias_k is not None and bias_v is not None:
        k = flambeau.cat((k, bias_k.expand(1, batch, width)))
        v = flambeau.cat((v, bias_v.expand(1, batch, width)))
    # (N, heads, length, size), as views.
    q = q.reshape(length, batch, num_heads, size).permute(1, 2, 0, 3)
    k, v = (
        x.reshape(x.shape[0], batch, num_heads, size).permute(1, 2, 0, 3)
        if static is None
        else static.reshape(batch, num_heads, *static.shape[1:])
        for x, static in ((k, static_k), (v, static_v))
    )
    if add_zero_attn:
        nothing = flambeau.zeros((batch, num_heads, 1, size), dtype=q.dtype)
        k, v = flambeau.cat((k, nothing), 2), flambeau.cat((v, nothing), 2)
    keys = k.shape[2]
    causal = is_causal and padding is None and not need_weights and keys == key.shape[0]
    if causal:
        mask = None
    else:
        if hidden is not None:
            hidden = hidden.unsqueeze(0) if hidden.ndim == 2 else hidden.reshape(batch, num_heads, *hidden.shape[1:])
            hidden = _widened(hidden, keys)
        mask = _joined(hidden, None if padding is None else _widened(padding, keys)[:, None, None, :], q)
        mask = None if mask is None else mask.expand(batch, num_heads, length, keys)
    rate = dropout_p if training else 0.0
    scale = 1.0 / math.sqrt(size)
    if need_weights:
        weights = attention_weights(q, k, mask, False, scale)
        used = dropout(weights, rate) if rate else weights
        heads = used @ v
    else:
        used, heads = None, attention(q, k, v, mask, causal, scale, rate)
    out = heads.permute(2, 0, 1, 3).reshape(length * batch, width)
    out = linear(out, out_proj_weight, out_proj_bias).reshape(length, batch, -1)
    if used is not None and average_attn_weights:
        used = used.mean(dim=1)
    if single:
        return out.squeeze(1), None if used is None else used.squeeze(0)
    return out, used


def _widened(mask: Any, keys: int) -> Any:
    """A mask with what was appended to the keys: never hidden."""
    missing = keys - mask.shape[-1]
    if not missing:
        return mask
    return flambeau.cat((mask, flambeau.zeros((*mask.shape[:-1], missing), dtype=mask.dtype)), -1)
