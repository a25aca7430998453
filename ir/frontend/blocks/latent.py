"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), in its absorbed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.frontend.blocks.step import KVPages
from inferflux.ir.frontend.facts import Latent
from inferflux.ir.graph import Value


@dataclass(frozen=True, slots=True)
class LatentHeads:
    """Heads whose keys and values are products of one vector that is kept for each token.

    A head's key is W_k c beside what is turned, and its score q W_k c = (W_k^T q) c: queries take
    W_k in, so that c is one key for all heads, and is one value, of which W_v makes a head's own.
    """

    def __call__(self, x: Value, layer: Layer, pages: KVPages) -> tuple[Value, KVPages]:
        latent, step = _latent(layer), layer.step
        query, at = self._query(x, layer), layer.index
        kept, key = self._kept(x, layer)
        pages = replace(
            pages,
            keys=ops.append_keys(pages.keys, key, pages.slots, layer=at, head_dim=latent.key),
            values=ops.append_values(
                pages.values, kept, pages.slots, layer=at, head_dim=latent.rank
            ),
        )
        attended = ops.attention(
            query,
            pages.keys,
            pages.values,
            step.positions,
            step.sequences,
            pages.table,
            layer=at,
            head_dim=latent.key,
            value_dim=latent.rank,
            scale=layer.config.attention_scale or latent.head**-0.5,
            window=pages.window,
        )
        own = ops.linear_heads(attended, _matrices("attn_v_b", latent.value, latent.rank, layer))
        return layer.project(own, "attn_output", layer.config.hidden_size), pages

    def _query(self, x: Value, layer: Layer) -> Value:
        """f32[T, D] -> f32[T, H*(rank + turned)]"""
        latent, heads = _latent(layer), layer.config.num_query_heads
        if latent.query_rank is not None:
            x = layer.project(x, "attn_q_a", latent.query_rank)
            x = ops.rms_norm(
                x, layer.vector("attn_q_a_norm", latent.query_rank), eps=layer.config.epsilon
            )
        plain = layer.project(x, "attn_q_nope", heads * latent.plain)
        turned = _turned(layer.project(x, "attn_q_rope", heads * latent.turned), layer)
        taken = ops.linear_heads(plain, _matrices("attn_k_b", latent.rank, latent.plain, layer))
        query: Value = ops.join_heads(taken, turned, num_heads=heads)
        return query

    def _kept(self, x: Value, layer: Layer) -> tuple[Value, Value]:
        """What is kept of a token, and the key that it begins.

        f32[T, D] -> f32[T, rank], f32[T, rank + turned]
        """
        latent, eps = _latent(layer), layer.config.epsilon
        kept = layer.project(x, "attn_kv_a", latent.rank)
        kept = ops.rms_norm(kept, layer.vector("attn_kv_a_norm", latent.rank), eps=eps)
        turned = _turned(layer.project(x, "attn_k_rope", latent.turned), layer)
        return kept, ops.join_heads(kept, turned, num_heads=1)


def _latent(layer: Layer) -> Latent:
    assert layer.config.latent is not None, "an architecture of latent heads states their sizes"
    return layer.config.latent


def _turned(x: Value, layer: Layer) -> Value:
    assert layer.rope is not None, "some of each head is turned in every layer"
    pairs, size = layer.config.pairs, _latent(layer).turned
    turned: Value = ops.rope(x, layer.step.positions, layer.rope, head_dim=size, pairs=pairs)
    return turned


def _matrices(module: str, rows: int, columns: int, layer: Layer) -> Value:
    """One for each head."""
    return layer.weights.matrices(layer.name(module), layer.config.num_query_heads, rows, columns)
