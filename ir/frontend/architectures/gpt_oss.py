"""gpt-oss: sinks and alternating windows; experts with biases, between clamps."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.blocks import GroupedHeads, Parts, Residual, Routing
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.gguf.config import Metadata, Ropes
from inferflux.ir.frontend.gguf.experts import EXPERT_KEYS, with_experts
from inferflux.ir.frontend.gguf.rope import rope_facts, rotated_size
from inferflux.ir.frontend.gguf.windows import windows_in_turns as stated_in_turns
from inferflux.ir.frontend.huggingface.experts import ExpertWords
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import windows_in_turns
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.stacks import FusedExperts
from inferflux.ir.frontend.tensor_views import turned
from inferflux.ir.frontend.views import Each
from inferflux.ir.ops.experts import CLAMPED, LIMIT, SHARPNESS

_SAID_TWICE = {"experts_per_token", "initial_context_length"}  # by the names of its first release
_WORDS = ExpertWords(activation=CLAMPED, has_bias=True)
_GATES, _VALUES = (lambda rows: rows[:, ::2]), (lambda rows: rows[:, 1::2])
_STORED = (  # floats as [E, in, out], MXFP4 as [E, out, in]; gates take turns with values
    Each(turned, ("ffn_gate_up_exps", "ffn_down_exps")),
    FusedExperts(
        "ffn_gate_up_exps", {"ffn_gate_exps.weight": _GATES, "ffn_up_exps.weight": _VALUES}
    ),
    FusedExperts(
        "ffn_gate_up_exps_bias", {"ffn_gate_exps.bias": _GATES, "ffn_up_exps.bias": _VALUES}
    ),
    FusedExperts("ffn_down_exps_bias", {"ffn_down_exps.bias": lambda rows: rows}),
)


def _ropes(source: ModelSource, config: ModelConfig, tensors: tuple[str, ...]) -> Ropes:
    """Its configuration says ``truncate: false``, for which a GGUF has no key."""
    size = rotated_size(source, config.head_dim)
    return (rope_facts(source, size, tensors, truncates=False),) * config.num_layers


GPT_OSS = Architecture(
    "gpt-oss",
    Metadata(
        reads=EXPERT_KEYS,
        windows=stated_in_turns(2),
        ropes=_ropes,
        adapt=with_experts(Routing(), activation=CLAMPED, has_bias=True),
    ),
    (
        Published(
            "gpt_oss",
            "GptOssForCausalLM",
            reads=_WORDS.keys | _SAID_TWICE,
            neutral={
                "attention_bias": (True,),
                "swiglu_alpha": (SHARPNESS,),
                "swiglu_limit": (LIMIT,),
            },
            windows=windows_in_turns(2),
            adapt=_WORDS.adapt,
            views=_STORED,
            layer={
                **LAYER,
                "post_attention_layernorm": "post_attention_norm",
                "self_attn.sinks": "attn_sinks",
                "mlp.router": "ffn_gate_inp",
                "mlp.experts.gate_up_proj": "ffn_gate_up_exps",
                "mlp.experts.gate_up_proj_bias": "ffn_gate_up_exps_bias",
                "mlp.experts.down_proj": "ffn_down_exps",
                "mlp.experts.down_proj_bias": "ffn_down_exps_bias",
            },
        ),
    ),
    Parts(
        attention=GroupedHeads(has_bias=True, has_output_bias=True, has_sinks=True),
        residual=Residual(before_attention="attn_norm", before_feed_forward="post_attention_norm"),
    ),
)
