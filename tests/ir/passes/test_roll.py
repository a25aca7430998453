"""Layers become a loop: which ones are of a kind, what is stacked, what is carried."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Stacked, Value
from inferflux.ir.interpret import interpret
from inferflux.ir.ops.repeat import layer_kinds, parts, stacked_attributes
from inferflux.ir.passes import PassConfig, run
from inferflux.ir.passes.roll import roll
from inferflux.ir.types import F16, F32, I32, Q4_0, Q4_1, Q8_0, tensor
from inferflux.ir.verify import verify

FLOAT32 = PassConfig("float32")


def repeats(graph):
    return [node for node in graph.nodes if node.op is ops.repeat]


@pytest.fixture
def rolled(tiny_llama):
    """The one repeat of a Llama whose layers are (dtype, window, more by name)."""

    def build(*layers):
        made = [tiny_llama.layer(dtype, window, **dict(more)) for dtype, window, *more in layers]
        (node,) = repeats(run(tiny_llama(made).graph, verify=True))
        return node

    return build


def test_equal_layers_are_one_kind(rolled):
    node = rolled(*[(Q4_1, None)] * 5)
    assert layer_kinds(node) == (0, 0, 0, 0, 0)
    assert stacked_attributes(node) == {"layer": (0, 1, 2, 3, 4)}


def test_tensor_types_make_kinds(rolled):
    node = rolled((Q4_1, None), (Q8_0, None), (Q4_1, None), (F16, None))
    assert layer_kinds(node) == (0, 1, 0, 2)


def test_one_tensor_of_another_type_is_enough(rolled):
    node = rolled((Q4_1, None), (Q4_1, None, ("down", Q8_0)), (Q4_1, None))
    assert layer_kinds(node) == (0, 1, 0)
    assert stacked_attributes(node) == {"layer": (0, 1, 2)}


def test_kv_groups_make_kinds_and_every_group_is_carried_through_all(rolled):
    node = rolled(*[(Q4_1, 4), (Q4_1, None)] * 3)
    assert layer_kinds(node) == (0, 1, 0, 1, 0, 1)
    assert stacked_attributes(node) == {"layer": (0, 0, 1, 1, 2, 2)}
    carried = [value.hint for value in parts(node).carried]
    assert carried == ["x", "k.0", "v.0", "k.1", "v.1"]
    windowed, full = node.bodies
    assert windowed.outputs[3:] == windowed.inputs[3:5]
    assert full.outputs[1:3] == full.inputs[1:3]


def test_each_kind_reads_its_own_rope_table_slots_and_window(rolled):
    node = rolled(*[(Q4_1, 4), (Q4_1, None)] * 2)
    tables = [v for v in parts(node).invariants if v.op is ops.rope_table]
    assert [table.producer.attrs["theta"] for table in tables] == [500.0, 10000.0]
    attentions = [n for body in node.bodies for n in body.nodes if "window" in n.attrs]
    assert [attention.attrs["window"] for attention in attentions] == [4, None]


def test_a_number_that_differs_within_a_kind_is_stacked_and_one_that_does_not_is_not(rolled):
    node = rolled((Q4_1, None, ("scale", 0.5)), (Q4_1, None), (Q8_0, None))
    assert layer_kinds(node) == (0, 0, 1)
    assert stacked_attributes(node) == {"layer": (0, 1, 2), "scale": (0.5, 0.25, 0.25)}
    first, second = (
        next(n.attrs for n in body.nodes if "scale" in n.attrs) for body in node.bodies
    )
    assert (first["layer"], first["scale"]) == (Stacked("layer"), Stacked("scale"))
    assert (second["layer"], second["scale"]) == (2, 0.25)


def test_two_numbers_of_one_name_get_two_columns():
    """Each layer writes to the pages of one layer and reads those of another."""
    tokens, slots = (Value(tensor(I32, "T"), name) for name in ("tokens", "slots"))
    keys, values = (Value(tensor(F32, "N", 4, 2, 16, 16), name) for name in "kv")
    pages = Value(tensor(I32, "B", "M"), "pages")
    inputs = (tokens, slots, keys, values, pages)
    weights = [Value(tensor(F32, 9, 32), "embed", sources=("embed",))]
    x = ops.embed(tokens, weights[0])
    for layer in range(3):
        name = f"blk.{layer}.w.weight"
        weights.append(Value(tensor(F32, 32, 32), name, sources=(name,)))
        y = ops.linear(x, weights[-1])
        keys = ops.append_keys(keys, y, slots, layer=layer + 1, head_dim=16)
        place = {"layer": layer, "head_dim": 16, "scale": 1.0}
        x = ops.add(x, ops.attention(y, keys, values, tokens, tokens, pages, **place))
    graph = roll(Graph(inputs, (x, keys), tuple(weights)), FLOAT32)
    verify(graph)
    (node,) = repeats(graph)
    assert stacked_attributes(node) == {"layer": (1, 2, 3), "layer_1": (0, 1, 2)}


def test_stacks_name_their_tensors_in_the_order_of_the_layers(rolled):
    node = rolled((Q4_1, None), (Q8_0, None), (Q4_1, None))
    stacks = [stack for weights in parts(node).weights for stack in weights]
    queries = [stack.sources for stack in stacks if "attn_q" in stack.hint]
    assert queries == [("blk.0.attn_q.weight", "blk.2.attn_q.weight"), ("blk.1.attn_q.weight",)]
    assert all(stack.type.shape[0] == len(stack.sources) for stack in stacks)


def test_what_is_in_no_layer_stays_outside(tiny_llama):
    graph = run(tiny_llama([tiny_llama.layer(Q4_1)] * 2).graph)
    outside = [str(node.op) for node in graph.nodes]
    assert outside == [
        "embed",
        "rope_table",
        "repeat",
        "take_rows",
        "rms_norm_quantise",
        "linear",
        "sample",
    ]


def chain(*widths, number="blk.{}.w.weight", residual=True):
    """embed -> silu -> linear -> ... with a layer for each two neighbours of these widths."""
    tokens = Value(tensor(I32, "T"), "tokens")
    weights = [Value(tensor(F32, 9, widths[0]), "embed", sources=("embed",))]
    x = ops.embed(tokens, weights[0])
    for layer, (width, out) in enumerate(pairwise(widths)):
        name = number.format(layer)
        weights.append(Value(tensor(F32, out, width), name, sources=(name,)))
        y = ops.linear(ops.silu(x), weights[-1])
        x = ops.add(x, y) if residual else y
    return Graph((tokens,), (x,), tuple(weights))


def test_an_addition_that_closes_a_layer_stays_in_it():
    graph = roll(chain(32, 32, 32, 32), FLOAT32)
    (node,) = repeats(graph)
    assert [str(n.op) for n in node.bodies[0].nodes] == ["silu", "linear", "add"]
    assert [n.op for n in graph.nodes] == [ops.embed, ops.repeat]


@pytest.mark.parametrize("num_layers", [2, 3])
def test_what_prepares_the_stream_or_takes_rows_of_it_is_in_no_layer(num_layers):
    """Places to cut are equally good before and after ``silu`` and ``take_rows`` here."""
    tokens, rows = (Value(tensor(I32, dim), name) for dim, name in (("T", "tokens"), ("R", "rows")))
    names = ["embed", *(f"blk.{layer}.w" for layer in range(num_layers)), "head"]
    weights = [Value(tensor(F32, 32, 32), name, sources=(name,)) for name in names]
    x = ops.silu(ops.embed(tokens, weights[0]))
    for weight in weights[1:-1]:
        x = ops.add(x, ops.linear(x, weight))
    logits = ops.linear(ops.take_rows(x, rows), weights[-1])
    graph = roll(Graph((tokens, rows), (logits,), tuple(weights)), FLOAT32)
    outside = [str(node.op) for node in graph.nodes]
    assert outside == ["embed", "silu", "repeat", "take_rows", "linear"]
    (node,) = repeats(graph)
    assert len(node.bodies) == 1


def test_layers_that_hand_on_other_types_are_left_alone():
    graph = chain(32, 64, 32, 64, residual=False)
    assert roll(graph, FLOAT32) is graph


def test_a_layer_that_reads_past_its_neighbour_is_left_alone():
    graph = chain(32, 32, 32, 32, residual=False)
    first = graph.nodes[2].results[0]  # of layer 0, read by layer 1 and behind layer 2
    graph = Graph(graph.inputs, (ops.add(first, graph.outputs[0]),), graph.weights)
    assert roll(graph, FLOAT32) is graph


def test_a_layer_that_reads_older_pages_is_left_alone():
    """Layer 2 attends to the pages as layer 0 left them."""
    tokens, slots = (Value(tensor(I32, "T"), name) for name in ("tokens", "slots"))
    keys, values = (Value(tensor(F32, "N", 3, 2, 16, 16), name) for name in "kv")
    pages = Value(tensor(I32, "B", "M"), "pages")
    inputs = (tokens, slots, keys, values, pages)
    weights = [Value(tensor(F32, 9, 32), "embed", sources=("embed",))]
    x, states = ops.embed(tokens, weights[0]), [keys]
    for layer in range(3):
        name = f"blk.{layer}.w.weight"
        weights.append(Value(tensor(F32, 32, 32), name, sources=(name,)))
        y = ops.linear(x, weights[-1])
        states.append(ops.append_keys(states[-1], y, slots, layer=layer, head_dim=16))
        both = [states[-1], states[1]]
        place = {"layer": 0, "head_dim": 16, "scale": 1.0}
        seen = [ops.attention(y, each, values, tokens, tokens, pages, **place) for each in both]
        x = ops.add(x, ops.add(*seen))
    graph = Graph(inputs, (x, states[-1]), tuple(weights))
    assert roll(graph, FLOAT32) is graph


def test_weights_without_a_number_belong_to_no_layer():
    graph = chain(32, 32, 32, number="w{}")
    assert roll(graph, FLOAT32) is graph


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from([F32, Q4_0, Q8_0]), st.sampled_from([0, 1]), st.booleans()),
        min_size=1,
        max_size=7,
    )
)
def test_any_mix_of_layers_rolls_and_computes_the_same(specs):
    """A layer's weight type, which of two invariants it reads, and whether it activates."""
    tokens = Value(tensor(I32, "T"), "tokens")
    sides = [Value(tensor(F32, "T", 32), f"side.{index}") for index in (0, 1)]
    random = np.random.default_rng(1)
    weights = [Value(tensor(F32, 9, 32), "embed", sources=("embed",))]
    tensors = {"embed": random.standard_normal((9, 32)).astype(np.float32)}
    y = ops.embed(tokens, weights[0])
    for layer, (dtype, side, is_activated) in enumerate(specs):
        name = f"blk.{layer}.w.weight"
        weights.append(Value(tensor(dtype, 32, 32), name, sources=(name,)))
        tensors[name] = random.integers(0, 40, weights[-1].type.nbytes).astype(np.uint8)
        h = ops.multiply(y, sides[side])
        y = ops.add(y, ops.linear(ops.silu(h) if is_activated else h, weights[-1]))
    graph = Graph((tokens, *sides), (y,), tuple(weights))
    inputs = {v.hint: random.standard_normal((3, 32)).astype(np.float32) for v in sides}
    inputs["tokens"] = np.array([0, 8, 3])
    after = roll(graph, FLOAT32)
    verify(after)
    (node,) = repeats(after)
    assert len(node.bodies) == len(set(specs))
    np.testing.assert_array_equal(
        interpret(graph, inputs, tensors)[0], interpret(after, inputs, tensors)[0]
    )
