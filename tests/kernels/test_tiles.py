"""Integer products by tiles give the bits that vectors give: a batch may change between them."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.codegen.memory import plan_memory
from inferflux.codegen.select import select
from inferflux.codegen.step import StepWriter
from inferflux.codegen.targets import TARGETS, lowering
from inferflux.codegen.targets.cpu import target_words
from inferflux.codegen.targets.script import read_function
from inferflux.codegen.weights import plan_weights
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.passes import PassConfig
from inferflux.ir.passes.choose_layouts import choose_layouts
from inferflux.ir.types import F16, F32, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q5_K, Q6_K, Q8_0, tensor
from inferflux.kernels.kernel import StepShape
from inferflux.kernels.storage import FloatRows

BY_TILES, BY_VECTORS = StepShape(16, 32), StepShape(8, 32)


@pytest.fixture
def both(bf16_target, machine, compile_step):
    """A graph as two steps of one target: by tiles, and by vectors."""
    if not bf16_target.tiles:
        pytest.skip(f"{bf16_target} has no tiles")

    def build(graph):
        return [compile_step(graph, bf16_target, shape) for shape in (BY_TILES, BY_VECTORS)]

    return build


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("dtype", [Q4_0, Q4_1, Q8_0], ids=str)
@pytest.mark.parametrize("inputs", [32, 64, 96])  # one, two and three blocks on their way
def test_linear(both, assert_close, dtype, inputs):
    x = Value(tensor(F32, "T", inputs), "x")
    weight = Value(tensor(dtype, 50, inputs), "w", sources=("w",))
    tiles, vectors = both(Graph((x,), (ops.linear(ops.quantise(x), weight),), (weight,)))
    for rows in (1, 16, 17, 31):
        given = {"x": normal(rows, inputs, seed=rows)}
        np.testing.assert_array_equal(tiles(given)[0], vectors(given)[0])
        assert_close(tiles(given)[0], tiles.meaning(given)[0])


@pytest.mark.parametrize(
    ("dtype", "to"),
    [(dtype, to) for dtype in (Q2_K, Q3_K, Q5_K, Q6_K) for to in ("i8x32", "i8x256")]
    + [(MXFP4, "i8x32")],
    ids=str,
)
def test_linear_of_composed_integers_and_of_halves(both, assert_close, dtype, to):
    x = Value(tensor(F32, "T", 512), "x")
    weight = Value(tensor(dtype, 50, 512), "w", sources=("w",))
    tiles, vectors = both(Graph((x,), (ops.linear(ops.quantise(x, to=to), weight),), (weight,)))
    given = {"x": normal(19, 512)}
    np.testing.assert_array_equal(tiles(given)[0], vectors(given)[0])
    assert_close(tiles(given)[0], tiles.meaning(given)[0])


def test_gate_up_keeps_the_two_sums_apart(both, assert_close):
    x = Value(tensor(F32, "T", 64), "x")
    gate = Value(tensor(Q4_1, 96, 64), "gate", sources=("gate",))
    up = Value(tensor(Q8_0, 96, 64), "up", sources=("up",))
    narrow = ops.quantise(x)
    out = ops.gate_up_quantise(narrow, narrow, gate, up, activation="silu")
    tiles, vectors = both(Graph((x,), (out,), (gate, up)))
    given = {"x": normal(19, 64)}
    np.testing.assert_array_equal(tiles(given)[0].values, vectors(given)[0].values)
    assert_close(tiles(given)[0], tiles.meaning(given)[0])


def test_a_float_weight_goes_through_vectors_beside_tiles(both):
    x = Value(tensor(F32, "T", 64), "x")
    gate = Value(tensor(F16, 64, 64), "gate", sources=("gate",))
    up = Value(tensor(Q4_1, 64, 64), "up", sources=("up",))
    out = ops.gate_up(x, ops.quantise(x), gate, up, activation="silu")
    tiles, vectors = both(Graph((x,), (out,), (gate, up)))
    given = {"x": normal(19, 64)}
    np.testing.assert_array_equal(tiles(given)[0], vectors(given)[0])


@pytest.mark.parametrize(
    ("shape", "arithmetic", "product"),
    [(StepShape(16, 32), "i8x32", "tdpbsud"), (StepShape(32, 32), "bf16", "tdpbf16ps")],
)
def test_amx_runs_what_is_tested_here_as_its_own_instructions(shape, arithmetic, product):
    assembly = amx_assembly(shape, arithmetic)
    instructions = ("ldtilecfg", "tilezero", "tileloadd", product, "tilestored", "tilerelease")
    assert [name for name in instructions if name not in assembly] == []


def amx_assembly(shape, arithmetic):
    import tvm
    from tvm.target import Target

    target = TARGETS["cpu:avx512-amx"]
    x = Value(tensor(F32, "T", 64), "x")
    weight = Value(tensor(Q4_1, 32, 64), "w", sources=("w",))
    narrow = ops.quantise(x, to=arithmetic)
    graph = choose_layouts(Graph((x,), (ops.linear(narrow, weight),), (weight,)), PassConfig())
    plan = plan_weights(graph, target.name)
    memory = plan_memory(graph, plan, 32, 0, target.name)
    memory.operands[x] = FloatRows(64, 0, 64)
    phases = select(graph, shape, target.name)
    step = StepWriter(graph, target, memory, arithmetic).write(phases, {}, shape)
    names = target_words(target, "x86_64")
    parts = {part.symbol: read_function(part.text, names) for part in (step, *step.functions)}
    lowering.register()
    machine = Target(dict(target.machines["x86_64"]))
    library = tvm.compile(tvm.IRModule(parts), target=machine, tir_pipeline=lowering.NAME)
    return library.mod.inspect_source("asm")
