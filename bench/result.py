"""What a benchmark found, with all that is needed to judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inferflux.bench.machine import Machine
from inferflux.bench.protocol import Workload


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Speeds in tokens per second, and the circumstances."""

    speeds: dict[str, float]
    workload: Workload
    model: str
    target: str
    numerics: str
    threads: int
    machine: Machine

    def to_json(self) -> dict[str, Any]:
        """The speeds by key at the top level, as the yardsticks print them, then the rest."""
        return {
            **self.speeds,
            "unit": "tok/s",
            "model": self.model,
            "target": self.target,
            "numerics": self.numerics,
            "threads": self.threads,
            "depth": self.workload.depth,
            "steps": self.workload.steps,
            "machine": asdict(self.machine),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Measure, tokens per second, and for decoding the milliseconds of a step."""
        prefills = [(f"prefill {n}", self.speeds[f"prefill_{n}"]) for n in self.workload.prefill]
        decodes = [(b, self.speeds[f"decode_x{b}"]) for b in self.workload.streams]
        return [(name, f"{speed:,.1f}", "") for name, speed in prefills] + [
            (f"decode x{b}", f"{speed:,.1f}", f"{1000 * b / speed:.2f}") for b, speed in decodes
        ]

    def circumstances(self) -> str:
        machine = self.machine
        return (
            f"{self.model} on {machine.cpu}, {machine.cores} cores, {machine.system}; "
            f"{self.target}, numerics {self.numerics}, {self.threads} threads, "
            f"depth {self.workload.depth}, {self.workload.steps} steps"
        )
