"""How transformers writes an architecture: its names, and what its classes take for granted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferflux.ir.frontend.facts import ModelConfig, Rope
from inferflux.ir.frontend.form import Form, Windows, no_windows
from inferflux.ir.frontend.huggingface.rope import THETA, rope_facts, rotated_size
from inferflux.ir.frontend.typed import Fields

# By a file's keys, what is known of the model by then, and what its class takes for granted.
Ropes = Callable[[Fields, ModelConfig, Mapping[str, float]], tuple[Rope | None, ...]]

_TOP = re.compile(r"(.+)\.(weight|bias)")
_GRAPH_LAYER = re.compile(r"blk\.(\d+)\.(.+)\.(weight|bias)")

# Modules of most decoders, and what the graph calls them.
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


def same_in_all(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    """Alike in all layers: whole heads are turned, or what a class has a ``rotary_share`` of."""
    size = rotated_size(fields, config.head_dim, defaults.get("rotary_share"))
    return (rope_facts(fields, size, defaults.get("theta", THETA)),) * config.num_layers


def no_ropes(
    fields: Fields, config: ModelConfig, defaults: Mapping[str, float]
) -> tuple[Rope | None, ...]:
    """Positions are learned, or known otherwise."""
    return (None,) * config.num_layers


@dataclass(frozen=True, slots=True)
class Published(Form):
    """One ``model_type`` of config.json."""

    model_type: str
    class_name: str  # the only one of ``architectures`` that is a decoder with a head
    windows: Windows = no_windows
    ropes: Ropes = same_in_all
    layers: str = "model.layers"  # what the layers' tensors begin with
    root: str = ""  # the part of every name that files may leave out
    top: Mapping[str, str] = field(default_factory=lambda: TOP)
    layer: Mapping[str, str] = field(default_factory=lambda: LAYER)
    derived: tuple[str, ...] = ("rotary_emb.inv_freq",)  # ends of names of tables, no weights
    # Of a model that sees, too: what of config.json is its decoder's, and what the names of other
    # tensors begin with.  Only the decoder is built.
    group: str = ""
    others: tuple[str, ...] = ()

    def graph_name(self, name: str) -> str:
        """What the graph calls a tensor; a tensor that it does not know keeps its name."""
        for whole in (name, self.root + name):
            if (found := self._in_layer(whole)) or (found := self._on_top(whole)):
                return found
        return name

    def file_name(self, name: str) -> str:
        """The opposite of ``graph_name``."""
        if found := _GRAPH_LAYER.fullmatch(name):
            modules = {short: module for module, short in self.layer.items()}
            return f"{self.layers}.{found[1]}.{modules.get(found[2], found[2])}.{found[3]}"
        if found := _TOP.fullmatch(name):
            modules = {short: module for module, short in self.top.items()}
            return f"{modules.get(found[1], found[1])}.{found[2]}"
        return name

    def _in_layer(self, name: str) -> str | None:
        found = re.fullmatch(rf"{re.escape(self.layers)}\.(0|[1-9]\d*)\.(.+)", name)
        if found is None:
            return None
        if found[2] in self.layer:  # a tensor that is no part of a module
            return f"blk.{found[1]}.{self.layer[found[2]]}.weight"
        module, _, suffix = found[2].rpartition(".")
        is_known = module in self.layer and suffix in ("weight", "bias")
        return f"blk.{found[1]}.{self.layer[module]}.{suffix}" if is_known else None

    def _on_top(self, name: str) -> str | None:
        found = _TOP.fullmatch(name)
        is_known = found is not None and found[1] in self.top
        return f"{self.top[found[1]]}.{found[2]}" if found and is_known else None
