"""Equal phases are written once, so neither depth nor mixtures make a step long."""

from __future__ import annotations

from collections import Counter

import pytest

from inferflux.codegen.memory import plan_memory
from inferflux.codegen.select import select
from inferflux.codegen.step import StepText, StepWriter
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, passes
from inferflux.kernels.kernel import StepShape

TARGET = TARGETS["cpu:avx512"]
PRODUCTS = {"qkv_rope_append", "linear_residual", "gate_up_quantise", "linear"}


@pytest.fixture
def write(tiny_gguf):
    """``write(row_block, **fields of TinyDecoder) -> (step, graph)``"""

    def build(row_block=4, **fields):
        graph = passes.run(frontend.build(frontend.open(tiny_gguf(**fields))))
        plan = plan_weights(graph, TARGET.name)
        memory = plan_memory(graph, plan, 32, 320, TARGET.name)
        shape = StepShape(row_block, 32)
        phases = select(graph, shape, TARGET.name)
        step = StepWriter(graph, TARGET, memory).write(phases, plan.layer_bases, shape)
        return step, graph

    return build


def families(step: StepText) -> Counter[str]:
    return Counter(each.symbol.rsplit("_", 1)[0] for each in step.functions)


def lines(step: StepText) -> int:
    return sum(each.text.count("\n") for each in (step, *step.functions))


def test_layers_share_what_they_agree_on_whatever_their_kind(write):
    """Where two kinds differ in types, what reads no weights is written once for both."""
    mixed, _ = write(layer_types=("q4_1", "q8_0", "q4_1", "q8_0"))
    alone, _ = write(layer_types=("q4_1",))
    more = families(mixed) - families(alone)
    assert set(more) == {"qkv_rope_append", "linear_residual", "gate_up_quantise"}
    assert families(mixed)["attention_quantise"] == 2  # spans, and what merges them


def test_scales_of_half_a_block_in_one_kind_leave_the_others_phases_equal(write):
    """Q6_K keeps sums of half blocks of its rows; rows of that width keep them in all kinds.

    Both kinds read rows by 256, which attention and gates leave to phases of their own.
    """
    sizes = {"hidden": 256, "intermediate": 512, "head_dim": 128}
    mixed, _ = write(layer_types=("q4_k", "q6_k"), **sizes)
    assert families(mixed)["rms_norm_quantise"] == 2  # of tokens, and of the rows for logits
    assert families(mixed)["attention"] == 2  # spans, and what merges them
    assert families(mixed)["quantise"] == 2  # what attention gives, and what the gate gives


def test_variants_share_what_does_not_depend_on_their_rows(write):
    few, many = ({f.symbol for f in write(rows)[0].functions} for rows in (2, 4))
    assert {symbol.rsplit("_", 1)[0] for symbol in few - many} == PRODUCTS
    assert len(few & many) >= len(few) // 2


@pytest.mark.parametrize("types", [("q4_1",), ("q4_1", "q4_1", "q8_0")])
def test_a_step_does_not_grow_with_depth(write, types):
    """Neither in functions nor in lines, of its text or of the graph."""
    (short, shallow), (long, deep) = (
        write(layer_types=types * (n // len(types))) for n in (12, 48)
    )
    assert families(long) == families(short)
    assert lines(long) == lines(short)
    assert len(str(deep).splitlines()) <= 1.2 * len(str(shallow).splitlines())


def test_a_function_is_handed_where_its_weights_are(write):
    step, _ = write(layer_types=("q4_1", "q8_0"))
    assert not [each.symbol for each in step.functions if "layer_weights" in each.text]
    assert step.text.count("layer_weights + ") >= 2 * 9  # of each kind: nine weights
