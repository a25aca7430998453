"""Directories with safetensors: the graph of the same GGUF; what else they ask for is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import LayerGroup, ModelFileError, UnsupportedModel
from inferflux.ir.interpret import interpret

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def logits(path: Path) -> np.ndarray:
    """Of a prompt, interpreted as imported."""
    source = frontend.open(path)
    config = frontend.config(source)
    groups = {}
    for index, group in enumerate(config.kv_groups):
        pages = (1, len(group.layers), config.num_kv_heads)
        groups |= {
            f"slots.{index}": np.arange(9, dtype=np.int32),
            f"pages.{index}": np.zeros((1, 1), np.int32),
            f"k.{index}": np.zeros((*pages, config.head_dim, 16), np.float32),
            f"v.{index}": np.zeros((*pages, 16, config.head_dim), np.float32),
        }
    rows = {
        "temperature": np.zeros(9, np.float32),
        "top_k": np.full(9, config.vocab_size, np.int32),
        "top_p": np.ones(9, np.float32),
        "min_p": np.zeros(9, np.float32),
        "seeds": np.zeros(9, np.uint64),
        "forced": np.full(9, config.vocab_size, np.int32),
        "num_logprobs": np.zeros(9, np.int32),
    }
    step = {
        "tokens": np.array([5, 9, 1, 200, 77, 77, 310, 4, 18], np.int32),
        "positions": np.arange(9, dtype=np.int32),
        "sequences": np.zeros(9, np.int32),
        "rows": np.arange(9, dtype=np.int32),
    }
    weights = {name: tensor.raw for name, tensor in source.tensors.items()}
    found: np.ndarray = interpret(frontend.build(source), step | groups | rows, weights)[4]
    return found


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("head_type", [None, "f32"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_directory_computes_what_its_gguf_computes(
    tiny_gguf, tiny_directory, architecture, head_type, shards
):
    fields = {"architecture": architecture, "head_type": head_type, "heads": 4, "kv_heads": 2}
    floats = {"layer_types": ("f32", "f32"), "embedding_type": "f32"}
    folder = tiny_directory(kind="F32", shards=shards, **fields)
    np.testing.assert_allclose(
        logits(folder), logits(tiny_gguf(**floats, **fields)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_narrow_floats_are_read_as_they_are(tiny_gguf, tiny_directory, kind):
    """A GGUF of the same roundings; its norms are the directory's, widened."""
    folder = tiny_directory(kind=kind)
    source = frontend.open(folder)
    norms = {
        name: tensor.raw.view(np.float32)
        for name, tensor in source.tensors.items()
        if len(tensor.shape) == 1
    }
    types = {"layer_types": (kind.lower(),) * 2, "embedding_type": kind.lower()}
    same = tiny_gguf(**types, tensors=norms)
    np.testing.assert_allclose(logits(folder), logits(same), atol=1e-4, rtol=0)
    assert {str(t.dtype) for t in source.tensors.values()} == {kind.lower(), "f32"}


@pytest.mark.parametrize("group", ["rope_scaling", "rope_parameters"])
def test_llama3_rotations_are_computed_as_a_converter_computes_them(
    tiny_gguf, tiny_directory, group
):
    inner = {"rope_theta": 10000.0} if group == "rope_parameters" else {}
    config = {group: LLAMA3 | inner, **({"rope_theta": None} if inner else {})}
    folder = tiny_directory(kind="F32", config=config)
    factors = frontend.config(frontend.open(folder)).ropes[0].factors
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(32.0)
    assert any(1.0 < factor < 32.0 for factor in factors)
    same = tiny_gguf(layer_types=("f32",) * 2, embedding_type="f32", rope_factors=factors)
    np.testing.assert_allclose(logits(folder), logits(same), atol=1e-4, rtol=0)


def test_windows_are_those_of_the_layers_that_have_them(tiny_directory):
    windows = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    folder = tiny_directory(architecture="qwen2", config=windows)
    groups = (LayerGroup((0,), None), LayerGroup((1,), 8))
    assert frontend.config(frontend.open(folder)).kv_groups == groups
    kinds = {"layer_types": ["sliding_attention", "full_attention"]}
    folder = tiny_directory(architecture="qwen2", config=windows | kinds)
    groups = (LayerGroup((0,), 8), LayerGroup((1,), None))
    assert frontend.config(frontend.open(folder)).kv_groups == groups


def test_a_head_that_is_stored_and_tied_is_one_weight(tiny_directory, hf_files):
    values = np.ones((320, 64), np.float32)
    both = dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), hf_files.store(values))
    source = frontend.open(tiny_directory(kind="F32", tensors=both))
    assert "output.weight" not in source.tensors
    frontend.build(source)
    other = {"lm_head.weight": hf_files.store(values * 2)}
    with pytest.raises(UnsupportedModel, match=r"tied to 'model\.embed_tokens"):
        frontend.open(tiny_directory(kind="F32", tensors=both | other))


def test_the_digest_is_of_every_file_that_is_read(tiny_directory):
    folder = tiny_directory(shards=2)
    first = frontend.open(folder).digest()
    assert frontend.open(folder).digest() == first
    for path in sorted(folder.iterdir()):
        before = path.read_bytes()
        path.write_bytes(before.replace(b" ", b"\n", 1))  # as JSON, the same
        assert frontend.open(folder).digest() != first, path.name
        path.write_bytes(before)
    (folder / "README.md").write_text("not read")
    assert frontend.open(folder).digest() == first


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"logit_scale": 2.0}, "logit_scale"),
        ({"auto_map": {"AutoModel": "code.py"}}, "auto_map.AutoModel"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "architectures"),
        ({"rope_scaling": {"type": "ntk", "factor": 4.0}}, "rope_scaling.type"),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0, "alpha": 9.0}}, "rope_scaling.alpha"),
        ({"rope_scaling": LLAMA3 | {"mscale": 1.0}}, "rope_scaling.mscale"),
        ({"rope_parameters": LLAMA3, "rope_scaling": LLAMA3}, "rope_scaling"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"model_type": "mamba"}, "model_type"),
    ],
)
def test_another_formula_is_refused_by_its_key(tiny_directory, config, key):
    folder = tiny_directory(config=config)
    with pytest.raises(UnsupportedModel) as refused:
        frontend.build(frontend.open(folder))
    assert refused.value.field == f"key {key!r}"
    assert refused.value.path == folder / "config.json"
    text = (folder / "config.json").read_bytes()
    assert text[: refused.value.offset].endswith(f'"{key.split(".")[-1]}": '.encode())


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"hidden_size": None}, "'hidden_size': is missing"),
        ({"hidden_size": "64"}, "'64', must be a whole number"),
        ({"num_hidden_layers": 0}, "is 0, must be 1"),
        ({"num_key_value_heads": 3, "num_attention_heads": 4}, "does not divide 4"),
        ({"rms_norm_eps": 0}, "must be above 0"),
        ({"rms_norm_eps": 1e999}, "holds Infinity"),
        ({"head_dim": 31}, "it must be even"),
        ({"vocab_size": 321}, "'model.embed_tokens.weight'.shape .* asks for"),
        ({"intermediate_size": 97}, "'model.layers.0.mlp.gate_proj.weight'.shape"),
        ({"rope_theta": 5.0, "rope_parameters": {"rope_theta": 6.0}}, "rope_theta is 5"),
        ({"rope_scaling": LLAMA3 | {"high_freq_factor": 0.5}}, "must be above low_freq_factor"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(tiny_directory, config, problem):
    folder = tiny_directory(config=config)
    with pytest.raises(ModelFileError, match=problem):
        frontend.build(frontend.open(folder))


def test_a_key_deep_in_a_config_is_placed_by_what_is_around_it(tiny_directory):
    folder = tiny_directory(config={"auto_map": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}})
    with pytest.raises(UnsupportedModel, match=r"'auto_map\.a\.b\.c\.d\.e\.f' at byte") as refused:
        frontend.build(frontend.open(folder))
    text = (folder / "config.json").read_bytes()
    assert text.index(b'"auto_map"') < refused.value.offset < text.index(b'"f"')


@pytest.mark.parametrize(
    "harmless",
    [{"use_mrope": False}, {"sliding_window": None}, {"torch_dtype": "float16"}, {"use_cache": 1}],
)
def test_what_asks_for_nothing_is_accepted(tiny_directory, harmless):
    frontend.build(frontend.open(tiny_directory(config=harmless)))


def test_tensors_are_all_there_and_all_used(tiny_directory, hf_files):
    norm = "model.layers.1.input_layernorm.weight"
    with pytest.raises(ModelFileError, match=f"tensor '{norm}': is missing"):
        frontend.build(frontend.open(tiny_directory(tensors={norm: None})))
    extra = {"model.layers.0.self_attn.q_norm.weight": hf_files.store(np.ones(32, np.float32))}
    with pytest.raises(UnsupportedModel, match=r"q_norm.weight' .* has no use in a llama"):
        frontend.build(frontend.open(tiny_directory(tensors=extra)))
    derived = {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F64", (1,), bytes(8))}
    frontend.build(frontend.open(tiny_directory(tensors=derived)))
    twice = {"blk.0.attn_q.weight": hf_files.store(np.ones((64, 64), np.float32))}
    with pytest.raises(ModelFileError, match="is the same weight as"):
        frontend.open(tiny_directory(tensors=twice))


@pytest.mark.parametrize("kind", ["F64", "I8", "F8_E5M2"])
def test_numbers_of_another_type_are_refused_by_it(tiny_directory, kind):
    size = {"F64": 8, "I8": 1, "F8_E5M2": 1}[kind]
    odd = {"model.layers.0.self_attn.q_proj.weight": (kind, (64, 64), bytes(64 * 64 * size))}
    with pytest.raises(UnsupportedModel, match=f"q_proj.weight'.dtype .* is of {kind}, not one of"):
        frontend.open(tiny_directory(tensors=odd))


def change_index(folder: Path, change) -> Path:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    change(content["weight_map"])
    index.write_text(json.dumps(content))
    return index


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda m: m.update({NORM: "../model.safetensors"}),
            "'../model.safetensors', not the name",
        ),
        (lambda m: m.update({NORM: "/etc/passwd"}), "'/etc/passwd', not the name"),
        (lambda m: m.update({NORM: "a\0.safetensors"}), "not the name"),
        (lambda m: m.update({NORM: ".safetensors"}), "not the name"),
        (lambda m: m.update({NORM: "pytorch_model.bin"}), "not the name"),
        (lambda m: m.update({NORM: 1}), "is 1, not the name"),
        (lambda m: m.update({NORM: "more.safetensors"}), "more.safetensors: file: does not exist"),
        (lambda m: m.pop(NORM), "'model.norm.weight' .* is nowhere according to"),
        (lambda m: m.update({"other": m[NORM]}), "'other': is .* which has no such tensor"),
        (lambda m: m.clear(), "weight_map .* is not an object of tensors and their files"),
    ],
)
def test_an_index_that_its_shards_contradict_is_refused(tiny_directory, change, problem):
    folder = tiny_directory(shards=2)
    change_index(folder, change)
    with pytest.raises(ModelFileError, match=problem):
        frontend.open(folder)


def test_a_tensor_is_where_the_index_says(tiny_directory):
    folder = tiny_directory(shards=2)
    first, second = sorted(folder.glob("*.safetensors"))
    change_index(
        folder, lambda m: m.update({NORM: {first.name: second, second.name: first}[m[NORM]].name})
    )
    with pytest.raises(ModelFileError, match=f"'{NORM}' .* is in model-0000"):
        frontend.open(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(tiny_directory, name):
    folder = tiny_directory()
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=f"{name}: file: does not exist"):
        frontend.open(folder)


def test_what_a_directory_is_called_changes_nothing_of_the_model(tiny_directory, tmp_path):
    path = tiny_directory()
    renamed = shutil.copytree(path, tmp_path / "another")
    assert frontend.config(frontend.open(renamed)) == frontend.config(frontend.open(path))
