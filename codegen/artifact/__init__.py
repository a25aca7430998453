"""The artifact: a compiled model in one relocatable, reproducible, verified file."""

from inferflux.codegen.artifact.errors import ArtifactError, UnsupportedMachine
from inferflux.codegen.artifact.machine import machine_features, require_target
from inferflux.codegen.artifact.reader import Artifact, load, peek
from inferflux.codegen.artifact.writer import save

__all__ = [
    "Artifact",
    "ArtifactError",
    "UnsupportedMachine",
    "load",
    "machine_features",
    "peek",
    "require_target",
    "save",
]
