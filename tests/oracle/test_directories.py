"""Directories that transformers wrote itself: compiled in float32, their logits are its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inferflux import codegen, engine
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.engine.config import EngineConfig
from inferflux.engine.score import log_softmax
from inferflux.ir import frontend
from tiny import steps, stored
from tiny.cases import PROMPTS
from tiny.mxfp4 import Mxfp4Model

pytestmark = pytest.mark.oracle

NUM_TOKENS = 100
SHAPE = {
    "vocab_size": 320,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,  # so that logits are spread
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "tied llama of scaled rotations": (
        "Llama",
        {"tie_word_embeddings": True, "rope_parameters": LLAMA3},
    ),
    "qwen2": ("Qwen2", {}),
    "qwen2 with windows": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1},
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in MODELS), ("qwen2", "bfloat16")]
)
def test_what_transformers_saved_computes_what_transformers_computes(
    hf_files: ModuleType,
    tiny_gguf: Callable[..., Path],
    tmp_path: Path,
    name: str,
    dtype: str,
) -> None:
    import torch
    import transformers

    kind, fields = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SHAPE, **fields)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).to(getattr(torch, dtype))
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith(("norm.weight", "bias")):  # neither ones nor zeros
            parameter.data += torch.randn(parameter.shape).to(parameter.dtype) / 4
    hf_files.write_tokenizer(tmp_path, hf_files.Gguf(tiny_gguf()))
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    model = type(model).from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens = np.random.default_rng(0).integers(0, 320, NUM_TOKENS)
    with torch.inference_mode():
        logits = model(torch.from_numpy(tokens)[None]).logits[0]
    expected = logits.log_softmax(-1).numpy()
    np.testing.assert_allclose(log_probs(tmp_path, tokens), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    "name",
    ["gptq", "gptq with zeros", "gptq in another order", "awq", "fp8 of tiles", "compressed int8"],
)
def test_quantised_layers_compute_what_their_values_compute(
    hf_files: ModuleType,
    quantisers: ModuleType,
    tiny_gguf: Callable[..., Path],
    tmp_path: Path,
    name: str,
) -> None:
    import torch
    import transformers

    method = quantisers.METHODS[name]
    floats = {"layer_types": ("f32", "f32"), "embedding_type": "f32", "head_type": "f32"}
    model = hf_files.Gguf(tiny_gguf(**floats))
    quantised, values = {}, {}
    for weight_name, weight in model.weights():
        if "_proj." in weight_name:
            layer = method.quantise(weight)
            module = weight_name.removesuffix(".weight")
            quantised[weight_name] = None
            quantised |= {f"{module}.{suffix}": part for suffix, part in layer.parts.items()}
            values[weight_name] = hf_files.store(layer.values, "F32")
    config = {"quantization_config": method.config}
    folder = hf_files.write_directory(
        tmp_path / "quantised", model, kind="F32", config=config, tensors=quantised
    )
    plain = hf_files.write_directory(tmp_path / "plain", model, kind="F32", tensors=values)
    oracle = transformers.LlamaForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
    tokens = np.random.default_rng(0).integers(0, 320, NUM_TOKENS)
    with torch.inference_mode():
        logits = oracle(torch.from_numpy(tokens)[None]).logits[0]
    expected = logits.log_softmax(-1).numpy()
    np.testing.assert_allclose(log_probs(folder, tokens), expected, atol=2e-4, rtol=0)


def test_experts_in_mxfp4_compute_what_transformers_unpacks(tmp_path: Path) -> None:
    """gpt-oss as its authors publish it, interpreted and compiled; and the same in a GGUF."""
    import torch
    import transformers

    kept = stored.load("gpt-oss-yarn")
    model = Mxfp4Model.of(kept.config, kept.shapes)
    folder = model.write_directory(tmp_path / "published")
    oracle = transformers.GptOssForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",
        quantization_config=transformers.Mxfp4Config(dequantize=True),
    ).eval()
    tokens = PROMPTS[0]
    with torch.inference_mode():
        logits = oracle(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0]
    expected = logits.log_softmax(-1).numpy()
    for path in (folder, model.write_gguf(tmp_path / "same.gguf")):
        source = frontend.open(path)
        decoding = steps.Decoding(frontend.build(source), source.tensors, PROMPTS[:1])
        (found,) = decoding.run(steps.whole(len(tokens)))
        np.testing.assert_allclose(log_softmax(found), expected, atol=2e-4, rtol=0)
        np.testing.assert_allclose(log_probs(path, tokens), expected, atol=2e-4, rtol=0)


def test_the_default_model_is_the_same_in_both_formats(
    hf_files: ModuleType, default_model: Path, tmp_path: Path
) -> None:
    """The same values as a GGUF of BF16 and as a directory: equal logits in float32."""
    folder = hf_files.write_directory(tmp_path / "smollm2", hf_files.Gguf(default_model))
    same = hf_files.write_bf16_gguf(tmp_path / "smollm2.gguf", default_model)
    tokens = np.random.default_rng(0).integers(0, 49152, NUM_TOKENS)
    np.testing.assert_allclose(log_probs(folder, tokens), log_probs(same, tokens), atol=1e-4)


def log_probs(model: Path, tokens: np.ndarray) -> np.ndarray:
    path = model.with_name("compiled.ifx")
    compiled = codegen.compile(frontend.open(model), (best_target(),), numerics="float32")
    artifact.save(compiled, path)
    config = EngineConfig(path, kv_bytes=32 << 20, max_sequences=1, chunk_tokens=64)
    return engine.load(config).score(tokens.tolist(), 64)
