"""Tensors that are converted lie in the arena as if the file had had their new type."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inferflux.codegen.facts import model_facts
from inferflux.codegen.packing import pack_weights
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, ops, passes
from inferflux.ir.frontend import ModelSource, SourceTensor, conversion
from inferflux.ir.frontend.quantising import quantised
from inferflux.ir.frontend.source import Origin
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import BF16, F32, Q4_0, Q8_0
from inferflux.ir.types import tensor as type_of

CLEAR, FORGET_PEAK = Path("/proc/self/clear_refs"), "5"
STATUS = Path("/proc/self/status")
WIDE = {"hidden": 256, "intermediate": 512, "head_dim": 128, "embedding_type": "f16"}


@pytest.mark.parametrize("kind", ["tq2_0", "nvfp4", "iq2_s", "f16"])
def test_the_arena_does_not_depend_on_how_many_rows_are_converted_at_a_time(
    tiny_gguf, monkeypatch, kind
):
    source = frontend.open(tiny_gguf(layer_types=(kind, kind), **WIDE))
    plan = plan_weights(passes.run(frontend.build(source)), "x")
    whole = pack_weights(plan, source)
    monkeypatch.setattr(conversion, "_CHUNK_VALUES", 1)
    pieces = pack_weights(plan, source)
    np.testing.assert_array_equal(whole.arena, pieces.arena)
    assert whole.errors.keys() == pieces.errors.keys()


@pytest.mark.parametrize("kind", ["tq2_0", "iq2_s"])
def test_a_converted_tensor_is_packed_as_one_of_its_new_type(tiny_gguf, kind):
    source = frontend.open(tiny_gguf(layer_types=(kind,), **WIDE))
    as_is = {name: replace(tensor, convert=None) for name, tensor in source.tensors.items()}
    plan = plan_weights(passes.run(frontend.build(source)), "x")
    converted, plain = (
        pack_weights(plan, source),
        pack_weights(plan, replace(source, tensors=as_is)),
    )
    np.testing.assert_array_equal(converted.arena, plain.arena)
    assert len(converted.errors) == 7
    assert not plain.errors


def test_what_was_converted_and_how_far_is_among_the_facts(tiny_gguf):
    source = frontend.open(tiny_gguf(layer_types=("tq2_0", "iq2_s"), **WIDE))
    plan = plan_weights(passes.run(frontend.build(source)), "x")
    errors = pack_weights(plan, source).errors
    facts = model_facts(source, frontend.config(source), errors)
    assert facts.source_types == {"f16": 1, "f32": 5, "iq2_s": 7, "tq2_0": 7}
    grids, ternary = facts.conversions
    assert (ternary.kind, ternary.dtype, ternary.tensors) == ("tq2_0", "q4_0", 7)
    assert ternary.rms_error_ppb == ternary.max_error_ppb == 0
    assert (grids.kind, grids.dtype, grids.tensors) == ("iq2_s", "f16", 7)
    assert 0 < grids.rms_error_ppb < 2**-11 * 1e9
    assert grids.worst.startswith("blk.1.")


@pytest.mark.skipif(not CLEAR.exists(), reason="this system does not say the peak of a process")
def test_quantising_takes_no_more_memory_than_two_layers_and_the_arena(tiny_gguf):
    """Pages of the file that have been read count as the process's until it gives them back."""
    shape = {"hidden": 512, "intermediate": 1536, "heads": 16, "kv_heads": 16, "seed": 3}
    path = tiny_gguf(layer_types=("f16",) * 8, **shape)
    source = quantised(frontend.open(path), Q4_0)
    plan = plan_weights(passes.run(frontend.build(source)), "x")
    two_layers = 2 * path.stat().st_size // 8
    CLEAR.write_text(FORGET_PEAK)
    before = memory("VmRSS")
    packed = pack_weights(plan, source)
    assert memory("VmHWM") - before < two_layers + packed.arena.nbytes


def memory(name: str) -> int:
    """Bytes of this process that the system calls so."""
    (line,) = (each for each in STATUS.read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) * 1024


def test_of_a_tensor_that_is_quantised_only_some_rows_are_held(tiny_gguf):
    """As float32 the tensor alone would take 100 MB beside the arena."""
    rows, width = 96_000, 256
    stored = np.resize(np.arange(0x3C00, 0x3F00, dtype="<u2"), rows * width).view(np.uint8)
    origin = Origin(Path(), "w", "BF16", 0, 0)
    tensor = SourceTensor("w", BF16, (rows, width), lambda: stored, origin)
    source = quantised(ModelSource(Path(), "", {}, {"w": tensor}, (), {}), Q8_0)
    x, w = (
        Value(type_of(F32, "T", width), "x"),
        Value(type_of(Q8_0, rows, width), "w", sources=("w",)),
    )
    plan = plan_weights(passes.run(Graph((x,), (ops.linear(x, w),), (w,))), "x")
    tracemalloc.start()
    try:
        packed = pack_weights(plan, source)
        assert tracemalloc.get_traced_memory()[1] - packed.arena.nbytes < 48 << 20
    finally:
        tracemalloc.stop()
    assert packed.errors["w"].rms < 0.01
