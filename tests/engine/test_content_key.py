"""Content keys: equal exactly where the bytes of two pages must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.engine.content_key import KeyScope, page_key, page_keys, root_key

SCOPE = KeyScope(b"salt", "model", ("a", "b"), "f16")
TOKENS = list(range(48))


def test_keys_are_of_full_pages_only():
    assert len(page_keys(SCOPE, TOKENS[:15])) == 0
    assert len(page_keys(SCOPE, TOKENS[:47])) == 2
    with pytest.raises(AssertionError, match="not full"):
        page_key(root_key(SCOPE), TOKENS[:15])


def test_the_format_is_fixed():
    assert page_keys(SCOPE, TOKENS)[-1].hex().startswith("2be926366799e205")


@given(st.lists(st.integers(0, 2**31 - 1), min_size=32, max_size=32), st.integers(0, 31))
def test_a_changed_token_changes_its_page_and_all_that_follow(tokens, index):
    changed = [*tokens]
    changed[index] ^= 1
    same = [
        a == b for a, b in zip(page_keys(SCOPE, tokens), page_keys(SCOPE, changed), strict=True)
    ]
    assert same == [index >= 16, False]


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, tenant_salt=b"salu"),
        replace(SCOPE, model="mode1"),
        replace(SCOPE, adapters=("b", "a")),
        replace(SCOPE, adapters=("ab",)),
        replace(SCOPE, adapters=("a", "b", "")),
        replace(SCOPE, kv_dtype="f32"),
        replace(SCOPE, model="mod", kv_dtype="elf16"),
    ],
)
def test_pages_of_another_scope_share_no_key(other):
    assert not set(page_keys(SCOPE, TOKENS)) & set(page_keys(other, TOKENS))
