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
    """A tensor of the file, as ggml names it.  A vector has no ``columns``.

    One of experts has ``rows`` for each.
    """

    name: str
    rows: int
    columns: int | None = None
    experts: int | None = None
    mean: float = 0.0
    spread: float = 1.0  # of products with a row of unit variance; of the values, for a vector

    @property
    def all_rows(self) -> int:
        return self.rows * (self.experts or 1)

    @property
    def is_router(self) -> bool:
        """No quantiser touches it."""
        return self.name.endswith("ffn_gate_inp.weight")


@dataclass(frozen=True, slots=True)
class Mixture:
    """Feed-forward blocks that a token uses some of."""

    num_experts: int  # E
    num_used: int  # U
    intermediate_size: int  # F, of each


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder whose head is its embedding."""

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
    has_head_norms: bool = False  # of queries and keys
    mixture: Mixture | None = None  # of every layer

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
        if self.has_head_norms:
            yield _norm(f"{at}.attn_q_norm.weight", self.head_dim)
            yield _norm(f"{at}.attn_k_norm.weight", self.head_dim)
        yield TensorShape(f"{at}.attn_output.weight", self.hidden_size, query_width)

    def _feed_forward(self, at: str) -> Iterator[TensorShape]:
        yield _norm(f"{at}.ffn_norm.weight", self.hidden_size)
        if self.mixture:
            yield from self._experts(at, self.mixture)
            return
        yield TensorShape(f"{at}.ffn_gate.weight", self.intermediate_size, self.hidden_size)
        yield TensorShape(f"{at}.ffn_up.weight", self.intermediate_size, self.hidden_size)
        yield TensorShape(f"{at}.ffn_down.weight", self.hidden_size, self.intermediate_size)

    def _experts(self, at: str, mixture: Mixture) -> Iterator[TensorShape]:
        hidden, width, count = self.hidden_size, mixture.intermediate_size, mixture.num_experts
        yield TensorShape(f"{at}.ffn_gate_inp.weight", count, hidden)
        for name, rows, columns in (
            ("ffn_gate_exps", width, hidden),
            ("ffn_up_exps", width, hidden),
            ("ffn_down_exps", hidden, width),
        ):
            yield TensorShape(f"{at}.{name}.weight", rows, columns, count)


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
    Shape(
        name="qwen3-30b-a3b-3-layers",  # of 48; and a smaller vocabulary, which would hide them
        architecture="qwen3moe",
        vocab_size=32_768,
        hidden_size=2048,
        intermediate_size=6144,
        num_layers=3,
        num_query_heads=32,
        num_kv_heads=4,
        head_dim=128,
        rope_theta=1_000_000.0,
        rms_epsilon=1e-6,
        has_head_norms=True,
        mixture=Mixture(num_experts=128, num_used=8, intermediate_size=768),
    ),
)
SHAPES: Final = {shape.name: shape for shape in _ALL}


def shape_named(name: str) -> Shape:
    """The shape of that name, or an error that lists what there is."""
    if name not in SHAPES:
        raise InvalidArgument(f"no shape {name!r}; there are: {', '.join(SHAPES)}")
    return SHAPES[name]
