"""Scoring: log-probabilities of the whole vocabulary at every position of a token list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.determinism import Determinism
from inferflux.engine.errors import RequestRejected
from inferflux.engine.inputs import slots_of
from inferflux.engine.pages import Holdings, PagedKVCache
from inferflux.engine.retention import pages_for
from inferflux.engine.step import Array, Runner, SamplingRows, StepInputs


def score(
    runner: Runner, kv: PagedKVCache, ids: Sequence[int], chunk: int, determinism: Determinism
) -> Array:
    """Row i is the distribution of the token after ``ids[: i + 1]``.  (n,) -> (n, V) f32

    Teacher-forced, ``chunk`` tokens a step (1: token by token) and at most what a step can hold.
    """
    chunk = min(chunk, runner.max_step_tokens)
    most = kv.most_pages(len(ids), chunk)
    if any(pages > free for pages, free in zip(most, kv.num_free_by_group, strict=True)):
        raise RequestRejected(
            f"{len(ids)} tokens do not fit the {kv.num_free} KV pages that are free:"
            " score fewer tokens or give the engine more kv_bytes"
        )
    held = kv.nothing()
    try:
        return _score(runner, kv, held, np.asarray(ids, np.int32), chunk, determinism)
    finally:
        kv.release(held)


def _score(
    runner: Runner,
    kv: PagedKVCache,
    held: Holdings,
    ids: Array,
    chunk: int,
    determinism: Determinism,
) -> Array:
    logprobs = np.empty((len(ids), runner.vocab_size), np.float32)
    tables = tuple(np.zeros(pages_for(len(ids)), np.int32) for _ in held)
    for start in range(0, len(ids), chunk):
        stop = min(start + chunk, len(ids))
        _extend(kv, held, tables, start, stop)
        # A chunk with more rows than the runner gives is computed again for the rest of its rows:
        # it writes the same K and V, and every row is computed in a step of the size asked for.
        for row in range(start, stop, runner.max_logit_rows):
            rows = np.arange(row, min(row + runner.max_logit_rows, stop), dtype=np.int32)
            inputs = _inputs(tables, ids, start, stop, rows - start, runner.vocab_size)
            inputs = replace(inputs, determinism=determinism)
            logprobs[rows] = log_softmax(_logits(runner, inputs))
    return logprobs


def _extend(
    kv: PagedKVCache, held: Holdings, tables: tuple[Array, ...], start: int, stop: int
) -> None:
    """Give back what tokens from ``start`` do not see, and take pages for those to ``stop``."""
    kv.forget(held, start)
    pages = kv.reserve(pages_for(stop) - held[0].end)
    assert pages is not None, "the pages of every chunk were free when scoring began"
    for table, holding, taken in zip(tables, held, pages, strict=True):
        table[holding.end : holding.end + len(taken)] = taken
        holding.pages += taken


def log_softmax(logits: Array) -> Array:
    """Over the last axis, in float64.  (R, V) -> (R, V) f32"""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted.astype(np.float32)


def _logits(runner: Runner, inputs: StepInputs) -> Array:
    logits = runner.forward(inputs).logits
    assert logits is not None, "the runner was asked for logits"
    return logits


def _inputs(
    tables: tuple[Array, ...], ids: Array, start: int, stop: int, rows: Array, vocab_size: int
) -> StepInputs:
    """Tokens ``start..stop`` of one sequence, with logits for ``rows`` of them."""
    positions = np.arange(start, stop, dtype=np.int32)
    return StepInputs(
        tokens=ids[start:stop],
        positions=positions,
        sequence_starts=np.array([0, stop - start], np.int32),
        slot_mapping=tuple(slots_of(table[positions // PAGE_SIZE], positions) for table in tables),
        page_tables=tuple(table[np.newaxis] for table in tables),
        logit_rows=rows,
        sampling=SamplingRows.greedy(len(rows), vocab_size),
        wants_logits=True,
    )
