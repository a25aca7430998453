"""Between two barriers run all nodes that need nothing of one another, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferflux.codegen import phase_function
from inferflux.codegen.memory import plan_memory
from inferflux.codegen.select import select
from inferflux.codegen.stages import stages
from inferflux.codegen.step import StepWriter
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.weights import plan_weights
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import F32, tensor
from inferflux.kernels.kernel import StepShape

TARGET = TARGETS["cpu:avx512"]


def rows(name: str) -> Value:
    return Value(tensor(F32, "T", 64), name)


def matrix(name: str) -> Value:
    return Value(replace(tensor(F32, 64, 64), layout="panel16"), name, sources=(name,))


def places(graph: Graph):
    return plan_memory(graph, plan_weights(graph, TARGET.name), 32, 0, TARGET.name).operands


@pytest.fixture
def graph():
    """Two branches of one input, the second of them longer."""
    x, weights = rows("x"), tuple(map(matrix, "abc"))
    short, begun = (ops.linear(x, each) for each in weights[:2])
    long = ops.linear(begun, weights[2])
    return Graph((x,), (ops.elementwise(short, long, formula="add(a, b)"),), weights)


def test_nodes_stand_as_early_as_their_operands_allow(graph):
    operands = [[node.operands.get("weight") for node in stage] for stage in stages(graph)]
    a, b, c = graph.weights
    assert operands == [[a, b], [c], [None]]


def test_only_the_last_phase_of_a_stage_waits_and_it_waits_for_all(graph, monkeypatch):
    monkeypatch.setattr(phase_function, "phase_body", lambda *_: "compute(piece)")
    phases = select(graph, StepShape(1, 32), TARGET.name)
    assert [phase.ends_stage for phase in phases] == [False, True, True, True]
    plan = plan_weights(graph, TARGET.name)
    memory = plan_memory(graph, plan, 32, 0, TARGET.name)
    text = StepWriter(graph, TARGET, memory).write(phases, plan.layer_bases, StepShape(1, 32)).text
    steps = [line.strip() for line in text.splitlines() if "T.evaluate(" in line]
    kinds = ["wait" if "wait(" in line else "call" for line in steps]
    assert kinds == ["call", "call", "wait", "wait", "call", "wait", "call", "wait"]
    assert [line.split(", ")[1] for line in steps if "wait(" in line] == ["0", "1", "2", "3"]


def test_what_a_node_reads_is_no_place_for_those_beside_it():
    """Both sums may be written over x, were it not read by the other at the same time."""
    start, one, other, weight = rows("start"), rows("one"), rows("other"), matrix("w")
    x = ops.linear(start, weight)
    sums = [ops.linear_residual(each, weight, x) for each in (one, other)]
    graph = Graph((start, one, other), (ops.elementwise(*sums, formula="add(a, b)"),), (weight,))
    found = places(graph)
    assert len({found[x], found[sums[0]], found[sums[1]]}) == 3


def test_what_the_last_reader_of_a_stage_leaves_is_used_again():
    start, one, weight = rows("start"), rows("one"), matrix("w")
    x = ops.linear(start, weight)
    graph = Graph((start, one), (ops.linear_residual(one, weight, x),), (weight,))
    found = places(graph)
    assert found[graph.outputs[0]] == found[x]
