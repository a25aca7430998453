"""The numbers of a decoder, from config.json; what would change its formula is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.form import Stated, no_windows, read_shape, require_neutral
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.huggingface.rope import is_rope_key
from inferflux.ir.frontend.huggingface.windows import KEYS as WINDOW_KEYS
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

_KEYS: Mapping[str, str] = {
    "context_length": "max_position_embeddings",
    "epsilon": "rms_norm_eps",
    "head_dim": "head_dim",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "is_tied": "tie_word_embeddings",
    "num_kv_heads": "num_key_value_heads",
    "num_layers": "num_hidden_layers",
    "num_query_heads": "num_attention_heads",
    "vocab_size": "vocab_size",
}
_DEFAULTS: Mapping[str, float] = {"epsilon": 1e-6, "is_tied": False}
_READ = frozenset({"architectures", "model_type"})
# Keys with which a file may ask for another formula, and the values with which it does not.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
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
    fields, published = source.config, source.published
    keys = {**_KEYS, **published.keys}
    _refuse_other_formulas(fields, published, keys)
    stated = Stated(fields, keys, {**_DEFAULTS, **published.defaults})
    shape = read_shape(
        stated,
        name=source.architecture,  # a directory's own would make equal models differ
        architecture=source.architecture,
        vocab_size=stated.whole("vocab_size", 1, MAX_SIZE),
        is_tied=stated.flag("is_tied", False),
        most_layers=len(source.tensors),
    )
    windows = published.windows(fields, shape.num_layers)
    seen = replace(shape, windows=windows, pairs=published.pairs)
    return seen.turned_by(published.ropes(fields, seen, published.defaults))


def _refuse_other_formulas(fields: Fields, published: Published, keys: Mapping[str, str]) -> None:
    class_name = published.class_name
    if fields.has("architectures") and fields.texts("architectures") != (class_name,):
        raise fields.unsupported("architectures", f"is not [{class_name!r}], the one that is built")
    groups = (*_GROUPS_APART, *(key for key in published.reads if key.endswith(".")))
    windows = frozenset() if published.windows is no_windows else WINDOW_KEYS
    read = _READ | published.reads | windows | frozenset(keys.values())
    neutral = {k: v for k, v in {**_NEUTRAL, **published.neutral}.items() if k not in read}
    for key, value in fields.values.items():
        if key in neutral:
            require_neutral(fields, key, neutral[key])
        is_read = key in read or key in neutral or is_rope_key(key)
        is_apart = key in _APART or key.startswith(groups) or value is False
        if not (is_read or is_apart):
            raise fields.unsupported(key, "is not a known parameter; it may change the formula")
