"""Variants of a step serve where whole steps were fastest in them, and builds are told so."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from inferflux.codegen.autotune.race import OutOfTime
from inferflux.codegen.autotune.starts import TOKENS
from inferflux.codegen.autotune.step_times import step_record, time_steps
from inferflux.codegen.autotune.tuning import Tuning
from inferflux.codegen.autotune.variants import Variant, serving, variants_key, variants_of
from inferflux.codegen.forms import lower
from inferflux.codegen.targets import TARGETS
from inferflux.ir import frontend
from inferflux.kernels.kernel import StepShape

TARGET = "cpu:portable"
VARIANTS = (
    Variant("i8x32", StepShape(1, 1)),
    Variant("i8x32", StepShape(2, 2, min_tokens=2)),
    Variant("i8x32", StepShape(4, 512, min_tokens=3)),
    Variant("bf16", StepShape(12, 512, row_blocks=22, min_tokens=33)),
)


def timer(variant, num_tokens):
    """Blocks of four rows pay from three on, of two never; bf16 unpacks weights at first."""
    rows, block, before = ((1, 1.5, 0), (2, 11, 0), (4, 4, 0), (12, 6, 10))[variant]
    return before + math.ceil(num_tokens / rows) * block


@pytest.fixture
def graphs(fused):
    return {"i8x32": fused, "bf16": fused}


@pytest.fixture
def key(graphs):
    return variants_key(graphs, VARIANTS, TARGET)


@pytest.fixture
def record(key):
    return step_record(key, VARIANTS, time_steps(VARIANTS, timer, lambda: False))


def test_variants_race_only_where_they_may_serve():
    found = time_steps(VARIANTS, timer, lambda: False)
    assert list(found["i8x32_1"]) == [tokens for tokens in TOKENS if tokens <= 16]
    assert list(found["i8x32_4"]) == [tokens for tokens in TOKENS if tokens >= 2]
    assert list(found["bf16_12"]) == [tokens for tokens in TOKENS if tokens >= 6]


def test_the_budget_may_end_a_race_of_steps():
    with pytest.raises(OutOfTime):
        time_steps(VARIANTS, timer, lambda: True)


def test_a_record_says_from_where_each_is_fastest(record):
    assert list(record.schedule) == ["i8x32_1", "i8x32_4", "bf16_12"]
    assert record.schedule == {"i8x32_1": 1, "i8x32_4": 3, "bf16_12": 17}
    assert record.median_us < record.default_us


def test_another_arithmetic_never_begins_later_than_it_says(key):
    """However slow: its logits are more exact."""
    found = time_steps(VARIANTS, lambda v, n: timer(v, n) * (9 if v == 3 else 1), lambda: False)
    assert step_record(key, VARIANTS, found).schedule["bf16_12"] == 33


def test_the_last_of_an_arithmetic_takes_whole_steps():
    """Where bf16 may not be used, the int8 ones are enough."""
    served = serving(VARIANTS, {"i8x32_1": 1, "i8x32_4": 2, "bf16_12": 17})
    assert list(map(str, served)) == [
        "i8x32_1: 1 to 1 tokens",
        "i8x32_4: 2 to 512 tokens",
        "bf16_12: 17 to 512 tokens",
    ]


def test_a_build_compiles_what_serves(graphs, record, table_of):
    tuned = Tuning((table_of(record),)).variants(graphs, VARIANTS, TARGET)
    assert [variant.name for variant in tuned] == ["i8x32_1", "i8x32_4", "bf16_12"]
    assert [variant.shape.min_tokens for variant in tuned] == [1, 3, 17]
    assert tuned[2].shape.row_blocks == 22, "all else stays"


def test_without_a_fresh_record_all_variants_serve_as_they_say(graphs, key, record, table_of):
    stale = replace(record, key=replace(key, text="another"))
    for tuning in (Tuning(), Tuning((table_of(stale),))):
        assert tuning.variants(graphs, VARIANTS, TARGET) == VARIANTS
    assert Tuning((table_of(record),)).variants(graphs, VARIANTS[:2], TARGET) == VARIANTS[:2]


@pytest.mark.parametrize(
    ("layer_types", "with_vectors"),
    [(("q4_k",), False), (("q4_k", "q4_k", "q8_0"), False), (("q8_0", "q8_0", "q4_k"), True)],
)
def test_prompts_of_super_blocks_are_left_to_int8_where_bf16_has_no_tiles(
    tiny_gguf, layer_types, with_vectors
):
    source = frontend.open(
        tiny_gguf(hidden=256, heads=8, kv_heads=8, intermediate=256, layer_types=layer_types)
    )
    tiles, vectors = TARGETS["cpu:avx512-amx"], TARGETS["cpu:avx512-bf16"]
    graphs = lower(source, "default", [tiles, vectors])
    assert "bf16" in {variant.arithmetic for variant in variants_of(tiles, graphs)}
    found = {variant.arithmetic for variant in variants_of(vectors, graphs)}
    assert ("bf16" in found) == with_vectors
