"""All that crosses between engine and device: a step's inputs and outputs, alike everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from inferflux.codegen.artifact.compiled import KVGroup
from inferflux.engine.determinism import Determinism

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class SamplingRows:
    """Sampling parameters, one entry per row of logits (R)."""

    temperature: Array  # (R,) f32; 0 is greedy
    top_k: Array  # (R,) i32; the vocabulary's size where off
    top_p: Array  # (R,) f32; 1 where off
    min_p: Array  # (R,) f32; 0 where off
    seed: Array  # (R,) u64
    forced: Array  # (R,) i32: the token that must stand there, or the vocabulary's size if free
    num_logprobs: Array  # (R,) i32: alternatives to report

    @classmethod
    def greedy(cls, num_rows: int, vocab_size: int) -> SamplingRows:
        """The best token of every row, nothing forced and nothing reported besides."""
        return cls(
            temperature=np.zeros(num_rows, np.float32),
            top_k=np.full(num_rows, vocab_size, np.int32),
            top_p=np.ones(num_rows, np.float32),
            min_p=np.zeros(num_rows, np.float32),
            seed=np.zeros(num_rows, np.uint64),
            forced=np.full(num_rows, vocab_size, np.int32),
            num_logprobs=np.zeros(num_rows, np.int32),
        )


@dataclass(frozen=True, slots=True)
class StepInputs:
    """One forward pass over T tokens of B sequences, flattened; R rows want logits.

    Random numbers are drawn from (seed, position), so a token does not depend on its batch.
    """

    tokens: Array  # (T,) i32
    positions: Array  # (T,) i32
    sequence_starts: Array  # (B + 1,) i32: sequence b owns tokens starts[b]..starts[b + 1]
    slot_mapping: tuple[Array, ...]  # per KV group (T,) i32: page * page_size + offset
    page_tables: tuple[Array, ...]  # per KV group (B, M) i32: logical page -> physical page
    logit_rows: Array  # (R,) i32: indices into tokens
    sampling: SamplingRows
    wants_logits: bool = False
    determinism: Determinism = Determinism.DEFAULT  # the strictest that a sequence asks for


@dataclass(frozen=True, slots=True)
class StepOutputs:
    """What the step settled.  Row r belongs to ``logit_rows[r]``."""

    tokens: Array  # (R,) i32: sampled, or as forced
    logprobs: Array  # (R,) f32: of ``tokens``, under the model (temperature 1)
    top_tokens: Array  # (R, MAX_LOGPROBS) i32, best first; only num_logprobs of a row are set
    top_logprobs: Array  # (R, MAX_LOGPROBS) f32
    logits: Array | None = None  # (R, V) f32, if wanted


class Runner(Protocol):
    """A compiled model on a device, with room for KV pages."""

    @property
    def kv_groups(self) -> tuple[KVGroup, ...]: ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def max_step_tokens(self) -> int: ...

    @property
    def max_logit_rows(self) -> int: ...

    def forward(self, inputs: StepInputs) -> StepOutputs: ...
