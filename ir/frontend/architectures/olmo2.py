"""OLMo 2: norms behind attention and feed-forward; those of queries and of keys span all heads."""

from __future__ import annotations

from inferflux.ir.frontend.architectures.architecture import Architecture
from inferflux.ir.frontend.architectures.qwen3 import HEAD_NORMS
from inferflux.ir.frontend.blocks import NORMS_AFTER, GroupedHeads, HeadNorm, Parts
from inferflux.ir.frontend.form import no_windows
from inferflux.ir.frontend.gguf.config import Metadata
from inferflux.ir.frontend.huggingface.published import LAYER, Published

_MODULES = {
    **{module: name for module, name in LAYER.items() if module != "input_layernorm"},
    **HEAD_NORMS,
    "post_attention_layernorm": "post_attention_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}

OLMO2 = Architecture(
    "olmo2",
    Metadata(windows=no_windows),
    (Published("olmo2", "Olmo2ForCausalLM", defaults={"epsilon": 1e-5}, layer=_MODULES),),
    Parts(
        residual=NORMS_AFTER,
        attention=GroupedHeads(head_norm=HeadNorm(spans="row")),
    ),
)
