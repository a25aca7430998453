"""How a format states an architecture: a description, and the reading of numbers by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inferflux.ir.frontend.blocks import Parts
from inferflux.ir.frontend.facts import ModelConfig
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.views import View

Adapt = Callable[[Fields, ModelConfig, Parts], tuple[ModelConfig, Parts]]
Windows = Callable[[Fields, int], tuple[int | None, ...]]  # by the number of layers

_NUMBERS = (  # facts of which an architecture may say under which key its files have them
    "attention_scale",
    "attention_cap",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "logit_cap",
)
SCALES = 1e-6, 1e6  # of these numbers: wide of every model, and so are their inverses
_EPSILONS = 1e-20, 1.0


def as_it_is(fields: Fields, config: ModelConfig, parts: Parts) -> tuple[ModelConfig, Parts]:
    """Nothing in the file changes what the architecture is composed of."""
    return config, parts


def no_windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """Every layer sees everything; a key that says otherwise is refused as unknown."""
    return (None,) * num_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What one format says of an architecture, and how it stores it."""

    pairs: str = "halves"  # which rows of a head turn together: "adjacent" or "halves"
    # Facts by key, where it is not the usual one; and those that files may leave out.
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, float] = field(default_factory=dict)
    # Further keys, which functions below read or which say nothing; "group." has them all.
    reads: frozenset[str] = frozenset()
    # Keys with which a file may ask for another formula, and the values with which it does not.
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    adapt: Adapt = as_it_is
    views: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class Stated:
    """The facts of one file, each under the key that its form has for it."""

    fields: Fields
    keys: Mapping[str, str]
    defaults: Mapping[str, float]

    def whole(self, fact: str, least: int, most: int, default: int | None = None) -> int:
        stated = self.defaults.get(fact, default)
        return self.fields.whole(
            self.keys[fact], least, most, None if stated is None else int(stated)
        )

    def flag(self, fact: str, default: bool) -> bool:
        return self.fields.flag(self.keys[fact], bool(self.defaults.get(fact, default)))

    def number(self, fact: str, least: float, most: float) -> float:
        return self.fields.within(self.keys[fact], least, most, self.defaults.get(fact))

    def numbers(self) -> dict[str, Any]:
        """Those of ``_NUMBERS`` that are in force; null says that one is not."""
        return {
            fact: self.number(fact, *SCALES)
            for fact, key in self.keys.items()
            if fact in _NUMBERS
            and not self.fields.is_null(key)
            and (fact in self.defaults or self.fields.has(key))
        }


def require_neutral(fields: Fields, key: str, allowed: tuple[object, ...]) -> None:
    """Of the same type too: an array is not compared, and True is not 1."""
    value = fields.values[key]
    if not any(type(value) is type(other) and value == other for other in allowed):
        problem = f"is {value!r}, only {' or '.join(map(repr, allowed))} is supported"
        raise fields.unsupported(key, problem)


def read_shape(
    stated: Stated,
    *,
    name: str,
    architecture: str,
    vocab_size: int,
    is_tied: bool,
    most_layers: int,
) -> ModelConfig:
    """The sizes and numbers that every decoder has, checked; it knows no positions yet."""
    num_layers = stated.whole("num_layers", 1, max(1, most_layers))
    hidden_size = stated.whole("hidden_size", 1, MAX_SIZE)
    num_query_heads = stated.whole("num_query_heads", 1, MAX_SIZE)
    config = ModelConfig(
        name=name,
        architecture=architecture,
        vocab_size=vocab_size,
        context_length=stated.whole("context_length", 1, MAX_SIZE),
        hidden_size=hidden_size,
        intermediate_size=stated.whole("intermediate_size", 1, MAX_SIZE, default=4 * hidden_size),
        num_layers=num_layers,
        num_query_heads=num_query_heads,
        num_kv_heads=_num_kv_heads(stated, num_query_heads),
        head_dim=_head_dim(stated, hidden_size, num_query_heads),
        epsilon=stated.number("epsilon", *_EPSILONS),
        is_tied=is_tied,
        windows=(None,) * num_layers,
        ropes=(None,) * num_layers,
    )
    return replace(config, **stated.numbers())


def _num_kv_heads(stated: Stated, num_query_heads: int) -> int:
    count = stated.whole("num_kv_heads", 1, num_query_heads, default=num_query_heads)
    if num_query_heads % count:
        problem = f"is {count}, which does not divide {num_query_heads} query heads"
        raise stated.fields.wrong(stated.keys["num_kv_heads"], problem)
    return count


def _head_dim(stated: Stated, hidden_size: int, num_query_heads: int) -> int:
    """What the file states, or D / H."""
    key = stated.keys["head_dim"]
    if (
        not stated.fields.has(key)
        and "head_dim" not in stated.defaults
        and hidden_size % num_query_heads
    ):
        problem = f"is missing, and {num_query_heads} heads do not divide {hidden_size}"
        raise stated.fields.wrong(key, problem)
    head_dim = stated.whole("head_dim", 2, MAX_SIZE, default=hidden_size // num_query_heads)
    if head_dim % 2:
        raise stated.fields.wrong(key, f"is {head_dim}; rotation turns pairs, so it must be even")
    return head_dim
