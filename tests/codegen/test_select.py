"""Every node of a graph gets a kernel, or is refused by name."""

from __future__ import annotations

import pytest

from inferflux.codegen.select import Layers, Phase, select
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.ir import frontend, ops, passes
from inferflux.ir.graph import OPS, Graph, Value
from inferflux.ir.ops.elementwise import ELEMENTWISE
from inferflux.ir.types import F32, Q4_K, Q6_K, Q8_0, tensor
from inferflux.kernels import KERNELS
from inferflux.kernels.kernel import StepShape


def test_an_op_without_a_kernel_is_refused_by_name():
    x = Value(tensor(F32, "T", 64), "x")
    with pytest.raises(UnsupportedOnTarget, match="cpu:portable cannot run op silu"):
        select(Graph((x,), (ops.silu(x),)), StepShape(1, 1), "cpu:portable")


def test_every_op_has_a_kernel_or_becomes_one_that_has():
    """Constants are folded, layers are a loop, and what formulas are made of is one op's."""
    assert OPS.keys() - KERNELS.keys() == {"rope_table", "repeat", *ELEMENTWISE}


@pytest.fixture(scope="module")
def fused(tiny_gguf):
    model = tiny_gguf(layer_types=("q4_1", "f16", "q4_1"))
    return passes.run(frontend.build(frontend.open(model)))


@pytest.mark.parametrize(
    ("dtype", "row_block", "prefetches"), [(Q8_0, 1, True), (Q4_K, 1, False), (Q6_K, 8, True)]
)
def test_one_row_does_not_prefetch_super_blocks_unless_it_is_tried(dtype, row_block, prefetches):
    x = Value(tensor(F32, "T", 256), "x")
    weight = Value(tensor(dtype, 32, 256), "w", sources=("w",))
    shape = StepShape(row_block, 32)
    (phase,) = select(Graph((x,), (ops.linear(x, weight),), (weight,)), shape, "x")
    assert bool(phase.schedule["prefetch"]) == prefetches
    assert any(each["prefetch"] for each in phase.kernel.schedules(phase.node, shape))


def test_layers_are_selected_once_for_each_kind(fused):
    layers = next(item for item in select(fused, StepShape(1, 1), "x") if isinstance(item, Layers))
    assert layers.num_layers == 3
    assert len(layers.bodies) == 2
    nodes = [list(dict.fromkeys(phase.node for phase in body)) for body in layers.bodies]
    assert nodes == [list(body.nodes) for body in layers.node.bodies]


def test_attention_is_two_phases_the_second_of_which_merges(fused):
    layers = next(item for item in select(fused, StepShape(1, 1), "x") if isinstance(item, Layers))
    for body in layers.bodies:
        first, second = (p for p in body if p.node.op.name.startswith("attention"))
        assert (first.kernel.then, second.kernel.then) == (second.kernel, None)


def test_constants_take_no_phase(fused):
    phases = [item for item in select(fused, StepShape(1, 1), "x") if isinstance(item, Phase)]
    assert "rope_table" not in {phase.node.op.name for phase in phases}
    assert "rope_table" in {node.op.name for node in fused.nodes}


def test_in_blocks_of_rows_the_head_has_a_phase_for_one_row_alone(fused):
    def heads(row_block):
        phases = select(fused, StepShape(row_block, 32), "x")
        of_head = [p for p in phases if isinstance(p, Phase) and p.node.op is ops.linear]
        return [(phase.when, phase.schedule["row_block"]) for phase in of_head]

    assert heads(1) == [(None, 1)]
    assert heads(4) == [("num_rows <= 1", 1), ("num_rows > 1", 4)]
