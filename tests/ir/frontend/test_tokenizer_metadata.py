"""The tokenizer's metadata: read as it stands, and refused where it contradicts itself."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, UnsupportedModel

AT = "tokenizer.ggml"


def test_the_default_model_states_a_byte_level_bpe(default_model):
    facts = frontend.tokenizer(frontend.open(default_model))
    assert (facts.kind, facts.pre) == ("bpe", "smollm")
    assert (len(facts.tokens), len(facts.token_types), len(facts.merges)) == (49152, 49152, 48900)
    assert facts.tokens[:3] == ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    assert (facts.bos_token_id, facts.eos_token_ids, facts.pad_token_id) == (1, (2, 0, 4), 2)
    assert (facts.unknown_token_id, facts.add_bos, facts.add_space_prefix) == (0, False, False)
    assert facts.chat_template is not None
    assert "<|im_start|>" in facts.chat_template


def test_the_end_of_a_turn_ends_a_sequence_too(tiny_gguf):
    path = tiny_gguf(metadata={f"{AT}.eot_token_id": np.uint32(0)})
    assert frontend.tokenizer(frontend.open(path)).eos_token_ids == (2, 0)


def test_a_template_with_a_name_is_one_of_several(tiny_gguf):
    key = "tokenizer.chat_template"
    path = tiny_gguf(metadata={key: "a", f"{key}.tool_use": "b", f"{key}.rag": "c"})
    facts = frontend.tokenizer(frontend.open(path))
    assert (facts.chat_template, facts.named_templates) == ("a", {"tool_use": "b", "rag": "c"})


def test_what_may_be_missing_may_be_missing(tiny_gguf):
    optional = ("token_type", "bos_token_id", "eos_token_id", "padding_token_id", "pre")
    gone = {f"{AT}.{name}": None for name in optional}
    path = tiny_gguf(metadata={**gone, "tokenizer.chat_template": None})
    facts = frontend.tokenizer(frontend.open(path))
    assert facts.token_types == (3, 1, 3) + (1,) * 317  # the names of two say what they are
    assert (facts.bos_token_id, facts.eos_token_ids, facts.pad_token_id) == (None, (2, 0), None)
    assert (facts.pre, facts.chat_template) == ("default", None)


@pytest.mark.parametrize("kind", ["rwkv", "plamo2", "hybriddna", "whitespace", "none"])
def test_other_kinds_are_refused_by_name(tiny_gguf, kind):
    source = frontend.open(tiny_gguf(metadata={f"{AT}.model": kind}))
    with pytest.raises(UnsupportedModel, match=f"'{kind}' is not supported; supported are: gpt2"):
        frontend.tokenizer(source)


@pytest.mark.parametrize(
    ("metadata", "field", "problem"),
    [
        ({"tokens": None}, "tokens", "is missing"),
        ({"tokens": "abc"}, "tokens", "'abc', must be an array of strings"),
        ({"tokens": [1, 2]}, "tokens", "an array of 2, must be an array of strings"),
        ({"tokens": ["a", "b", "a"]}, "tokens", "has 'a' twice"),
        ({"token_type": [1, 1]}, "token_type", "has 2 entries for 320 tokens"),
        ({"token_type": [7] * 320}, "token_type", "spans 7..7, must be 1..6"),
        ({"token_type": [0.5] * 320}, "token_type", "must be an array of whole numbers"),
        ({"merges": None}, "merges", "is missing"),
        ({"merges": ["th"]}, "merges", r"\[0\] is 'th', not two tokens"),
        ({"merges": ["t h e"]}, "merges", r"\[0\] is 't h e', not two tokens"),
        ({"merges": ["Ġ t", "q q"]}, "merges", r"\[1\] is 'q q', not two tokens"),
        ({"bos_token_id": np.uint32(320)}, "bos_token_id", r"is 320, must be 0..319"),
        ({"eos_token_id": np.int32(-1)}, "eos_token_id", r"is -1, must be 0..319"),
        ({"eot_token_id": np.uint32(999)}, "eot_token_id", "is 999"),
        ({"add_bos_token": np.uint32(1)}, "add_bos_token", "is 1, must be a bool"),
        ({"add_eos_token": True, "eos_token_id": None}, "eos_token_id", "put after every text"),
        ({"pre": "rhyme"}, "pre", "'rhyme' is not supported; supported are: a.x-4.0, afmoe, "),
        ({"model": "llama"}, "scores", "is missing"),
        ({"model": "llama", "scores": [0.5]}, "scores", "has 1 entries for 320 tokens"),
    ],
)
def test_contradictions_are_refused_by_key(tiny_gguf, metadata, field, problem):
    keyed = {f"{AT}.{name}": value for name, value in metadata.items()}
    source = frontend.open(tiny_gguf(metadata=keyed))
    with pytest.raises(ModelFileError, match=problem) as refused:
        frontend.tokenizer(source)
    assert refused.value.field == f"metadata '{AT}.{field}'"
