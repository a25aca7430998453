"""The numbers of a decoder, from a GGUF's metadata; what would change its formula is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from inferflux.ir.frontend.blocks import Parts
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.form import (
    Form,
    Stated,
    Windows,
    no_windows,
    read_shape,
    require_neutral,
)
from inferflux.ir.frontend.gguf import rope
from inferflux.ir.frontend.gguf.windows import stated_windows
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields

# Keys of the architecture, ``llama.block_count``, by what follows its name.
_KEYS: Mapping[str, str] = {
    "context_length": "context_length",
    "epsilon": "attention.layer_norm_rms_epsilon",
    "head_dim": "attention.key_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_kv_heads": "attention.head_count_kv",
    "num_layers": "block_count",
    "num_query_heads": "attention.head_count",
    "vocab_size": "vocab_size",
}
_READ = frozenset(
    {
        "attention.value_length",
        *rope.KEYS,
    }
)
_WINDOWS = ("attention.sliding_window", "attention.sliding_window_pattern")
# Keys with which a file may ask for another formula, and the values with which it does not.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "use_parallel_residual": (False,),
    **rope.NEUTRAL,
}
# The same of keys that mean one thing in every file.
_NEUTRAL_ANYWHERE: Mapping[str, tuple[object, ...]] = {
    "general.quantization_version": (2,),
    "general.type": ("model",),  # an adapter's tensors are no weights of a model
}


Ropes = tuple[Rope | None, ...]


def same_in_all(source: ModelSource, config: ModelConfig, tensors: tuple[str, ...]) -> Ropes:
    """Every layer turns its heads alike."""
    size = rope.rotated_size(source, config.head_dim)
    return (rope.rope_facts(source, size, tensors),) * config.num_layers


def no_ropes(source: ModelSource, config: ModelConfig, tensors: tuple[str, ...]) -> Ropes:
    """Positions are learned."""
    return (None,) * config.num_layers


def all_the_same(tensors: Collection[str], parts: Parts) -> Parts:
    """Keys say all; of other architectures the names of tensors say what they are composed of."""
    return parts


@dataclass(frozen=True, slots=True)
class Metadata(Form):
    """How a GGUF states an architecture; its keys are those after the architecture's name."""

    windows: Windows = stated_windows
    ropes: Callable[[ModelSource, ModelConfig, tuple[str, ...]], Ropes] = same_in_all
    by_tensors: Callable[[Collection[str], Parts], Parts] = all_the_same
    rope_tensors: tuple[str, ...] = ()  # of factors, which are no weights of the graph
    has_one_head_size: bool = True  # of values as of keys


def config(source: ModelSource, metadata: Metadata) -> ModelConfig:
    """Read and check; keys of the architecture that are not known here are refused by name."""
    fields = Fields.of(source)
    _refuse_other_formulas(fields, metadata)
    keys = {fact: fields.own(name) for fact, name in {**_KEYS, **metadata.keys}.items()}
    shape = read_shape(
        Stated(fields, keys, metadata.defaults),
        name=fields.text("general.name", source.path.stem),
        architecture=source.architecture,
        vocab_size=_vocab_size(fields),
        is_tied="output.weight" not in source.tensors,
        most_layers=len(source.tensors),
    )
    if metadata.has_one_head_size:
        _require_one_head_size(fields, shape.head_dim)
    windows = metadata.windows(fields, shape.num_layers)
    seen = replace(shape, windows=windows, pairs=metadata.pairs)
    return seen.turned_by(metadata.ropes(source, seen, metadata.rope_tensors))


def _refuse_other_formulas(fields: Fields, metadata: Metadata) -> None:
    read = {*_READ, *metadata.reads, *_KEYS.values(), *metadata.keys.values()}
    if metadata.windows is not no_windows:
        read.update(_WINDOWS)
    own = {k: v for k, v in {**_NEUTRAL, **metadata.neutral}.items() if k not in read}
    neutral = {**{fields.own(k): v for k, v in own.items()}, **_NEUTRAL_ANYWHERE}
    known = {fields.own(name) for name in read} | neutral.keys()
    for key in fields.values:
        if key.startswith(fields.own("")) and key not in known:
            raise fields.unsupported(key, "is not a known parameter; it may change the formula")
        if key in neutral:
            require_neutral(fields, key, neutral[key])


def _vocab_size(fields: Fields) -> int:
    """The number of tokens; the embedding's rows are checked against it."""
    num_tokens = len(fields.texts("tokenizer.ggml.tokens"))
    stated = fields.whole(fields.own("vocab_size"), 1, MAX_SIZE, default=num_tokens)
    if stated != num_tokens:
        problem = f"is {stated}, but the tokenizer has {num_tokens} tokens"
        raise fields.wrong(fields.own("vocab_size"), problem)
    return stated


def _require_one_head_size(fields: Fields, head_dim: int) -> None:
    key = fields.own("attention.value_length")
    size = fields.whole(key, 0, MAX_SIZE, default=head_dim)
    if size != head_dim:
        raise fields.unsupported(key, f"is {size}, only the head size {head_dim} is supported")
