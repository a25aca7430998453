"""How config.json says that rotations are scaled: a factor for each pair of a head."""

from __future__ import annotations

import math

from inferflux.ir.frontend.facts import Rope
from inferflux.ir.frontend.typed import Fields

_GROUPS = ("rope_parameters", "rope_scaling")  # today's name, and the one of older files
_KINDS = ("default", "llama3")
_SHARE = "partial_rotary_factor"


def rope_facts(config: Fields, size: int, inner: str = "") -> Rope:
    """Read either spelling, for the first ``size`` elements of a head.

    ``inner`` names the part of the group that is of some layers only.  Raises UnsupportedModel for
    a kind or a key that is not known.
    """
    group = f"{_group(config)}{f'.{inner}' if inner else ''}"
    kind_key = _kind_key(config, group)
    kind = config.text(kind_key, "default")
    if kind not in _KINDS:
        known = " or ".join(map(repr, _KINDS))
        raise config.unsupported(kind_key, f"is {kind!r}, only {known} is supported")
    read = {kind_key, f"{group}.rope_theta", f"{group}.type", f"{group}.rope_type"}
    read.add(f"{group}.{_SHARE}")
    theta = _theta(config, group)
    factors: tuple[float, ...] = ()
    if kind == "llama3":
        read |= {f"{group}.{name}" for name in _LLAMA3}
        factors = _llama3_factors(config, group, theta, size)
    _refuse_others(config, group, read)
    return Rope(theta, size, factors)


def rotated_size(config: Fields, head_dim: int, default: float | None = None) -> int:
    """How many elements of a head are turned; without a ``default`` share all of them must be."""
    inner = f"{_group(config)}.{_SHARE}"
    key = inner if config.has(inner) else _SHARE
    share = config.positive(key, 1.0 if default is None else default)
    if default is None and share != 1:
        raise config.unsupported(key, f"is {share}, only 1.0 is supported")
    size = int(head_dim * share)
    if share > 1 or size < 2 or size % 2:
        raise config.wrong(key, f"is {share}: of {head_dim} elements of a head pairs are turned")
    return size


def is_rope_key(key: str) -> bool:
    return key == "rope_theta" or key.startswith(tuple(f"{group}." for group in _GROUPS))


_LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def _llama3_factors(config: Fields, group: str, theta: float, head_dim: int) -> tuple[float, ...]:
    """Long waves are stretched by the factor, short ones are left, those between are mixed.

    ``transformers.modeling_rope_utils._compute_llama3_parameters``.
    """
    factor, low, high, original = (config.positive(f"{group}.{name}") for name in _LLAMA3)
    if high <= low:
        problem = f"is {high}, must be above low_freq_factor, which is {low}"
        raise config.wrong(f"{group}.high_freq_factor", problem)

    def divisor(pair: int) -> float:
        turns = original * math.pow(theta, -2 * pair / head_dim) / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        return 1 / ((1 - smooth) / factor + smooth)

    return tuple(divisor(pair) for pair in range(head_dim // 2))


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


def _theta(config: Fields, group: str) -> float:
    inner = f"{group}.rope_theta"
    theta = config.positive("rope_theta", 10000.0)
    if not config.has(inner):
        return theta
    if config.has("rope_theta") and config.positive(inner) != theta:
        raise config.wrong(inner, f"is {config.values[inner]}, rope_theta is {theta}")
    return config.positive(inner)


def _refuse_others(config: Fields, group: str, read: set[str]) -> None:
    for key in config.values:
        if key.startswith(f"{group}.") and key not in read:
            raise config.unsupported(key, "is not a known parameter; it may change the formula")
