"""Fixtures of the whole suite: the default model, and small decoders written to order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import gguf
import hypothesis
import numpy as np
import pytest

import gguf_files
import huggingface_files
import quantisers
from gguf_files import VOCAB
from inferflux.cli import store

# A machine that is busy with something else is no bug: examples have no deadline of their own.
hypothesis.settings.register_profile("inferflux", deadline=None)
hypothesis.settings.load_profile("inferflux")

Array = np.ndarray[Any, Any]


# Where blocks have halves; elsewhere it is one, at their beginning.
HALVES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def stored(weights: Array, type_: gguf.GGMLQuantizationType) -> Array:
    """As the package rounds them; where it cannot, random blocks that spread as they do."""
    try:
        return np.asarray(gguf.quants.quantize(weights, type_))
    except NotImplementedError:
        random = np.random.default_rng(weights.shape)
    block, nbytes = gguf.GGML_QUANT_SIZES[type_]
    raw = random.integers(0, 256, (len(weights), weights.shape[-1] // block, nbytes), np.uint8)
    if type_.name == "IQ1_M":  # its half is in four parts: 2**-7
        raw[..., 49::2] &= 0x0F
        raw[..., 55] |= 0x20
    elif type_.name == "NVFP4":
        raw[..., :4] = random.integers(0x10, 0x18, raw[..., :4].shape)
    else:
        _set_halves(raw, type_, 1.0)
        spread = gguf.quants.dequantize(raw.reshape(len(weights), -1), type_).std()
        _set_halves(raw, type_, weights.std() / spread)
    return raw.reshape(len(weights), -1)


def _set_halves(raw: Array, type_: gguf.GGMLQuantizationType, value: float) -> None:
    for at in HALVES.get(type_.name, (0,)):
        raw[..., at : at + 2] = np.array([value], "<f2").view(np.uint8)


@dataclass(frozen=True, slots=True)
class TinyDecoder:
    """A decoder small enough to compile in a test.  Same fields, same bytes."""

    architecture: str = "llama"  # or qwen2, which has biases
    layer_types: tuple[str, ...] = ("q4_1", "q4_1")  # of each layer's matrices
    embedding_type: str = "q8_0"
    head_type: str | None = None  # None: the head is tied to the embedding
    window: int | None = None  # tokens the windowed layers see
    windowed: tuple[bool, ...] = ()  # per layer; empty: none
    hidden: int = 64
    intermediate: int = 96
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 32
    context_length: int = 512
    rope_theta: float = 10000.0
    rope_factors: tuple[float, ...] = ()  # one for each pair of a head; empty: none
    tensors_per_file: int = 0  # 0: all are in one
    seed: int = 0
    metadata: Mapping[str, object] | None = None  # overrides; a None takes the key out
    tensors: Mapping[str, Array | None] | None = None  # f32 overrides; a None takes it out

    def write(self, path: Path) -> Path:
        tensors = {
            name: (stored(weights, type_), type_)
            for name, (weights, kind) in self._tensors().items()
            for type_ in (gguf.GGMLQuantizationType[kind.upper()],)
        }
        metadata = self._metadata()
        return gguf_files.write_gguf(
            path, self.architecture, metadata, tensors, self.tensors_per_file
        )

    def _metadata(self) -> dict[str, object]:
        own = {f"{self.architecture}.{key}": value for key, value in self._shape().items()}
        merged = {"general.name": "tiny", **own, **gguf_files.tokenizer(), **(self.metadata or {})}
        return {key: value for key, value in merged.items() if value is not None}

    def _shape(self) -> dict[str, object]:
        facts: dict[str, object] = {
            "vocab_size": np.uint32(VOCAB),
            "block_count": np.uint32(len(self.layer_types)),
            "context_length": np.uint32(self.context_length),
            "embedding_length": np.uint32(self.hidden),
            "feed_forward_length": np.uint32(self.intermediate),
            "attention.head_count": np.uint32(self.heads),
            "attention.head_count_kv": np.uint32(self.kv_heads),
            "attention.layer_norm_rms_epsilon": np.float32(1e-5),
            "rope.freq_base": np.float32(self.rope_theta),
            "rope.dimension_count": np.uint32(self.head_dim),
        }
        if self.heads * self.head_dim != self.hidden:
            facts["attention.key_length"] = np.uint32(self.head_dim)
            facts["attention.value_length"] = np.uint32(self.head_dim)
        if self.window is not None:
            facts["attention.sliding_window"] = np.uint32(self.window)
            facts["attention.sliding_window_pattern"] = list(self.windowed)
        return facts

    def _tensors(self) -> dict[str, tuple[Array, str]]:
        made = {
            name: (w, kind) for name, w, kind in self._weights(np.random.default_rng(self.seed))
        }
        for name, override in (self.tensors or {}).items():
            made.pop(name, None)
            if override is not None:
                made[name] = (override, "f32")
        return made

    def _weights(self, random: np.random.Generator) -> Iterator[tuple[str, Array, str]]:
        """Variance is kept from layer to layer and the logits are spread, so greedy is decided."""

        def matrix(rows: int, columns: int, spread: float = 1.0) -> Array:
            scale = spread / np.sqrt(columns)
            return random.normal(0, scale, (rows, columns)).astype(np.float32)

        def norm() -> Array:
            return random.normal(1, 0.1, self.hidden).astype(np.float32)

        def biases(at: str) -> Iterator[tuple[str, Array, str]]:
            for name, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
                yield f"{at}.attn_{name}.bias", random.normal(0, 1, rows).astype(np.float32), "f32"

        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "token_embd.weight", matrix(VOCAB, self.hidden, 2.0), self.embedding_type
        for layer, kind in enumerate(self.layer_types):
            at = f"blk.{layer}"
            yield f"{at}.attn_norm.weight", norm(), "f32"
            yield f"{at}.attn_q.weight", matrix(width, self.hidden), kind
            yield f"{at}.attn_k.weight", matrix(kv_width, self.hidden), kind
            yield f"{at}.attn_v.weight", matrix(kv_width, self.hidden), kind
            yield f"{at}.attn_output.weight", matrix(self.hidden, width), kind
            if self.architecture == "qwen2":
                yield from biases(at)
            yield f"{at}.ffn_norm.weight", norm(), "f32"
            yield f"{at}.ffn_gate.weight", matrix(self.intermediate, self.hidden), kind
            yield f"{at}.ffn_up.weight", matrix(self.intermediate, self.hidden), kind
            yield f"{at}.ffn_down.weight", matrix(self.hidden, self.intermediate), kind
        yield "output_norm.weight", norm(), "f32"
        if self.rope_factors:
            yield "rope_freqs.weight", np.array(self.rope_factors, np.float32), "f32"
        if self.head_type is not None:
            yield "output.weight", matrix(VOCAB, self.hidden, 2.0), self.head_type


WriteTiny = Callable[..., Path]
Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite golden files; read the diff")
    parser.addoption("--mutants", type=int, default=5000, help="damaged files that are read")
    parser.addoption("--vocabularies", type=Path, help="llama.cpp's folder of ggml-vocab-*.gguf")
    parser.addoption("--neon", action="store_true", help="run kernels on an emulated AArch64")
    parser.addoption("--llama-python", help="an interpreter that imports llama_cpp")
    parser.addoption("--gptqmodel-python", help="an interpreter that imports gptqmodel")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """``golden(name, text)``: the text is that of the file in the nearest ``golden`` folder."""
    folder = next(
        parent / "golden" for parent in request.path.parents if (parent / "golden").is_dir()
    )

    def compare(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--accept"):
            path.write_text(text)
        assert path.is_file(), f"no {path}: run once with --accept, then read it"
        assert text == path.read_text(), f"{path} is another; if it should be, --accept"

    return compare


class Silent:
    """Hears how a pull goes and keeps it to itself."""

    def stage(self, name: str, fraction: float) -> None:
        pass


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The real GGUF of the default model, pulled once into the user's cache."""
    return store.resolve("smollm2-135m", Silent())


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> WriteTiny:
    """Write a TinyDecoder: ``tiny_gguf(layer_types=("f16", "q8_0"), name="a.gguf") -> Path``."""

    def write(*, name: str = "tiny.gguf", **fields: Any) -> Path:
        return replace(TinyDecoder(), **fields).write(tmp_path_factory.mktemp("tiny") / name)

    return write


@pytest.fixture(scope="session")
def hf_files() -> ModuleType:
    """Writes safetensors files and directories."""
    return huggingface_files


@pytest.fixture(scope="session", name="quantisers")
def quantiser_module() -> ModuleType:
    """Quantise layers as the tools do that people use."""
    return quantisers


@pytest.fixture(scope="session")
def tiny_directory(
    tiny_gguf: WriteTiny, hf_files: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> WriteTiny:
    """A TinyDecoder as transformers would publish it: ``tiny_directory(kind="F16") -> Path``.

    ``kind``, ``shards``, ``config`` and ``tensors`` are those of ``write_directory``.
    """

    def write(**fields: Any) -> Path:
        own = {name: fields.pop(name) for name in hf_files.OPTIONS if name in fields}
        model = tiny_gguf(**{"embedding_type": "f32", "layer_types": ("f32", "f32"), **fields})
        folder = tmp_path_factory.mktemp("directory") / "tiny-1.5"
        written: Path = hf_files.write_directory(folder, hf_files.Gguf(model), **own)
        return written

    return write
