"""The artifact: a compiled model in one relocatable, reproducible, verified file."""

from inferflux.codegen.artifact.errors import ArtifactError, UnsupportedMachine
from inferflux.codegen.artifact.machine import machine_features, require_target
from inferflux.codegen.artifact.reader import Artifact, load, peek
from inferflux.codegen.artifact.serving import ServedTarget, ServedText, load_target, load_text
from inferflux.codegen.artifact.writer import save

__all__ = [
    "Artifact",
    "ArtifactError",
    "ServedTarget",
    "ServedText",
    "UnsupportedMachine",
    "load",
    "load_target",
    "load_text",
    "machine_features",
    "peek",
    "require_target",
    "save",
]
