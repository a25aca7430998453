"""The roofline of a model's phases: what each reaches of what the machine could give."""

from __future__ import annotations

import msgspec


class RoofFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the machine gives to all workers together."""

    read: float  # bytes/s
    computing: dict[str, float]  # multiply-adds/s, by what products are computed in


class PhaseFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of a phase in a step of so many tokens."""

    name: str
    num_tokens: int
    uses: int  # in such a step
    seconds: float
    bytes_read: int
    multiply_adds: int  # 0 for attention
    arithmetic: str  # what its products are computed in: "i8x32", "bf16" or "f32"

    @property
    def read_speed(self) -> float:
        """Bytes per second."""
        return self.bytes_read / self.seconds

    @property
    def compute_speed(self) -> float:
        """Multiply-adds per second; each is two operations."""
        return self.multiply_adds / self.seconds

    def shares(self, roofs: RoofFigures) -> tuple[float, float]:
        """Of the roof of reading, and of that of computing."""
        computing = roofs.computing[self.arithmetic]
        return self.read_speed / roofs.read, self.compute_speed / computing

    def bound(self, roofs: RoofFigures) -> str:
        """Which roof is nearer: ``reading`` or ``computing``."""
        reading, computing = self.shares(roofs)
        return "reading" if reading >= computing else "computing"


class RooflineResults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The roofs and the phases below them."""

    read_bytes: int  # over which reading was measured: what a step reads
    roofs: RoofFigures
    phases: list[PhaseFigure]
