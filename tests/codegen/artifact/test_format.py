"""The format is what its page says: a second reader, written from docs/artifact.md alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from inferflux.codegen.artifact import load
from inferflux.codegen.artifact.compiled import CompiledModel

CHUNK = 4 * 1024 * 1024


def read(encoded: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and parts by name.  Uses nothing of the package on purpose."""
    assert encoded[:8] == bytes.fromhex("89 49 46 58 0d 0a 1a 0a")
    assert int.from_bytes(encoded[8:12], "little") == 2
    end = 64 + int.from_bytes(encoded[16:24], "little")
    assert encoded[24:56] == hashlib.sha256(encoded[64:end]).digest()
    assert encoded[12:16] + encoded[56:64] == bytes(12)
    manifest = json.loads(encoded[64:end])
    parts = {}
    for part in manifest["parts"]:
        is_huge = part["kind"] == "weights" and part["length"] >= 2 * 1024 * 1024
        multiple = 2 * 1024 * 1024 if is_huge else 4096
        start = (end + multiple - 1) // multiple * multiple
        assert encoded[end:start] == bytes(start - end)
        end = start + part["length"]
        content = parts[part["name"]] = encoded[start:end]
        chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        assert part["chunks"] == [hashlib.sha256(chunk).hexdigest() for chunk in chunks]
    assert end == len(encoded)
    return manifest, parts


def test_a_second_reader_finds_the_same_model(saved: Path, model: CompiledModel) -> None:
    manifest, parts = read(saved.read_bytes())
    assert manifest["model"]["name"] == model.facts.name
    assert json.loads(parts[manifest["tokenizer"]])["tokens"] == list(model.tokenizer.tokens)
    for target in manifest["targets"]:
        compiled = model.targets[target["name"]]
        assert parts[target["graph"]].decode() == model.graph[target["name"]]
        assert parts[target["weights"]] == model.weights[compiled.weights].tobytes()
        codes = {m: tuple(parts[n] for n in names) for m, names in target["objects"].items()}
        assert codes == compiled.objects
        assert {f: parts[n].decode() for f, n in target["sources"].items()} == compiled.sources


def test_the_digest_is_that_of_the_manifest(saved: Path) -> None:
    encoded = saved.read_bytes()
    manifest = encoded[64 : 64 + int.from_bytes(encoded[16:24], "little")]
    assert load(saved).digest == hashlib.sha256(manifest).hexdigest()
