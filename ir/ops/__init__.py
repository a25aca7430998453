"""Every op of the graph, by name."""

from inferflux.ir.ops.attention import attention, attention_quantise
from inferflux.ir.ops.computed import elementwise, linear_then
from inferflux.ir.ops.elementwise import (
    add,
    add_bias,
    gelu,
    gelu_tanh,
    multiply,
    scale,
    silu,
    soft_cap,
)
from inferflux.ir.ops.embed import embed
from inferflux.ir.ops.experts import (
    combine,
    combine_residual,
    expert_gate_up,
    expert_gate_up_quantise,
    expert_linear,
    gate_rows,
)
from inferflux.ir.ops.heads import join_heads, linear_heads
from inferflux.ir.ops.kv import append_keys, append_values, qkv_rope_append
from inferflux.ir.ops.linear import linear, linear_residual
from inferflux.ir.ops.mlp import gate_up, gate_up_quantise
from inferflux.ir.ops.norm import (
    layer_norm,
    layer_norm_quantise,
    norm_heads,
    quantise,
    rms_norm,
    rms_norm_quantise,
)
from inferflux.ir.ops.repeat import repeat
from inferflux.ir.ops.rope import rope, rope_table
from inferflux.ir.ops.rope_append import rope_append
from inferflux.ir.ops.route import group_by_expert, route
from inferflux.ir.ops.rows import take_rows
from inferflux.ir.ops.sample import sample

__all__ = [
    "add",
    "add_bias",
    "append_keys",
    "append_values",
    "attention",
    "attention_quantise",
    "combine",
    "combine_residual",
    "elementwise",
    "embed",
    "expert_gate_up",
    "expert_gate_up_quantise",
    "expert_linear",
    "gate_rows",
    "gate_up",
    "gate_up_quantise",
    "gelu",
    "gelu_tanh",
    "group_by_expert",
    "join_heads",
    "layer_norm",
    "layer_norm_quantise",
    "linear",
    "linear_heads",
    "linear_residual",
    "linear_then",
    "multiply",
    "norm_heads",
    "qkv_rope_append",
    "quantise",
    "repeat",
    "rms_norm",
    "rms_norm_quantise",
    "rope",
    "rope_append",
    "rope_table",
    "route",
    "sample",
    "scale",
    "silu",
    "soft_cap",
    "take_rows",
]
