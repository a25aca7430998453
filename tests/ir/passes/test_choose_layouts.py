"""Which weights are packed, and how."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes import PassConfig, run
from inferflux.ir.passes.choose_layouts import choose_layouts
from inferflux.ir.types import F16, F32, I32, Q4_1, tensor


def layouts(graph):
    return {weight.hint: weight.type.layout for weight in graph.weights}


def test_matrices_are_panels_rotated_ones_in_pairs_vectors_as_they_are(tiny_llama):
    graph = run(tiny_llama([tiny_llama.layer(Q4_1)] * 2, is_tied=False).graph)
    assert layouts(graph) == {
        "token_embd.weight": "panel16",
        "attn_norm": "",
        "attn_q": "panel16.pairs",
        "attn_k": "panel16.pairs",
        "attn_v": "panel16",
        "attn_output": "panel16",
        "ffn_norm": "",
        "ffn_gate": "panel16",
        "ffn_up": "panel16",
        "ffn_down": "panel16",
        "output_norm.weight": "",
        "output.weight": "panel16",
    }


def test_a_body_sees_the_layout_of_its_stack(tiny_llama):
    graph = run(tiny_llama([tiny_llama.layer(Q4_1)] * 2).graph)
    (node,) = (node for node in graph.nodes if node.op is ops.repeat)
    inner = layouts(node.bodies[0])
    assert inner == {name: layouts(graph)[name] for name in inner}


def test_an_unrolled_graph_is_laid_out_too():
    x = Value(tensor(F32, "T", 32), "x")
    w = Value(tensor(F32, 32, 32), "w", sources=("w",))
    graph = choose_layouts(Graph((x,), (ops.linear(x, w),), (w,)), PassConfig())
    assert str(graph.outputs[0].args[1].type) == "f32[32, 32]@panel16"


def test_a_weight_whose_readers_differ_stays_as_it_is():
    x = Value(tensor(F32, "T", 32), "x")
    slots = Value(tensor(I32, "T"), "slots")
    pages = Value(tensor(F16, "N", 1, 2, 16, 16), "pages")
    w = Value(tensor(F32, 32, 32), "w", sources=("w",))
    table = ops.rope_table(theta=1e4, head_dim=16, length=64)
    operands = (x, x, x, w, w, w, table, slots, slots, pages, pages)
    outputs = ops.qkv_rope_append(*operands, layer=0, head_dim=16, pairs="adjacent")
    graph = choose_layouts(Graph((x, slots, pages), outputs, (w,)), PassConfig())
    assert layouts(graph) == {"w": ""}
