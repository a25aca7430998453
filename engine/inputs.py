"""From a plan to the device's inputs: gathers from the lane table, no loop over tokens."""

from __future__ import annotations

import numpy as np

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.determinism import Determinism, in_force
from inferflux.engine.lanes import LaneTable, rows_of
from inferflux.engine.plan import Drafts, Plan
from inferflux.engine.retention import pages_for
from inferflux.engine.step import Array, SamplingRows, StepInputs


def step_inputs(
    plan: Plan, drafts: Drafts, table: LaneTable, determinism: Determinism
) -> StepInputs:
    """Gather a plan's tokens, slots, page tables and sampling rows from the lane table.

    A dozen NumPy calls on arrays of T, R or B, whatever the mix of prefill and decode: this runs
    between two steps, while the device idles.  ``determinism`` is what every step has at least.
    """
    assert not any(drafts), "no runner verifies drafts: StepInputs has no place for them"
    lanes = np.array([sequence.lane for sequence in plan.sequences], np.int32)
    computed = np.array([sequence.num_computed_tokens for sequence in plan.sequences], np.int32)
    counts = np.array(plan.num_tokens, np.int32)
    starts = np.zeros(len(lanes) + 1, np.int32)
    np.cumsum(counts, out=starts[1:])

    lane_of_token = np.repeat(lanes, counts)  # (T,)
    positions = np.arange(starts[-1], dtype=np.int32)
    positions += np.repeat(computed - starts[:-1], counts)
    logit_rows = _logit_rows(np.array(plan.num_rows, np.int32), starts[1:])
    max_pages = pages_for(int((computed + counts).max()))
    return StepInputs(
        tokens=table.tokens[lane_of_token, positions],
        positions=positions,
        sequence_starts=starts,
        slot_mapping=tuple(
            slots_of(pages[lane_of_token, positions // PAGE_SIZE], positions)
            for pages in table.page_tables
        ),
        page_tables=tuple(rows_of(pages, lanes, max_pages) for pages in table.page_tables),
        logit_rows=logit_rows,
        sampling=_sampling_rows(table, lane_of_token[logit_rows], positions[logit_rows]),
        determinism=in_force(determinism, plan.determinism),
    )


def slots_of(pages: Array, positions: Array) -> Array:
    """Where each token's K and V go.  (T,) physical pages, (T,) -> (T,)"""
    slots: Array = pages * PAGE_SIZE + positions % PAGE_SIZE
    return slots


def _logit_rows(num_rows: Array, ends: Array) -> Array:
    """The last ``num_rows[b]`` tokens before ``ends[b]``, for every b.  (B,), (B,) -> (R,)"""
    row_ends = np.cumsum(num_rows, dtype=np.int32)
    rows: Array = np.arange(row_ends[-1], dtype=np.int32)
    rows += np.repeat(ends - row_ends, num_rows)
    return rows


def _sampling_rows(table: LaneTable, lanes: Array, positions: Array) -> SamplingRows:
    """A row whose successor is in the prompt is forced to it; the others sample.  (R,), (R,)"""
    successors = positions + 1
    in_prompt = successors < table.num_prompt_tokens[lanes]
    prompt_tokens = table.tokens[lanes, successors]
    alternatives = (table.num_prompt_logprobs[lanes], table.num_logprobs[lanes])
    return SamplingRows(
        temperature=table.temperature[lanes],
        top_k=table.top_k[lanes],
        top_p=table.top_p[lanes],
        min_p=table.min_p[lanes],
        seed=table.seed[lanes],
        forced=np.where(in_prompt, prompt_tokens, np.int32(table.vocab_size)),
        num_logprobs=np.where(in_prompt, *alternatives),
    )
