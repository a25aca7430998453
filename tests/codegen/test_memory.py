"""Places of values: no two that live at once share one; the residual stream stays in its own."""

from __future__ import annotations

import pytest

from inferflux.codegen.memory import MAX_WORKERS, plan_memory
from inferflux.codegen.stages import stages
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, ops, passes
from inferflux.ir.graph import Graph, Value
from inferflux.ir.ops.repeat import parts
from inferflux.ir.passes import PassConfig
from inferflux.ir.passes.choose_layouts import choose_layouts
from inferflux.ir.types import F32, I32, tensor
from inferflux.kernels import KERNELS
from inferflux.kernels.storage import FloatRows, Int8Rows

MAX_TOKENS, PADDED = 32, 48  # rows: 16 more are computed and not read
VOCAB = 320


def plan_of(graph):
    return plan_memory(graph, plan_weights(graph, "x"), MAX_TOKENS, VOCAB, "cpu:portable")


@pytest.fixture(params=["default", "float32"])
def graph(request, tiny_gguf):
    model = tiny_gguf(
        layer_types=("q4_1", "f16", "q8_0"), window=8, windowed=(True, False, False), hidden=96
    )
    return passes.run(frontend.build(frontend.open(model)), numerics=request.param)


def places(operand):
    """(buffer, first element, end) of each part of a value that lies in scratch."""
    match operand:
        case FloatRows(buffer="scratch_f32"):
            yield "scratch_f32", operand.base, operand.base + PADDED * operand.stride
        case Int8Rows(columns=columns):
            blocks = columns // 32
            yield "scratch_i8", operand.values, operand.values + PADDED * columns
            yield "scratch_i32", operand.corrections, operand.corrections + PADDED * blocks
            yield "scratch_f32", operand.scales, operand.scales + PADDED * blocks
            yield "scratch_f32", operand.scaled_sums, operand.scaled_sums + PADDED * blocks


def overlap(one, other):
    return any(
        a == b and start < stop and begin < end
        for a, start, end in places(one)
        for b, begin, stop in places(other)
    )


def updated(node):
    """The operands whose places a node's results take over."""
    if node.bodies:
        return set(parts(node).carried)
    names = KERNELS[node.op.name].overwrites if node.inputs else ()
    return {node.operands[name] for name in names if name in node.operands}


def assert_apart(graph, memory, invariants=()):
    """What a stage makes lies apart from all that it reads and that is read later, and itself."""
    alive, order = set(invariants), list(stages(graph))
    for number, stage in enumerate(order):
        read = {value for node in stage for value in node.inputs}
        later = {value for other in order[number + 1 :] for node in other for value in node.inputs}
        alive |= read
        for node in stage:
            for body in node.bodies:
                assert_apart(body, memory, body.inputs[len(body.outputs) :])
            beside = {value for other in stage if other is not node for value in other.results}
            others = {value for other in stage if other is not node for value in other.inputs}
            own = updated(node) - others
            needed = alive & (later | {*graph.outputs, *invariants} | read) | beside
            for result in node.results:
                for value in needed - own - set(node.results):
                    one, other = memory.operands[result], memory.operands.get(value)
                    assert not overlap(one, other), f"{result} over {value}"
        alive |= {value for node in stage for value in node.results}


def test_no_two_values_that_live_at_once_overlap(graph):
    assert_apart(graph, plan_of(graph))


def test_rows_that_every_layer_reads_outlive_the_first_layer():
    """Two streams: x, carried on, and another that all layers add and none updates."""
    tokens, table = (
        Value(tensor(I32, "T"), "tokens"),
        Value(tensor(F32, 9, 64), "e", sources=("e",)),
    )
    x, other = (ops.embed(tokens, table, hint=name) for name in ("x", "other"))
    inner = [Value(tensor(F32, "T", 64), name) for name in ("x", "other")]
    weight = Value(tensor(F32, 64, 64), "w")
    squared = ops.linear(inner[1], weight)
    body = Graph(
        tuple(inner),
        (ops.linear_residual(ops.linear(squared, weight), weight, inner[0]),),
        (weight,),
    )
    stack = Value(tensor(F32, 2, 64, 64), "w", sources=("0.w", "1.w"))
    node = ops.repeat.node((x, other, stack), {"kinds": (0, 0)}, (body,))
    rows = Value(tensor(I32, "R"), "rows")
    graph = Graph((tokens, rows), (ops.take_rows(*node.results, rows),), (table, stack))
    graph = choose_layouts(graph, PassConfig())
    assert_apart(graph, plan_of(graph))


def test_a_residual_that_is_read_again_is_not_written_over():
    tokens = Value(tensor(I32, "T"), "tokens")
    table = Value(tensor(F32, 9, 64), "e", sources=("e",))
    weight = Value(tensor(F32, 64, 64), "w", sources=("w",))
    x = ops.embed(tokens, table)
    once = ops.linear_residual(ops.linear(x, weight), weight, x)
    twice = ops.linear_residual(ops.linear(once, weight), weight, x)
    rows = Value(tensor(I32, "R"), "rows")
    graph = Graph((tokens, rows), (ops.take_rows(twice, rows),), (table, weight))
    graph = choose_layouts(graph, PassConfig())
    memory = plan_of(graph)
    start, *sums = (
        memory.operands[node.results[0]]
        for node in graph.nodes
        if node.op in (ops.embed, ops.linear_residual)
    )
    assert not overlap(sums[0], start)
    assert sums[1] == start


def test_every_place_is_within_the_scratch_that_is_asked_for(graph):
    memory = plan_of(graph)
    ends = [place for operand in memory.operands.values() for place in places(operand)]
    assert all(end <= memory.sizes[buffer] for buffer, _, end in ends)
    workers = memory.sizes["scratch_f32"] - MAX_WORKERS * VOCAB
    assert all(end <= workers for buffer, _, end in ends if buffer == "scratch_f32")


def test_layers_hand_on_the_residual_stream_where_they_found_it(graph):
    memory = plan_of(graph)
    (repeat,) = (node for node in graph.nodes if node.op is ops.repeat)
    place = memory.operands[repeat.inputs[0]]
    assert memory.operands[repeat.results[0]] == place
    for body in repeat.bodies:
        sums = [node for node in body.nodes if node.op is ops.linear_residual]
        assert [memory.operands[node.results[0]] for node in sums] == [place, place]


def test_places_are_used_again(graph):
    memory = plan_of(graph)
    rows = [operand for operand in memory.operands.values() if isinstance(operand, FloatRows)]
    assert len(set(rows)) < len(rows)


def test_layers_that_carry_on_what_they_do_not_update_are_refused_by_its_type():
    x = Value(tensor(F32, "T", 64), "x")
    inner, weight = Value(tensor(F32, "T", 64), "x"), Value(tensor(F32, 64), "w")
    body = Graph((inner,), (ops.rms_norm(inner, weight, eps=1e-5),), (weight,))
    stack = Value(tensor(F32, 2, 64), "w", sources=("0.w", "1.w"))
    node = ops.repeat.node((x, stack), {"kinds": (0, 0)}, (body,))
    with pytest.raises(UnsupportedOnTarget, match=r"layers that carry f32\[T, 64\] on"):
        plan_of(Graph((x,), node.results, (stack,)))
