"""Content keys: the name of a KV page by everything its bytes depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferflux.codegen.artifact.compiled import PAGE_SIZE

_DOMAIN = b"inferflux kv page 1"  # a change of what is hashed changes the number


@dataclass(frozen=True, slots=True)
class KeyScope:
    """What pages must have in common to be shared at all."""

    tenant_salt: bytes  # made by the server; a client's salt would be no barrier
    model: str  # the artifact's digest
    adapters: tuple[str, ...]  # in the order in which they are applied
    kv_dtype: str


def root_key(scope: KeyScope) -> bytes:
    """The parent of a first page.  The whole scope is in it, and so in every key of the chain."""
    adapters = (name.encode() for name in scope.adapters)
    fields = (scope.tenant_salt, scope.model.encode(), scope.kv_dtype.encode(), *adapters)
    return _digest(_DOMAIN, *fields)


def page_key(parent: bytes, tokens: Sequence[int]) -> bytes:
    """The key of a full page of ``tokens`` that follows the page of key ``parent``."""
    assert len(tokens) == PAGE_SIZE, f"a page of {len(tokens)} tokens is not full"
    return _digest(parent, np.asarray(tokens, dtype="<i4").tobytes())


def page_keys(scope: KeyScope, tokens: Sequence[int]) -> list[bytes]:
    """The keys of all full pages of a sequence, first page first."""
    keys = [root_key(scope)]
    for start in range(0, len(tokens) - PAGE_SIZE + 1, PAGE_SIZE):
        keys.append(page_key(keys[-1], tokens[start : start + PAGE_SIZE]))
    return keys[1:]


def _digest(*fields: bytes) -> bytes:
    """sha256 over length-prefixed fields, so that no two lists of fields read the same."""
    digest = hashlib.sha256()
    for field in fields:
        digest.update(len(field).to_bytes(8, "little"))
        digest.update(field)
    return digest.digest()
