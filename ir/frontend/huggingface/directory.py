"""Which files a model's directory is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inferflux.ir.frontend.json_text import JsonObject, read_object
from inferflux.ir.frontend.limits import MAX_SHARDS, MAX_TEXT_BYTES
from inferflux.ir.frontend.mapping import map_file
from inferflux.ir.frontend.source import ModelFileError

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
PIECES = "tokenizer.model"  # of SentencePiece
VOCABULARY, MERGES = "vocab.json", "merges.txt"
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
CHAT_TEMPLATE = "chat_template.jinja"
NAMED_TEMPLATES = "additional_chat_templates"  # a folder of NAME.jinja
INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
SUFFIX = ".safetensors"

TOKENIZER_FORMS = ((TOKENIZER,), (PIECES,), (VOCABULARY, MERGES))  # the first that is there
_OPTIONAL = (GENERATION, TOKENIZER_CONFIG, CHAT_TEMPLATE)
_BESIDE_OLDER_FORMS = (ADDED_TOKENS, SPECIAL_TOKENS)
_MAX_TEMPLATES = 32
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.safetensors")


@dataclass(frozen=True, slots=True)
class Directory:
    """The files of one model, by name; those that are texts are read."""

    path: Path
    texts: Mapping[str, bytes] = field(repr=False)
    shards: tuple[str, ...]
    placement: Mapping[str, str] | None = field(repr=False)  # tensor -> shard; None: no index

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the model is read from."""
        return tuple(self.path / name for name in (*self.texts, *self.shards))

    def json(self, name: str, depth: int) -> JsonObject:
        """A text as JSON, with the places of its members down to ``depth``."""
        return read_object(self.path / name, self.texts[name], "JSON", depth=depth)


def read_directory(path: Path) -> Directory:
    """Find the files and read those that are texts.

    Raises ModelFileError where one is missing, or the index names what is no file of this place.
    """
    if not (path / CONFIG).is_file():
        problem = f"does not exist; a model's directory has {CONFIG}, a tokenizer and {SUFFIX}"
        raise ModelFileError(path / CONFIG, "file", None, problem)
    tokenizer = _tokenizer_files(path)
    beside = () if TOKENIZER in tokenizer else _BESIDE_OLDER_FORMS
    optional = (name for name in (*_OPTIONAL, *beside) if (path / name).is_file())
    named = sorted((path / NAMED_TEMPLATES).glob("*.jinja"))[:_MAX_TEMPLATES]
    templates = (f"{NAMED_TEMPLATES}/{each.name}" for each in named)
    texts = {name: _read_text(path / name) for name in (CONFIG, *tokenizer, *optional, *templates)}
    if (path / WHOLE).is_file():
        return Directory(path, texts, (WHOLE,), None)
    if not (path / INDEX).is_file():
        problem = f"does not exist, and neither does {INDEX}; only safetensors are read"
        raise ModelFileError(path / WHOLE, "file", None, problem)
    texts[INDEX] = _read_text(path / INDEX)
    placement = _placement(path / INDEX, texts[INDEX])
    return Directory(path, texts, tuple(sorted(set(placement.values()))), placement)


def _tokenizer_files(path: Path) -> tuple[str, ...]:
    for form in TOKENIZER_FORMS:
        if all((path / name).is_file() for name in form):
            return form
    forms = ", or ".join(" + ".join(form) for form in TOKENIZER_FORMS)
    problem = f"does not exist; a model's directory has its tokenizer as {forms}"
    raise ModelFileError(path / TOKENIZER, "file", None, problem)


def _read_text(path: Path) -> bytes:
    mapped = map_file(path)
    if len(mapped) > MAX_TEXT_BYTES:
        problem = f"has {len(mapped)} bytes, at most {MAX_TEXT_BYTES} allowed"
        raise ModelFileError(path, "file", None, problem)
    return mapped[:]


def _placement(path: Path, text: bytes) -> dict[str, str]:
    index = read_object(path, text, "JSON", depth=2)
    placement = index.values.get("weight_map")
    if not isinstance(placement, dict) or not placement:
        at = index.places.get("weight_map")
        problem = "is missing" if at is None else "is not an object of tensors and their files"
        raise ModelFileError(path, "weight_map", at, problem)
    for tensor, shard in placement.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            name, at = f"weight_map {tensor!r}", index.places[f"weight_map.{tensor}"]
            problem = f"is {shard!r}, not the name of a {SUFFIX} file of this directory"
            raise ModelFileError(path, name, at, problem)
    if (count := len(set(placement.values()))) > MAX_SHARDS:
        problem = f"names {count} files, at most {MAX_SHARDS} allowed"
        raise ModelFileError(path, "weight_map", index.places["weight_map"], problem)
    return placement
