"""Identities of what is built: equal keys, equal bytes.

Three identities are not to be mixed.  A ``KernelKey`` names one rendered kernel, a ``TargetKey``
the code and layouts of one target, the artifact's digest (``codegen.artifact``) the file itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from inferflux.codegen.artifact.canonical import canonical_json
from inferflux.codegen.artifact.compiled import Bytes

_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that decides what is built, as text, by name; subclasses list the names."""

    @property
    def factors(self) -> dict[str, str]:
        """The factors by name, in the order in which a miss is explained."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def digest(self) -> str:
        """sha256 over the kind of key and its factors."""
        return hashlib.sha256(canonical_json({type(self).__name__: self.factors})).hexdigest()


@dataclass(frozen=True, slots=True)
class KernelKey(Key):
    op: str
    types: str
    attrs: str
    schedule: str
    target: str
    toolchain: str  # digest
    template: str  # the text itself


@dataclass(frozen=True, slots=True)
class TargetKey(Key):
    target: str
    features: str
    numerics: str
    passes: str
    graph: str  # canonical text
    layouts: str
    variants: str  # of the step: what is computed together, and for how many tokens
    kernel_keys: str
    launch: str  # the texts around the phase bodies, and the words they are written in


@dataclass(frozen=True, slots=True)
class CacheKey(Key):
    """What a finished artifact is looked up by before anything is built."""

    source: str  # sha256 of the model file
    targets: str
    numerics: str
    toolchain: str  # with the tuning records that ship
    tuning: str  # digest of the records that were asked for beside those
    kv_dtype: str
    quantise: str  # the type that matrices are given; empty for those of the file


def cache_key(
    source_digest: str,
    targets: Sequence[str],
    numerics: str,
    toolchain: str,
    tuning: str = "",
    kv_dtype: str = "f16",
    quantise: str = "",
) -> CacheKey:
    """The key of a build of these targets, the best first, from that source."""
    names = ", ".join(targets)
    return CacheKey(source_digest, names, numerics, toolchain, tuning, kv_dtype, quantise)


def lines(entries: Mapping[str, str]) -> str:
    """A mapping as one factor, an entry a line, so that a miss names the entry."""
    return "\n".join(f"{name}: {entry}" for name, entry in sorted(entries.items()))


def segment_name(layout: str, content: Bytes) -> str:
    """The name of a segment of packed weights: equal where layout and bytes are."""
    digest = hashlib.sha256(canonical_json({"layout": layout}))
    digest.update(content.data)
    return digest.hexdigest()


def explain_miss(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Name the first factor of ``new`` that differs from ``old``, and where it does."""
    for name in (*new, *old):
        if old.get(name) != new.get(name):
            return f"{name} changed{_difference(old.get(name), new.get(name))}"
    return "no key factor differs"


def _difference(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return ": it is new" if old is None else ": it is gone"
    before, after = old.split("\n"), new.split("\n")
    first = next(
        (i for i, (b, a) in enumerate(zip(before, after, strict=False)) if b != a),
        min(len(before), len(after)),
    )
    where = f" in line {first + 1}" if max(len(before), len(after)) > 1 else ""
    return f"{where}: {_line(before, first)} -> {_line(after, first)}"


def _line(text: list[str], index: int) -> str:
    if index >= len(text):
        return "no line"
    line = text[index].strip()
    return repr(line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 3] + "...")
