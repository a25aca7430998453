"""What a step gives to the graph: tokens, the pages of every KV group, how to sample."""

from __future__ import annotations

from dataclasses import dataclass

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


def step_inputs(config: ModelConfig) -> StepInputs:
    return StepInputs(
        tokens=_vector("tokens", I32, "T"),
        positions=_vector("positions", I32, "T"),
        sequences=_vector("sequences", I32, "T"),
        rows=_vector("rows", I32, "R"),
        groups=tuple(_kv_pages(config, *item) for item in enumerate(config.kv_groups)),
        sampling=tuple(_vector(name, dtype, "R") for name, dtype in _SAMPLING.items()),
    )


def _kv_pages(config: ModelConfig, index: int, group: LayerGroup) -> KVPages:
    layers, (heads, key_dim, value_dim) = len(group.layers), config.kept
    keys = tensor(F16, "N", layers, heads, key_dim, PAGE_SIZE)
    values = tensor(F16, "N", layers, heads, PAGE_SIZE, value_dim)
    return KVPages(
        slots=_vector(f"slots.{index}", I32, "T"),
        table=Value(tensor(I32, "B", "M"), f"pages.{index}"),
        keys=Value(keys, f"k.{index}"),
        values=Value(values, f"v.{index}"),
        window=group.window,
    )


def _vector(name: str, dtype: DType, length: str) -> Value:
    return Value(tensor(dtype, length), name)
