"""A small compiled model with everything an artifact can hold, and a way to forge its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferflux.codegen.artifact import save
from inferflux.codegen.artifact.canonical import canonical_json, parse
from inferflux.codegen.artifact.compiled import (
    AttentionCut,
    CompiledModel,
    CompiledTarget,
    CpuStep,
    KVGroup,
    KVStream,
    ModelFacts,
    StepVariant,
    TokenizerFacts,
)
from inferflux.codegen.artifact.layout import HEADER_BYTES, Header, place
from inferflux.codegen.artifact.manifest import Manifest
from inferflux.codegen.artifact.schema import decode

Edit = Callable[[dict[str, Any]], object]
Forge = Callable[..., Path]
ALPHABET = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]


def compiled_target(name: str, weights: str, *features: str) -> CompiledTarget:
    step = CpuStep(
        arguments=("weights", "tokens", "slots.0", "k.0", "num_tokens"),
        variants=(
            StepVariant("step_t4", "i8x32", 1, 4),
            StepVariant("step_t64", "i8x32", 5, 64),
        ),
        scratch_f32=4096,
        scratch_i8=512,
        scratch_i32=64,
        row_padding=16,
        logits_stride=64,
        sync=32,
        max_step_tokens=64,
        max_workers=8,
        attention=AttentionCut(span_keys=64, block_tokens=4, max_partials=16),
    )
    pages = KVStream("k", "float16", (2, 3, 8, 16)), KVStream("v", "float16", (2, 3, 16, 8))
    return CompiledTarget(
        name=name,
        numerics="default",
        target_key=hashlib.sha256(name.encode()).hexdigest(),
        features=features,
        objects={"x86_64": (b"\x7fELF" + name.encode(), b"\x7fELF64"), "aarch64": (b"", b"A64")},
        sources={"step.py": "def step(x):\n    return x  # é\n", "norm/rms.ll": "; none\n"},
        kernel_keys={"0 embed": "aa", "1 head": "bb"},
        weights=weights,
        kv_groups=(KVGroup((0, 1), None, pages), KVGroup((2,), 128, pages[:1])),
        step=step,
    )


def compiled_model(weights_bytes: int = 5000) -> CompiledModel:
    generator = np.random.default_rng(1)
    tokens = (*ALPHABET, "<|im_end|>", "\u0120the", "日本", "\U0001f600", "\udcff", '"\\', "\x00")
    return CompiledModel(
        facts=ModelFacts(
            name="Tiny",
            architecture="llama",
            vocab_size=len(tokens),
            context_length=2048,
            num_layers=3,
            hidden_size=24,
            source_digest="00" * 32,
            source_types={"q4_1": 20, "f32": 7},
        ),
        tokenizer=TokenizerFacts(
            kind="bpe",
            pre="smollm",
            tokens=tokens,
            token_types=(1,) * len(tokens),
            merges=("\u0120 t", "h e"),
            bos_token_id=1,
            eos_token_ids=(2, 0),
            pad_token_id=None,
            unknown_token_id=0,
            add_bos=False,
            add_space_prefix=False,
            chat_template="{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
        ),
        graph={"cpu:avx512": "graph():\n  return %0 # ü\n", "cpu:portable": "graph():\n"},
        targets={
            "cpu:avx512": compiled_target("cpu:avx512", "aa11", "avx512f", "avx512_vnni"),
            "cpu:portable": compiled_target("cpu:portable", "bb22"),
        },
        weights={
            "aa11": generator.integers(0, 256, weights_bytes, dtype=np.uint8),
            "bb22": generator.integers(0, 256, 700, dtype=np.uint8),
        },
    )


@pytest.fixture
def model() -> CompiledModel:
    return compiled_model()


@pytest.fixture
def saved(model: CompiledModel, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.ifx"
    save(model, path)
    return path


@pytest.fixture
def forge(saved: Path) -> Forge:
    """Edit the manifest, or a part, and seal the file anew: only what digests do not cover is left.

    An edit changes the manifest in place or gives other bytes for it.
    """

    def forge_with(edit: Edit = lambda _: None, **contents: bytes) -> Path:
        document, parts = take_apart(saved.read_bytes())
        for part in document["parts"]:
            if part["name"] in contents:
                content = parts[part["name"]] = contents[part["name"]]
                part.update(length=len(content), chunks=[hashlib.sha256(content).hexdigest()])
        placing = decode(Manifest, document, "manifest").parts
        edited = edit(document)
        manifest = edited if isinstance(edited, bytes) else canonical_json(document)
        forged = Header(len(manifest), hashlib.sha256(manifest).digest()).pack() + manifest
        for placed in place(placing, len(manifest)):
            forged += bytes(placed.padding) + parts[placed.part.name]
        saved.write_bytes(forged)
        return saved

    return forge_with


def take_apart(encoded: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest as JSON, and the contents of every part by name."""
    length = int.from_bytes(encoded[16:24], "little")
    document = parse(encoded[HEADER_BYTES : HEADER_BYTES + length], "manifest")
    parts = place(decode(Manifest, document, "manifest").parts, length)
    return document, {p.part.name: encoded[p.offset : p.end] for p in parts}
