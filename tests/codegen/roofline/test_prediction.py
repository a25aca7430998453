"""The work of a step against counts made by hand, and predictions against what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inferflux.codegen.forms import lower
from inferflux.codegen.roofline.prediction import PREFILL_TOKENS, predict_speed
from inferflux.codegen.roofline.roofs import Roofs
from inferflux.codegen.roofline.work import Work, step_work
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend, ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import F32, I32, Q8_0, TensorType, tensor

MEASURED = Path(__file__).parents[3] / "docs" / "measured" / "2026-11-23-amd-epyc.json"
# Of the machine of that file, as docs/benchmarks.md has them.
ROOFS = Roofs(31.3e9, {"i8x32": 366e9, "bf16": 184e9, "f32": 82.8e9})
HIDDEN, KV_WIDTH, WIDE, VOCAB = 64, 32, 96, 320

Graphs = Callable[..., dict[str, Graph]]


@pytest.fixture
def graphs(tiny_gguf: Callable[..., Path]) -> Graphs:
    def graphs(**fields: object) -> dict[str, Graph]:
        source = frontend.open(tiny_gguf(**fields))
        return lower(source, "default", [TARGETS["cpu:avx512-bf16"]])

    return graphs


def total(graph: Graph, num_tokens: int, context: int) -> Work:
    works = list(step_work(graph, num_tokens, context))
    weighty = [work for work in works if work.arithmetic != "f32"]
    return Work(
        sum(work.bytes_read for work in works),
        sum(work.multiply_adds for work in weighty),
        weighty[0].arithmetic,
    )


@pytest.mark.parametrize("types", [("q4_1",) * 3, ("q4_1", "q8_0", "q4_1")])
def test_a_step_reads_its_weights_once_and_multiplies_each_with_each_token(
    graphs: Graphs, types: tuple[str, ...]
) -> None:
    """Layers of one kind or of two: a kind counts as often as it has layers."""
    matrices = 2 * HIDDEN * HIDDEN + 2 * KV_WIDTH * HIDDEN + 3 * WIDE * HIDDEN
    stored = {"q4_1": 20, "q8_0": 34}
    head, layers = VOCAB * HIDDEN, len(types)
    weight_bytes = sum(matrices * stored[kind] // 32 for kind in types) + head * 34 // 32
    pages = layers * 2 * KV_WIDTH * 2
    of_all = graphs(layer_types=types)
    assert total(of_all["i8x32"], 1, 100) == Work(
        weight_bytes + 100 * pages, layers * matrices + head, "i8x32"
    )
    assert total(of_all["bf16"], 64, 64) == Work(
        weight_bytes + 64 * pages, 64 * layers * matrices + head, "bf16"
    )


def test_attention_adds_up_what_each_token_sees(graphs: Graphs) -> None:
    (attention,) = {
        work.multiply_adds
        for work in step_work(graphs(layer_types=("q4_1",))["bf16"], 64, 64)
        if work.arithmetic == "f32" and work.multiply_adds
    }
    assert attention == 2 * HIDDEN * sum(range(64)) + HIDDEN * 64  # half of its own, on average


def test_a_window_bounds_what_is_read(graphs: Graphs) -> None:
    graph = graphs(layer_types=("q4_1",), window=16, windowed=(True,))["i8x32"]
    near, far = (total(graph, 1, context).bytes_read for context in (17, 400))
    assert near == far


def test_twice_the_roof_is_twice_the_speed(graphs: Graphs) -> None:
    twice = Roofs(2 * ROOFS.read, {name: 2 * speed for name, speed in ROOFS.computing.items()})
    one, other = (predict_speed(graphs(), roofs, 512) for roofs in (ROOFS, twice))
    assert other.decode == pytest.approx(2 * one.decode)
    assert other.prefill == pytest.approx(2 * one.prefill)


def test_the_default_model_is_predicted_as_it_was_measured(default_model: Path) -> None:
    offline = json.loads(MEASURED.read_text())["offline"]
    measured = {row["key"]: row["sides"]["inferflux"]["speed"]["median"] for row in offline}
    source = frontend.open(default_model)
    speed = predict_speed(
        lower(source, "default", [TARGETS["cpu:avx512-bf16"]]), ROOFS, context_length=8192
    )
    assert speed.decode == pytest.approx(measured["decode_x1@128"], rel=0.02)
    assert speed.prefill == pytest.approx(measured[f"prefill_{PREFILL_TOKENS}"], rel=0.02)


def test_of_experts_a_step_reads_those_that_its_tokens_reach() -> None:
    slots, groups = Value(tensor(I32, "T", 2), "slots"), Value(tensor(I32, 8, 3), "groups")
    x = Value(tensor(F32, "T", 64), "x")
    weight = Value(TensorType(Q8_0, (8, 32, 64), "panel16"), "down", sources=("down",))
    out = ops.expert_linear(x, slots, groups, weight)
    graph = Graph((x, slots, groups), (out,), (weight,))
    (lone,), (pair,) = (step_work(graph, tokens, tokens) for tokens in (1, 2))
    assert lone == Work(2 * 32 * 2 * 34, 2 * 32 * 64, "f32")
    assert pair.multiply_adds == 2 * lone.multiply_adds
    assert lone.bytes_read < pair.bytes_read < 2 * lone.bytes_read  # they may share an expert
