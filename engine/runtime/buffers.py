"""The arguments of a compiled CPU step: aligned memory, written before a step and read after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from inferflux.codegen.artifact.compiled import (
    PAGE_SIZE,
    AttentionCut,
    Bytes,
    CompiledTarget,
    ModelFacts,
)
from inferflux.codegen.artifact.spans import Spans, cut_attention, list_sizes
from inferflux.engine.messages import MAX_LOGPROBS
from inferflux.engine.runtime.memory import zeros
from inferflux.engine.step import Array, StepInputs, StepOutputs


@dataclass(frozen=True, slots=True)
class StepBuffers:
    """Every buffer argument by name, but for ``sync``.  Built once, used by every step."""

    arrays: Mapping[str, Array]
    vocab_size: int
    logits_stride: int
    num_groups: int
    attention: AttentionCut

    def write(self, inputs: StepInputs) -> Spans:
        """Put a step's inputs where the code looks for them; gives how its attention is cut."""
        arrays, num_tokens = self.arrays, len(inputs.tokens)
        arrays["tokens"][:num_tokens] = inputs.tokens
        arrays["positions"][:num_tokens] = inputs.positions
        lengths = np.diff(inputs.sequence_starts)
        arrays["sequences"][:num_tokens] = np.repeat(np.arange(len(lengths)), lengths)
        for group in range(self.num_groups):
            pages = inputs.page_tables[group]
            arrays[f"slots_{group}"][:num_tokens] = inputs.slot_mapping[group]
            arrays[f"pages_{group}"][: pages.size] = pages.reshape(-1)
        spans = cut_attention(inputs.sequence_starts, inputs.positions, self.attention)
        spans.write(arrays["spans"], arrays["merges"])
        if len(inputs.logit_rows):
            self._write_rows(inputs)
        return spans

    def read(self, num_rows: int, wants_logits: bool) -> StepOutputs:
        """What the step computed, as copies: the next one may overwrite it."""
        arrays, best = self.arrays, num_rows * MAX_LOGPROBS
        return StepOutputs(
            tokens=arrays["out_tokens"][:num_rows].copy(),
            logprobs=arrays["out_logprobs"][:num_rows].copy(),
            top_tokens=arrays["top_tokens"][:best].reshape(num_rows, MAX_LOGPROBS).copy(),
            top_logprobs=arrays["top_logprobs"][:best].reshape(num_rows, MAX_LOGPROBS).copy(),
            logits=self._logits(num_rows) if wants_logits else None,
        )

    def _write_rows(self, inputs: StepInputs) -> None:
        num_rows, sampling = len(inputs.logit_rows), inputs.sampling
        self.arrays["rows"][:num_rows] = inputs.logit_rows
        self.arrays["seeds"][: 2 * num_rows] = sampling.seed.view(np.int32)
        for name in ("temperature", "top_k", "top_p", "min_p", "forced", "num_logprobs"):
            self.arrays[name][:num_rows] = getattr(sampling, name)

    def _logits(self, num_rows: int) -> Array:
        shape = num_rows, self.logits_stride
        rows = self.arrays["logits"][: num_rows * self.logits_stride].reshape(shape)
        return rows[:, : self.vocab_size].copy()


def allocate(
    target: CompiledTarget,
    facts: ModelFacts,
    weights: Bytes,
    *,
    num_pages: tuple[int, ...],
    max_sequences: int,
    max_logit_rows: int,
) -> StepBuffers:
    """Memory for steps of one compiled target; pages of it are not touched before they are used."""
    step = target.step
    tokens = step.max_step_tokens + step.row_padding
    table = max_sequences * -(-facts.context_length // PAGE_SIZE)
    arrays: dict[str, Array] = {
        "weights": weights,
        "scratch_f32": zeros(step.scratch_f32, "float32"),
        "scratch_i8": zeros(step.scratch_i8, "int8"),
        "scratch_i32": zeros(step.scratch_i32, "int32"),
        **{name: zeros(tokens, "int32") for name in ("tokens", "positions", "sequences")},
        **{name: zeros(n, "int32") for name, n in list_sizes(step.attention, tokens).items()},
        **_rows(max_logit_rows),
        "logits": zeros((max_logit_rows + step.row_padding) * step.logits_stride, "float32"),
    }
    for group, (kept, pages) in enumerate(zip(target.kv_groups, num_pages, strict=True)):
        arrays[f"slots_{group}"] = zeros(tokens, "int32")
        arrays[f"pages_{group}"] = zeros(table, "int32")
        for stream in kept.streams:
            elements = pages * int(np.prod(stream.shape))
            arrays[f"{stream.name}_{group}"] = zeros(elements, stream.dtype)
    return StepBuffers(arrays, facts.vocab_size, step.logits_stride, len(num_pages), step.attention)


def _rows(rows: int) -> dict[str, Array]:
    """What there is one of for each row of logits."""
    floats = ("temperature", "top_p", "min_p", "out_logprobs")
    integers = ("rows", "top_k", "forced", "num_logprobs", "out_tokens")
    return {
        **{name: zeros(rows, "float32") for name in floats},
        **{name: zeros(rows, "int32") for name in integers},
        "seeds": zeros(2 * rows, "int32"),
        "top_tokens": zeros(rows * MAX_LOGPROBS, "int32"),
        "top_logprobs": zeros(rows * MAX_LOGPROBS, "float32"),
    }
