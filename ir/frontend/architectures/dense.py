"""Dense decoders: RMS norms, rotary embeddings, grouped heads and a gated SiLU."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.ir import ops
from inferflux.ir.frontend.architectures import dense_metadata
from inferflux.ir.frontend.blocks import (
    AttentionWeights,
    KVPages,
    Projection,
    Rotation,
    StepInputs,
    attention,
    gated_mlp,
    head,
    step_inputs,
)
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.huggingface import config as huggingface_config
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.weights import Weights
from inferflux.ir.graph import Graph, Value

_EMBEDDING = "token_embd.weight"
_ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True, slots=True)
class Dense:
    """What tells one dense decoder from another."""

    published: tuple[Published, ...]  # the model types of transformers that are it
    pairs: str  # which rows of a head turn together, as a GGUF orders them: adjacent or halves
    has_biases: bool = False  # on queries, keys and values
    takes_rope_factors: bool = False  # a GGUF may hold one for each pair


def config(source: ModelSource) -> ModelConfig:
    """Read the model's shape, in the words of its format."""
    if isinstance(source, HuggingFaceModel):
        return huggingface_config.config(source)
    return dense_metadata.config(source)


def build(source: ModelSource, architecture: Dense) -> Graph:
    """Unrolled, in plain ops; every tensor of the file is used, or the file is refused."""
    model = config(source)
    if isinstance(source, HuggingFaceModel):
        architecture = replace(architecture, pairs=source.published.pairs)
    weights = Weights(source)
    step = step_inputs(model)
    x = ops.embed(step.tokens, _embedding(model, weights))
    x, groups = _layers(x, model, architecture, weights, step)
    norm = weights.vector("output_norm.weight", model.hidden_size)
    sampled = head(x, norm, _head_weight(model, weights), model.rms_epsilon, step)
    pages = (v for group in groups for v in (group.keys, group.values))
    return Graph(step.listed, (*sampled, *pages), weights.finish(), name=model.architecture)


def _layers(
    x: Value, model: ModelConfig, architecture: Dense, weights: Weights, step: StepInputs
) -> tuple[Value, tuple[KVPages, ...]]:
    groups = list(step.groups)
    rotation = _rotation(model, architecture, weights)
    for layer in range(model.num_layers):
        group, index = model.place(layer)
        normed = _norm(x, f"blk.{layer}.attn_norm.weight", model, weights)
        projections = _attention_weights(layer, model, architecture, weights)
        mixed, groups[group] = attention(normed, projections, rotation, groups[group], step, index)
        x = ops.add(x, mixed)
        x = ops.add(x, _feed_forward(x, layer, model, weights))
    return x, tuple(groups)


def _rotation(model: ModelConfig, architecture: Dense, weights: Weights) -> Rotation:
    factors = model.rope_factors
    if architecture.takes_rope_factors and weights.has(_ROPE_FACTORS):
        factors = weights.factors(_ROPE_FACTORS, model.head_dim // 2)
    table = ops.rope_table(
        theta=model.rope_theta,
        head_dim=model.head_dim,
        length=model.context_length,
        factors=factors,
    )
    return Rotation(table, model.head_dim, architecture.pairs)


def _feed_forward(x: Value, layer: int, model: ModelConfig, weights: Weights) -> Value:
    at, narrow, wide = f"blk.{layer}", model.hidden_size, model.intermediate_size
    return gated_mlp(
        _norm(x, f"{at}.ffn_norm.weight", model, weights),
        gate=weights.matrix(f"{at}.ffn_gate.weight", wide, narrow),
        up=weights.matrix(f"{at}.ffn_up.weight", wide, narrow),
        down=weights.matrix(f"{at}.ffn_down.weight", narrow, wide),
    )


def _attention_weights(
    layer: int, model: ModelConfig, architecture: Dense, weights: Weights
) -> AttentionWeights:
    at, width = f"blk.{layer}", model.hidden_size
    query_width = model.num_query_heads * model.head_dim
    kv_width = model.num_kv_heads * model.head_dim

    def projection(name: str, rows: int) -> Projection:
        weight = weights.matrix(f"{at}.{name}.weight", rows, width)
        has_bias = architecture.has_biases
        return Projection(weight, weights.vector(f"{at}.{name}.bias", rows) if has_bias else None)

    return AttentionWeights(
        query=projection("attn_q", query_width),
        key=projection("attn_k", kv_width),
        value=projection("attn_v", kv_width),
        output=weights.matrix(f"{at}.attn_output.weight", width, query_width),
    )


def _norm(x: Value, name: str, model: ModelConfig, weights: Weights) -> Value:
    weight = weights.vector(name, model.hidden_size)
    normed: Value = ops.rms_norm(x, weight, eps=model.rms_epsilon)
    return normed


def _embedding(model: ModelConfig, weights: Weights) -> Value:
    return weights.matrix(_EMBEDDING, model.vocab_size, model.hidden_size)


def _head_weight(model: ModelConfig, weights: Weights) -> Value:
    if model.is_tied:
        return _embedding(model, weights)
    return weights.matrix("output.weight", model.vocab_size, model.hidden_size)
