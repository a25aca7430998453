"""How config.json says that rotations are scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from inferflux.ir.frontend.facts import Rope
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.rope_scaling import (
    BASES,
    NUMBERS,
    STRETCHES,
    Llama3,
    Yarn,
    longrope_magnitude,
    yarn_magnitude,
)
from inferflux.ir.frontend.typed import Fields

_GROUPS = ("rope_parameters", "rope_scaling")  # today's name, and the one of older files
THETA = 10000.0  # of the paper, arXiv:2104.09864
_SHARE = "partial_rotary_factor"
SHARES = 1e-3, 1.0  # of a head
_ORIGINAL = "original_max_position_embeddings"
_CONTEXT = "max_position_embeddings"


def rope_facts(config: Fields, size: int, theta: float = THETA, inner: str = "") -> Rope:
    """Read either spelling, for the first ``size`` elements of a head.

    ``theta`` is the base of a file that states none; ``inner`` names the part of the group that is
    of some layers only.  Raises UnsupportedModel for a kind or a key that is not known.
    """
    group = f"{_group(config)}{f'.{inner}' if inner else ''}"
    if config.has(group):
        raise config.wrong(group, f"is {config.values[group]!r}, must be an object")
    kind_key = _kind_key(config, group)
    kind = SCALINGS.get(config.text(kind_key, "default"))
    if kind is None:
        known = " or ".join(map(repr, SCALINGS))
        raise config.unsupported(
            kind_key, f"is {config.text(kind_key)!r}, only {known} is supported"
        )
    stated = _Stated(config, group)
    read = {f"{group}.{name}" for name in (*kind.keys, "rope_theta", "type", "rope_type", _SHARE)}
    _refuse_others(config, group, read)
    return kind.scale(Rope(_theta(config, group, theta), size), stated)


def rotated_size(config: Fields, head_dim: int, default: float | None = None) -> int:
    """How many elements of a head are turned; without a ``default`` share all of them must be."""
    inner = f"{_group(config)}.{_SHARE}"
    key = inner if config.has(inner) else _SHARE
    share = config.within(key, *SHARES, 1.0 if default is None else default)
    if default is None and share != 1:
        raise config.unsupported(key, f"is {share}, only 1.0 is supported")
    size = int(head_dim * share)
    if size < 2 or size % 2:
        raise config.wrong(key, f"is {share}: of {head_dim} elements of a head pairs are turned")
    return size


def is_rope_key(key: str) -> bool:
    """Whether it is read here, or says nothing where rotations are not scaled."""
    return key in ("rope_theta", _ORIGINAL) or key.startswith(
        tuple(f"{group}." for group in _GROUPS)
    )


@dataclass(frozen=True, slots=True)
class _Stated:
    """The scaling of one group of keys."""

    config: Fields
    group: str

    def number(self, name: str, default: float | None = None) -> float:
        return self.config.within(f"{self.group}.{name}", *NUMBERS, default)

    def stretch(self, default: float | None = None) -> float:
        return self.config.within(f"{self.group}.factor", *STRETCHES, default)

    def has(self, name: str) -> bool:
        return self.config.has(f"{self.group}.{name}")

    @property
    def context_length(self) -> int:
        return self.config.whole(_CONTEXT, 1, MAX_SIZE)

    @property
    def original(self) -> int:
        """Phi-3 states it beside the group, which is believed first; else it is the context."""
        key = _ORIGINAL if self.config.has(_ORIGINAL) else f"{self.group}.{_ORIGINAL}"
        return self.config.whole(key, 2, MAX_SIZE, default=self.context_length)

    def factors(self, name: str, size: int) -> tuple[float, ...]:
        key = f"{self.group}.{name}"
        factors = self.config.all_within(key, *NUMBERS)
        if len(factors) != size // 2:
            raise self.config.wrong(
                key, f"has {len(factors)} entries for {size // 2} pairs of a head"
            )
        return factors


def _default(rope: Rope, stated: _Stated) -> Rope:
    return rope


def _linear(rope: Rope, stated: _Stated) -> Rope:
    return replace(rope, factors=(stated.stretch(),) * (rope.size // 2))


def _llama3(rope: Rope, stated: _Stated) -> Rope:
    low, high = stated.number("low_freq_factor"), stated.number("high_freq_factor")
    if high <= low:
        problem = f"is {high}, must be above low_freq_factor, which is {low}"
        raise stated.config.wrong(f"{stated.group}.high_freq_factor", problem)
    scaling = Llama3(stated.stretch(), low, high, stated.original)
    return replace(rope, factors=scaling.factors(rope.theta, rope.size))


def _yarn(rope: Rope, stated: _Stated) -> Rope:
    factor = stated.stretch()
    truncates = stated.config.flag(f"{stated.group}.truncate", True)
    fast, slow = stated.number("beta_fast", 32.0), stated.number("beta_slow", 1.0)
    scaling = Yarn(factor, stated.original, fast, slow, truncates)
    all_dim = stated.number("mscale_all_dim") if stated.has("mscale_all_dim") else None
    return replace(
        rope,
        factors=scaling.factors(rope.theta, rope.size),
        magnitude=_yarn_magnitude(stated, factor, all_dim),
        reach=scaling.reach,
        score_scale=1.0 if all_dim is None else yarn_magnitude(factor, all_dim) ** 2,
    )


def _yarn_magnitude(stated: _Stated, factor: float, all_dim: float | None) -> float:
    """What is stated; else the ratio of DeepSeek's two, if it states both."""
    if stated.has("attention_factor"):
        return stated.number("attention_factor")
    if all_dim is None or not stated.has("mscale"):
        return yarn_magnitude(factor)
    return yarn_magnitude(factor, stated.number("mscale")) / yarn_magnitude(factor, all_dim)


def _dynamic(rope: Rope, stated: _Stated) -> Rope:
    """The context that is stated is the one of training, unlike with the others."""
    growth, original = stated.stretch(), stated.context_length
    return replace(rope, growth=growth, original=original, reach=int(growth * original))


def _longrope(rope: Rope, stated: _Stated) -> Rope:
    original = stated.original
    stretch = stated.stretch(max(1.0, stated.context_length / original))
    return replace(
        rope,
        factors=stated.factors("short_factor", rope.size),
        long_factors=stated.factors("long_factor", rope.size),
        original=original,
        magnitude=stated.number("attention_factor", longrope_magnitude(stretch, original)),
    )


@dataclass(frozen=True, slots=True)
class _Scaling:
    """A kind of scaling, and the keys of its group."""

    scale: Callable[[Rope, _Stated], Rope]
    keys: tuple[str, ...] = ()


_LONGROPE = _Scaling(
    _longrope, ("short_factor", "long_factor", "factor", "attention_factor", _ORIGINAL)
)
SCALINGS: Mapping[str, _Scaling] = {
    "default": _Scaling(_default, (_ORIGINAL,)),
    "linear": _Scaling(_linear, ("factor",)),
    "llama3": _Scaling(_llama3, ("factor", "low_freq_factor", "high_freq_factor", _ORIGINAL)),
    "yarn": _Scaling(
        _yarn,
        (
            "factor",
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
            "truncate",
            _ORIGINAL,
        ),
    ),
    "dynamic": _Scaling(_dynamic, ("factor",)),
    "longrope": _LONGROPE,
    "su": _LONGROPE,  # its first name
}


def _group(config: Fields) -> str:
    stated = [name for name in _GROUPS if any(key.startswith(f"{name}.") for key in config.values)]
    if len(stated) > 1:
        raise config.unsupported(stated[1], f"stands beside {stated[0]}; only one of them is read")
    return stated[0] if stated else _GROUPS[0]


def _kind_key(config: Fields, group: str) -> str:
    old, new = f"{group}.type", f"{group}.rope_type"
    if config.has(old) and config.has(new) and config.values[old] != config.values[new]:
        raise config.wrong(old, f"is {config.values[old]!r}, rope_type {config.values[new]!r}")
    return old if config.has(old) else new


def _theta(config: Fields, group: str, default: float) -> float:
    inner = f"{group}.rope_theta"
    theta = config.within("rope_theta", *BASES, default)
    if not config.has(inner):
        return theta
    if config.has("rope_theta") and config.within(inner, *BASES) != theta:
        raise config.wrong(inner, f"is {config.values[inner]}, rope_theta is {theta}")
    return config.within(inner, *BASES)


def _refuse_others(config: Fields, group: str, read: set[str]) -> None:
    for key in config.values:
        if key.startswith(f"{group}.") and key not in read:
            raise config.unsupported(key, "is not a known parameter; it may change the formula")
