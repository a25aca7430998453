"""What a person may name as a model; light to import, for the commands that must be up soon."""

from __future__ import annotations

from pathlib import Path

ARTIFACT_SUFFIX = ".ifx"


def is_artifact(model: str) -> bool:
    """Whether ``model`` is the path of a compiled artifact rather than a name or a model file."""
    return Path(model).suffix == ARTIFACT_SUFFIX


def served_name(model: str) -> str:
    """What clients call the model: its name in the store, or its file's without the ending."""
    path = Path(model)
    return path.stem if path.suffix in (".gguf", ARTIFACT_SUFFIX) else path.name
