"""Fusions happen where they may, and not where they would compute something twice."""

from __future__ import annotations

import textwrap

import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes import PassConfig
from inferflux.ir.passes.canonicalise import canonicalise
from inferflux.ir.passes.fuse_elementwise import fuse_elementwise
from inferflux.ir.passes.fuse_gate_up import fuse_gate_up
from inferflux.ir.passes.fuse_qkv import fuse_qkv
from inferflux.ir.passes.fuse_quantise import fuse_quantise
from inferflux.ir.passes.fuse_residual import fuse_residual
from inferflux.ir.passes.fuse_rope_append import fuse_rope_append
from inferflux.ir.passes.quantise_activations import quantise_activations
from inferflux.ir.types import BF16, F16, F32, I8X32, I32, Q4_1, Q4_K, Q6_K, Q8_0, tensor

CONFIG = PassConfig()


def rows(name, width=32):
    return Value(tensor(F32, "T", width), name)


def weight(name, dtype=F32, shape=(32, 32)):
    return Value(tensor(dtype, *shape), name, sources=(name,))


def graph_of(*outputs):
    """The graph that computes these from whatever they need."""
    nodes = Graph((), outputs).nodes
    leaves = dict.fromkeys(v for node in nodes for v in node.inputs if not v.producer)
    return Graph(
        tuple(leaf for leaf in leaves if not leaf.sources),
        outputs,
        tuple(leaf for leaf in leaves if leaf.sources),
    )


def ops_of(graph):
    return [str(node.op) for node in graph.nodes]


@pytest.mark.parametrize("is_swapped", [False, True])
def test_residual_fuses_whichever_way_it_was_added(is_swapped):
    x, w = rows("x"), weight("w")
    product = ops.linear(ops.silu(x), w)
    total = ops.add(product, x) if is_swapped else ops.add(x, product)
    graph = fuse_residual(canonicalise(graph_of(total), CONFIG), CONFIG)
    assert str(graph) == textwrap.dedent("""\
        graph(
          %x: f32[T, 32]
        ) weights(
          %w: f32[32, 32] = "w"
        ):
          %silu = silu(%x) : f32[T, 32]
          %x_1 = linear_residual(%silu, %w, %x) : f32[T, 32]
          return %x_1
    """)


def test_a_product_with_another_reader_is_not_fused():
    x, w = rows("x"), weight("w")
    product = ops.linear(x, w)
    for graph in (graph_of(ops.add(x, product), product), graph_of(ops.add(product, product))):
        assert fuse_residual(graph, CONFIG) is graph


@pytest.mark.parametrize("is_swapped", [False, True])
def test_gate_up_fuses_whichever_way_it_was_multiplied(is_swapped):
    x, gate, up = rows("x"), weight("gate"), weight("up")
    sides = ops.silu(ops.linear(x, gate)), ops.linear(x, up)
    product = ops.multiply(*(sides[::-1] if is_swapped else sides))
    (node,) = fuse_gate_up(canonicalise(graph_of(product), CONFIG), CONFIG).nodes
    assert node.op is ops.gate_up
    assert [value.hint for value in node.inputs] == ["x", "x", "gate", "up"]


@pytest.mark.parametrize("kept", ["gate", "act", "up"])
def test_gate_up_with_another_reader_inside_is_not_fused(kept):
    x = rows("x")
    gate, up = ops.linear(x, weight("gate")), ops.linear(x, weight("up"))
    act = ops.silu(gate)
    inside = {"gate": gate, "act": act, "up": up}[kept]
    graph = canonicalise(graph_of(ops.multiply(up, act), inside), CONFIG)
    assert fuse_gate_up(graph, CONFIG) is graph


def test_one_value_is_quantised_once_and_only_for_quantised_weights():
    x = rows("x")
    weights = (weight("a", Q4_1), weight("b", Q8_0), weight("c", F16))
    graph = quantise_activations(graph_of(*(ops.linear(x, w) for w in weights)), CONFIG)
    assert ops_of(graph) == ["quantise", "linear", "linear", "linear"]
    assert graph.outputs[2].args[0] is x


@pytest.mark.parametrize(
    ("types", "to"),
    [((Q4_K, Q6_K), "i8x256"), ((Q4_K, Q8_0), "i8x32"), ((Q4_K, F16), "i8x256")],
)
def test_what_super_blocks_alone_read_has_their_scales(types, to):
    x = rows("x", 256)
    weights = [weight(str(dtype), dtype, (32, 256)) for dtype in types]
    graph = quantise_activations(graph_of(*(ops.linear(x, each) for each in weights)), CONFIG)
    assert str(graph.outputs[0].args[0].type.dtype) == to


def test_only_what_makes_rows_as_a_whole_makes_them_for_super_blocks():
    x, gain, w = rows("x", 256), weight("gain", F32, (256,)), weight("w", Q4_K, (256, 256))
    hidden = ops.multiply(ops.silu(ops.linear(ops.rms_norm(x, gain, eps=1e-5), w)), x)
    graph = quantise_activations(graph_of(ops.linear(hidden, w)), CONFIG)
    fused = fuse_quantise(fuse_elementwise(graph, CONFIG), CONFIG)
    assert ops_of(fused) == ["rms_norm_quantise", "linear_then", "quantise", "linear"]


def test_float32_numerics_quantise_nothing():
    graph = graph_of(ops.linear(rows("x"), weight("w", Q4_1)))
    assert quantise_activations(graph, PassConfig("float32")) is graph


def test_a_norm_that_floats_read_too_keeps_its_own_node():
    norm = ops.rms_norm(rows("x"), weight("n", shape=(32,)), eps=1e-5)
    only = graph_of(ops.linear(ops.quantise(norm), weight("a", Q4_1)))
    assert ops_of(fuse_quantise(only, CONFIG)) == ["rms_norm_quantise", "linear"]
    both = graph_of(*only.outputs, ops.linear(norm, weight("b")))
    assert fuse_quantise(both, CONFIG) is both


def attend(**change):
    """One attention as the front end writes it; ``change`` breaks what the fusion needs."""
    x, slots, other = rows("x"), vector("slots"), vector("other")
    head_dim = change.get("head_dim", 32)
    positions, sequences = vector("positions"), vector("sequences")
    table = ops.rope_table(theta=1e4, head_dim=head_dim, length=64)
    other_table = ops.rope_table(theta=5e2, head_dim=head_dim, length=64)
    turn = {"head_dim": head_dim, "pairs": "adjacent"}
    q, k, v = (ops.linear(x, weight(name)) for name in ("wq", "wk", "wv"))
    biased = change.get("biases", "")
    q, k, v = (
        ops.add_bias(each, weight(f"b{name}", F32, (32,))) if name in biased else each
        for name, each in (("q", q), ("k", k), ("v", v))
    )
    q = ops.rope(q, positions, table, **turn)
    k = ops.rope(k, positions, other_table if "table" in change else table, **turn)
    if "rotated value" in change:
        v = ops.rope(v, positions, table, **turn)
    keys = Value(tensor(F16, "N", 2, 32 // head_dim, head_dim, 16), "k")
    values = Value(tensor(F16, "N", 2, 32 // head_dim, 16, head_dim), "v")
    place = {"layer": 1, "head_dim": head_dim}
    keys = ops.append_keys(keys, k, other if "slots" in change else slots, **place)
    value_place = {"layer": 0, "head_dim": head_dim} if "layer" in change else place
    values = ops.append_values(values, v, slots, **value_place)
    pages = Value(tensor(I32, "B", "M"), "pages")
    out = ops.attention(q, keys, values, positions, sequences, pages, **place, scale=0.25)
    more = {"query": q, "key": k, "value": v}
    return graph_of(out, keys, values, *(more[name] for name in change if name in more))


def vector(name):
    return Value(tensor(I32, "T"), name)


def test_projections_rotation_and_append_fuse_and_the_pages_keep_their_readers():
    graph = fuse_qkv(attend(), CONFIG)
    assert ops_of(graph) == ["rope_table", "qkv_rope_append", "attention"]
    _, fused, attention = graph.nodes
    assert attention.inputs[:3] == fused.results
    assert graph.outputs[1:] == fused.results[1:]
    assert fused.attrs == {"layer": 1, "head_dim": 32, "pairs": "adjacent"}


def test_biases_of_all_three_fuse_with_their_projections():
    graph = fuse_qkv(attend(biases="qkv"), CONFIG)
    assert ops_of(graph) == ["rope_table", "qkv_rope_append", "attention"]
    operands = graph.nodes[1].operands
    assert [operands[name].hint for name in ("bq", "bk", "bv")] == ["bq", "bk", "bv"]


@pytest.mark.parametrize("biases", ["q", "kv", "v"])
def test_biases_of_some_are_added_by_themselves(biases):
    graph = attend(biases=biases)
    assert fuse_qkv(graph, CONFIG) is graph


@pytest.mark.parametrize(
    "change", ["table", "slots", "layer", "rotated value", "query", "key", "value"]
)
def test_projections_that_differ_or_are_read_elsewhere_are_not_fused(change):
    graph = attend(**{change: True})
    assert fuse_qkv(graph, CONFIG) is graph


def test_heads_that_are_not_whole_units_are_neither_projected_nor_quantised_by_one_node():
    graph = attend(head_dim=16)
    assert fuse_qkv(graph, CONFIG) is graph
    product = graph_of(ops.linear(ops.quantise(graph.outputs[0]), weight("o", Q4_1)))
    assert fuse_quantise(product, CONFIG) is product


def test_equal_nodes_become_one_and_unread_weights_go():
    x = rows("x")
    tables = [ops.rope_table(theta=1e4, head_dim=32, length=64) for _ in range(2)]
    positions = vector("positions")
    turned = [ops.rope(x, positions, t, head_dim=32, pairs="halves") for t in tables]
    graph = graph_of(ops.add(*turned))
    graph = Graph(graph.inputs, graph.outputs, (weight("unread"),))
    canonical = canonicalise(graph, CONFIG)
    assert ops_of(canonical) == ["rope_table", "rope", "add"]
    assert canonical.weights == ()
    assert canonical.inputs == graph.inputs


def experts_of(dtype):
    """A layer of experts on the residual stream, its router an ordinary product."""
    x = rows("x")
    logits = ops.linear(x, weight("router", Q8_0, (4, 32)))
    chosen, shares = ops.route(logits, num_used=2)
    order = ops.group_by_expert(chosen, num_experts=4)
    gates = [weight(name, dtype, (4, 32, 32)) for name in ("gate", "up")]
    inner = ops.expert_gate_up(x, *order, *gates)
    products = ops.expert_linear(inner, *order, weight("down", dtype, (4, 32, 32)))
    return graph_of(ops.add(ops.combine(products, shares), x))


def test_experts_read_narrow_rows_and_end_in_the_residual_stream():
    graph = canonicalise(experts_of(Q8_0), CONFIG)
    for each in (quantise_activations, fuse_residual, fuse_quantise):
        graph = each(graph, CONFIG)
    assert sorted(ops_of(graph)) == [
        "combine_residual",
        "expert_gate_up_quantise",
        "expert_linear",
        "group_by_expert",
        "linear",
        "quantise",
        "route",
    ]


def test_what_chooses_experts_is_not_narrowed():
    graph = quantise_activations(experts_of(Q8_0), CONFIG)
    (router,) = (node for node in graph.nodes if node.op is ops.linear)
    assert router.inputs[0].type.dtype == F32


def row_weight(name, width=32):
    return Value(tensor(F32, width), name, sources=(name,))


def fused_formula(*outputs):
    """The ops that are left, and the formula of the last that has one."""
    graph = fuse_elementwise(canonicalise(graph_of(*outputs), CONFIG), CONFIG)
    computed = [node for node in graph.nodes if "formula" in node.attrs]
    return ops_of(graph), computed[-1].attrs["formula"]


def test_what_follows_a_product_is_computed_with_it():
    x, residual, w, b = rows("x"), rows("residual"), weight("w"), row_weight("b")
    product = ops.scale(ops.add_bias(ops.linear(x, w), b), by=0.22)
    assert fused_formula(ops.add(residual, product)) == (
        ["linear_then"],
        "add(a, scale(add_bias(product, b), by=0.22))",
    )


def test_of_two_products_the_last_is_computed_with_the_formula():
    x, up, gate, b = rows("x"), weight("up"), weight("gate"), row_weight("b")
    activated = ops.gelu_tanh(ops.add_bias(ops.linear(x, gate), b))
    assert fused_formula(ops.multiply(ops.linear(x, up), activated)) == (
        ["linear", "linear_then"],
        "multiply(a, gelu_tanh(add_bias(product, b)))",
    )


def test_an_op_alone_is_a_formula_too():
    assert fused_formula(ops.soft_cap(rows("x"), cap=30.0)) == (
        ["elementwise"],
        "soft_cap(a, cap=30.0)",
    )


def test_what_is_read_twice_stays_a_value_of_its_own():
    capped = ops.soft_cap(ops.linear(rows("x"), weight("w")), cap=5.0)
    both = ops.multiply(capped, ops.silu(capped))
    assert fused_formula(both) == (["linear_then", "elementwise"], "multiply(a, silu(a))")


def test_a_formula_has_no_more_operands_than_there_are_names():
    total = rows("x0")
    for number in range(1, 9):
        total = ops.add(rows(f"x{number}"), total)
    assert fused_formula(total) == (["elementwise"] * 2, "add(a, add(b, add(c, d)))")


@pytest.mark.parametrize("op", ["layer_norm", "elementwise", "linear_then"])
def test_what_norms_and_formulas_give_is_quantised_as_it_is_made(op):
    x, w, b = rows("x"), weight("w"), row_weight("b")
    made = {
        "layer_norm": ops.layer_norm(x, row_weight("n"), b, eps=1e-5),
        "elementwise": ops.gelu(ops.add_bias(x, b)),
        "linear_then": ops.gelu(ops.linear(x, w)),
    }[op]
    graph = graph_of(ops.linear(ops.quantise(made), weight("down", Q8_0)))
    graph = fuse_quantise(fuse_elementwise(graph, CONFIG), CONFIG)
    (_, reader) = graph.nodes[-2:]
    assert "quantise" not in ops_of(graph)
    assert str(reader.inputs[0].type) == "i8x32[T, 32]"


def test_quantised_experts_take_integers_in_prompts_too():
    graph = quantise_activations(experts_of(Q8_0), PassConfig(activations="bf16"))
    (inner,) = (node for node in graph.nodes if node.op is ops.expert_gate_up)
    assert inner.inputs[0].type.dtype == I8X32
    graph = quantise_activations(experts_of(F16), PassConfig(activations="bf16"))
    (inner,) = (node for node in graph.nodes if node.op is ops.expert_gate_up)
    assert inner.inputs[0].type.dtype == BF16


def attend_to_normed(**change):
    """An attention whose queries and keys are normed by head; ``change`` breaks the fusion."""
    positions, sequences, slots = (vector(name) for name in ("positions", "sequences", "slots"))
    table = ops.rope_table(theta=1e4, head_dim=16, length=64)
    turn, place = {"head_dim": 16, "pairs": "halves"}, {"layer": 0, "head_dim": 16}
    normed = [
        ops.norm_heads(rows(name), row_weight(f"{name}_norm", 16), eps=eps, head_dim=16)
        for name, eps in (("q", 1e-5), ("k", change.get("key_eps", 1e-5)))
    ]
    q, k = (ops.rope(each, positions, table, **turn) for each in normed)
    pages = (Value(tensor(F16, "N", 1, 2, 16, 16), name) for name in ("keys", "values"))
    keys = ops.append_keys(next(pages), k, slots, **place)
    values = ops.append_values(next(pages), rows("v"), slots, **place)
    where = (positions, sequences, Value(tensor(I32, "B", "M"), "pages"))
    out = ops.attention(q, keys, values, *where, **place, scale=0.25)
    read = normed[:1] if "norm is read" in change else []
    return graph_of(out, keys, values, *read)


def test_norms_rotation_and_append_fuse_where_projections_do_not():
    graph = fuse_rope_append(attend_to_normed(), CONFIG)
    assert ops_of(graph) == ["rope_table", "rope_append", "attention"]
    attrs = {"layer": 0, "head_dim": 16, "pairs": "halves", "eps": 1e-5, "kind": "rms"}
    assert graph.nodes[1].attrs == attrs


@pytest.mark.parametrize("change", [{"key_eps": 1e-6}, {"norm is read": True}])
def test_norms_that_differ_or_are_read_elsewhere_stay_nodes_of_their_own(change):
    graph = attend_to_normed(**change)
    assert fuse_rope_append(graph, CONFIG) is graph
