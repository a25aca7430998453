"""What a person may name as a model; light to import, for the commands that must be up soon."""

from __future__ import annotations

from pathlib import Path

ARTIFACT_SUFFIX = ".ifx"


def is_artifact(model: str) -> bool:
    """Whether ``model`` is the path of a compiled artifact rather than a name or a model file."""
    return Path(model).suffix == ARTIFACT_SUFFIX


def model_path(path: Path) -> Path:
    """What is opened: a file, or for a file of a model in a directory that directory."""
    is_part = path.name == "config.json" or path.suffix == ".safetensors"
    return path.parent if is_part and path.is_file() else path


def served_name(model: str) -> str:
    """What clients call the model: its name in the store, its file's without the ending, or its
    directory's.
    """
    path = model_path(Path(model))
    if path.is_dir():
        return path.resolve().name
    return path.stem if path.suffix in (".gguf", ARTIFACT_SUFFIX) else path.name
