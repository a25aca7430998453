"""Both formats state scaled rotations; what they state is the same, and nothing is guessed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, UnsupportedModel
from inferflux.ir.frontend.facts import Rope
from inferflux.ir.frontend.rope_scaling import Yarn

PAIRS = 16  # of the heads of 32 that both fixtures write
CONTEXT = 512
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0] * PAIRS,
    "long_factor": [2, 3] * 8,
    "original_max_position_embeddings": 128,
}


@pytest.fixture
def published(tiny_directory):
    def rope(scaling, **config) -> Rope:
        folder = tiny_directory(config={"rope_scaling": scaling, **config})
        return frontend.config(frontend.open(folder)).ropes[0]

    return rope


@pytest.fixture
def stated(tiny_gguf):
    def rope(**keys) -> Rope:
        metadata = {f"llama.rope.{key.replace('__', '.')}": each for key, each in keys.items()}
        return frontend.config(frontend.open(tiny_gguf(metadata=metadata))).ropes[0]

    return rope


@pytest.mark.parametrize("word", ["type", "rope_type"])
def test_linear_divides_all_frequencies(published, stated, word):
    expected = Rope(10000.0, 32, (4.0,) * PAIRS)
    assert published({word: "linear", "factor": 4.0}) == expected
    assert stated(scaling__type="linear", scaling__factor=np.float32(4)) == expected
    assert stated(scale_linear=np.float32(4)) == expected
    assert stated(scaling__type="none", scaling__factor=np.float32(4)) == Rope(10000.0, 32)


def test_yarn_stretches_slow_pairs_and_leaves_quick_ones(published, stated):
    rope = published(YARN)
    assert rope.factors[0] == 1.0
    assert rope.factors[-1] == pytest.approx(4.0)
    assert rope.magnitude == pytest.approx(0.1 * math.log(4) + 1)
    keys = {
        "scaling__type": "yarn",
        "scaling__factor": np.float32(4),
        "scaling__original_context_length": np.uint32(256),
    }
    assert stated(**keys) == rope
    beta = {"scaling__yarn_beta_fast": np.float32(8), "scaling__yarn_attn_factor": np.float32(2)}
    assert stated(**keys, **beta) == published(YARN | {"beta_fast": 8.0, "attention_factor": 2.0})


def test_deepseeks_two_scales_cancel_in_cosines_and_stay_in_scores(published, stated):
    rope = published(YARN | {"mscale": 0.707, "mscale_all_dim": 0.707})
    assert rope.magnitude == 1.0
    assert rope.score_scale == pytest.approx((0.0707 * math.log(4) + 1) ** 2)
    other = published(YARN | {"mscale": 1.0, "mscale_all_dim": 0.707})
    assert other.magnitude == pytest.approx((0.1 * math.log(4) + 1) / (0.0707 * math.log(4) + 1))
    of_gguf = stated(
        scaling__type="yarn",
        scaling__factor=np.float32(4),
        scaling__original_context_length=np.uint32(256),
        scaling__yarn_log_multiplier=np.float32(0.0707),
    )
    assert of_gguf.magnitude == 1.0
    assert of_gguf.score_scale == pytest.approx(rope.score_scale, rel=1e-6)


def test_a_ramp_between_whole_pairs_is_another():
    whole, exact = (Yarn(4.0, 256, truncates=each).factors(1e4, 32) for each in (True, False))
    assert whole != exact
    assert whole[0] == exact[0] == 1.0


@pytest.mark.parametrize("name", ["longrope", "su"])
def test_longrope_has_factors_for_short_and_for_long(published, name):
    rope = published(LONG | {"rope_type": name})
    assert (rope.factors, rope.long_factors) == ((1.0,) * PAIRS, (2.0, 3.0) * 8)
    assert rope.original == 128
    assert rope.magnitude == pytest.approx(math.sqrt(1 + math.log(4) / math.log(128)))
    beside = {key: each for key, each in LONG.items() if not key.startswith("original")}
    assert published(beside, original_max_position_embeddings=128) == rope


def test_a_context_is_as_long_as_rotations_are_made_for(tiny_directory):
    def length(scaling) -> int:
        folder = tiny_directory(config={"rope_scaling": scaling})
        return frontend.config(frontend.open(folder)).context_length

    assert length(YARN) == 1024
    assert length(YARN | {"original_max_position_embeddings": 64}) == CONTEXT
    assert length({"type": "dynamic", "factor": 2.5}) == 1280
    assert length({"type": "linear", "factor": 2.5}) == CONTEXT


@pytest.mark.parametrize(
    ("scaling", "problem"),
    [
        ({"type": "ntk-by-parts", "factor": 2.0}, "'ntk-by-parts', only 'default' or 'linear'"),
        ({"type": "linear", "factor": 2.0, "beta_fast": 1.0}, "beta_fast' .* not a known param"),
        ({"type": "dynamic", "factor": 2.0, "alpha": 1000.0}, "alpha' .* is not a known param"),
        (LONG | {"long_mscale": 1.2}, "long_mscale' .* is not a known parameter"),
    ],
)
def test_what_is_not_known_is_refused_by_name(published, scaling, problem):
    with pytest.raises(UnsupportedModel, match=problem):
        published(scaling)


@pytest.mark.parametrize(
    ("scaling", "problem"),
    [
        ({"type": "linear"}, "factor': is missing"),
        ({"type": "linear", "factor": 0.5}, r"is 0\.5, must be 1\.\.10000"),
        ({"type": "yarn", "factor": 1e300}, r"must be 1\.\.10000"),
        (LONG | {"long_factor": [1.0] * 15}, "has 15 entries for 16 pairs"),
        (LONG | {"long_factor": [1.0] * 15 + [0.0]}, r"spans 0\.0\.\.1\.0, all must be"),
        (LONG | {"long_factor": "long"}, "must be an array of numbers"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key(published, scaling, problem):
    with pytest.raises(ModelFileError, match=problem):
        published(scaling)


def test_tensors_and_keys_do_not_both_scale(tiny_gguf):
    metadata = {"llama.rope.scaling.factor": np.float32(2)}
    source = frontend.open(tiny_gguf(metadata=metadata, rope_factors=(1.0,) * PAIRS))
    with pytest.raises(UnsupportedModel, match="only one of the two is read"):
        frontend.config(source)


def test_longrope_without_its_tensors_is_refused(stated):
    with pytest.raises(UnsupportedModel, match="has no rope_factors_long"):
        stated(scaling__type="longrope")
