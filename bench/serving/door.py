"""A door as its client sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from inferflux.bench.errors import BenchFailed


class Refused(BenchFailed):
    """The server had no room for a request: it counts as asked and not as answered."""

    code = "refused"


@dataclass(frozen=True, slots=True)
class Message:
    """Output tokens as they reach the client."""

    num_tokens: int
    is_late: bool = False  # not a message, but tokens of the last one that are only counted now


class Door(Protocol):
    """A connection to one model behind one door."""

    @property
    def name(self) -> str: ...

    def generate(self, prompt: Sequence[int], max_tokens: int) -> AsyncGenerator[Message, None]:
        """Continue a prompt greedily.  Raises Refused."""

    async def close(self) -> None: ...
