"""The shape of a dense decoder, from its metadata; what would change its formula is refused."""

from __future__ import annotations

from inferflux.ir.frontend.facts import LayerGroup, ModelConfig
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields

# Keys of the architecture, ``llama.block_count``, by what follows its name.
_READ = frozenset(
    {
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "vocab_size",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "attention.layer_norm_rms_epsilon",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "rope.dimension_count",
        "rope.freq_base",
    }
)
# Keys with which a file may ask for another formula, and the values with which it does not.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "rope.scale_linear": (1.0,),
    "rope.scaling.factor": (1.0,),
    "rope.scaling.finetuned": (False,),
    "rope.scaling.type": ("none", "linear"),  # linear by 1.0, as the factor's row says
    "use_parallel_residual": (False,),
}
# The same of keys that mean one thing in every file.
_NEUTRAL_ANYWHERE: dict[str, tuple[object, ...]] = {
    "general.quantization_version": (2,),
    "general.type": ("model",),  # an adapter's tensors are no weights of a model
}


def config(source: ModelSource) -> ModelConfig:
    """Read and check; keys of the architecture that are not known here are refused by name."""
    fields = Fields.of(source)
    _refuse_other_formulas(fields)
    num_layers = fields.whole(fields.own("block_count"), 1, max(1, len(source.tensors)))
    hidden_size = fields.whole(fields.own("embedding_length"), 1, MAX_SIZE)
    num_query_heads = fields.whole(fields.own("attention.head_count"), 1, MAX_SIZE)
    return ModelConfig(
        name=fields.text("general.name", source.path.stem),
        architecture=source.architecture,
        vocab_size=_vocab_size(fields),
        context_length=fields.whole(fields.own("context_length"), 1, MAX_SIZE),
        hidden_size=hidden_size,
        intermediate_size=fields.whole(fields.own("feed_forward_length"), 1, MAX_SIZE),
        num_layers=num_layers,
        num_query_heads=num_query_heads,
        num_kv_heads=_num_kv_heads(fields, num_query_heads),
        head_dim=_head_dim(fields, hidden_size, num_query_heads),
        rope_theta=fields.positive(fields.own("rope.freq_base"), 10000.0),
        rope_factors=(),  # they are a tensor of the file
        rms_epsilon=fields.positive(fields.own("attention.layer_norm_rms_epsilon")),
        is_tied="output.weight" not in source.tensors,
        kv_groups=_kv_groups(fields, num_layers),
    )


def _refuse_other_formulas(fields: Fields) -> None:
    neutral = {fields.own(name): values for name, values in _NEUTRAL.items()} | _NEUTRAL_ANYWHERE
    known = {fields.own(name) for name in _READ} | neutral.keys()
    for key, value in fields.values.items():
        if key.startswith(fields.own("")) and key not in known:
            raise fields.unsupported(key, "is not a known parameter; it may change the formula")
        if key in neutral and not _is_one_of(value, neutral[key]):
            problem = f"is {value!r}, only {' or '.join(map(repr, neutral[key]))} is supported"
            raise fields.unsupported(key, problem)


def _is_one_of(value: object, neutral: tuple[object, ...]) -> bool:
    """Of the same type too: an array is not compared, and True is not 1."""
    return any(type(value) is type(other) and value == other for other in neutral)


def _vocab_size(fields: Fields) -> int:
    """The number of tokens; the embedding's rows are checked against it."""
    num_tokens = len(fields.texts("tokenizer.ggml.tokens"))
    stated = fields.whole(fields.own("vocab_size"), 1, MAX_SIZE, default=num_tokens)
    if stated != num_tokens:
        problem = f"is {stated}, but the tokenizer has {num_tokens} tokens"
        raise fields.wrong(fields.own("vocab_size"), problem)
    return stated


def _num_kv_heads(fields: Fields, num_query_heads: int) -> int:
    key = fields.own("attention.head_count_kv")
    count = fields.whole(key, 1, num_query_heads, default=num_query_heads)
    if num_query_heads % count:
        raise fields.wrong(key, f"is {count}, which does not divide {num_query_heads} query heads")
    return count


def _head_dim(fields: Fields, hidden_size: int, num_query_heads: int) -> int:
    """What the file states, or D / H.  Keys, values and rotation must all be of this size."""
    key = fields.own("attention.key_length")
    if not fields.has(key) and hidden_size % num_query_heads:
        problem = f"is missing, and {num_query_heads} heads do not divide {hidden_size}"
        raise fields.wrong(key, problem)
    head_dim = fields.whole(key, 2, MAX_SIZE, default=hidden_size // num_query_heads)
    if head_dim % 2:
        raise fields.wrong(key, f"is {head_dim}; rotation turns pairs, so it must be even")
    for other in (fields.own("attention.value_length"), fields.own("rope.dimension_count")):
        size = fields.whole(other, 0, MAX_SIZE, default=head_dim)
        if size != head_dim:
            raise fields.unsupported(
                other, f"is {size}, only the head size {head_dim} is supported"
            )
    return head_dim


def _kv_groups(fields: Fields, num_layers: int) -> tuple[LayerGroup, ...]:
    """Layers by window, in order of first appearance.

    ``sliding_window`` tokens (the token itself is one of them) are seen by the layers that are
    true in ``sliding_window_pattern``; all others see everything.
    """
    windows = _windows(fields, num_layers)
    return tuple(
        LayerGroup(tuple(layer for layer, own in enumerate(windows) if own == window), window)
        for window in dict.fromkeys(windows)
    )


def _windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    window_key = fields.own("attention.sliding_window")
    pattern_key = f"{window_key}_pattern"
    if not fields.has(window_key) and not fields.has(pattern_key):
        return (None,) * num_layers
    window = fields.whole(window_key, 1, MAX_SIZE)
    pattern = fields.flags(pattern_key)
    if len(pattern) != num_layers:
        raise fields.wrong(pattern_key, f"has {len(pattern)} entries for {num_layers} layers")
    return tuple(window if is_windowed else None for is_windowed in pattern)
