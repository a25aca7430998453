"""Open a model's directory: read what it says of itself, and map the tensors of all its shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from inferflux.ir.frontend.huggingface.directory import (
    CHAT_TEMPLATE,
    CONFIG,
    INDEX,
    NAMED_TEMPLATES,
    Directory,
    read_directory,
)
from inferflux.ir.frontend.huggingface.published import Published
from inferflux.ir.frontend.huggingface.quantisation import read_scheme
from inferflux.ir.frontend.huggingface.tensors import source_tensors
from inferflux.ir.frontend.json_text import JsonObject
from inferflux.ir.frontend.safetensors import SafetensorsFile, StoredTensor, open_file
from inferflux.ir.frontend.source import (
    ModelFileError,
    ModelSource,
    SourceFile,
    SourceTensor,
    UnsupportedArchitecture,
    UnsupportedModel,
)
from inferflux.ir.frontend.typed import Fields

_DEPTH = 5  # that of quantization_config.config_groups.group_0.weights.num_bits


@dataclass(frozen=True, slots=True, eq=False)
class HuggingFaceModel(ModelSource):
    """A directory.  ``metadata`` is that of config.json, members of members by dotted paths.

    Where a decoder is part of a model, its group of config.json stands among the others.
    """

    published: Published = field(repr=False)
    directory: Directory = field(repr=False)

    def name_in_file(self, name: str) -> str:
        return self.published.file_name(name)

    @property
    def config(self) -> Fields:
        return Fields(self.path / CONFIG, self.metadata, self.offsets, "key")

    def fields(self, name: str) -> Fields:
        """Those of another of the small JSON files; none if it is not there."""
        if name not in self.directory.texts:
            return Fields(self.path / name, {}, {}, "key")
        return _fields(self.path / name, self.directory.json(name, _DEPTH))

    def chat_template_file(self) -> str | None:
        return self._text(CHAT_TEMPLATE) if CHAT_TEMPLATE in self.directory.texts else None

    def named_template_files(self) -> dict[str, str]:
        """The templates beside the default one, by name."""
        files = [Path(name) for name in self.directory.texts if name.startswith(NAMED_TEMPLATES)]
        return {file.stem: self._text(file.as_posix()) for file in files}

    def _text(self, name: str) -> str:
        try:
            return self.directory.texts[name].decode()
        except UnicodeDecodeError as error:
            problem = f"is not UTF-8: {error.reason}"
            raise ModelFileError(self.path / name, "file", error.start, problem) from None


def open_model(path: Path, known: Mapping[str, tuple[str, Published]]) -> HuggingFaceModel:
    """Open a directory.  No tensor is read.

    ``known`` are the model types that can be built, with the architecture that each is.

    Raises ModelFileError where files contradict their formats or each other, UnsupportedModel where
    they hold what InferFlux does not know how to compute with.
    """
    directory = read_directory(path)
    config = _fields(path / CONFIG, directory.json(CONFIG, _DEPTH))
    architecture, published = _published(config, known)
    if published.group:
        config = _lifted(config, f"{published.group}.")
    shards = [open_file(path / name) for name in directory.shards]
    stored = _gather(directory, shards)
    kept = {name: each for name, each in stored.items() if _is_weight(name, published)}
    tensors = source_tensors(kept, read_scheme(config), published.graph_name)
    texts = (_text_file(name, text) for name, text in directory.texts.items())
    return HuggingFaceModel(
        path=path,
        architecture=architecture,
        metadata=MappingProxyType(dict(config.values)),
        tensors=MappingProxyType(_without_tied_head(config, published, tensors)),
        files=(*texts, *(SourceFile(shard.path.name, shard.mapped) for shard in shards)),
        offsets=MappingProxyType(dict(config.offsets)),
        published=published,
        directory=directory,
    )


def _fields(path: Path, document: JsonObject) -> Fields:
    return Fields(path, _flatten(document.values), document.places, "key")


def _lifted(config: Fields, prefix: str) -> Fields:
    """The members of a group in the place of the whole's, but for the type of the whole."""
    values, places = (_lift(each, prefix) for each in (config.values, config.offsets))
    return Fields(config.path, values, places, "key")


def _lift(by_key: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    own = {key.removeprefix(prefix): each for key, each in by_key.items() if key.startswith(prefix)}
    whole = {key: each for key, each in by_key.items() if not key.startswith(prefix)}
    return {**whole, **own, "model_type": by_key["model_type"]}


def _is_weight(name: str, published: Published) -> bool:
    """Of the decoder, and no table that follows from config.json."""
    return not name.endswith(published.derived) and not name.startswith(published.others)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Members of members by dotted paths; null, which asks for nothing, is left out."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = _array(value) if isinstance(value, list) else value
    return flat


def _array(values: list[Any]) -> object:
    """An array as metadata has it: of whole numbers or bools NumPy's, else a tuple."""
    kinds = {type(value) for value in values}
    if kinds == {bool} or (kinds == {int} and all(abs(value) < 1 << 63 for value in values)):
        return np.array(values)
    return tuple(values)


def _published(config: Fields, known: Mapping[str, tuple[str, Published]]) -> tuple[str, Published]:
    model_type = config.text("model_type")
    if model_type not in known:
        problem = f"is {model_type!r}, which is not supported; take one of {', '.join(known)}"
        at = config.offsets.get("model_type")
        raise UnsupportedArchitecture(config.path, "key 'model_type'", at, problem)
    return known[model_type]


def _gather(directory: Directory, shards: list[SafetensorsFile]) -> dict[str, StoredTensor]:
    """The tensors of all shards; index and shards agree on which tensor is where."""
    stored: dict[str, StoredTensor] = {}
    for shard in shards:
        for tensor in shard.tensors.values():
            _check_listed(directory, tensor)
            stored[tensor.name] = tensor
    for name, shard_name in (directory.placement or {}).items():
        if name not in stored:
            problem = f"is {shard_name!r}, which has no such tensor; get both files again"
            raise ModelFileError(directory.path / INDEX, f"weight_map {name!r}", None, problem)
    return stored


def _check_listed(directory: Directory, tensor: StoredTensor) -> None:
    if directory.placement is None:
        return
    shard = directory.placement.get(tensor.name)
    if shard != tensor.path.name:
        place = "nowhere" if shard is None else f"in {shard}"
        problem = f"is {place} according to {INDEX}; get both files again"
        name = f"tensor {tensor.name!r}"
        raise ModelFileError(tensor.path, name, tensor.entry_offset, problem)


def _without_tied_head(
    config: Fields, published: Published, tensors: dict[str, SourceTensor]
) -> dict[str, SourceTensor]:
    """A head that is said to be the embedding may be stored too, if it really is."""
    head, embedding = tensors.get("output.weight"), tensors.get("token_embd.weight")
    is_tied = config.flag("tie_word_embeddings", bool(published.defaults.get("is_tied", False)))
    if not is_tied or head is None or embedding is None:
        return tensors
    if head.type != embedding.type or not np.array_equal(head.raw, embedding.raw):
        problem = f"is tied to {embedding.origin.name!r} by tie_word_embeddings, and is another"
        name = f"tensor {head.origin.name!r}"
        raise UnsupportedModel(head.origin.path, name, head.origin.offset, problem)
    return {name: tensor for name, tensor in tensors.items() if tensor is not head}


def _text_file(name: str, text: bytes) -> SourceFile:
    return SourceFile(name, np.frombuffer(text, np.uint8))
