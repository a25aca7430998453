"""Tokenizers for the tests of text/: the default model's, and one of bytes written to order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from inferflux.codegen.artifact.compiled import TextStep, TokenizerFacts
from inferflux.text import Tokenizer

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
NewFacts = Callable[..., TokenizerFacts]


@pytest.fixture(scope="session")
def smollm_facts(default_model: Path) -> TokenizerFacts:
    """Read with the gguf package, so that these tests do not lean on our own reader."""
    reader = gguf.GGUFReader(default_model)

    def field(name: str) -> Any:
        return reader.get_field(f"tokenizer.{name}").contents()

    return TokenizerFacts(
        kind="bpe",
        pre=field("ggml.pre"),
        tokens=tuple(field("ggml.tokens")),
        token_types=tuple(field("ggml.token_type")),
        merges=tuple(field("ggml.merges")),
        bos_token_id=field("ggml.bos_token_id"),
        eos_token_ids=(field("ggml.eos_token_id"),),
        pad_token_id=field("ggml.padding_token_id"),
        unknown_token_id=field("ggml.unknown_token_id"),
        add_bos=field("ggml.add_bos_token"),
        add_space_prefix=field("ggml.add_space_prefix"),
        chat_template=field("chat_template"),
        cuts=(TextStep("digits", flags=("individual",)), TextStep("byte_level", flags=("regex",))),
    )


@pytest.fixture(scope="session")
def smollm(smollm_facts: TokenizerFacts) -> Tokenizer:
    return Tokenizer(smollm_facts)


@pytest.fixture(scope="session")
def new_facts() -> NewFacts:
    """``new_facts(add_bos=True)``: bytes, two merges, control tokens <s> </s>, and <tool>."""
    latin1 = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(byte) for byte in latin1] + [chr(0x100 + n) for n in range(256 - len(latin1))]
    tokens = ("<s>", "</s>", *alphabet, "he", "Ġhe", "<tool>")
    types = (CONTROL, CONTROL, *[NORMAL] * 258, USER_DEFINED)
    facts = TokenizerFacts(
        kind="bpe",
        pre="gpt-2",
        tokens=tokens,
        token_types=types,
        merges=("h e", "Ġ he"),
        bos_token_id=0,
        eos_token_ids=(1,),
        pad_token_id=None,
        unknown_token_id=None,
        add_bos=False,
        add_space_prefix=False,
        chat_template=None,
        cuts=(TextStep("byte_level", flags=("regex",)),),
    )

    def new(**overrides: Any) -> TokenizerFacts:
        return replace(facts, **overrides)

    return new


@pytest.fixture(scope="session")
def bytes_tokenizer(new_facts: NewFacts) -> Tokenizer:
    return Tokenizer(new_facts())
