"""The shapes that can be written: numbers of published models, under their own names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from inferflux.errors import InvalidArgument

# What a file claims as its context.  No measure goes deeper, and the published 128k of some would
# only make the tables of rotations longer.
CONTEXT_LENGTH: Final = 8192


@dataclass(frozen=True, slots=True)
class TensorShape:
    """A tensor of the file, as ggml names it.  A vector has no ``columns``."""

    name: str
    rows: int
    columns: int | None = None
    mean: float = 0.0
    spread: float = 1.0  # of products with a row of unit variance; of the values, for a vector


@dataclass(frozen=True, slots=True)
class Shape:
    """A dense decoder whose head is its embedding."""

    name: str
    architecture: str  # as GGUF names it
    vocab_size: int  # V
    hidden_size: int  # D
    intermediate_size: int  # F
    num_layers: int  # L
    num_query_heads: int  # H
    num_kv_heads: int  # K
    head_dim: int  # D_h
    rope_theta: float
    rms_epsilon: float = 1e-5
    has_biases: bool = False  # on queries, keys and values

    def tensors(self) -> Iterator[TensorShape]:
        """Every tensor, in the order of the file."""
        # Twice the spread: logits then differ enough that greedy decoding is decided.
        yield TensorShape("token_embd.weight", self.vocab_size, self.hidden_size, spread=2.0)
        for layer in range(self.num_layers):
            yield from self._attention(f"blk.{layer}")
            yield from self._feed_forward(f"blk.{layer}")
        yield _norm("output_norm.weight", self.hidden_size)

    def _attention(self, at: str) -> Iterator[TensorShape]:
        query_width = self.num_query_heads * self.head_dim
        kv_width = self.num_kv_heads * self.head_dim
        yield _norm(f"{at}.attn_norm.weight", self.hidden_size)
        for name, rows in (("attn_q", query_width), ("attn_k", kv_width), ("attn_v", kv_width)):
            yield TensorShape(f"{at}.{name}.weight", rows, self.hidden_size)
            if self.has_biases:
                yield TensorShape(f"{at}.{name}.bias", rows, spread=0.1)
        yield TensorShape(f"{at}.attn_output.weight", self.hidden_size, query_width)

    def _feed_forward(self, at: str) -> Iterator[TensorShape]:
        yield _norm(f"{at}.ffn_norm.weight", self.hidden_size)
        yield TensorShape(f"{at}.ffn_gate.weight", self.intermediate_size, self.hidden_size)
        yield TensorShape(f"{at}.ffn_up.weight", self.intermediate_size, self.hidden_size)
        yield TensorShape(f"{at}.ffn_down.weight", self.hidden_size, self.intermediate_size)


def _norm(name: str, width: int) -> TensorShape:
    return TensorShape(name, width, mean=1.0, spread=0.1)


_ALL = (
    Shape(
        name="tiny",  # for tests: compiled in a moment
        architecture="llama",
        vocab_size=512,
        hidden_size=64,
        intermediate_size=96,
        num_layers=2,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=32,
        rope_theta=10_000.0,
    ),
    Shape(
        name="smollm2-135m",
        architecture="llama",
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_layers=30,
        num_query_heads=9,
        num_kv_heads=3,
        head_dim=64,
        rope_theta=100_000.0,
    ),
    Shape(
        name="qwen2.5-0.5b",
        architecture="qwen2",
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_layers=24,
        num_query_heads=14,
        num_kv_heads=2,
        head_dim=64,
        rope_theta=1_000_000.0,
        rms_epsilon=1e-6,
        has_biases=True,
    ),
    Shape(
        name="llama-3.2-1b",
        architecture="llama",
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_layers=16,
        num_query_heads=32,
        num_kv_heads=8,
        head_dim=64,
        rope_theta=500_000.0,
    ),
)
SHAPES: Final = {shape.name: shape for shape in _ALL}


def shape_named(name: str) -> Shape:
    """The shape of that name, or an error that lists what there is."""
    if name not in SHAPES:
        raise InvalidArgument(f"no shape {name!r}; there are: {', '.join(SHAPES)}")
    return SHAPES[name]
