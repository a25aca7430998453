"""The shape of a dense decoder, from config.json; what would change its formula is refused."""

from __future__ import annotations

from inferflux.ir.frontend.facts import LayerGroup, ModelConfig
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.rope import is_rope_key, rope_facts
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

_READ = frozenset(
    {
        "architectures",
        "head_dim",
        "hidden_size",
        "intermediate_size",
        "layer_types",
        "max_position_embeddings",
        "max_window_layers",
        "model_type",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "rms_norm_eps",
        "sliding_window",
        "tie_word_embeddings",
        "use_sliding_window",
        "vocab_size",
    }
)
# Keys with which a file may ask for another formula, and the values with which it does not.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention_bias": (False,),
    "hidden_act": ("silu", "swish"),
    "mlp_bias": (False,),
    "partial_rotary_factor": (1, 1.0),
}
# Keys of training, of generation and of the library, which say nothing of the model's formula.
_APART = frozenset(
    {
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_flash_attn_2_enabled",
        "_name_or_path",
        "attention_dropout",
        "attn_implementation",
        "attn_pdrop",
        "bos_token_id",
        "chunk_size_feed_forward",
        "do_sample",
        "dtype",
        "embd_pdrop",
        "eos_token_id",
        "hidden_dropout",
        "initializer_factor",
        "initializer_range",
        "is_llama_config",
        "length_penalty",
        "max_length",
        "max_sequence_length",
        "model_max_length",
        "num_beams",
        "output_router_logits",
        "pad_token_id",
        "pretraining_tp",  # how products are split, which moves their rounding only
        "problem_type",
        "repetition_penalty",
        "resid_pdrop",
        "return_dict",
        "temperature",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "transformers_version",
        "unk_token_id",
        "unsloth_fixed",
        "unsloth_version",
        "use_cache",
    }
)
_GROUPS_APART = ("id2label.", "label2id.", "quantization_config.", "transformers.js_config.")


def config(source: HuggingFaceModel) -> ModelConfig:
    """Read and check; keys that are not known here are refused by name, unless null or false."""
    fields = source.config
    _refuse_other_formulas(fields, source.published.class_name)
    num_layers = fields.whole("num_hidden_layers", 1, max(1, len(source.tensors)))
    hidden_size = fields.whole("hidden_size", 1, MAX_SIZE)
    num_query_heads = fields.whole("num_attention_heads", 1, MAX_SIZE)
    head_dim = _head_dim(fields, hidden_size, num_query_heads)
    rope = rope_facts(fields, head_dim)
    return ModelConfig(
        name=source.path.resolve().name,
        architecture=source.architecture,
        vocab_size=fields.whole("vocab_size", 1, MAX_SIZE),
        context_length=fields.whole("max_position_embeddings", 1, MAX_SIZE),
        hidden_size=hidden_size,
        intermediate_size=fields.whole("intermediate_size", 1, MAX_SIZE),
        num_layers=num_layers,
        num_query_heads=num_query_heads,
        num_kv_heads=_num_kv_heads(fields, num_query_heads),
        head_dim=head_dim,
        rope_theta=rope.theta,
        rope_factors=rope.factors,
        rms_epsilon=fields.positive("rms_norm_eps", 1e-6),
        is_tied=fields.flag("tie_word_embeddings", False),
        kv_groups=_kv_groups(fields, num_layers, source.published.has_windows),
    )


def _refuse_other_formulas(fields: Fields, class_name: str) -> None:
    if fields.has("architectures") and fields.texts("architectures") != (class_name,):
        raise fields.unsupported("architectures", f"is not [{class_name!r}], the one that is built")
    for key, value in fields.values.items():
        if key in _NEUTRAL and not any(
            type(value) is type(other) and value == other for other in _NEUTRAL[key]
        ):
            problem = f"is {value!r}, only {' or '.join(map(repr, _NEUTRAL[key]))} is supported"
            raise fields.unsupported(key, problem)
        if not (_is_known(key) or value is False):
            raise fields.unsupported(key, "is not a known parameter; it may change the formula")


def _is_known(key: str) -> bool:
    is_listed = key in _READ or key in _NEUTRAL or key in _APART
    return is_listed or is_rope_key(key) or key.startswith(_GROUPS_APART)


def _num_kv_heads(fields: Fields, num_query_heads: int) -> int:
    key = "num_key_value_heads"
    count = fields.whole(key, 1, num_query_heads, default=num_query_heads)
    if num_query_heads % count:
        raise fields.wrong(key, f"is {count}, which does not divide {num_query_heads} query heads")
    return count


def _head_dim(fields: Fields, hidden_size: int, num_query_heads: int) -> int:
    """What the file states, or D / H."""
    if not fields.has("head_dim") and hidden_size % num_query_heads:
        problem = f"is missing, and {num_query_heads} heads do not divide {hidden_size}"
        raise fields.wrong("head_dim", problem)
    head_dim = fields.whole("head_dim", 2, MAX_SIZE, default=hidden_size // num_query_heads)
    if head_dim % 2:
        raise fields.wrong("head_dim", f"is {head_dim}; rotation turns pairs, so it must be even")
    return head_dim


def _kv_groups(fields: Fields, num_layers: int, has_windows: bool) -> tuple[LayerGroup, ...]:
    """Layers by window, in order of first appearance."""
    windows = _windows(fields, num_layers) if has_windows else (None,) * num_layers
    return tuple(
        LayerGroup(tuple(layer for layer, own in enumerate(windows) if own == window), window)
        for window in dict.fromkeys(windows)
    )


def _windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """Of each layer: ``layer_types`` where it is stated, else those from ``max_window_layers`` on.

    A token is one of the ``sliding_window`` that it sees, as in GGUF.
    """
    if not fields.flag("use_sliding_window", False) or not fields.has("sliding_window"):
        return (None,) * num_layers
    window = fields.whole("sliding_window", 1, MAX_SIZE)
    if not fields.has("layer_types"):
        first = fields.whole("max_window_layers", 0, MAX_SIZE)
        return tuple(window if layer >= first else None for layer in range(num_layers))
    kinds = fields.texts("layer_types")
    if len(kinds) != num_layers or not set(kinds) <= {"full_attention", "sliding_attention"}:
        problem = f"must be full_attention or sliding_attention of each of {num_layers} layers"
        raise fields.wrong("layer_types", problem)
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
