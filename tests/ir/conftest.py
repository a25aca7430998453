"""Small Llamas as a front end writes them, with weights and a step to run them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.interpret import interpret
from inferflux.ir.quantised import quantise
from inferflux.ir.types import F16, F32, I32, U64, DType, TensorType, tensor

Array = np.ndarray[Any, Any]

VOCAB, HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM = 96, 64, 96, 4, 2, 32
PAGE, CONTEXT, NUM_PAGES = 16, 64, 5
SAMPLING = {
    "temperature": F32,
    "top_k": I32,
    "top_p": F32,
    "min_p": F32,
    "seeds": U64,
    "forced": I32,
    "num_logprobs": I32,
}


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer's matrices are stored as, and how far it looks back."""

    dtype: DType
    window: int | None = None
    down: DType | None = None  # of ffn_down alone, as k-quant mixes have it
    scale: float = 0.25

    @property
    def theta(self) -> float:
        return 10000.0 if self.window is None else 500.0


@dataclass(slots=True)
class Model:
    """A graph, the bytes of its tensors, and the inputs of one step."""

    graph: Graph
    tensors: dict[str, Array]
    inputs: dict[str, Array]

    def outputs(self, graph: Graph | None = None) -> tuple[Array, ...]:
        return interpret(graph or self.graph, self.inputs, self.tensors)

    def logits(self, graph: Graph | None = None) -> Array:
        return self.outputs(graph)[4]


@dataclass(slots=True)
class Builder:
    """Emits plain ops, one at a time and layer by layer, and makes up the weights."""

    layers: Sequence[Layer]
    is_tied: bool = True
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    weights: list[Value] = field(default_factory=list)
    tensors: dict[str, Array] = field(default_factory=dict)

    def build(self) -> Model:
        step = {name: Value(type_, name) for name, type_ in self._inputs().items()}
        embedding = self._weight("token_embd.weight", self.layers[0].dtype, VOCAB, HIDDEN)
        x = ops.embed(step["tokens"], embedding)
        pages = {g: (step[f"k.{g}"], step[f"v.{g}"]) for g in range(len(self._groups()))}
        for number, layer in enumerate(self.layers):
            x = self._layer(x, number, layer, step, pages)
        x = ops.take_rows(x, step["rows"])
        x = ops.rms_norm(x, self._weight("output_norm.weight", F32, HIDDEN), eps=1e-5)
        logits = ops.linear(x, self._head(embedding), hint="logits")
        sampled = ops.sample(
            logits, *(step[name] for name in SAMPLING), step["rows"], step["positions"]
        )
        states = (value for group in pages.values() for value in group)
        outputs = (*sampled, logits, *states)
        graph = Graph(tuple(step.values()), outputs, tuple(self.weights), "tiny")
        return Model(graph, self.tensors, self._step())

    def _layer(
        self,
        x: Value,
        number: int,
        layer: Layer,
        step: Mapping[str, Value],
        pages: dict[int, tuple[Value, Value]],
    ) -> Value:
        def weight(name: str, *shape: int, dtype: DType = layer.dtype) -> Value:
            return self._weight(f"blk.{number}.{name}.weight", dtype, *shape)

        group = self._groups().index(layer.window)
        place = {"layer": self._place(number), "head_dim": HEAD_DIM}
        table = ops.rope_table(theta=layer.theta, head_dim=HEAD_DIM, length=CONTEXT)
        turn = {"head_dim": HEAD_DIM, "pairs": "adjacent"}
        positions, slots = step["positions"], step[f"slots.{group}"]
        normed = ops.rms_norm(x, weight("attn_norm", HIDDEN, dtype=F32), eps=1e-5)
        q = ops.linear(normed, weight("attn_q", HEADS * HEAD_DIM, HIDDEN))
        k = ops.linear(normed, weight("attn_k", KV_HEADS * HEAD_DIM, HIDDEN))
        v = ops.linear(normed, weight("attn_v", KV_HEADS * HEAD_DIM, HIDDEN))
        q, k = (ops.rope(value, positions, table, **turn) for value in (q, k))
        keys = ops.append_keys(pages[group][0], k, slots, **place)
        values = ops.append_values(pages[group][1], v, slots, **place)
        pages[group] = keys, values
        where = (positions, step["sequences"], step[f"pages.{group}"])
        attended = ops.attention(
            q, keys, values, *where, **place, scale=layer.scale, window=layer.window
        )
        x = ops.add(x, ops.linear(attended, weight("attn_output", HIDDEN, HEADS * HEAD_DIM)))
        normed = ops.rms_norm(x, weight("ffn_norm", HIDDEN, dtype=F32), eps=1e-5)
        gate = ops.linear(normed, weight("ffn_gate", INTERMEDIATE, HIDDEN))
        up = ops.linear(normed, weight("ffn_up", INTERMEDIATE, HIDDEN))
        hidden = ops.multiply(ops.silu(gate), up)
        down = weight("ffn_down", HIDDEN, INTERMEDIATE, dtype=layer.down or layer.dtype)
        result: Value = ops.add(x, ops.linear(hidden, down))
        return result

    def _groups(self) -> list[int | None]:
        return list(dict.fromkeys(layer.window for layer in self.layers))

    def _place(self, number: int) -> int:
        """The layer's index in its KV group."""
        windows = [layer.window for layer in self.layers]
        return windows[:number].count(windows[number])

    def _head(self, embedding: Value) -> Value:
        return embedding if self.is_tied else self._weight("output.weight", F16, VOCAB, HIDDEN)

    def _weight(self, name: str, dtype: DType, *shape: int) -> Value:
        values = self.random.standard_normal(shape).astype(np.float32)
        values = 1 + values / 10 if len(shape) == 1 else values / np.sqrt(shape[-1])
        self.tensors[name] = quantise(values, dtype).reshape(-1)
        self.weights.append(Value(tensor(dtype, *shape), name, sources=(name,)))
        return self.weights[-1]

    def _inputs(self) -> dict[str, TensorType]:
        per_token = {name: tensor(I32, "T") for name in ("tokens", "positions", "sequences")}
        kv: dict[str, TensorType] = {}
        for group, window in enumerate(self._groups()):
            count = sum(layer.window == window for layer in self.layers)
            kv[f"slots.{group}"] = tensor(I32, "T")
            kv[f"pages.{group}"] = tensor(I32, "B", "M")
            kv[f"k.{group}"] = tensor(F16, "N", count, KV_HEADS, HEAD_DIM, PAGE)
            kv[f"v.{group}"] = tensor(F16, "N", count, KV_HEADS, PAGE, HEAD_DIM)
        sampling = {name: tensor(dtype, "R") for name, dtype in SAMPLING.items()}
        return {**per_token, "rows": tensor(I32, "R"), **kv, **sampling}

    def _step(self) -> dict[str, Array]:
        """Sequence 0 is prefilled over two pages, sequence 1 goes on behind three old tokens."""
        positions = np.r_[0:18, 3:8].astype(np.int32)
        sequences = np.repeat([0, 1], [18, 5]).astype(np.int32)
        inputs: dict[str, Array] = {
            "tokens": self.random.integers(0, VOCAB, 23).astype(np.int32),
            "positions": positions,
            "sequences": sequences,
            "rows": np.array([17, 22, 5], np.int32),
            "temperature": np.array([0, 1, 0.7], np.float32),
            "top_k": np.array([VOCAB, 12, VOCAB], np.int32),
            "top_p": np.array([1, 0.9, 1], np.float32),
            "min_p": np.array([0, 0.02, 0], np.float32),
            "seeds": np.array([0, 1, 1 << 40], np.uint64),
            "forced": np.array([VOCAB, VOCAB, 7], np.int32),
            "num_logprobs": np.array([0, 3, 20], np.int32),
        }
        for group, window in enumerate(self._groups()):
            table = np.array([[3, 1], [0, 2]] if group else [[1, 4], [2, 0]], np.int32)
            count = sum(layer.window == window for layer in self.layers)
            inputs[f"pages.{group}"] = table
            inputs[f"slots.{group}"] = table[sequences, positions // PAGE] * PAGE + positions % PAGE
            for name, page in (("k", (HEAD_DIM, PAGE)), ("v", (PAGE, HEAD_DIM))):
                shape = (NUM_PAGES, count, KV_HEADS, *page)
                inputs[f"{name}.{group}"] = self.random.standard_normal(shape).astype(np.float16)
        return inputs


@pytest.fixture
def tiny_llama():
    """``tiny_llama(layers, is_tied=True)`` gives a Model; ``tiny_llama.layer`` is a Layer."""

    def build(layers: Sequence[Layer], is_tied: bool = True) -> Model:
        return Builder(layers, is_tied).build()

    build.layer = Layer  # type: ignore[attr-defined]
    return build
