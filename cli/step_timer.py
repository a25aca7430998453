"""Whole steps of a compiled model in any of its variants, run to be timed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from inferflux.codegen.artifact.compiled import (
    PAGE_SIZE,
    CompiledModel,
    CompiledTarget,
    StepVariant,
)
from inferflux.engine.runtime.cpu import CpuRunner
from inferflux.engine.step import SamplingRows, StepInputs

DECODE = 64  # tokens: up to so many are one each of as many sequences, more are of one prompt
DEPTH = 128  # tokens behind each one that is decoded
PAGES_EACH = DEPTH // PAGE_SIZE + 1


class StepTimer:
    """A model on this machine, one runner for each variant of a target's step."""

    def __init__(self, model: CompiledModel, target: str, num_workers: int) -> None:
        compiled = model.targets[target]
        self._runners = [
            CpuRunner(
                model.facts,
                _alone(compiled, index),
                model.weights[compiled.weights],
                num_workers=num_workers,
                num_pages=(DECODE * PAGES_EACH,) * len(compiled.kv_groups),
                max_sequences=DECODE,
                max_logit_rows=DECODE,
            )
            for index in range(len(compiled.step.variants))
        ]

    def __call__(self, variant: int, num_tokens: int) -> float:
        """Seconds of one step of so many tokens."""
        runner = self._runners[variant]
        inputs = _inputs(num_tokens, len(runner.kv_groups), runner.vocab_size)
        started = time.perf_counter()
        runner.forward(inputs)
        return time.perf_counter() - started


def _alone(target: CompiledTarget, index: int) -> CompiledTarget:
    """The target with one variant, which takes all steps."""
    variant = target.step.variants[index]
    takes_all = StepVariant(variant.symbol, variant.arithmetic, 1, target.step.max_step_tokens)
    return replace(target, step=replace(target.step, variants=(takes_all,)))


def _inputs(num_tokens: int, num_groups: int, vocab_size: int) -> StepInputs:
    """Tokens that are decoded side by side, or a prompt whose last token wants logits."""
    is_decode = num_tokens <= DECODE
    num_sequences = num_tokens if is_decode else 1
    each = num_tokens // num_sequences
    first = DEPTH if is_decode else 0
    positions = np.tile(np.arange(first, first + each, dtype=np.int32), num_sequences)
    pages = np.arange(num_sequences * max(PAGES_EACH, -(-each // PAGE_SIZE)), dtype=np.int32)
    table = pages.reshape(num_sequences, -1)
    owners = np.repeat(np.arange(num_sequences), each)
    slots = table[owners, positions // PAGE_SIZE] * PAGE_SIZE + positions % PAGE_SIZE
    starts = np.arange(0, num_tokens + 1, each, dtype=np.int32)
    rows = starts[1:] - 1
    return StepInputs(
        tokens=np.arange(num_tokens, dtype=np.int32) % vocab_size,
        positions=positions,
        sequence_starts=starts,
        slot_mapping=(slots.astype(np.int32),) * num_groups,
        page_tables=(table,) * num_groups,
        logit_rows=rows,
        sampling=SamplingRows.greedy(len(rows), vocab_size),
    )
