"""The builder of dense decoders: documented graphs, every tensor used, refusals by name."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import LayerGroup, ModelConfig, ModelFileError, UnsupportedModel
from inferflux.ir.frontend.facts import Rope
from inferflux.ir.interpret import interpret


def test_the_default_model_is_what_its_card_says(default_model):
    config = frontend.config(frontend.open(default_model))
    assert (config.num_layers, config.hidden_size, config.intermediate_size) == (30, 576, 1536)
    assert (config.num_query_heads, config.num_kv_heads, config.head_dim) == (9, 3, 64)
    assert (config.vocab_size, config.context_length, config.is_tied) == (49152, 8192, True)
    assert (config.ropes, config.epsilon) == ((Rope(100000.0, 64),) * 30, 1e-5)
    assert config.kv_groups == (LayerGroup(tuple(range(30)), None),)


def test_the_default_model_knows_the_capital_of_france(default_model):
    """Interpreted as imported: a wrong pairing, scale or operand order would not say Paris."""
    source = frontend.open(default_model)
    config, tokens = frontend.config(source), frontend.tokenizer(source).tokens
    prompt = [tokens.index(text) for text in ("The", "Ġcapital", "Ġof", "ĠFrance", "Ġis")]
    inputs = one_sequence(prompt, config)
    weights = {name: tensor.raw for name, tensor in source.tensors.items()}
    token, logprob, *_ = interpret(frontend.build(source), inputs, weights)
    assert tokens[token[0]] == "ĠParis"
    assert logprob[0] > -0.5


def one_sequence(prompt: list[int], config: ModelConfig) -> dict[str, np.ndarray]:
    """A greedy step over a prompt of at most a page, whose last row wants logits."""
    pages = (1, config.num_layers, config.num_kv_heads)
    count, vocab = len(prompt), config.vocab_size
    return {
        "tokens": np.array(prompt, np.int32),
        "positions": np.arange(count, dtype=np.int32),
        "sequences": np.zeros(count, np.int32),
        "rows": np.array([count - 1], np.int32),
        "slots.0": np.arange(count, dtype=np.int32),
        "pages.0": np.zeros((1, 1), np.int32),
        "k.0": np.zeros((*pages, config.head_dim, 16), np.float32),
        "v.0": np.zeros((*pages, 16, config.head_dim), np.float32),
        "temperature": np.zeros(1, np.float32),
        "top_k": np.array([vocab], np.int32),
        "top_p": np.ones(1, np.float32),
        "min_p": np.zeros(1, np.float32),
        "seeds": np.zeros(1, np.uint64),
        "forced": np.array([vocab], np.int32),
        "num_logprobs": np.zeros(1, np.int32),
    }


def test_graph_has_the_documented_inputs_and_outputs(tiny_gguf):
    graph = frontend.build(frontend.open(tiny_gguf()))
    assert [f"{value.hint}: {value.type}" for value in graph.inputs] == [
        "tokens: i32[T]",
        "positions: i32[T]",
        "sequences: i32[T]",
        "rows: i32[R]",
        "slots.0: i32[T]",
        "pages.0: i32[B, M]",
        "k.0: f16[N, 2, 1, 32, 16]",
        "v.0: f16[N, 2, 1, 16, 32]",
        "temperature: f32[R]",
        "top_k: i32[R]",
        "top_p: f32[R]",
        "min_p: f32[R]",
        "seeds: u64[R]",
        "forced: i32[R]",
        "num_logprobs: i32[R]",
    ]
    assert [str(value.type) for value in graph.outputs] == [
        "i32[R]",
        "f32[R]",
        "i32[R, 20]",
        "f32[R, 20]",
        "f32[R, 320]",
        "f16[N, 2, 1, 32, 16]",
        "f16[N, 2, 1, 16, 32]",
    ]


def test_a_layer_is_imported_as_plain_ops(tiny_gguf):
    graph = frontend.build(frontend.open(tiny_gguf(layer_types=("f16",))))
    assert sorted(node.op.name for node in graph.nodes) == sorted(
        ["embed", "rope_table", "take_rows", "sample"]
        + ["rms_norm"] * 3
        + ["linear"] * 8
        + ["rope"] * 2
        + ["append_keys", "append_values", "attention", "silu", "multiply"]
        + ["add"] * 2
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("head_type", [None, "f16"])
def test_every_tensor_of_the_file_is_one_weight(tiny_gguf, architecture, head_type):
    source = frontend.open(tiny_gguf(architecture=architecture, head_type=head_type))
    graph = frontend.build(source)
    assert sorted(weight.sources[0] for weight in graph.weights) == sorted(source.tensors)
    for weight in graph.weights:
        assert weight.type == source.tensors[weight.sources[0]].type
    (logits,) = (node for node in graph.nodes if node.results[0] is graph.outputs[4])
    expected = "token_embd.weight" if head_type is None else "output.weight"
    assert logits.inputs[1].sources == (expected,)


def test_a_weight_is_named_for_what_it_is_in_every_layer(tiny_gguf):
    graph = frontend.build(frontend.open(tiny_gguf(architecture="qwen2")))
    assert [w.hint for w in graph.weights].count("attn_q") == 2
    assert [w.hint for w in graph.weights].count("attn_q.bias") == 2


def test_windowed_and_full_layers_are_groups_of_their_own(tiny_gguf):
    path = tiny_gguf(layer_types=("q4_1", "f16", "q8_0"), window=32, windowed=(True, False, True))
    source = frontend.open(path)
    assert frontend.config(source).kv_groups == (LayerGroup((0, 2), 32), LayerGroup((1,), None))
    attended = [n for n in frontend.build(source).nodes if n.op.name == "attention"]
    assert [(n.attrs["window"], n.attrs["layer"]) for n in attended] == [
        (32, 0),
        (None, 0),
        (32, 1),
    ]
    assert [n.inputs[5].hint for n in attended] == ["pages.0", "pages.1", "pages.0"]


def test_a_layer_reads_the_keys_that_it_appended(tiny_gguf):
    graph = frontend.build(frontend.open(tiny_gguf()))
    appended = {node.results[0] for node in graph.nodes if node.op.name == "append_keys"}
    attended = [node.inputs[1] for node in graph.nodes if node.op.name == "attention"]
    assert set(attended) == appended
    assert graph.outputs[5] is attended[-1]


def test_heads_may_be_wider_than_hidden_size_over_heads(tiny_gguf):
    source = frontend.open(tiny_gguf(heads=4, kv_heads=2, head_dim=32))
    assert frontend.config(source).head_dim == 32
    frontend.build(source)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"llama.expert_count": False}, "'llama.expert_count' at byte .* is False, must be"),
        ({"llama.expert_count": np.uint32(8)}, "'llama.expert_used_count': is missing"),
        (
            {"llama.expert_count": np.uint32(8), "llama.expert_used_count": np.uint32(9)},
            r"'llama.expert_used_count' at byte .* is 9, must be 1\.\.8",
        ),
        (
            {"llama.expert_count": np.uint32(8), "llama.expert_used_count": np.uint32(2)},
            "tensor 'blk.0.ffn_gate_inp.weight': is missing",
        ),
    ],
)
def test_experts_must_be_stated_and_be_there(tiny_gguf, metadata, problem):
    with pytest.raises(ModelFileError, match=problem):
        frontend.build(frontend.open(tiny_gguf(metadata=metadata)))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"llama.attention.clamp_kqv": np.float32(8)}, "llama.attention.clamp_kqv"),
        ({"llama.attention.clamp_kqv": [0.0, 0.0]}, "llama.attention.clamp_kqv"),
        ({"llama.attention.clamp_kqv": False}, "llama.attention.clamp_kqv"),
        ({"llama.rope.scaling.type": "ntk"}, "llama.rope.scaling.type"),
        ({"llama.rope.scaling.type": "longrope"}, "llama.rope.scaling.type"),
        ({"llama.use_parallel_residual": True}, "llama.use_parallel_residual"),
        ({"llama.attention.value_length": np.uint32(16)}, "llama.attention.value_length"),
        ({"llama.logit_scale": np.float32(1)}, "llama.logit_scale"),
        ({"llama.attention.causal": False}, "llama.attention.causal"),
        ({"general.architecture": "mamba"}, "general.architecture"),
        ({"general.type": "adapter"}, "general.type"),
        ({"general.quantization_version": np.uint32(3)}, "general.quantization_version"),
    ],
)
def test_another_formula_is_refused_by_its_key(tiny_gguf, metadata, field):
    source = frontend.open(tiny_gguf(metadata=metadata))
    with pytest.raises(UnsupportedModel, match=field) as refused:
        frontend.build(source)
    assert refused.value.field == f"metadata {field!r}"
    assert refused.value.offset == source.offsets[field]
    assert str(source.path) in str(refused.value)


def test_qwen2_adds_biases_and_turns_halves(tiny_gguf):
    graph = frontend.build(frontend.open(tiny_gguf(architecture="qwen2", layer_types=("q4_0",))))
    assert graph.name == "qwen2"
    assert [node.attrs["pairs"] for node in graph.nodes if node.op.name == "rope"] == ["halves"] * 2
    biased = [node.inputs for node in graph.nodes if node.op.name == "add_bias"]
    named = sorted((x.args[1].hint, bias.sources[0]) for x, bias in biased)
    assert named == [(f"attn_{each}", f"blk.0.attn_{each}.bias") for each in "kqv"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"tensors": {"blk.1.attn_k.bias": None}}, "tensor 'blk.1.attn_k.bias': is missing"),
        ({"tensors": {"blk.0.attn_q.bias": np.ones(32, np.float32)}}, r"is \[32\], .* \[64\]"),
        ({"tensors": {"blk.0.attn_output.bias": np.ones(64, np.float32)}}, "a bias"),
        ({"rope_factors": (1.0,) * 16}, "tensor 'rope_freqs.weight' .* no use in a qwen2"),
        ({"metadata": {"qwen2.rope.scaling.alpha": np.float32(2)}}, "'qwen2.rope.scaling.alpha'"),
        ({"metadata": {"qwen2.pooling_type": np.uint32(3)}}, "'qwen2.pooling_type' .* not a known"),
        ({"metadata": {"qwen2.block_count": None}}, "'qwen2.block_count': is missing"),
    ],
)
def test_what_is_no_plain_qwen2_is_refused(tiny_gguf, fields, problem):
    with pytest.raises(ModelFileError, match=problem):
        frontend.build(frontend.open(tiny_gguf(architecture="qwen2", **fields)))


def test_rope_factors_are_in_the_graph_and_are_no_weight(tiny_gguf):
    factors = (1.0,) * 10 + (2.5,) * 4 + (32.0, 32.0)
    graph = frontend.build(frontend.open(tiny_gguf(rope_factors=factors)))
    (table,) = (node for node in graph.nodes if node.op.name == "rope_table")
    assert table.attrs["factors"] == factors
    assert not any("rope_freqs.weight" in weight.sources for weight in graph.weights)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_rope_factors_that_no_frequency_can_be_divided_by_are_refused(tiny_gguf, factor):
    source = frontend.open(tiny_gguf(rope_factors=(1.0,) * 15 + (factor,)))
    with pytest.raises(ModelFileError, match="all must be above 0 and finite") as refused:
        frontend.build(source)
    assert refused.value.field == "tensor 'rope_freqs.weight'"
    assert refused.value.offset == source.tensors["rope_freqs.weight"].origin.offset


def test_a_model_in_one_part_is_a_model(tiny_gguf):
    whole = {"split.count": np.uint32(0), "general.type": "model"}
    frontend.build(frontend.open(tiny_gguf(metadata=whole)))


def test_plain_scaling_is_no_scaling(tiny_gguf):
    plain = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": np.float32(1)}
    frontend.build(frontend.open(tiny_gguf(metadata=plain)))


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"llama.block_count": None}, "is missing"),
        ({"llama.block_count": "two"}, "'two', must be a whole number"),
        ({"llama.block_count": True}, "True, must be a whole number"),
        ({"llama.block_count": np.uint32(0)}, "is 0, must be 1.."),
        ({"llama.block_count": np.uint32(2**32 - 1)}, "must be 1..20"),
        ({"llama.context_length": np.uint32(2**31)}, "must be 1..1048576"),
        ({"llama.embedding_length": [1, 2]}, "an array of 2, must be a whole number"),
        ({"llama.attention.head_count_kv": np.uint32(3)}, "is 3, must be 1..2"),
        ({"llama.attention.head_count": np.uint32(3)}, "3 heads do not divide 64"),
        ({"llama.attention.key_length": np.uint32(31)}, "must be even"),
        ({"llama.rope.dimension_count": np.uint32(34)}, "is 34: of 32 elements of a head"),
        ({"llama.rope.dimension_count": np.uint32(15)}, "is 15: of 32 elements of a head"),
        ({"llama.attention.layer_norm_rms_epsilon": np.float32("nan")}, "above 0 and finite"),
        ({"llama.attention.layer_norm_rms_epsilon": np.float32(-1)}, "above 0 and finite"),
        ({"llama.rope.freq_base": np.float32("inf")}, "above 0 and finite"),
        ({"llama.rope.freq_base": "10000"}, "must be a number"),
        ({"llama.vocab_size": np.uint32(321)}, "the tokenizer has 320 tokens"),
        ({"llama.attention.sliding_window": np.uint32(8)}, "sliding_window_pattern'.* is missing"),
        ({"llama.attention.sliding_window_pattern": [True, False]}, "sliding_window'.* is missing"),
    ],
)
def test_wrong_metadata_is_refused_by_its_key(tiny_gguf, metadata, problem):
    source = frontend.open(tiny_gguf(metadata=metadata))
    with pytest.raises(ModelFileError, match=problem) as refused:
        frontend.build(source)
    assert refused.value.code == "invalid_model_file"
    assert refused.value.field.startswith("metadata 'llama.")


def test_a_pattern_covers_every_layer(tiny_gguf):
    source = frontend.open(tiny_gguf(window=8, windowed=(True,)))
    with pytest.raises(ModelFileError, match="has 1 entries for 2 layers"):
        frontend.config(source)


@pytest.mark.parametrize(
    ("tensors", "field", "problem"),
    [
        ({"blk.1.ffn_up.weight": None}, "tensor 'blk.1.ffn_up.weight'", "is missing"),
        (
            {"blk.0.attn_k.weight": np.zeros((64, 64), np.float32)},
            "tensor 'blk.0.attn_k.weight'.shape",
            r"is \[64, 64\], the metadata asks for \[32, 64\]",
        ),
        (
            {"token_embd.weight": np.zeros((319, 64), np.float32)},
            "tensor 'token_embd.weight'.shape",
            r"is \[319, 64\], the metadata asks for \[320, 64\]",
        ),
        (
            {"blk.0.attn_output.bias": np.ones(64, np.float32)},
            "tensor 'blk.0.attn_output.bias'",
            "a bias",
        ),
        (
            {"rope_freqs.weight": np.ones(15, np.float32)},
            "tensor 'rope_freqs.weight'.shape",
            r"is \[15\], the metadata asks for \[16\]",
        ),
        ({"blk.2.attn_q.weight": np.ones((64, 64), np.float32)}, "tensor 'blk.2", "no use"),
    ],
)
def test_tensors_are_those_the_metadata_asks_for(tiny_gguf, tensors, field, problem):
    with pytest.raises(ModelFileError, match=problem) as refused:
        frontend.build(frontend.open(tiny_gguf(tensors=tensors)))
    assert refused.value.field.startswith(field)
