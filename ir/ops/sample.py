"""From logits to tokens: the rule of sampling, in float32, and its random numbers."""

from __future__ import annotations

from inferflux.ir.graph import gives, require
from inferflux.ir.ops.checks import require_f32, require_i32, require_rows, require_same_length
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

    temperature 0: argmax.  Else probs = softmax(logits / temperature), cut by top_k, then top_p,
    then min_p; the first token, in index order, whose running sum of kept probs exceeds
    u * (their sum), u from (seed, position).  forced < V: that token, whatever its probability.
    Log-probabilities are those of the model: temperature 1, nothing cut.
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
