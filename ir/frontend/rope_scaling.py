"""Formulas of scaled rotations: what divides each pair's frequency, what cosine and sine are times.

``transformers.modeling_rope_utils`` has them all; YaRN is Peng et al. 2023 (arXiv 2309.00071).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# What files may state: wide of every model, and far from what a float cannot hold.
BASES = 2.0, 1e15
STRETCHES = 1.0, 1e4
NUMBERS = 1e-6, 1e6  # a pair's divisor, and every other number


@dataclass(frozen=True, slots=True)
class Llama3:
    """Long waves are stretched by the factor, short ones are left, those between are mixed."""

    factor: float
    low: float  # waves of an original length that are so few are stretched
    high: float  # so many: left
    original: float

    def factors(self, theta: float, size: int) -> tuple[float, ...]:
        def divisor(pair: int) -> float:
            turns = self.original * math.pow(theta, -2 * pair / size) / (2 * math.pi)
            smooth = min(max((turns - self.low) / (self.high - self.low), 0.0), 1.0)
            return 1 / ((1 - smooth) / self.factor + smooth)

        return tuple(divisor(pair) for pair in range(size // 2))


@dataclass(frozen=True, slots=True)
class Yarn:
    """The same by the number of the pair, from that of ``fast`` turns to that of ``slow``."""

    factor: float
    original: int
    fast: float = 32.0
    slow: float = 1.0
    truncates: bool = True  # the two pairs are whole numbers

    @property
    def reach(self) -> int:
        """The length that rotations are scaled to."""
        return int(self.factor * self.original)

    def factors(self, theta: float, size: int) -> tuple[float, ...]:
        first, last = self._ramp(theta, size)

        def divisor(pair: int) -> float:
            stretched = min(max((pair - first) / (last - first), 0.0), 1.0)
            return 1 / (stretched / self.factor + 1 - stretched)

        return tuple(divisor(pair) for pair in range(size // 2))

    def _ramp(self, theta: float, size: int) -> tuple[float, float]:
        def pair_of(turns: float) -> float:
            waves = self.original / (turns * 2 * math.pi)
            return size * math.log(waves) / (2 * math.log(theta))

        first, last = pair_of(self.fast), pair_of(self.slow)
        if self.truncates:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, size - 1)
        return first, last if last != first else first + 0.001


def yarn_magnitude(factor: float, multiplier: float = 1.0) -> float:
    """What a stretched context asks of attention's temperature."""
    return 0.1 * multiplier * math.log(factor) + 1.0 if factor > 1 else 1.0


def longrope_magnitude(stretch: float, original: int) -> float:
    """LongRoPE's own: Ding et al. 2024 (arXiv 2402.13753)."""
    return math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
