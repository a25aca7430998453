"""What a model file says of its model, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from inferflux.ir.frontend.limits import MAX_SIZE


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that keep the same keys and values: those of the last ``window`` tokens, or all."""

    layers: tuple[int, ...]
    window: int | None


@dataclass(frozen=True, slots=True)
class Rope:
    """How queries and keys of a layer are turned by position: what a ``rope_table`` is made of."""

    theta: float
    size: int  # R: the first elements of a head, which are turned; the rest are left
    factors: tuple[float, ...] = ()  # divide the frequency of each pair; empty: none does
    magnitude: float = 1.0  # of cosines and sines
    original: int | None = None  # tokens, beyond which what follows is in force
    long_factors: tuple[float, ...] = ()  # take the place of ``factors``
    growth: float | None = None  # theta grows with the length of the sequence
    reach: int | None = None  # the length that it is scaled to, if that is more than is stated
    score_scale: float = 1.0  # what YaRN asks of the scores of latent attention


@dataclass(frozen=True, slots=True)
class Latent:
    """The sizes of latent attention: heads make keys and values of one vector that is kept."""

    query_rank: int | None  # of what queries are made of; None: of the hidden state itself
    rank: int  # of the vector that is kept
    plain: int  # elements of a head's key that are made of it
    turned: int  # and those that are turned by position, which are kept beside it for all heads
    value: int  # elements of a head's value

    @property
    def head(self) -> int:
        return self.plain + self.turned

    @property
    def key(self) -> int:
        """What is kept of a key."""
        return self.rank + self.turned


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The numbers of a decoder, whatever it is composed of."""

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
    epsilon: float  # of every norm
    is_tied: bool  # the head is the embedding
    windows: tuple[int | None, ...]  # of each layer: how many tokens it sees; None: all
    ropes: tuple[Rope | None, ...] = ()  # of each layer; None: it does not know positions
    pairs: str = "halves"  # which rows of a head turn together: "adjacent" or "halves"
    attention_scale: float | None = None  # of scores; None: D_h ** -0.5
    attention_cap: float | None = None  # scores come softly to it
    embedding_scale: float = 1.0
    residual_scale: float = 1.0  # of what attention and feed-forward add to the stream
    logit_scale: float = 1.0
    logit_cap: float | None = None
    latent: Latent | None = None  # sizes of heads that share one vector; D_h is then what turns

    @property
    def kept(self) -> tuple[int, int, int]:
        """KV heads as pages keep them, and the elements of a key and of a value."""
        if self.latent is None:
            return self.num_kv_heads, self.head_dim, self.head_dim
        return 1, self.latent.key, self.latent.rank

    @property
    def kv_groups(self) -> tuple[LayerGroup, ...]:
        """Layers by window, in order of first appearance."""
        return tuple(
            LayerGroup(tuple(at for at, own in enumerate(self.windows) if own == window), window)
            for window in dict.fromkeys(self.windows)
        )

    def turned_by(self, ropes: tuple[Rope | None, ...]) -> ModelConfig:
        """The same with the rotations of its layers, and as long a context as they are made for."""
        made_for = (rope.reach for rope in ropes if rope and rope.reach)
        reach = min(max(made_for, default=0), MAX_SIZE)
        return replace(self, ropes=ropes, context_length=max(self.context_length, reach))

    def with_latents(self, latent: Latent) -> ModelConfig:
        """The same with latent heads, their scores scaled as their rotation asks for."""
        asked = next((rope.score_scale for rope in self.ropes if rope), 1.0)
        return replace(self, latent=latent, attention_scale=latent.head**-0.5 * asked)

    def place(self, layer: int) -> tuple[int, int]:
        """The KV group of a layer, and the layer's index in it."""
        for index, group in enumerate(self.kv_groups):
            if layer in group.layers:
                return index, group.layers.index(layer)
        raise IndexError(f"{self.name} has {self.num_layers} layers, none of them is {layer}")


@dataclass(frozen=True, slots=True)
class TextStep:
    """One step of a text on its way to tokens: it rewrites a text, or cuts it into parts."""

    kind: str  # "nfc", "replace", "split", "byte_level", ...: the vocabulary of steps
    pattern: str = ""  # what the step looks for
    text: str = ""  # what it puts there, or does there: "isolated"
    flags: tuple[str, ...] = ()  # "regex", "individual", ...


@dataclass(frozen=True, slots=True)
class TokenFlags:
    """How a token is found in a text, where that is not just by its spelling."""

    token_id: int
    flags: tuple[str, ...]  # "left": takes the spaces before it; "right"; "word"; "normalised"


@dataclass(frozen=True, slots=True)
class TokenizerMetadata:
    """A tokenizer as its model file states it, checked: every id below is one of ``tokens``."""

    kind: str  # "bpe", "sentencepiece", "unigram", "pipeline_unigram" or "wordpiece"
    pre: str  # the pre-tokenizer's name, e.g. "smollm"; of no effect, the steps are below
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
    named_templates: Mapping[str, str] = field(default_factory=dict)  # "tool_use", "rag"
    scores: tuple[int, ...] = ()  # of the tokens: the bits of a float32
    normalisers: tuple[TextStep, ...] = ()  # rewrite a text
    cuts: tuple[TextStep, ...] = ()  # cut what that gives into parts, which are merged alone
    spelling: str = "byte_level"  # of a token's bytes; or "spaces": U+2581 is one
    ignore_merges: bool = False  # a part that is a token is that token
    last_token_id: int | None = None  # put after every whole text
    stripping: tuple[TokenFlags, ...] = ()  # whole tokens that do more than stand for their text
