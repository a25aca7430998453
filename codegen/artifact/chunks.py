"""Contents are digested in chunks, so that damage has an address and two cores can look for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

CHUNK_BYTES = 4 << 20
NUM_THREADS = 2  # hashlib lets go of the interpreter's lock; more would take cores from others

A = TypeVar("A")
B = TypeVar("B")


def num_chunks(length: int) -> int:
    return -(-length // CHUNK_BYTES)


def chunk_span(length: int, index: int) -> tuple[int, int]:
    """Where chunk ``index`` of ``length`` bytes begins and ends."""
    return index * CHUNK_BYTES, min((index + 1) * CHUNK_BYTES, length)


def chunk_digests(content: memoryview) -> tuple[str, ...]:
    """sha256 of every chunk, in order.  ``content`` is a view of bytes."""
    spans = (chunk_span(len(content), index) for index in range(num_chunks(len(content))))
    return tuple(in_threads(lambda span: sha256(content[span[0] : span[1]]), spans))


def in_threads(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Results in the order of ``items``; the first failure, in that order, is raised."""
    from concurrent.futures import ThreadPoolExecutor  # not where all was verified before

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return list(pool.map(function, items))


def sha256(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()
