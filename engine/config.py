"""EngineConfig: what the user chose for one engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferflux.engine.determinism import Determinism
from inferflux.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """One artifact, one target, and how much of the machine they may use."""

    artifact: Path
    target: str | None = None  # None: the best of the artifact's that this machine can run
    num_workers: int | None = None  # None: every core this process may use
    kv_bytes: int = 256 << 20
    max_sequences: int = 32  # that run at once
    max_waiting: int = 128  # requests that may be open beyond those
    chunk_tokens: int = 256  # of one step: decodes first, the rest is for prompts
    determinism: Determinism = Determinism.DEFAULT  # of every request, which may ask for more
    record_dir: Path | None = None  # where it is kept which artifacts were verified whole

    def __post_init__(self) -> None:
        for name in ("kv_bytes", "max_sequences", "chunk_tokens"):
            _require_at_least(1, name, getattr(self, name))
        _require_at_least(0, "max_waiting", self.max_waiting)
        if self.num_workers is not None:
            _require_at_least(1, "num_workers", self.num_workers)
        if self.chunk_tokens <= self.max_sequences:
            raise InvalidArgument(
                f"chunk_tokens is {self.chunk_tokens}, max_sequences {self.max_sequences}: a step"
                " decodes every sequence before it prefills, so chunk_tokens must be the larger"
            )

    @property
    def max_open(self) -> int:
        """Requests the engine holds at once, running and waiting; one more is refused."""
        return self.max_sequences + self.max_waiting


def _require_at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise InvalidArgument(f"{name} is {value}: it must be at least {least}")
