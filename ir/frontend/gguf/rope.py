"""How a GGUF says that rotations are scaled: by its keys, and by tensors of factors."""

from __future__ import annotations

from dataclasses import replace

from inferflux.ir.frontend.facts import Rope
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.rope_scaling import BASES, NUMBERS, STRETCHES, Yarn, yarn_magnitude
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.weights import Weights

FACTORS = "rope_freqs.weight"
LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
KEYS = frozenset(
    {
        "rope.dimension_count",
        "rope.freq_base",
        "rope.scale_linear",  # older files' word for the factor
        "rope.scaling.type",
        "rope.scaling.factor",
        "rope.scaling.original_context_length",
        "rope.scaling.attn_factor",
        "rope.scaling.yarn_attn_factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "rope.scaling.yarn_log_multiplier",
    }
)
NEUTRAL: dict[str, tuple[object, ...]] = {
    "rope.scaling.finetuned": (False, True),  # whether the model was trained on it
    "rope.scaling.yarn_ext_factor": (1.0,),
}
_KINDS = ("none", "linear", "yarn", "longrope")


def rope_facts(
    source: ModelSource, size: int, tensors: tuple[str, ...], truncates: bool = True
) -> Rope:
    """Of the first ``size`` elements of a head; ``tensors`` are those the architecture may have.

    ``truncates``: between whole pairs YaRN's ramp rises, of which no key says anything.  Raises
    UnsupportedModel for a kind that is not known, or scalings of which only one can be in force.
    """
    fields = Fields.of(source)
    rope = Rope(fields.within(fields.own("rope.freq_base"), *BASES, 10000.0), size)
    if LONG in tensors and LONG in source.tensors:
        return _longrope(rope, source, fields)
    match _kind(fields):
        case "longrope":
            problem = f"is 'longrope', and the file has no {LONG}"
            raise fields.unsupported(fields.own("rope.scaling.type"), problem)
        case "yarn":
            scaled = _yarn(rope, fields, truncates)
        case "linear":
            factor = _factor(fields)
            scaled = rope if factor == 1 else replace(rope, factors=(factor,) * (size // 2))
        case _:
            scaled = rope
    if FACTORS not in tensors or FACTORS not in source.tensors:
        return scaled
    if scaled.factors:
        problem = f"is {_kind(fields)!r} beside {FACTORS}; only one of the two is read"
        raise fields.unsupported(fields.own("rope.scaling.type"), problem)
    return replace(rope, factors=Weights(source).factors(FACTORS, size // 2))


def rotated_size(source: ModelSource, head_dim: int) -> int:
    """How many elements of a head are turned."""
    fields = Fields.of(source)
    key = fields.own("rope.dimension_count")
    size = fields.whole(key, 2, MAX_SIZE, default=head_dim)
    if size > head_dim or size % 2:
        raise fields.wrong(key, f"is {size}: of {head_dim} elements of a head pairs are turned")
    return size


def _kind(fields: Fields) -> str:
    """Files that state a factor alone mean linear."""
    key = fields.own("rope.scaling.type")
    kind = fields.text(key, "linear")
    if kind not in _KINDS:
        known = " or ".join(map(repr, _KINDS))
        raise fields.unsupported(key, f"is {kind!r}, only {known} is supported")
    return kind


def _factor(fields: Fields) -> float:
    key = fields.own("rope.scaling.factor")
    old = fields.own("rope.scale_linear")
    return fields.within(key if fields.has(key) else old, *STRETCHES, 1.0)


def _original(fields: Fields) -> int:
    context_length = fields.whole(fields.own("context_length"), 1, MAX_SIZE)
    key = fields.own("rope.scaling.original_context_length")
    return fields.whole(key, 2, MAX_SIZE, default=context_length)


def _yarn(rope: Rope, fields: Fields, truncates: bool) -> Rope:
    """``yarn_log_multiplier`` is a tenth of DeepSeek's ``mscale_all_dim``, and so of ``mscale``."""

    def number(name: str, default: float) -> float:
        return fields.within(fields.own(f"rope.scaling.{name}"), *NUMBERS, default)

    factor, multiplier = _factor(fields), fields.own("rope.scaling.yarn_log_multiplier")
    fast, slow = number("yarn_beta_fast", 32.0), number("yarn_beta_slow", 1.0)
    scaling = Yarn(factor, _original(fields), fast, slow, truncates)
    has_multiplier = fields.has(multiplier)
    magnitude = number("yarn_attn_factor", 1.0 if has_multiplier else yarn_magnitude(factor))
    all_dim = 10 * fields.within(multiplier, *NUMBERS) if has_multiplier else 0.0
    return replace(
        rope,
        factors=scaling.factors(rope.theta, rope.size),
        magnitude=magnitude * number("attn_factor", 1.0),
        reach=scaling.reach,
        score_scale=yarn_magnitude(factor, all_dim) ** 2,
    )


def _longrope(rope: Rope, source: ModelSource, fields: Fields) -> Rope:
    weights, pairs = Weights(source), rope.size // 2
    return replace(
        rope,
        factors=weights.factors(SHORT, pairs),
        long_factors=weights.factors(LONG, pairs),
        original=_original(fields),
        magnitude=fields.within(fields.own("rope.scaling.attn_factor"), *NUMBERS, 1.0),
    )
