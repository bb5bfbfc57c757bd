"""Attention as functions: `scaled_dot_product_attention`, `multi_head_attention_forward`."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau.errors import DTypeError, ShapeError
from flambeau.nn.functional.dropout import dropout
from flambeau.nn.functional.linear import linear
from flambeau.ops.attention import attention, attention_weights
from flambeau.ops.constructors import broadcast_shapes

__all__ = ["scaled_dot_product_attention"]


def _shapes(query: Any, key: Any, value: Any) -> str:
    return f"query is {tuple(query.shape)}, key is {tuple(key.shape)}, value is {tuple(value.shape)}"


def _check(query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float, is_causal: bool) -> None:
    name = "scaled_dot_product_attention"
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
        raise ShapeError(f"{name}: inner sizes differ: {_shapes(query, key, value)}; the last sizes of both must be equal")
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
