"""Phi 3 and 4: queries, keys and values are one tensor, gate and up another."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.gguf.rope import LONG, SHORT
from inferflux.ir.frontend.gguf.windows import windows_in_turns
from inferflux.ir.frontend.huggingface.published import LAYER, Published
from inferflux.ir.frontend.huggingface.windows import same_windows
from inferflux.ir.frontend.views import FUSED_GATE_UP, FUSED_QKV

_MODULES = {
    "input_layernorm": LAYER["input_layernorm"],
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_VIEWS = (FUSED_QKV, FUSED_GATE_UP)

PHI3 = Architecture(
    "phi3",
    Metadata(
        rope_tensors=(LONG, SHORT),
        windows=windows_in_turns(0),
        views=_VIEWS,
    ),
    (
        Published(
            "phi3",
            "Phi3ForCausalLM",
            defaults={"epsilon": 1e-5, "rotary_share": 1.0},
            reads=frozenset(
                {
                    "auto_map.",  # the code of this class, from before transformers had it
                    "original_max_position_embeddings",
                    "partial_rotary_factor",
                }
            ),
            neutral={
                "full_attn_mod": (1,),
                "interpolate_factor": (1,),
            },
            windows=same_windows,
            layer=_MODULES,
            views=_VIEWS,
        ),
    ),
)
