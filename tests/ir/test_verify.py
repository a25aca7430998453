"""Every way we know to break a graph is refused.  Each mutant breaks one thing of a good one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Stacked, Value
from inferflux.ir.passes import run
from inferflux.ir.types import F16, F32, Q4_1, tensor
from inferflux.ir.verify import VerifyError, verify


@pytest.fixture
def rolled(tiny_llama):
    graph = run(tiny_llama([tiny_llama.layer(Q4_1)] * 3).graph)
    verify(graph)
    return graph


@pytest.fixture
def small():
    """x + silu(x) * w, with everything in place."""
    x = Value(tensor(F32, "T", 32), "x")
    w = Value(tensor(F32, 32, 32), "w", sources=("w",))
    graph = Graph((x,), (ops.add(x, ops.linear(ops.silu(x), w)),), (w,))
    verify(graph)
    return graph


def repeat_of(graph):
    return next(node for node in graph.nodes if node.op is ops.repeat)


def with_repeat(graph, *, inputs=None, attrs=None, bodies=None):
    """``graph`` with its repeat changed where no type rule looks, cut off behind it."""
    old = repeat_of(graph)
    node = Node(old.op, inputs or old.inputs, attrs or old.attrs, bodies or old.bodies)
    results = tuple(replace(value, producer=node) for value in old.results)
    object.__setattr__(node, "results", results)
    return replace(graph, outputs=results)


def refused(graph, message):
    with pytest.raises(VerifyError, match=message):
        verify(graph)


def test_a_value_from_nowhere(small):
    stranger = Value(tensor(F32, "T", 32), "stranger")
    refused(replace(small, outputs=(ops.silu(stranger),)), "silu reads %stranger")
    refused(replace(small, outputs=(stranger,)), "outputs reads %stranger")


def test_an_input_that_is_dropped(small):
    refused(replace(small, inputs=()), "reads %x")
    refused(replace(small, weights=()), "reads %w")


def test_an_input_that_a_node_makes(small):
    refused(replace(small, inputs=(*small.inputs, ops.silu(small.inputs[0]))), "made by a node")


def test_two_inputs_of_one_name(small):
    refused(replace(small, inputs=(*small.inputs, Value(tensor(F32, 1), "x"))), "input x stands")


def test_an_input_without_a_name(small):
    refused(replace(small, inputs=(*small.inputs, Value(tensor(F32, 1)))), "input without a name")


def test_a_weight_of_no_tensor(small):
    weights = (*small.weights, Value(tensor(F32, 1), "v"))
    refused(replace(small, weights=weights), "weight %v names no tensor")


def test_a_tensor_that_is_two_weights(small):
    weights = (*small.weights, Value(tensor(F32, 1), "v", sources=("w",)))
    refused(replace(small, weights=weights), "tensor w stands there 2 times")


def test_a_stack_of_the_wrong_height(rolled):
    stack = next(weight for weight in rolled.weights if len(weight.sources) == 3)
    weights = [w if w is not stack else replace(w, sources=w.sources[:2]) for w in rolled.weights]
    refused(replace(rolled, weights=tuple(weights)), "does not stack 2 tensors")


def test_a_result_of_the_wrong_type(small):
    node = Node(ops.silu, small.inputs, {})
    object.__setattr__(node, "results", (Value(tensor(F16, "T", 32), "y", node),))
    refused(replace(small, outputs=node.results), "silu has wrong types")


def test_operands_that_break_the_rule(small):
    node = Node(ops.linear, (*small.inputs, *small.inputs), {})
    object.__setattr__(node, "results", (Value(tensor(F32, "T", "T"), "y", node),))
    refused(replace(small, outputs=node.results), "linear: weight")


def test_a_body_that_reads_what_is_outside(rolled):
    outside = rolled.inputs[0]
    (body,) = repeat_of(rolled).bodies
    x, *rest = body.outputs
    stolen = ops.add(x, ops.embed(outside, body.weights[1]))  # a square weight, so types fit
    refused(with_repeat(rolled, bodies=(replace(body, outputs=(stolen, *rest)),)), "reads %tokens")


def test_a_body_that_hands_on_another_type(rolled):
    (body,) = repeat_of(rolled).bodies
    outputs = (body.outputs[0], body.outputs[0], body.outputs[2])
    refused(with_repeat(rolled, bodies=(replace(body, outputs=outputs),)), "body 0 gives")


def test_a_kind_without_a_body(rolled):
    attrs = {**repeat_of(rolled).attrs, "kinds": (0, 1, 0)}
    refused(with_repeat(rolled, attrs=attrs), "kinds")


def test_a_layer_without_its_number(rolled):
    attrs = {**repeat_of(rolled).attrs, "layer": (0, 1)}
    refused(with_repeat(rolled, attrs=attrs), "layer has 2 entries for 3 layers")


def test_a_number_that_breaks_the_rule_in_one_layer(rolled):
    attrs = {**repeat_of(rolled).attrs, "layer": (0, 1, 3)}
    refused(with_repeat(rolled, attrs=attrs), "layer 3 is not in pages")
    attrs = {**repeat_of(rolled).attrs, "layer": (0, None, 2)}
    refused(with_repeat(rolled, attrs=attrs), "layer None is not a number")


def test_a_stacked_attribute_that_nothing_reads(rolled):
    attrs = {**repeat_of(rolled).attrs, "spare": (0, 1, 2)}
    refused(with_repeat(rolled, attrs=attrs), r"stacks \['spare'\]")


def test_a_stacked_attribute_that_is_not_there(rolled):
    attrs = {"kinds": (0, 0, 0)}
    refused(with_repeat(rolled, attrs=attrs), "reads @")


def test_a_stacked_attribute_outside_a_repeat(rolled):
    attention = next(n for n in repeat_of(rolled).bodies[0].nodes if "scale" in n.attrs)
    pages = {value.hint: value for value in rolled.inputs}
    q = Value(attention.inputs[0].type, "q")
    outside = attention.op(
        q,
        *(pages[name] for name in ("k.0", "v.0", "positions", "sequences", "pages.0")),
        **{**attention.attrs, "layer": Stacked("layer")},
    )
    refused(replace(rolled, inputs=(*rolled.inputs, q), outputs=(outside,)), "reads @")
