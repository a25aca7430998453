"""How transformers writes an architecture: its names, and what its classes take for granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_LAYER = re.compile(r"model\.layers\.(0|[1-9]\d*)\.(.+)\.(weight|bias)")
_TOP = re.compile(r"(.+)\.(weight|bias)")
_GRAPH_LAYER = re.compile(r"blk\.(\d+)\.(.+)\.(weight|bias)")

# Modules of a dense decoder, and what the graph calls them.
TOP: Mapping[str, str] = MappingProxyType(
    {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
)
LAYER: Mapping[str, str] = MappingProxyType(
    {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
)


@dataclass(frozen=True, slots=True)
class Published:
    """One ``model_type`` of config.json."""

    model_type: str
    class_name: str  # the only one of ``architectures`` that is a decoder with a head
    pairs: str = "halves"  # which rows of a head turn together: adjacent or halves
    has_windows: bool = False  # use_sliding_window and max_window_layers mean something
    top: Mapping[str, str] = field(default_factory=lambda: TOP)
    layer: Mapping[str, str] = field(default_factory=lambda: LAYER)

    def graph_name(self, name: str) -> str:
        """What the graph calls a tensor; a tensor that it does not know keeps its name."""
        if (found := _LAYER.fullmatch(name)) and found[2] in self.layer:
            return f"blk.{found[1]}.{self.layer[found[2]]}.{found[3]}"
        if (found := _TOP.fullmatch(name)) and found[1] in self.top:
            return f"{self.top[found[1]]}.{found[2]}"
        return name

    def file_name(self, name: str) -> str:
        """The opposite of ``graph_name``."""
        if found := _GRAPH_LAYER.fullmatch(name):
            modules = {short: module for module, short in self.layer.items()}
            return f"model.layers.{found[1]}.{modules.get(found[2], found[2])}.{found[3]}"
        if found := _TOP.fullmatch(name):
            modules = {short: module for module, short in self.top.items()}
            return f"{modules.get(found[1], found[1])}.{found[2]}"
        return name
