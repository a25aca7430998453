"""From what a person calls a model to its file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from inferflux.cli.model_argument import model_path
from inferflux.cli.store import records
from inferflux.cli.store.catalogue import CATALOGUE, UnknownModel, known
from inferflux.cli.store.names import is_name
from inferflux.cli.store.pulling import pull


class Listener(Protocol):
    """Whoever wants to hear how a pull goes."""

    def stage(self, name: str, fraction: float) -> None: ...


def resolve(model: str, listener: Listener) -> Path:
    """The file or folder of a model name or path; a known model not here yet is pulled."""
    stored = records.find(model) if is_name(model) else None
    if stored is not None and stored.is_whole:
        return stored.path
    if model in CATALOGUE:
        return pull(model, listener.stage).path
    if stored is not None:
        raise UnknownModel(f"{model} is damaged in the store: `inferctl pull {stored.source}`")
    if Path(model).exists():
        return model_path(Path(model))
    raise UnknownModel(f"no model {model!r}: it is no file, and the known names are {known()}")
