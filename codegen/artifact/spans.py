"""Which tokens attend to which spans of keys: a step's attention as a list of items, longest first.

An item is a block of consecutive tokens of one sequence and a run of the spans before them.  Where
one block is much of a step's work, its spans become several items, whose results are merged.
Neither changes a bit of what comes out (kernels/attention), so the list may follow speed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.codegen.artifact.compiled import AttentionCut

Array = np.ndarray[Any, np.dtype[Any]]

ITEM, MERGE = 8, 4  # i32 of an entry
SHARES = 32  # no item is to be more of a step's work than one of so many, if spans allow


@dataclass(frozen=True, slots=True)
class Spans:
    """What the compiled step reads: ``items`` in order, and ``merges`` behind them.

    items: (I, 8) i32: first token, tokens, first span, end of spans, whether its results are to be
    merged, where they begin, and the spans of one token of the block.
    merges: (G, 4) i32: token, where its results begin.
    """

    items: Array
    merges: Array

    def write(self, spans: Array, merges: Array) -> None:
        """Put both where the step looks for them; it is told their numbers as scalars."""
        spans[: self.items.size] = self.items.reshape(-1)
        merges[: self.merges.size] = self.merges.reshape(-1)


def list_sizes(cut: AttentionCut, max_tokens: int) -> dict[str, int]:
    """Elements of the two lists at their longest: an item a token, and one for each partial."""
    return {
        "spans": ITEM * (max_tokens + cut.max_partials),
        "merges": MERGE * max_tokens,
    }


def cut_attention(starts: Array, positions: Array, cut: AttentionCut) -> Spans:
    """Cut a step's attention.  (B + 1,) first tokens of sequences, (T,) positions"""
    tokens, counts = _blocks(starts, cut.block_tokens)
    contexts = positions[tokens + counts - 1] + 1
    if contexts.max() <= cut.span_keys:
        return _single_spans(tokens, counts, contexts)
    num_spans = -(-contexts // cut.span_keys)
    work, unseen = _within(cut, counts, contexts)
    seen = num_spans - unseen
    num_items = _num_items(work, seen)
    partials = np.where(num_items > 1, counts * num_spans, 0)
    ends = np.cumsum(partials)
    if ends[-1]:
        num_items[ends > cut.max_partials] = 1  # no room for its results: they stay with one worker
    items = np.zeros((num_items.sum(), ITEM), np.int32)
    block = np.repeat(np.arange(len(tokens)), num_items)
    part = np.arange(len(items)) - np.repeat(np.cumsum(num_items) - num_items, num_items)
    items[:, 0], items[:, 1] = tokens[block], counts[block]
    items[:, 2] = unseen[block] + part * seen[block] // num_items[block]
    items[:, 3] = unseen[block] + (part + 1) * seen[block] // num_items[block]
    items[part == 0, 2] = 0  # what no layer sees costs nothing: the first takes it along
    items[:, 4] = num_items[block] > 1
    items[:, 5], items[:, 6] = (ends - partials)[block], num_spans[block]
    order = np.argsort(-(work // num_items)[block], kind="stable")
    return Spans(items[order], _merges(tokens, counts, num_items, num_spans, ends - partials))


def _within(cut: AttentionCut, counts: Array, contexts: Array) -> tuple[Array, Array]:
    """Of each block the keys that its tokens meet, and how many spans are before all of them."""
    if cut.window is None:
        return counts * contexts, np.zeros_like(contexts)
    before = np.maximum(contexts - counts + 1 - cut.window, 0)  # its first token sees none of these
    return counts * (contexts - before), before // cut.span_keys


def _single_spans(tokens: Array, counts: Array, contexts: Array) -> Spans:
    """Short contexts, most steps of most servers: nothing to share out, so few calls."""
    items = np.zeros((len(tokens), ITEM), np.int32)
    items[:, 0], items[:, 1] = tokens, counts
    items[:, 3] = items[:, 6] = 1
    order = np.argsort(-(counts * contexts), kind="stable")
    return Spans(items[order], np.zeros((0, MERGE), np.int32))


def _blocks(starts: Array, most: int) -> tuple[Array, Array]:
    """Blocks of at most so many tokens, none of two sequences: first tokens and lengths."""
    lengths = np.diff(starts)
    if lengths.max() == 1:  # every sequence decodes
        return starts[:-1], lengths
    num_blocks = -(-lengths // most)
    ends = np.cumsum(num_blocks)
    place = np.arange(ends[-1]) - np.repeat(ends - num_blocks, num_blocks)
    tokens = np.repeat(starts[:-1], num_blocks) + place * most
    return tokens, np.minimum(most, np.repeat(starts[1:], num_blocks) - tokens)


def _num_items(work: Array, num_spans: Array) -> Array:
    shares: Array = (work * SHARES + work.sum() // 2) // work.sum()
    return np.clip(shares, 1, num_spans)


def _merges(
    tokens: Array, counts: Array, num_items: Array, num_spans: Array, first: Array
) -> Array:
    shared = np.flatnonzero(num_items > 1)
    block = np.repeat(shared, counts[shared])
    place = np.arange(len(block)) - np.repeat(
        np.cumsum(counts[shared]) - counts[shared], counts[shared]
    )
    merges = np.zeros((len(block), MERGE), np.int32)
    merges[:, 0] = tokens[block] + place
    merges[:, 1] = first[block] + place * num_spans[block]
    return merges
