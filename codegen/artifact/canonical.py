"""Canonical JSON: one spelling for one value, in ASCII, with neither floats nor repeated names."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from inferflux.codegen.artifact.errors import ArtifactError


def canonical_json(value: object) -> bytes:
    """Names sorted, no spaces, everything outside ASCII escaped (so lone surrogates survive)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def parse(encoded: bytes, where: str) -> Any:
    """Parse JSON of the kind ``canonical_json`` writes; ``where`` names it in errors."""
    try:
        return json.loads(
            encoded.decode("ascii"),
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            object_pairs_hook=_distinct,
        )
    except (ValueError, RecursionError) as error:  # ValueError: also bad ASCII and endless digits
        raise ArtifactError(f"{where} is not JSON as artifacts use it: {error}") from None


def _refuse_number(spelling: str) -> NoReturn:
    raise ValueError(f"only integers are allowed, not {spelling[:32]}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a member twice")
    return members
