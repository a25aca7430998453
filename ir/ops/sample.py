"""From logits to tokens: the rule of sampling, in float32, and its random numbers."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import require_f32, require_i32, require_rows, require_same_length
from inferflux.ir.ops.philox import uniform
from inferflux.ir.types import F32, I32, U64, TensorType

MAX_LOGPROBS = 20  # alternatives a row can report


@gives("token", "logprob", "top_tokens", "top_logprobs")
def sample(
    logits: TensorType,
    temperature: TensorType,
    top_k: TensorType,
    top_p: TensorType,
    min_p: TensorType,
    seeds: TensorType,
    forced: TensorType,
    num_logprobs: TensorType,
    rows: TensorType,
    positions: TensorType,
) -> tuple[TensorType, TensorType, TensorType, TensorType]:
    """One token a row, its log-probability, and the best alternatives with theirs, best first.

    temperature 0: argmax.  Else, with probs = softmax(logits / temperature):
      top_k keeps the k most probable; top_p of them the fewest, most probable first, that have
      top_p of their mass, and at least one; min_p of those all with prob >= min_p * max(probs);
      then the first token, in index order, whose running sum of kept probs exceeds u * their sum,
      u = uniform(seed, position).
    Equal ones go by index, the lowest first.  forced < V: that token, whatever its probability.
    Log-probabilities are the model's: temperature 1, nothing cut.  Alternatives beyond a row's
    num_logprobs are (0, 0).
    f32[R, V], f32[R], i32[R], f32[R], f32[R], u64[R], i32[R], i32[R], i32[R], i32[T]
    -> i32[R], f32[R], i32[R, 20], f32[R, 20]
    """
    require_f32(logits=logits, temperature=temperature, top_p=top_p, min_p=min_p)
    require_rows(logits=logits)
    require_i32(top_k=top_k, forced=forced, num_logprobs=num_logprobs, rows=rows)
    require_i32(positions=positions)
    require(seeds.dtype == U64, f"seeds is {seeds}, must be u64")
    require_same_length(
        logits=logits,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seeds=seeds,
        forced=forced,
        num_logprobs=num_logprobs,
        rows=rows,
    )
    num_rows = logits.shape[0]
    return (
        TensorType(I32, (num_rows,)),
        TensorType(F32, (num_rows,)),
        TensorType(I32, (num_rows, MAX_LOGPROBS)),
        TensorType(F32, (num_rows, MAX_LOGPROBS)),
    )


@sample.meaning
def _(
    logits: Array,
    temperature: Array,
    top_k: Array,
    top_p: Array,
    min_p: Array,
    seeds: Array,
    forced: Array,
    num_logprobs: Array,
    rows: Array,
    positions: Array,
) -> tuple[Array, Array, Array, Array]:
    drawn = uniform(seeds, positions[rows])
    tokens = np.array(
        [
            force if force < logits.shape[1] else choose(row, *parameters)
            for row, force, *parameters in zip(
                logits, forced, temperature, top_k, top_p, min_p, drawn, strict=True
            )
        ],
        np.int32,
    )
    logprobs = log_softmax(logits)
    top_tokens = np.zeros((len(logits), MAX_LOGPROBS), np.int32)
    top_logprobs = np.zeros((len(logits), MAX_LOGPROBS), np.float32)
    for row, count in enumerate(np.clip(num_logprobs, 0, min(MAX_LOGPROBS, logits.shape[1]))):
        best = _falling(logits[row])[:count]
        top_tokens[row, :count] = best
        top_logprobs[row, :count] = logprobs[row, best]
    return tokens, logprobs[np.arange(len(tokens)), tokens], top_tokens, top_logprobs


def log_softmax(logits: Array) -> Array:
    """Along the last dimension, in float32."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def choose(
    logits: Array, temperature: float, top_k: int, top_p: float, min_p: float, drawn: float
) -> int:
    """One row's token, unless it is forced.  (V,) -> index"""
    if temperature == 0:
        return int(logits.argmax())
    order = _falling(logits)
    probs = np.exp(log_softmax(logits / np.float32(temperature)))
    kept = order[: max(1, top_k)]
    mass = np.cumsum(probs[kept], dtype=np.float32)
    kept = kept[: int(np.argmax(mass >= np.float32(min(top_p, 1)) * mass[-1])) + 1]
    kept = np.sort(kept[probs[kept] >= min(min_p, 1) * probs[order[0]]])
    running = np.cumsum(probs[kept], dtype=np.float32)
    chosen = np.searchsorted(running, np.float32(drawn) * running[-1], side="right")
    return int(kept[min(int(chosen), len(kept) - 1)])


def _falling(logits: Array) -> Array:
    """Indices from the largest logit to the smallest; equal ones by index."""
    return np.argsort(-logits, kind="stable")
