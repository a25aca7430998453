"""Open a model of one GGUF file or of several."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.gguf.part import Part, read_part
from inferflux.ir.frontend.gguf.split import join, model_metadata, read_parts
from inferflux.ir.frontend.source import ModelSource, SourceFile


def open_model(path: str | Path) -> ModelSource:
    """Read the header of a model file, and of the other parts if it is one of several.

    No byte of a tensor is read.  Raises GGUFError where a file cannot be trusted, UnsupportedModel
    where it holds tensors of a type that InferFlux does not know how to compute with.
    """
    parts = read_parts(read_part(Path(path)))
    first = parts[0]
    return ModelSource(
        path=first.path,
        architecture=_architecture(first),
        metadata=MappingProxyType(model_metadata(first)),
        tensors=MappingProxyType(join(parts)),
        files=tuple(SourceFile(part.path.name, part.mapped) for part in parts),
        offsets=MappingProxyType(first.metadata.offsets),
    )


def _architecture(part: Part) -> str:
    name = part.metadata.values.get("general.architecture")
    if not isinstance(name, str) or not name:
        problem = "is missing" if name is None else f"is {name!r}, not a name"
        offset = part.metadata.offsets.get("general.architecture", part.metadata_end)
        raise GGUFError(part.path, "metadata 'general.architecture'", offset, problem)
    return name
