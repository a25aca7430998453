"""The builder of decoders: an embedding, layers of given parts, a head; unrolled, in plain ops."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.frontend.blocks.attention import HEADS, Attention
from inferflux.ir.frontend.blocks.feed_forward import SWIGLU, FeedForward
from inferflux.ir.frontend.blocks.layer import Layer
from inferflux.ir.frontend.blocks.norm import RMS_NORM, Norm
from inferflux.ir.frontend.blocks.residual import NORMS_BEFORE, Residual
from inferflux.ir.frontend.blocks.step import KVPages, StepInputs, step_inputs
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.weights import Weights
from inferflux.ir.graph import Graph, Value

_EMBEDDING = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a decoder is composed of; its numbers are a ``ModelConfig``."""

    norm: Norm = RMS_NORM
    residual: Residual = NORMS_BEFORE
    attention: Attention = HEADS
    feed_forward: FeedForward = SWIGLU
    has_learned_positions: bool = False  # an embedding of positions is added to that of tokens
    has_head_bias: bool = False


DENSE = Parts()  # as a Llama


def build(config: ModelConfig, parts: Parts, weights: Weights) -> Graph:
    """Every tensor of the file is used, or the file is refused."""
    step = step_inputs(config)
    x = _embedded(config, parts, weights, step)
    x, groups = _layers(x, config, parts, weights, step)
    sampled = _head(x, config, parts, weights, step)
    pages = (v for group in groups for v in (group.keys, group.values))
    return Graph(step.listed, (*sampled, *pages), weights.finish(), name=config.architecture)


def _embedded(config: ModelConfig, parts: Parts, weights: Weights, step: StepInputs) -> Value:
    x: Value = ops.embed(step.tokens, _embedding(config, weights))
    if parts.has_learned_positions:
        name, length = "position_embd.weight", config.context_length
        positions = weights.matrix(name, length, config.hidden_size)
        x = ops.add(x, ops.embed(step.positions, positions))
    return _scaled(x, config.embedding_scale)


def _layers(
    x: Value, config: ModelConfig, parts: Parts, weights: Weights, step: StepInputs
) -> tuple[Value, tuple[KVPages, ...]]:
    groups = list(step.groups)
    tables = {rope: _table(rope, config) for rope in dict.fromkeys(config.ropes) if rope}
    for number, rope in enumerate(config.ropes):
        layer = Layer(number, config, weights, step, tables[rope] if rope else None)
        group, _ = config.place(number)
        x, groups[group] = _layer(x, parts, layer, groups[group])
    return x, tuple(groups)


def _layer(x: Value, parts: Parts, layer: Layer, pages: KVPages) -> tuple[Value, KVPages]:
    shape = parts.residual
    before = _normed(x, shape.before_attention, parts, layer)
    mixed, pages = parts.attention(before, layer, pages)
    total = _added(x, mixed, shape.after_attention, parts, layer)
    if not (shape.is_parallel and shape.before_feed_forward == shape.before_attention):
        stream = x if shape.is_parallel else total
        before = _normed(stream, shape.before_feed_forward, parts, layer)
    fed = parts.feed_forward(before, layer)
    return _added(total, fed, shape.after_feed_forward, parts, layer), pages


def _added(x: Value, more: Value, norm: str, parts: Parts, layer: Layer) -> Value:
    normed = _normed(more, norm, parts, layer)
    total: Value = ops.add(x, _scaled(normed, layer.config.residual_scale))
    return total


def _normed(x: Value, module: str, parts: Parts, layer: Layer) -> Value:
    if not module:
        return x
    return parts.norm(x, f"blk.{layer.number}.{module}", layer.config, layer.weights)


def _head(
    x: Value, config: ModelConfig, parts: Parts, weights: Weights, step: StepInputs
) -> tuple[Value, ...]:
    """Normalise the rows that want logits, project, sample.  -> what ``sample`` gives, logits"""
    rows = parts.norm(ops.take_rows(x, step.rows), "output_norm", config, weights)  # (R, D)
    logits = ops.linear(rows, _head_weight(config, weights), hint="logits")  # (R, V)
    if parts.has_head_bias:
        logits = ops.add_bias(logits, weights.vector("output.bias", config.vocab_size))
    logits = _scaled(logits, config.logit_scale)
    if config.logit_cap is not None:
        logits = ops.soft_cap(logits, cap=config.logit_cap)
    return (*ops.sample(logits, *step.sampling, step.rows, step.positions), logits)


def _table(rope: Rope, config: ModelConfig) -> Value:
    table: Value = ops.rope_table(
        theta=rope.theta,
        head_dim=rope.size,
        length=config.context_length,
        factors=rope.factors,
        magnitude=rope.magnitude,
        original=rope.original,
        long_factors=rope.long_factors,
        growth=rope.growth,
    )
    return table


def _scaled(x: Value, by: float) -> Value:
    scaled: Value = x if by == 1.0 else ops.scale(x, by=by)
    return scaled


def _embedding(config: ModelConfig, weights: Weights) -> Value:
    return weights.matrix(_EMBEDDING, config.vocab_size, config.hidden_size)


def _head_weight(config: ModelConfig, weights: Weights) -> Value:
    if config.is_tied:
        return _embedding(config, weights)
    return weights.matrix("output.weight", config.vocab_size, config.hidden_size)
