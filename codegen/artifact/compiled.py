"""CompiledModel: all that crosses from build to serve, in memory.  The artifact is its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # a server reads artifacts and computes nothing
    import numpy as np

PAGE_SIZE = 16  # tokens of a KV page

Bytes: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"


@dataclass(frozen=True, slots=True)
class KVStream:
    """What a page keeps per token, e.g. keys: opaque to the engine, shaped for the kernel."""

    name: str  # "k", "v"
    dtype: str  # NumPy's name
    shape: tuple[int, ...]  # of one page, all layers of the group

    @property
    def nbytes(self) -> int:
        """Bytes of one page of this stream."""
        import numpy as np

        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class KVGroup:
    """Layers whose KV pages live and die together."""

    layers: tuple[int, ...]
    window: int | None  # tokens that are kept; None: all
    streams: tuple[KVStream, ...]

    @property
    def page_bytes(self) -> int:
        return sum(stream.nbytes for stream in self.streams)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Tensors of one type that compiling gave another, and how far that moved their values.

    An error is relative to the tensor's own values, in parts of 10**9 and rounded up: 0 is exactly.
    """

    kind: str  # in the model file, as "iq2_xs"
    dtype: str  # in the artifact, as "f16"
    tensors: int
    rms_error_ppb: int  # of the tensor that was moved furthest: of its root mean square
    max_error_ppb: int  # the greatest of all, of its tensor's greatest magnitude
    worst: str  # that tensor's name


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What engine and server need to know of a model, found in its file."""

    name: str
    architecture: str
    vocab_size: int
    context_length: int
    num_layers: int
    hidden_size: int
    source_digest: str  # sha256 of the model file
    source_types: Mapping[str, int]  # tensor type in the file -> number of tensors
    quantised_to: str = ""  # the type that was asked for while compiling; else none
    conversions: tuple[Conversion, ...] = ()


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
class TokenizerFacts:
    """A tokenizer as data: everything needed to build one, no library's file."""

    kind: str  # "bpe", "sentencepiece", "unigram", "pipeline_unigram" or "wordpiece"
    pre: str  # the pre-tokenizer's name, e.g. "smollm"; of no effect, the steps are below
    tokens: tuple[str, ...]
    token_types: tuple[int, ...]  # GGUF's: 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
    merges: tuple[str, ...]
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


@dataclass(frozen=True, slots=True)
class StepVariant:
    """One compiled step function, for steps of min_tokens to max_tokens."""

    symbol: str
    arithmetic: str  # what products are computed in: "i8x32", "bf16" or "f32"
    min_tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class AttentionCut:
    """How attention may be cut into items: the runtime lists them for each step."""

    span_keys: int  # results are kept by span, and merged in order
    block_tokens: int  # of one sequence that an item takes at most
    max_partials: int  # results of one token and one span that there is room for
    window: int | None = None  # tokens that the layer that sees furthest sees; None: all


@dataclass(frozen=True, slots=True)
class CpuStep:
    """How a CPU runtime calls the compiled step: names of arguments in order, sizes of scratch.

    Buffers are one-dimensional.  Vocabulary of ``arguments``:
      weights u8 · scratch_f32, scratch_i8, scratch_i32 · sync i32 (of this step alone, zeroed)
      tokens, positions, sequences i32 (T) · rows i32 (R)
      spans, merges i32: the items of attention, and tokens whose spans are merged (AttentionCut)
      slots.G i32 (T), pages.G i32 (B * M), STREAM.G (the pool's pages) per KV group G
      temperature, top_p, min_p f32 (R) · top_k, forced, num_logprobs i32 (R) · seeds i32 (2R)
      out_tokens i32 (R), out_logprobs f32 (R), top_tokens i32, top_logprobs f32 (20R)
      logits f32 (R * V) · scalars num_tokens, num_rows, max_pages, num_items, num_merges (of
      spans and merges), worker i32
    Every worker of a step calls its function; each object also exports what a pool of threads
    does that with (pool.ll.j2).
    """

    arguments: tuple[str, ...]
    variants: tuple[StepVariant, ...]  # where several take a number of tokens, the last is best
    scratch_f32: int  # elements
    scratch_i8: int
    scratch_i32: int
    sync: int
    row_padding: int  # rows past a step's last that it may read and write
    logits_stride: int  # floats from one row of logits to the next
    max_step_tokens: int  # the scratch is planned for steps of at most so many tokens
    max_workers: int  # and for so many workers
    attention: AttentionCut

    @property
    def arithmetic(self) -> str:
        """The one in which there is a variant for every number of tokens: that of the first."""
        return self.variants[0].arithmetic


@dataclass(frozen=True, slots=True)
class CompiledTarget:
    """The model compiled for one target."""

    name: str  # "cpu:avx512"
    numerics: str  # "default" | "float32"
    target_key: str
    features: tuple[str, ...]  # what the machine must have, as /proc/cpuinfo spells it
    objects: Mapping[str, tuple[bytes, ...]]  # machine ("x86_64", ...) -> all of its code
    sources: Mapping[str, str]  # kernel text, by file name
    kernel_keys: Mapping[str, str]  # phase -> kernel_key
    weights: str  # name of the segment in CompiledModel.weights
    kv_groups: tuple[KVGroup, ...]
    step: CpuStep


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model ready to be served: facts, graph text, code per target, packed weights."""

    facts: ModelFacts
    tokenizer: TokenizerFacts
    graph: Mapping[str, str]  # target name -> the IR after its last pass
    targets: Mapping[str, CompiledTarget]
    weights: Mapping[str, Bytes] = field(repr=False)  # packed segments, by name
