"""What a model file says of its model, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that keep the same keys and values: those of the last ``window`` tokens, or all."""

    layers: tuple[int, ...]
    window: int | None


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a dense decoder."""

    name: str
    architecture: str
    vocab_size: int  # V
    context_length: int  # S
    hidden_size: int  # D
    intermediate_size: int  # F
    num_layers: int  # L
    num_query_heads: int  # H
    num_kv_heads: int  # K
    head_dim: int  # D_h
    rope_theta: float
    rope_factors: tuple[float, ...]  # divide the frequency of each pair; empty: none does
    rms_epsilon: float
    is_tied: bool  # the head is the embedding
    kv_groups: tuple[LayerGroup, ...]

    def place(self, layer: int) -> tuple[int, int]:
        """The KV group of a layer, and the layer's index in it."""
        for index, group in enumerate(self.kv_groups):
            if layer in group.layers:
                return index, group.layers.index(layer)
        raise IndexError(f"{self.name} has {self.num_layers} layers, none of them is {layer}")


@dataclass(frozen=True, slots=True)
class TokenizerMetadata:
    """A tokenizer as its model file states it, checked: every id below is one of ``tokens``."""

    kind: str  # "bpe"
    pre: str  # the pre-tokenizer's name, e.g. "smollm"
    tokens: tuple[str, ...]
    token_types: tuple[int, ...]  # GGUF's: 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
    merges: tuple[str, ...]  # "left right", in order of rank
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]
    pad_token_id: int | None
    unknown_token_id: int | None
    add_bos: bool
    add_space_prefix: bool
    chat_template: str | None
