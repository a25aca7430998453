"""What can be wrong with an artifact, or with the machine that should run it."""

from __future__ import annotations

from inferflux.errors import InferFluxError


class ArtifactError(InferFluxError):
    """The file is not an artifact that this version may trust: damaged, foreign or inconsistent."""

    code = "invalid_artifact"


class UnsupportedMachine(InferFluxError):
    """The artifact is sound, but holds no target, or not the wanted one, that this machine runs."""

    code = "unsupported_machine"
