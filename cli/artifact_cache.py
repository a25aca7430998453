"""The cache of compiled artifacts: a slot per key, and beside each the factors of its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inferflux.cli.model_argument import ARTIFACT_SUFFIX
from inferflux.codegen.artifact.atomic import replacing
from inferflux.codegen.keys import CacheKey, explain_miss


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the artifact of one model under one key is, or will be.

    The models of a folder share a name, which is what makes a miss explicable.
    """

    folder: Path
    key: CacheKey

    @property
    def artifact(self) -> Path:
        return self.folder / f"{self.key.digest[:32]}{ARTIFACT_SUFFIX}"

    @property
    def lock(self) -> Path:
        return self.artifact.with_suffix(".lock")

    def explain_miss(self) -> str | None:
        """The first key factor that differs from the closest artifact kept; None if none is."""
        kept = self._kept().values()
        if not kept:
            return None
        own = self.key.factors
        closest = max(kept, key=lambda factors: len(factors.items() & own.items()))
        return explain_miss(closest, own)

    def record(self) -> None:
        """Keep the factors, and drop what another toolchain made of the same build.

        Nothing asks for such an artifact again; a process that has it mapped keeps its pages.
        """
        superseded = [path for path, factors in self._kept().items() if self._supersedes(factors)]
        with replacing(self.artifact.with_suffix(".json")) as file:
            file.write(json.dumps(self.key.factors, indent=1).encode())
        for path in superseded:
            path.with_suffix(ARTIFACT_SUFFIX).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _supersedes(self, factors: Mapping[str, str]) -> bool:
        own = self.key.factors
        return {name for name in own if factors.get(name) != own[name]} == {"toolchain"}

    def _kept(self) -> dict[Path, dict[str, str]]:
        """The factors of every artifact in the folder, by the file that holds them."""
        read = {path: _read(path) for path in sorted(self.folder.glob("*.json"))}
        return {path: factors for path, factors in read.items() if factors}


def _read(path: Path) -> dict[str, str]:
    """The factors in ``path``, or none: a damaged record only costs an explanation."""
    try:
        factors = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(factors, dict):
        return {}
    return {str(name): str(value) for name, value in factors.items()}
