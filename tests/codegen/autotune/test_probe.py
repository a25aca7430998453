"""A phase on its own runs as in its model, over copies of its weights, and is held to NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from inferflux.cli.device import ThisMachine
from inferflux.codegen.artifact import machine_features
from inferflux.codegen.autotune.probe import Probe
from inferflux.codegen.autotune.task import Task, tasks
from inferflux.codegen.autotune.trial import DeviceTrials
from inferflux.codegen.autotune.validate import WrongResult
from inferflux.codegen.autotune.variants import Variant, variants_of
from inferflux.codegen.forms import lower
from inferflux.codegen.select import StepShape
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend, passes
from inferflux.kernels.linear.tiles import TILE_ROWS

TARGET = TARGETS["cpu:portable"]
OPS = ("qkv_rope_append", "attention_quantise", "gate_up_quantise", "linear_residual", "linear")


@pytest.fixture(scope="module")
def found(fused) -> Mapping[str, Task]:
    """The tasks of blocks of four rows, by op."""
    return {
        task.key.op: task
        for task in tasks({"i8x32": fused}, [Variant("i8x32", StepShape(4, 16))], TARGET.name)
    }


def test_a_phase_alone_has_the_operands_it_has_in_its_model(found):
    node = Probe(found["linear_residual"], TARGET, copies=3).node
    assert [value.type for value in node.inputs] == [
        value.type for value in found["linear_residual"].phase.node.inputs
    ]


def test_copies_lie_one_behind_the_other(found):
    probe = Probe(found["linear_residual"], TARGET, copies=3)
    once = Probe(found["linear_residual"], TARGET, copies=1)
    arenas = [each.buffers()["weights"] for each in (once, probe)]
    nbytes = once.copy_bytes
    for copy in range(3):
        np.testing.assert_array_equal(arenas[1][copy * nbytes :][:nbytes], arenas[0][:nbytes])
    assert f'T.cast(place, "int64") * T.int64({nbytes})' in probe.text(probe.task.space[0]).text


def test_a_rope_table_is_there_once(found):
    task = found["qkv_rope_append"]
    one, many = (Probe(task, TARGET, copies).buffers()["weights"].size for copies in (1, 5))
    assert many - one == 4 * Probe(task, TARGET, 1).copy_bytes < 4 * one


@pytest.mark.parametrize("op", OPS)
def test_what_a_phase_computes_alone_is_what_its_op_means(found, op):
    task = found[op]
    trials = DeviceTrials(task, TARGET, ThisMachine(2), read_bytes=1)
    trials.check(task.space[-1])
    assert trials.launch(task.space[0])() > 0


@pytest.mark.parametrize("dtype", ["q4_0", "bf16"])
def test_biases_and_every_type_of_weight_are_made_up_too(tiny_gguf, dtype):
    source = frontend.open(tiny_gguf(architecture="qwen2", layer_types=(dtype, dtype)))
    graph = passes.run(frontend.build(source))
    variants = [Variant("i8x32", StepShape(4, 16))]
    given = tasks({"i8x32": graph}, variants, TARGET.name)
    (task,) = (task for task in given if task.key.op == "qkv_rope_append")
    DeviceTrials(task, TARGET, ThisMachine(1), read_bytes=1).check(task.space[-1])


@pytest.mark.parametrize("op", ["linear_residual", "gate_up_quantise"])
def test_a_schedule_that_leaves_a_piece_out_is_found(found, op):
    kernel = found[op].phase.kernel
    short = replace(kernel, pieces=lambda node, schedule: f"{kernel.pieces(node, schedule)} - 1")
    broken = replace(found[op], phase=replace(found[op].phase, kernel=short))
    trials = DeviceTrials(broken, TARGET, ThisMachine(1), read_bytes=1)
    with pytest.raises(WrongResult, match=op):
        trials.check(broken.space[0])


@pytest.mark.parametrize("op", ["gate_up_quantise", "linear_residual"])
def test_products_of_bf16_are_held_to_numpy_too(small_model, op):
    target = TARGETS["cpu:avx512-bf16"]
    if not machine_features().issuperset(target.features):
        pytest.skip("this machine has no bf16 dots")
    graphs = lower(frontend.open(small_model), "default", [target])
    assert target.panels is not None
    shape = replace(target.panels, max_tokens=40)
    found = tasks(graphs, [Variant("bf16", shape)], target.name)
    task = next(task for task in found if task.key.op == op)
    DeviceTrials(task, target, ThisMachine(1), read_bytes=1).check(task.space[-1])


def test_a_phase_of_tiles_is_written_with_their_shapes(small_model):
    target = TARGETS["cpu:avx512-amx"]
    graphs = lower(frontend.open(small_model), "default", [target])
    found = tasks(graphs, variants_of(target, graphs), target.name)
    for task in found:
        text = Probe(task, target, copies=2).text(task.space[0]).text
        has_tiles = task.phase.shape.row_block >= TILE_ROWS
        assert ("tiles_configured" in text) == has_tiles, str(task)


@pytest.mark.parametrize("op", ["attention_quantise", "qkv_rope_append"])
@pytest.mark.parametrize("pairs", ["llama", "qwen2"])
def test_quantised_pages_are_made_up_and_held_to_numpy(tiny_gguf, op, pairs):
    source = frontend.open(tiny_gguf(architecture=pairs, head_dim=64, hidden=128))
    graph = passes.run(frontend.build(source), kv_dtype="int8")
    given = tasks({"i8x32": graph}, [Variant("i8x32", StepShape(4, 16))], TARGET.name)
    task = next(task for task in given if task.key.op == op)
    assert "i8page" in task.key.types
    trials = DeviceTrials(task, TARGET, ThisMachine(1), read_bytes=1)
    trials.check(task.space[-1])
    assert trials.launch(task.space[0])() > 0


def test_a_piece_of_quantised_pages_that_is_left_out_is_found(small_model):
    graph = passes.run(frontend.build(frontend.open(small_model)), kv_dtype="int8")
    given = tasks({"i8x32": graph}, [Variant("i8x32", StepShape(4, 16))], TARGET.name)
    task = next(task for task in given if task.key.op == "qkv_rope_append")
    kernel = task.phase.kernel
    short = replace(kernel, pieces=lambda node, schedule: f"{kernel.pieces(node, schedule)} - 1")
    broken = replace(task, phase=replace(task.phase, kernel=short))
    trials = DeviceTrials(broken, TARGET, ThisMachine(1), read_bytes=1)
    with pytest.raises(WrongResult, match="values"):
        trials.check(broken.space[0])
