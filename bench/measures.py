"""What is measured offline: prompts of a length, and numbers of streams at a depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec


class Prefill(msgspec.Struct, frozen=True, tag="prefill", forbid_unknown_fields=True):
    """One prompt of ``num_tokens`` with one row of logits."""

    num_tokens: int

    @property
    def key(self) -> str:
        return f"prefill_{self.num_tokens}"

    def __str__(self) -> str:
        return f"prefill {self.num_tokens}"

    @property
    def streams(self) -> int:
        return 1

    def longest(self, chunk_tokens: int) -> int:
        """Tokens of KV a stream comes to hold."""
        return self.num_tokens + 1


class Decode(msgspec.Struct, frozen=True, tag="decode", forbid_unknown_fields=True):
    """``streams`` distinct streams, each ``depth`` tokens deep; ``steps`` steps are timed."""

    streams: int
    depth: int
    steps: int

    @property
    def key(self) -> str:
        return f"decode_x{self.streams}@{self.depth}"

    def __str__(self) -> str:
        return f"decode x{self.streams}, depth {self.depth}"

    def max_tokens(self, chunk_tokens: int) -> int:
        """Tokens a stream may make: in the timed steps, and while others still prefill."""
        prefill_share = max(1, chunk_tokens - self.streams)  # of a step in which the others decode
        prefill_steps = math.ceil(self.streams * self.depth / prefill_share)
        return self.steps + self.streams + prefill_steps + 2

    def longest(self, chunk_tokens: int) -> int:
        """Tokens of KV a stream comes to hold."""
        return self.depth + self.max_tokens(chunk_tokens)


Measure = Prefill | Decode


@dataclass(frozen=True, slots=True)
class Streams:
    """A number of streams, at every depth of the workload or at one of its own."""

    count: int
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What to measure, and how often."""

    prefill: tuple[int, ...] = (32, 128, 512)
    streams: tuple[Streams, ...] = tuple(map(Streams, (1, 4, 8, 16, 32)))
    depths: tuple[int, ...] = (128,)
    steps: int = 64
    rounds: int = 3

    def measures(self) -> Sequence[Measure]:
        """Prompts, then streams by depth; none twice."""
        return tuple(dict.fromkeys((*map(Prefill, self.prefill), *self._decodes())))

    def _decodes(self) -> Iterator[Decode]:
        for depth in self.depths:
            everywhere = (streams for streams in self.streams if streams.depth is None)
            yield from (Decode(streams.count, depth, self.steps) for streams in everywhere)
        for streams in self.streams:
            if streams.depth is not None:
                yield Decode(streams.count, streams.depth, self.steps)
