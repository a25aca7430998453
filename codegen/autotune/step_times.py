"""Timing whole steps in every variant, and what follows for which of them serves when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from inferflux.codegen.autotune.device import StepTimer
from inferflux.codegen.autotune.race import Entrant, race
from inferflux.codegen.autotune.record import Record, TuningKey
from inferflux.codegen.autotune.starts import TOKENS, best_starts
from inferflux.codegen.autotune.variants import Variant, serving
from inferflux.codegen.target import MAX_STEP_TOKENS

MOST_BLOCKS = 16  # of rows in a step, but for the largest: nobody would serve more with small ones

Found = Mapping[str, Mapping[int, Entrant]]  # variant -> number of tokens -> its turns


def time_steps(variants: Sequence[Variant], timer: StepTimer, is_over: Callable[[], bool]) -> Found:
    """Let variants race at every number of tokens that they may serve.

    Raises:
        OutOfTime: ``is_over`` said so.
    """
    found: dict[str, dict[int, Entrant]] = {variant.name: {} for variant in variants}
    for tokens in TOKENS:
        able = [variant for variant in variants if _may_serve(variant, variants, tokens)]
        launches = [partial(timer, variants.index(variant), tokens) for variant in able]
        for variant, entrant in zip(able, race(launches, is_over), strict=True):
            found[variant.name][tokens] = entrant
    return found


def step_record(key: TuningKey, variants: Sequence[Variant], found: Found) -> Record:
    """Where each variant begins to serve; its times are those of ``TOKENS``, one step each."""
    starts = _starts(variants, found)
    tuned = _turns(serving(variants, starts), found)
    return Record(
        key=key,
        schedule=starts,
        num_tokens=TOKENS[-1],
        num_candidates=len(variants),
        num_measurements=sum(len(entrant.seconds) for entrant in tuned),
        median_us=_total_us(tuned),
        spread=round(max(entrant.spread for entrant in tuned), 3),
        default_us=_total_us(_turns(variants, found)),
    )


def _may_serve(variant: Variant, variants: Sequence[Variant], tokens: int) -> bool:
    """Whether it is worth a trial: at least half of a block, and not a great many blocks."""
    rows = variant.shape.row_block
    alike = (other.shape.row_block for other in variants if other.arithmetic == variant.arithmetic)
    return rows <= 2 * tokens and (tokens <= MOST_BLOCKS * rows or rows == max(alike))


def _starts(variants: Sequence[Variant], found: Found) -> dict[str, int]:
    """Within the first arithmetic, where each is fastest; of another, where it beats the first.

    But another never begins later than it says of itself: it is there for its exactness, too.
    """
    times = {
        name: {tokens: entrant.median for tokens, entrant in turns.items()}
        for name, turns in found.items()
    }
    first = [variant.name for variant in variants if variant.arithmetic == variants[0].arithmetic]
    best = {
        tokens: min(times[name][tokens] for name in first if tokens in times[name])
        for tokens in TOKENS
    }
    starts = dict(zip(first, best_starts([times[name] for name in first]), strict=True))
    for other in variants[len(first) :]:
        faster_from = best_starts([best, times[other.name]])[1]
        starts[other.name] = min(faster_from or MAX_STEP_TOKENS, other.shape.min_tokens)
    return {each.name: start for each in variants if (start := starts[each.name]) is not None}


def _turns(variants: Sequence[Variant], found: Found) -> list[Entrant]:
    """At each number of tokens, those of the variant that serves it: the last that does."""
    serving_first = tuple(reversed(variants))
    return [
        next(found[each.name][tokens] for each in serving_first if each.serves(tokens))
        for tokens in TOKENS
    ]


def _total_us(turns: Sequence[Entrant]) -> float:
    return round(sum(entrant.median for entrant in turns) * 1e6, 1)
