"""Gemma 3, its text: five windowed layers and one that is not, each with rotations of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.gemma2 import (
    MODULES,
    NORMS,
    scaled_by_config,
    scaled_by_layers,
)
from inferflux.ir.frontend.architectures.qwen3 import HEAD_NORMS
from inferflux.ir.frontend.blocks import NORMS_AROUND, Gated, GroupedHeads, HeadNorm, Parts
from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.rope import rope_facts as metadata_rope
from inferflux.ir.frontend.gguf.windows import windows_in_turns as metadata_windows
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.huggingface.rope import rope_facts
from inferflux.ir.frontend.huggingface.windows import windows_in_turns
from inferflux.ir.frontend.rope_scaling import BASES
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.tensor_views import plus_one
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import Each

_THETA, _LOCAL_THETA = 1_000_000.0, 10_000.0


def _ropes(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    """What older files say of all layers is of those that see everything."""
    size, inner = config.head_dim, ("full_attention", "sliding_attention")
    if any(key.startswith(f"rope_parameters.{inner[0]}.") for key in fields.values):
        whole = rope_facts(fields, size, _THETA, inner[0])
        local = rope_facts(fields, size, _LOCAL_THETA, inner[1])
    else:
        whole = rope_facts(fields, size, _THETA)
        local = Rope(fields.within("rope_local_base_freq", *BASES, _LOCAL_THETA), size)
    return _by_window(config, whole, local)


def _metadata_ropes(
    source: ModelSource, config: ModelConfig, tensors: tuple[str, ...]
) -> tuple[Rope | None, ...]:
    """Scaling is of the layers that see everything, too."""
    fields = Fields.of(source)
    whole = metadata_rope(source, config.head_dim, tensors)
    theta = fields.within(fields.own("rope.freq_base_swa"), *BASES, _LOCAL_THETA)
    return _by_window(config, whole, Rope(theta, config.head_dim))


def _by_window(config: ModelConfig, whole: Rope, local: Rope) -> tuple[Rope | None, ...]:
    return tuple(whole if window is None else local for window in config.windows)


_TEXT = Published(
    "gemma3_text",
    "Gemma3ForCausalLM",
    keys={"logit_cap": "final_logit_softcapping"},
    defaults={"is_tied": True, "head_dim": 256},
    reads=frozenset({"query_pre_attn_scalar", "rope_local_base_freq"}),
    neutral={
        "hidden_activation": ("gelu_pytorch_tanh",),
        "cache_implementation": ("hybrid",),
    },
    windows=windows_in_turns(6),
    ropes=_ropes,
    layer={**MODULES, **HEAD_NORMS},
    views=(Each(plus_one, (*NORMS, "attn_q_norm", "attn_k_norm")),),
    adapt=scaled_by_config,
)
_ROOT = "language_model."
_WITH_IMAGES = replace(  # whose text is computed
    _TEXT,
    model_type="gemma3",
    class_name="Gemma3ForConditionalGeneration",
    defaults={
        **_TEXT.defaults,
        "context_length": 131072,
        "num_kv_heads": 4,
        "num_query_heads": 8,
        "vocab_size": 262208,
    },
    reads=_TEXT.reads
    | {
        "boi_token_index",
        "eoi_token_index",
        "image_token_index",
        "mm_tokens_per_image",
        "vision_config.",
    },
    layers=f"{_ROOT}{_TEXT.layers}",
    root=_ROOT,
    top={f"{_ROOT}{module}": name for module, name in _TEXT.top.items()},
    group="text_config",
    others=("vision_tower.", "multi_modal_projector."),
)

GEMMA3 = Architecture(
    "gemma3",
    Metadata(
        keys={"logit_cap": "final_logit_softcapping"},
        reads=frozenset({"rope.freq_base_swa"}),
        windows=metadata_windows(6),
        ropes=_metadata_ropes,
        adapt=scaled_by_layers(62),
    ),
    (_TEXT, _WITH_IMAGES),
    Parts(
        residual=NORMS_AROUND,
        attention=GroupedHeads(head_norm=HeadNorm()),
        feed_forward=Gated("gelu_tanh"),
    ),
)
