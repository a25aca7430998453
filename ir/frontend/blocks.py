"""The blocks that decoders are built of: step inputs, attention over pages, gated feed-forward."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferflux.ir import ops
from inferflux.ir.frontend.facts import LayerGroup, ModelConfig
from inferflux.ir.graph import Value
from inferflux.ir.types import F16, F32, I32, U64, DType, tensor

PAGE_SIZE = 16  # P, tokens of a KV page

_SAMPLING = {  # the operands of ``sample`` that a request chooses, a row each
    "temperature": F32,
    "top_k": I32,
    "top_p": F32,
    "min_p": F32,
    "seeds": U64,
    "forced": I32,
    "num_logprobs": I32,
}


@dataclass(frozen=True, slots=True)
class KVPages:
    """One KV group in a step: where new tokens go, where old ones are, and the pages so far."""

    slots: Value  # i32[T]
    table: Value  # i32[B, M]
    keys: Value  # f16[N, L_G, K, D_h, P], a page transposed
    values: Value  # f16[N, L_G, K, P, D_h]
    window: int | None


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What a step gives to the graph."""

    tokens: Value  # i32[T], as are positions and sequences
    positions: Value
    sequences: Value
    rows: Value  # i32[R]
    groups: tuple[KVPages, ...]
    sampling: tuple[Value, ...]  # [R] each

    @property
    def listed(self) -> tuple[Value, ...]:
        """Every input, in the graph's order."""
        pages = (v for g in self.groups for v in (g.slots, g.table, g.keys, g.values))
        return (self.tokens, self.positions, self.sequences, self.rows, *pages, *self.sampling)


@dataclass(frozen=True, slots=True)
class Projection:
    """A weight [N, D] and what is added to its product, f32[N]."""

    weight: Value
    bias: Value | None


@dataclass(frozen=True, slots=True)
class AttentionWeights:
    """The projections of one attention."""

    query: Projection  # N = H*D_h
    key: Projection  # N = K*D_h
    value: Projection  # N = K*D_h
    output: Value  # [D, H*D_h]


@dataclass(frozen=True, slots=True)
class Rotation:
    """How queries and keys are turned by position."""

    table: Value  # f32[S, D_h]
    head_dim: int
    pairs: str  # "adjacent" or "halves"


def step_inputs(config: ModelConfig) -> StepInputs:
    return StepInputs(
        tokens=_vector("tokens", I32, "T"),
        positions=_vector("positions", I32, "T"),
        sequences=_vector("sequences", I32, "T"),
        rows=_vector("rows", I32, "R"),
        groups=tuple(_kv_pages(config, *item) for item in enumerate(config.kv_groups)),
        sampling=tuple(_vector(name, dtype, "R") for name, dtype in _SAMPLING.items()),
    )


def attention(
    x: Value,
    weights: AttentionWeights,
    rotation: Rotation,
    pages: KVPages,
    step: StepInputs,
    layer: int,
) -> tuple[Value, KVPages]:
    """Append to the layer's pages, attend to them.  f32[T, D] -> f32[T, D], the pages

    ``layer`` is the layer's index in its KV group.
    """
    head_dim = rotation.head_dim
    query = _rotate(_project(x, weights.query), rotation, step)
    key = _rotate(_project(x, weights.key), rotation, step)
    value = _project(x, weights.value)
    pages = replace(
        pages,
        keys=ops.append_keys(pages.keys, key, pages.slots, layer=layer, head_dim=head_dim),
        values=ops.append_values(pages.values, value, pages.slots, layer=layer, head_dim=head_dim),
    )
    attended = ops.attention(
        query,
        pages.keys,
        pages.values,
        step.positions,
        step.sequences,
        pages.table,
        layer=layer,
        head_dim=head_dim,
        scale=head_dim**-0.5,
        window=pages.window,
    )
    return ops.linear(attended, weights.output), pages


def gated_mlp(x: Value, gate: Value, up: Value, down: Value) -> Value:
    """(silu(x @ gate.T) * (x @ up.T)) @ down.T.  f32[T, D], [F, D] x 2, [D, F] -> f32[T, D]"""
    gated: Value = ops.multiply(ops.silu(ops.linear(x, gate)), ops.linear(x, up))
    out: Value = ops.linear(gated, down)
    return out


def head(x: Value, norm: Value, weight: Value, eps: float, step: StepInputs) -> tuple[Value, ...]:
    """Normalise the rows that want logits, project, sample.  -> what ``sample`` gives, logits"""
    rows = ops.rms_norm(ops.take_rows(x, step.rows), norm, eps=eps)  # (R, D)
    logits = ops.linear(rows, weight, hint="logits")  # (R, V)
    return (*ops.sample(logits, *step.sampling, step.rows, step.positions), logits)


def _project(x: Value, projection: Projection) -> Value:
    product: Value = ops.linear(x, projection.weight)
    return product if projection.bias is None else ops.add_bias(product, projection.bias)


def _rotate(x: Value, rotation: Rotation, step: StepInputs) -> Value:
    turned: Value = ops.rope(
        x, step.positions, rotation.table, head_dim=rotation.head_dim, pairs=rotation.pairs
    )
    return turned


def _kv_pages(config: ModelConfig, index: int, group: LayerGroup) -> KVPages:
    layers, heads, head_dim = len(group.layers), config.num_kv_heads, config.head_dim
    keys = tensor(F16, "N", layers, heads, head_dim, PAGE_SIZE)
    values = tensor(F16, "N", layers, heads, PAGE_SIZE, head_dim)
    return KVPages(
        slots=_vector(f"slots.{index}", I32, "T"),
        table=Value(tensor(I32, "B", "M"), f"pages.{index}"),
        keys=Value(keys, f"k.{index}"),
        values=Value(values, f"v.{index}"),
        window=group.window,
    )


def _vector(name: str, dtype: DType, length: str) -> Value:
    return Value(tensor(dtype, length), name)
