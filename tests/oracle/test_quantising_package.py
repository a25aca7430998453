"""Directories that a public package quantised: compiled in float32, they compute its values.

``pytest -m oracle tests/oracle/test_quantising_package.py --gptqmodel-python /path/to/python``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import quantising_package
from inferflux import codegen, engine
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.engine.config import EngineConfig
from inferflux.ir import frontend

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", quantising_package.OPTIONS)
def test_what_the_package_quantised_computes_what_its_values_compute(
    gptqmodel: str, plain_llama: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "quantised"
    command = [gptqmodel, quantising_package.__file__, name, str(plain_llama), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = np.load(folder / "expected.npy")
    compiled = codegen.compile(frontend.open(folder), (best_target(),), numerics="float32")
    artifact.save(compiled, tmp_path / "quantised.ifx")
    config = EngineConfig(tmp_path / "quantised.ifx", kv_bytes=32 << 20, max_sequences=1)
    tokens = np.random.default_rng(0).integers(0, 320, quantising_package.NUM_TOKENS)
    found = engine.load(config).score(tokens.tolist(), 64)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=0)


@pytest.fixture
def gptqmodel(request: pytest.FixtureRequest) -> str:
    """A Python that has the package: it asks for versions that are not those of the tests."""
    named: str = request.config.getoption("--gptqmodel-python") or ""
    if not named:
        pytest.skip("--gptqmodel-python names an interpreter that has the package gptqmodel")
    return named


@pytest.fixture(scope="module")
def plain_llama(
    hf_files: ModuleType, tiny_gguf: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Of float16, with widths that every kind of packing takes."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("plain")
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "head_dim": 32}
    hf_files.write_tokenizer(folder, hf_files.Gguf(tiny_gguf()))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=320,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        **shape,
    )
    transformers.LlamaForCausalLM(config).to(torch.float16).save_pretrained(folder)
    return folder
