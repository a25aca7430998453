"""Attention of a layer: projections, norms of heads, rotation, and the pages it appends to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.frontend.blocks.step import KVPages
from inferflux.ir.graph import Value


class Attention(Protocol):
    """What a layer does to tokens together."""

    def __call__(self, x: Value, layer: Layer, pages: KVPages) -> tuple[Value, KVPages]:
        """Append to the layer's pages, attend to them.  f32[T, D] -> f32[T, D], the pages"""
        ...


@dataclass(frozen=True, slots=True)
class HeadNorm:
    """A norm of queries and one of keys, before they are turned.

    ``spans``: "head": of every head, with one weight for all; "each": with a weight for each;
    "row": of all heads together.
    """

    kind: str = "rms"  # or "layer"
    spans: str = "head"

    def __call__(self, x: Value, module: str, layer: Layer) -> Value:
        head_dim, width = layer.config.head_dim, x.type.shape[-1]
        assert isinstance(width, int), f"the width of {x.type} is static"
        weight = layer.vector(module, head_dim if self.spans == "head" else width)
        eps = layer.config.epsilon
        normed: Value
        if self.spans == "row":
            normed = (ops.rms_norm if self.kind == "rms" else ops.layer_norm)(x, weight, eps=eps)
        else:
            normed = ops.norm_heads(x, weight, eps=eps, head_dim=head_dim, kind=self.kind)
        return normed


@dataclass(frozen=True, slots=True)
class GroupedHeads:
    """Query heads that share key and value heads, evenly."""

    has_bias: bool = False  # on queries, keys and values
    has_output_bias: bool = False
    head_norm: HeadNorm | None = None
    has_sinks: bool = False  # a score for each head at which there is no value
    alibi: float | None = None  # the greatest slope's exponent; None: scores know no distance
    alibi_scale: float = 1.0
    is_scaled_by_layer: bool = False  # scores are divided by the layer's number, from 1 on

    def __call__(self, x: Value, layer: Layer, pages: KVPages) -> tuple[Value, KVPages]:
        config, step = layer.config, layer.step
        head_dim, at = config.head_dim, layer.index
        query = self._turned(x, "attn_q", config.num_query_heads, layer)
        key = self._turned(x, "attn_k", config.num_kv_heads, layer)
        rows = config.num_kv_heads * head_dim
        value = layer.project(x, "attn_v", rows, has_bias=self.has_bias)
        pages = replace(
            pages,
            keys=ops.append_keys(pages.keys, key, pages.slots, layer=at, head_dim=head_dim),
            values=ops.append_values(pages.values, value, pages.slots, layer=at, head_dim=head_dim),
        )
        sinks = (layer.vector("attn_sinks", config.num_query_heads),) if self.has_sinks else ()
        attended: Value = ops.attention(
            query,
            pages.keys,
            pages.values,
            step.positions,
            step.sequences,
            pages.table,
            *sinks,
            layer=at,
            head_dim=head_dim,
            scale=self._scale(layer),
            window=pages.window,
            **self._kinds(layer),
        )
        width, has_bias = config.hidden_size, self.has_output_bias
        return layer.project(attended, "attn_output", width, has_bias=has_bias), pages

    def _turned(self, x: Value, module: str, num_heads: int, layer: Layer) -> Value:
        """Queries or keys: projected, normalised, rotated.  f32[T, D] -> f32[T, heads * D_h]"""
        config = layer.config
        heads = layer.project(x, module, num_heads * config.head_dim, has_bias=self.has_bias)
        if self.head_norm is not None:
            heads = self.head_norm(heads, f"{module}_norm", layer)
        if layer.rope is None:
            return heads
        turned: Value = ops.rope(
            heads,
            layer.step.positions,
            layer.rope,
            head_dim=config.head_dim,
            pairs=config.pairs,
        )
        return turned

    def _scale(self, layer: Layer) -> float:
        scale = layer.config.attention_scale or layer.config.head_dim**-0.5
        return scale / (layer.number + 1) if self.is_scaled_by_layer else scale

    def _kinds(self, layer: Layer) -> dict[str, Any]:
        """Attributes of what most models do not have."""
        kinds: dict[str, Any] = {}
        if layer.config.attention_cap is not None:
            kinds["soft_cap"] = layer.config.attention_cap
        if self.alibi is not None:
            kinds |= {"alibi": self.alibi, "alibi_scale": self.alibi_scale}
        return kinds


HEADS = GroupedHeads()
