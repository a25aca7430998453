"""What codegen writes reads like this: a phase of each family, and the step around them.

A change of a template shows here as the text it makes: read the difference, then ``--accept`` it.
"""

from __future__ import annotations

import pytest

from inferflux.codegen import phase_function
from inferflux.codegen.memory import plan_memory
from inferflux.codegen.phase_body import phase_body
from inferflux.codegen.select import Layers, Phase, select
from inferflux.codegen.step import StepWriter
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, passes
from inferflux.kernels.kernel import StepShape

SHAPE = StepShape(row_block=2, max_tokens=32)
FAMILIES = {  # op -> the kind of layer it is taken from; None: outside of the layers
    "embed": None,
    "rms_norm_quantise": 0,
    "qkv_rope_append": 0,
    "attention_quantise": 0,
    "linear_residual": 0,
    "gate_up_quantise": 0,
    "attention": 1,
    "gate_up": 1,
    "take_rows": None,
    "linear": None,
    "sample": None,
}


@pytest.fixture(scope="module")
def written(tiny_gguf):
    """The phases of a small model with a q4_1 layer and an f16 one, and what writes them."""
    source = frontend.open(
        tiny_gguf(layer_types=("q4_1", "f16"), window=8, windowed=(True, False), head_type="f16")
    )
    graph = passes.run(frontend.build(source))
    plan = plan_weights(graph, "cpu:avx512")
    memory = plan_memory(graph, plan, SHAPE.max_tokens, 320, "cpu:avx512")
    writer = StepWriter(graph, TARGETS["cpu:avx512"], memory)
    return writer, select(graph, SHAPE, "cpu:avx512"), plan


def phase_of(phases, op, kind):
    if kind is not None:
        layers = next(item for item in phases if isinstance(item, Layers))
        phases = layers.bodies[kind]
    found = [item for item in phases if isinstance(item, Phase) and item.node.op.name == op]
    return found[-1]  # of the head's two, the one for blocks of rows


@pytest.mark.parametrize("op", FAMILIES)
def test_a_phase_reads_like_this(written, golden, op):
    writer, phases, _ = written
    phase = phase_of(phases, op, FAMILIES[op])
    golden(f"{op}.tir", phase_body(phase, writer.target, writer.memory, {}).strip() + "\n")


def test_the_step_around_the_phases_reads_like_this(written, golden, monkeypatch):
    writer, phases, plan = written
    monkeypatch.setattr(phase_function, "phase_body", lambda phase, *_: f"{phase.node.op}(piece)")
    golden("step.tir", writer.write(phases, plan.layer_bases, SHAPE).text)


def test_the_function_of_a_phase_reads_like_this(written, golden, monkeypatch):
    writer, phases, plan = written
    monkeypatch.setattr(phase_function, "phase_body", lambda *_: "norm(scratch_f32, at_weight)")
    step = writer.write(phases, plan.layer_bases, SHAPE)
    (function,) = (f for f in step.functions if f.symbol.startswith("rms_norm_quantise"))
    golden("phase.tir", function.text)
