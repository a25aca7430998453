"""Which experts a token goes to, with what weights, and which tokens an expert therefore has."""

from __future__ import annotations

import numpy as np

from inferflux.ir.graph import Array, gives, require
from inferflux.ir.ops.checks import require_f32, require_rows, static
from inferflux.ir.types import F32, I32, TensorType

SCORINGS = ("softmax", "sigmoid")


@gives("chosen", "shares")
def route(
    logits: TensorType,
    bias: TensorType | None = None,
    *,
    num_used: int,
    scoring: str = "softmax",
    normalised: bool = True,
    scale: float = 1.0,
    num_groups: int = 1,
    num_used_groups: int = 1,
    group_best: int = 1,
) -> tuple[TensorType, TensorType]:
    """The U experts of the highest score + bias, best first, and scale * their scores.

    f32[T, E], f32[E] -> i32[T, U], f32[T, U].  ``normalised``: over the sum of the chosen scores;
    of a softmax that is the softmax of the chosen logits. With groups (DeepSeek-V2, -V3) experts
    come from the ``num_used_groups`` groups of neighbours whose ``group_best`` highest add up to
    most. Of equals the first is chosen.
    """
    require_f32(logits=logits)
    require_rows(logits=logits)
    experts = static(logits.shape[1])
    if bias is not None:
        require_f32(bias=bias)
        require(bias.shape == (experts,), f"bias {bias} is not one number for {experts} experts")
    require(scoring in SCORINGS, f"scoring {scoring!r} is not in {[*SCORINGS]}")
    require(num_groups > 0, f"num_groups {num_groups} is not positive")
    require(experts % num_groups == 0, f"{experts} experts are not {num_groups} equal groups")
    size = experts // num_groups
    require(0 < num_used_groups <= num_groups, f"{num_used_groups} groups of {num_groups} are used")
    require(group_best in (1, 2), f"group_best is {group_best}, must be 1 or 2")
    require(group_best <= size, f"group_best {group_best} of groups of {size}")
    most = num_used_groups * size
    require(0 < num_used <= most, f"num_used {num_used} experts of {most}")
    used = (logits.shape[0], num_used)
    return TensorType(I32, used), TensorType(F32, used)


@route.meaning
def _(
    logits: Array,
    bias: Array | None = None,
    *,
    num_used: int,
    scoring: str = "softmax",
    normalised: bool = True,
    scale: float = 1.0,
    num_groups: int = 1,
    num_used_groups: int = 1,
    group_best: int = 1,
) -> tuple[Array, Array]:
    scores = _softmax(logits) if scoring == "softmax" else logistic(logits)
    wanted = scores if bias is None else scores + bias
    if num_used_groups < num_groups:
        wanted = _of_best_groups(wanted, num_groups, num_used_groups, group_best)
    chosen = _first(wanted, num_used)
    shares = np.take_along_axis(scores, chosen, axis=1)
    if normalised:
        shares = shares / shares.sum(axis=1, keepdims=True)
    return chosen.astype(np.int32), (shares * np.float32(scale)).astype(np.float32)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x))"""
    decay = np.exp(-np.abs(x))  # of |x|, so that nothing overflows
    return np.asarray(np.where(x >= 0, 1, decay) / (1 + decay))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _of_best_groups(wanted: Array, num_groups: int, num_used: int, best: int) -> Array:
    """What experts of other groups are wanted for becomes -inf."""
    grouped = wanted.reshape(len(wanted), num_groups, -1)
    merits = np.sort(grouped, axis=2)[:, :, -best:].sum(axis=2)
    kept = np.zeros(merits.shape, bool)
    np.put_along_axis(kept, _first(merits, num_used), True, axis=1)
    return np.where(kept[:, :, None], grouped, -np.inf).reshape(wanted.shape)


def _first(scores: Array, count: int) -> Array:
    """Places of the highest of each row, highest first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


@gives("slots", "groups")
def group_by_expert(chosen: TensorType, *, num_experts: int) -> tuple[TensorType, TensorType]:
    """The slots t * U + u by the expert that is chosen there, and where each used expert's are.

    i32[T, U] -> i32[T, U], i32[E, 3].  Row n of ``groups`` is the n-th expert that is used at all:
    its number, its first place in ``slots`` and the place behind its last. Other rows are zeros.
    Slots of an expert are in the order of their tokens.
    """
    require(chosen.dtype == I32, f"chosen is {chosen}, must be i32")
    require_rows(chosen=chosen)
    require(num_experts > 0, f"num_experts {num_experts} is not positive")
    return chosen, TensorType(I32, (num_experts, 3))


@group_by_expert.meaning
def _(chosen: Array, *, num_experts: int) -> tuple[Array, Array]:
    slots = np.argsort(chosen.reshape(-1), kind="stable").astype(np.int32)
    counts = np.bincount(chosen.reshape(-1), minlength=num_experts)
    ends = np.cumsum(counts)
    (used,) = np.nonzero(counts)
    groups = np.zeros((num_experts, 3), np.int32)
    groups[: len(used)] = np.stack([used, ends[used] - counts[used], ends[used]], axis=1)
    return slots.reshape(chosen.shape), groups
