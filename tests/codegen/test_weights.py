"""The arena of weights: aligned, without overlap, every tensor of the file in it once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from inferflux.codegen.packing import pack_weights
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.codegen.weights import ALIGNMENT, plan_weights
from inferflux.ir import frontend, ops, passes
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import F16, F32, I32, tensor
from inferflux.kernels.linear.layouts import pair_order

MODELS = {
    "tied": {"layer_types": ("q4_1",)},
    "untied": {"layer_types": ("q4_1", "f16", "q4_1", "q8_0"), "head_type": "f16"},
    "narrow": {"layer_types": ("f16",), "embedding_type": "f32", "hidden": 40},
    "biased": {"layer_types": ("q4_0", "bf16"), "architecture": "qwen2"},
}


@pytest.fixture(params=MODELS)
def model(request, tiny_gguf):
    source = frontend.open(tiny_gguf(**MODELS[request.param]))
    return source, plan_weights(passes.run(frontend.build(source)), "x")


def test_offsets_are_aligned_and_nothing_overlaps(model):
    _, plan = model
    places = sorted((packed.offset, packed.offset + packed.nbytes) for packed in plan.packed)
    assert all(start % ALIGNMENT == 0 for start, _ in places)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert places[-1][1] <= plan.nbytes


def test_every_tensor_of_the_file_is_placed_exactly_once(model):
    source, plan = model
    placed = [
        packed.value.sources[packed.layer or 0] for packed in plan.packed if packed.value.sources
    ]
    assert sorted(placed) == sorted(source.tensors)


def test_the_arena_is_aligned_and_holds_each_vector_as_it_is_in_the_file(model):
    source, plan = model
    arena = pack_weights(plan, source).arena
    assert arena.nbytes == plan.nbytes
    assert arena.ctypes.data % ALIGNMENT == 0
    norms = [packed for packed in plan.packed if not packed.value.type.layout]
    norms = [packed for packed in norms if packed.value.sources]
    assert norms
    for packed in norms:
        raw = source.tensors[packed.value.sources[packed.layer or 0]].raw
        np.testing.assert_array_equal(arena[packed.offset :][: packed.nbytes], raw)


def test_biases_lie_in_the_order_of_the_rows_they_are_added_to(tiny_gguf):
    source = frontend.open(tiny_gguf(architecture="qwen2", layer_types=("q4_0", "q4_0")))
    plan = plan_weights(passes.run(frontend.build(source)), "x")
    arena = pack_weights(plan, source).arena
    for packed in plan.packed:
        name = packed.value.sources[packed.layer or 0] if packed.value.sources else ""
        if not name.endswith(".bias"):
            continue
        got = arena[packed.offset :][: packed.nbytes].view(np.float32)
        bias = source.tensors[name].raw.view(np.float32)
        turns = "attn_v" not in name  # the values' rows are as in the file
        order = pair_order(len(bias), 32, "halves") if turns else slice(None)
        np.testing.assert_array_equal(got, bias[order])


def test_layers_of_a_kind_lie_at_one_stride(tiny_gguf):
    source = frontend.open(tiny_gguf(layer_types=("q4_1", "f16", "q4_1", "q4_1")))
    graph = passes.run(frontend.build(source))
    plan = plan_weights(graph, "x")
    (repeat,) = (node for node in graph.nodes if node.op is ops.repeat)
    base, stride = plan.layer_bases[repeat][0]
    norms = [
        packed.offset
        for packed in plan.packed
        if packed.value.sources and packed.value.sources[0] == "blk.0.attn_norm.weight"
    ]
    assert norms == [base + layer * stride for layer in range(3)]


def test_a_weight_in_no_layout_of_panels_is_refused_by_its_type():
    """Read in two ways, a matrix stays row-major: it is no vector, and has no panels."""
    x, tokens = Value(tensor(F32, "T", 64), "x"), Value(tensor(I32, "T"), "tokens")
    weight = Value(tensor(F16, 64, 64), "w", sources=("w",))
    graph = Graph((x, tokens), (ops.linear(x, weight),), (weight,))
    with pytest.raises(UnsupportedOnTarget, match=r"cpu:portable cannot run .*f16\[64, 64\]"):
        plan_weights(graph, "cpu:portable")
