"""Attention: what each query takes from values, by how well it meets their keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.handle import wrap
from ...ops import choices, joining
from ...ops.arguments import need_tensor
from ...primitives import layout
from ...primitives.contractions import bmm
from .dropping import dropout
from .linear import linear

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor,
                                 attn_mask: Tensor | None = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None,
                                 enable_gqa: bool = False) -> Tensor:
    """softmax(query @ key.mT * scale + mask) @ value.

    Args:
        query: of shape (..., L, E).
        key: of shape (..., S, E).
        value: of shape (..., S, V).
        attn_mask: bools (which keys each query sees) or numbers to be added; broadcast to
            (..., L, S).
        dropout_p: the probability that a weight is dropped.
        is_causal: whether query i sees keys up to i alone.
        scale: 1 / sqrt(E), if None.
        enable_gqa: whether several heads of queries (dimension -3) share one of keys.

    Returns:
        A tensor of shape (..., L, V). A query that sees no key gets zeros.

    Raises:
        RuntimeError: if shapes or dtypes do not fit, or for both a mask and `is_causal`.

    Source: Vaswani et al., Attention Is All You Need, 2017.
    """
    _check(query, key, value)
    mask = _mask(query, key, attn_mask, is_causal)
    if enable_gqa:
        key, value = (x.repeat_interleave(query.size(-3) // x.size(-3), -3) for x in (key, value))
    weights = _weights(_product(query * _scale(query, scale), layout.mT(key)), mask)
    return _product(dropout(weights, dropout_p) if dropout_p > 0 else weights, value)


def _product(x: Any, y: Any) -> Any:
    """x @ y, by the shortest way where both have the same leading dimensions."""
    batch = x.aval.shape[:-2]
    if not batch or y.aval.shape[:-2] != batch:
        return x @ y
    if len(batch) == 1:
        return bmm(x, y)
    count = math.prod(batch)
    found = bmm(*[layout.reshape(v, shape=(count, *v.aval.shape[-2:])) for v in (x, y)])
    return layout.reshape(found, shape=(*batch, *found.aval.shape[1:]))


def _check(query: Any, key: Any, value: Any) -> None:
    for i, (name, x) in enumerate((("query", query), ("key", key), ("value", value)), 1):
        need_tensor("scaled_dot_product_attention", x, name, i)
    q, k, v = query.aval, key.aval, value.aval
    if not q.dtype is k.dtype is v.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{q.dtype.words.lower()} key.dtype: {k.dtype.words.lower()} and value.dtype: "
            f"{v.dtype.words.lower()} instead.")
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{q.ndim} key.dim: {k.ndim} and value.dim: {v.ndim} instead.")


def _mask(query: Any, key: Any, mask: Any, causal: bool) -> Any:
    if causal:
        if mask is not None:
            raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be "
                               "set when is_causal=True")
        return wrap(np.tri(query.size(-2), key.size(-2), dtype=bool))
    if mask is not None and mask.aval.dtype not in (dtypes.bool_, dtypes.float32,
                                                    query.aval.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.aval.dtype.words.lower()} and  query.dtype: "
            f"{query.aval.dtype.words.lower()} instead.")
    return mask


def _scale(query: Any, scale: float | None) -> float:
    return scale if scale is not None else 1 / math.sqrt(query.size(-1)) if query.size(-1) else 1.0


def _weights(scores: Any, mask: Any) -> Any:
    """Shares of the keys; zeros for a query that sees none."""
    if mask is None:
        return scores.softmax(-1)
    if mask.aval.dtype is dtypes.bool_:
        return choices.where(mask, choices.where(mask, scores, -math.inf).softmax(-1), 0)
    weights = (scores + mask).softmax(-1)
    return choices.where((mask == -math.inf).all(-1, keepdim=True), 0, weights)


def multi_head_attention_forward(
        query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
        in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None,
        bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor,
        out_proj_bias: Tensor | None, training: bool = True,
        key_padding_mask: Tensor | None = None, need_weights: bool = True,
        attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False,
        q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
        v_proj_weight: Tensor | None = None, static_k: Tensor | None = None,
        static_v: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
    """Attention by several heads, with maps before and after: what `nn.MultiheadAttention` does.

    Queries, keys and values have shape (L or S, batch, E), or (L or S, E).

    Args:
        query: what asks.
        key: what is compared with it.
        value: what is taken.
        embed_dim_to_check: E of the queries.
        num_heads: by how many heads; E is divisible by it.
        in_proj_weight: the three maps before, one below the other, of shape (3 E, E).
        in_proj_bias: of shape (3 E,).
        bias_k: a key more, of shape (1, 1, E).
        bias_v: its value.
        add_zero_attn: whether a key and value of zeros are added.
        dropout_p: the probability that a weight is dropped, in training.
        out_proj_weight: the map after, of shape (E, E).
        out_proj_bias: of shape (E,).
        training: see `dropout_p`.
        key_padding_mask: of shape (batch, S): which keys nobody sees; or numbers to be added.
        need_weights: whether weights are returned as well.
        attn_mask: of shape (L, S) or (batch * heads, L, S): what is not seen, or numbers to add.
        use_separate_proj_weight: whether the maps before are given one by one.
        q_proj_weight: that of queries.
        k_proj_weight: that of keys.
        v_proj_weight: that of values.
        static_k: keys that need no map, of shape (batch * heads, S, E / heads).
        static_v: values likewise.
        average_attn_weights: whether weights are averaged over heads.
        is_causal: a promise that `attn_mask` is causal.

    Returns:
        The result, of the query's shape, and the weights, of shape (batch, L, S) or
        (batch, heads, L, S), or None.
    """
    batched = query.aval.ndim == 3
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    _check_heads(query.size(2), embed_dim_to_check, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    maps = ((q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else
            in_proj_weight.chunk(3))  # type: ignore[union-attr]
    q, k, v = _mapped((query, key, value), maps, in_proj_bias)
    q = _by_head(q, num_heads)
    k = _keys(k, bias_k if bias_v is not None else None, static_k, num_heads)
    v = _keys(v, bias_v if bias_k is not None else None, static_v, num_heads)
    given = k.size(2) - (bias_k is not None)
    if add_zero_attn:
        k, v = (joining.cat([x, x.new_zeros(*x.shape[:2], 1, x.size(3))], 2) for x in (k, v))
    mask = _joined_masks(attn_mask, key_padding_mask, q, given, k.size(2))
    scores = _product(q / math.sqrt(q.size(-1)), k.mT)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    if training and dropout_p > 0:
        weights = dropout(weights, dropout_p)
    found = _product(weights, v).permute(2, 0, 1, 3).flatten(2).flatten(0, 1)
    out = linear(found, out_proj_weight, out_proj_bias).unflatten(0, query.shape[:2])
    shares = weights.mean(1) if average_attn_weights else weights
    if not batched:
        out, shares = out.squeeze(1), shares.squeeze(0)
    return out, shares if need_weights else None


def _check_heads(width: int, wanted: int, heads: int) -> None:
    if width != wanted:
        raise AssertionError(f"was expecting embedding dimension of {wanted}, but got {width}")
    if width % heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {heads}")


def _mapped(xs: Any, maps: Any, bias: Any) -> list[Any]:
    """Queries, keys and values, each through its map."""
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(xs, maps, biases, strict=True)]


def _keys(x: Any, more: Any, static: Any, heads: int) -> Any:
    """Keys, or their values, by head: with one more, or those that need no map in their place."""
    if static is not None:
        return static.unflatten(0, (x.size(1), heads))
    if more is not None:
        x = joining.cat([x, more.repeat(1, x.size(1), 1)])
    return _by_head(x, heads)


def _by_head(x: Any, heads: int) -> Any:
    """(L, batch, E) as (batch, heads, L, E / heads)."""
    length, batch, width = x.shape
    return x.reshape(length, batch, heads, width // heads).permute(1, 2, 0, 3)


def _numbers(mask: Any, like: Any) -> Any:
    """A mask as numbers to be added: -inf for what is not seen."""
    if mask is None or mask.aval.dtype is not dtypes.bool_:
        return mask
    return choices.where(mask, like.new_full((), -math.inf), 0)


def _joined_masks(mask: Any, padding: Any, q: Any, have: int, want: int) -> Any:
    """Both masks in one, of a shape that broadcasts to the scores; keys that were added are seen
    by all."""
    batch, heads, length, _ = q.shape
    mask, padding = _numbers(mask, q), _numbers(padding, q)
    if mask is not None:
        mask = (mask if mask.aval.ndim == 2 else mask.reshape(batch, heads, length, -1))
    if padding is not None:
        padding = padding.reshape(batch, 1, 1, -1)
        mask = padding if mask is None else mask + padding
    if mask is None or have == want:
        return mask
    return joining.cat([mask, mask.new_zeros(*mask.shape[:-1], want - have)], -1)
