"""A file that is whole but lies is refused too: its manifest must make sense before it is used."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inferflux.codegen.artifact import ArtifactError, load
from inferflux.codegen.artifact.layout import HEADER_BYTES

Forge = Callable[..., Path]
AARCH64 = ["object/cpu:avx512/aarch64/0", "object/cpu:avx512/aarch64/1"]


def assign(*path: str | int, value: object) -> Callable[[dict[str, Any]], object]:
    """An edit: put ``value`` at ``path`` of the manifest."""

    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return edit


FIELDS = [
    (("extra",), 1, "unknown ones .'extra'."),
    (("model",), [], "model is list, not object"),
    (("model", "name"), 5, "model.name is 5, not str"),
    (("model", "num_layers"), -1, "model.num_layers is -1, not an int"),
    (("model", "num_layers"), 2**63, "model.num_layers is"),
    (("model", "num_layers"), True, "model.num_layers is True"),
    (("model", "num_layers"), "3", "model.num_layers is str"),
    (("model", "num_layers"), None, "model.num_layers is NoneType"),
    (("model", "num_layers"), 2, "KV group 1 has a layer past the model's 2"),
    (("model", "source_types"), {"f32": "7"}, r"model.source_types\['f32'\]"),
    (("tokenizer",), "tokens", "names part 'tokens', which is missing"),
    (("tokenizer",), "weights/aa11", "of kind weights, not tokenizer"),
    (("parts",), [], "which is missing"),
    (("parts",), {}, "parts is dict, not array"),
    (("parts", 0, "name"), "../tokenizer", "is not allowed"),
    (("parts", 0, "name"), "graph/cpu:avx512", "is listed 2 times"),
    (("parts", 0, "kind"), "pickle", "unknown kind 'pickle'"),
    (("parts", 0, "kind"), "graph", "of kind graph, not tokenizer"),
    (("parts", 0, "length"), 33 << 20, "over 33554432"),
    (("parts", 0, "length"), 1, "does not match its digest|padding|bytes follow|truncated"),
    (("parts", 0, "length"), 0, "of 0 bytes has 1 chunk digests"),
    (("parts", 0, "chunks"), [], "has 0 chunk digests"),
    (("parts", 0, "chunks", 0), "0" * 64, "part tokenizer, chunk 0 .* does not match"),
    (("parts", 0, "chunks", 0), "A" * 64, "not 64 lower-case hex digits"),
    (("parts", 0, "chunks", 0), "0" * 65, "not 64 lower-case hex digits"),
    (("parts", -1, "length"), 2**40, "has 1 chunk digests"),
    (("parts", -1, "length"), 2**43, "over 4398046511104"),
    (("parts", -1, "length"), 701, "truncated: part weights/bb22"),
    (("parts", -1, "length"), 699, "1 bytes follow"),
    (("targets",), [], "belongs to nothing"),
    (("targets", 0, "name"), "cpu:portable", "is listed 2 times"),
    (("targets", 0, "name"), "cpu/../../x", "is not allowed"),
    (("targets", 0, "numerics"), "fast", "numerics 'fast', not one of"),
    (("targets", 0, "graph"), "graph/none", "which is missing"),
    (("targets", 0, "objects"), {}, "belongs to nothing"),
    (("targets", 0, "objects", "riscv64"), [], "no objects for riscv64"),
    (("targets", 0, "sources"), {"/etc/passwd": "graph/x"}, "is missing"),
    (("targets", 0, "weights"), "tokenizer", "of kind tokenizer, not weights"),
    (("targets", 0, "features"), ["a b"], "name 'a b' is not allowed"),
    (("targets", 0, "kv_groups", 0, "window"), 0, "a window of 0 tokens"),
    (("targets", 0, "kv_groups", 0, "window"), "all", "window is str, not an int"),
    (("targets", 0, "kv_groups", 0, "streams", 0, "dtype"), "object", "stream dtype 'object'"),
    (("targets", 0, "kv_groups", 0, "streams", 0, "shape"), [0, 4], "not of 1..1073741824"),
    (("targets", 0, "kv_groups", 0, "streams", 0, "shape"), [2**62] * 8, "not of 1..1073741824"),
    (("targets", 0, "kv_groups", 0, "streams", 0, "shape"), [2] * 9, "9 dimensions, over 8"),
    (("targets", 0, "kv_groups", 0, "streams", 0, "name"), "v", "stream 'v' is listed 2 times"),
    (("targets", 0, "step", "scratch_f32"), 2**33, "scratch of 8589934592 elements"),
    (("targets", 0, "step", "sync"), 2**33, "scratch of 8589934592 elements"),
    (("targets", 0, "step", "max_step_tokens"), 0, "steps of 0 tokens"),
    (("targets", 0, "step", "max_workers"), 5000, "5000 workers, not 1..4096"),
    (("targets", 0, "step", "variants"), [], "not every step of 1..64 tokens has a variant"),
    (("targets", 0, "step", "variants", 0, "min_tokens"), 2, "not every step of 1..64"),
    (
        ("targets", 0, "step", "attention", "span_keys"),
        0,
        "attention is cut by .0, 4, 16., not all",
    ),
    (("targets", 0, "step", "variants", 0, "arithmetic"), "bf16", "in the arithmetic of the first"),
    (("targets", 0, "step", "arguments", 0), "tokens", "argument 'tokens' is listed 2 times"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), FIELDS)
def test_a_manifest_that_makes_no_sense_is_refused_though_sealed(
    forge: Forge, path: tuple[str | int, ...], value: object, complaint: str
) -> None:
    with pytest.raises(ArtifactError, match=complaint):
        load(forge(assign(*path, value=value)))


@pytest.mark.parametrize("member", ["model", "parts", "targets", "tokenizer"])
def test_a_missing_member_is_named(forge: Forge, member: str) -> None:
    with pytest.raises(ArtifactError, match=f"lacks members .'{member}'."):
        load(forge(lambda document: document.pop(member) and None))


HOSTILE = [
    (b"", "not JSON"),
    (b"[" * 200_000, "not JSON"),
    (b'{"model":' * 100_000, "not JSON"),
    (b"9" * 100_000, "not JSON"),
    (b"1.5", "only integers are allowed, not 1.5"),
    (b"NaN", "only integers are allowed, not NaN"),
    (b'{"a":1,"a":1}', "names a member twice"),
    ('{"ä":1}'.encode(), "not JSON"),
    (b"[" + b"[]," * 300_000 + b"[]]", "manifest is list, not object"),
    (b"{}", "lacks members"),
]


@pytest.mark.parametrize(("manifest", "complaint"), HOSTILE)
def test_a_hostile_manifest_is_refused(forge: Forge, manifest: bytes, complaint: str) -> None:
    with pytest.raises(ArtifactError, match=complaint) as caught:
        load(forge(lambda _: manifest))
    assert len(str(caught.value)) < 1000


def test_a_manifest_spelled_otherwise_is_refused(forge: Forge) -> None:
    def with_spaces(document: dict[str, Any]) -> bytes:
        return json.dumps(document, sort_keys=True).encode()

    with pytest.raises(ArtifactError, match="not in canonical form"):
        load(forge(with_spaces))


def test_many_repeated_names_are_refused_at_once(forge: Forge) -> None:
    names = [f"a{i}" for i in range(200_000)] + ["a0"]
    with pytest.raises(ArtifactError, match="argument 'a0' is listed 2 times"):
        load(forge(assign("targets", 0, "step", "arguments", value=names)))


def test_one_part_read_many_times_is_refused(forge: Forge) -> None:
    pair = ["object/cpu:avx512/x86_64/0", "object/cpu:avx512/x86_64/1"]
    many = {f"machine{i}": pair for i in range(1000)}
    with pytest.raises(ArtifactError, match="part object/cpu:avx512/x86_64/0 is used 1000 times"):
        load(forge(assign("targets", 0, "objects", value=many | {"aarch64": AARCH64})))


def test_two_parts_cannot_become_one_segment(forge: Forge) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["parts"][-1]["name"] = document["targets"][1]["weights"] = "aa11"

    with pytest.raises(ArtifactError, match="part aa11 holds weights, but its name"):
        load(forge(rename))


PARTS = [
    ({"tokenizer": b"{}"}, "tokenizer lacks members"),
    ({"tokenizer": b"null"}, "tokenizer is NoneType, not object"),
    ({"tokenizer": b'{"pad_token_id":1.0}'}, "only integers are allowed, not 1.0"),
    ({"tokenizer": b'"' + b"x" * 999_999 + b'"'}, "tokenizer is str, not object"),
    ({"graph/cpu:avx512": b"\xff"}, "part graph/cpu:avx512 is not UTF-8"),
    ({"kernel/cpu:portable/step.py": b"\xc3"}, "part kernel/cpu:portable/step.py is not UTF-8"),
]


@pytest.mark.parametrize(("contents", "complaint"), PARTS)
def test_a_part_that_makes_no_sense_is_refused_though_sealed(
    forge: Forge, contents: dict[str, bytes], complaint: str
) -> None:
    with pytest.raises(ArtifactError, match=complaint):
        load(forge(**contents))


def test_no_edit_of_a_manifest_does_worse_than_a_refusal(forge: Forge, saved: Path) -> None:
    sound = saved.read_bytes()
    dice = random.Random(7)
    length = int.from_bytes(sound[16:24], "little")
    leaves = list(paths(json.loads(sound[HEADER_BYTES : HEADER_BYTES + length])))
    refused = 0
    for _ in range(400):
        saved.write_bytes(sound)
        path, value = dice.choice(leaves), dice.choice(VALUES)
        try:
            load(forge(assign(*path, value=value)))
        except ArtifactError:
            refused += 1
    assert refused > 300, "most leave no sense; some, like another name, do"


VALUES: list[object] = [None, True, -1, 0, 1, 2**62, 2**64, "", "x", "\x00", [], {}, [[]], {"": 0}]


def paths(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every member of a JSON value, but its root."""
    members: Any = []
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        yield (*at, name)
        yield from paths(member, (*at, name))
