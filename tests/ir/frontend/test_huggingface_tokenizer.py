"""tokenizer.json gives the facts of the same GGUF, and ids that its own library gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers

from inferflux.codegen.facts import tokenizer_facts
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, TokenizerMetadata, UnsupportedModel
from inferflux.text import Tokenizer

TEXTS = (
    "The capital of France is Paris.",
    "  two  spaces,\ttabs\nand 12345 digits: 3.14 don't",
    "naïve façade — “quotes” 日本語 🙂",
    "<|im_start|>user\nhi<|im_end|>\n",
)


def facts(folder: Path):
    return frontend.tokenizer(frontend.open(folder))


def edit(folder: Path, name: str, *path: str | int, **members) -> Path:
    """Change members of the object at ``path``; None takes one out."""
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    place = content
    for key in path:
        place = place[key]
    for key, value in members.items():
        if value is None:
            place.pop(key, None)
        else:
            place[key] = value
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def of_gguf(path: Path, found: TokenizerMetadata) -> TokenizerMetadata:
    """As the directory that was written of it says it: with all its ends, and nameless cuts."""
    stated = frontend.tokenizer(frontend.open(path))
    assert stated.eos_token_ids[: len(found.eos_token_ids)] == found.eos_token_ids
    return replace(stated, pre="", eos_token_ids=found.eos_token_ids)


def test_the_facts_are_those_of_the_gguf(tiny_gguf, tiny_directory):
    found = facts(tiny_directory())
    assert found == of_gguf(tiny_gguf(), found)


def test_ids_are_those_of_the_library(hf_files, default_model, tmp_path):
    hf_files.write_texts(tmp_path, hf_files.Gguf(default_model))
    hf_files.write_weights(tmp_path, {})
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    found = facts(tmp_path)
    tokenizer = Tokenizer(tokenizer_facts(found))
    for text in TEXTS:
        assert tokenizer.encode(text, special=True) == library.encode(text).ids
    assert found == of_gguf(default_model, found)


def test_merges_may_be_texts(tiny_directory):
    folder = tiny_directory()
    expected = facts(folder)
    merges = list(expected.merges)
    assert facts(edit(folder, "tokenizer.json", "model", merges=merges)) == expected


def test_rows_that_no_token_has_are_unused_tokens(tiny_directory, hf_files):
    folder = tiny_directory()
    edit(folder, "config.json", vocab_size=323)
    found = facts(folder)
    assert found.tokens[320:] == ("[PAD320]", "[PAD321]", "[PAD322]")
    assert found.token_types[320:] == (5, 5, 5)


def test_every_end_ends(tiny_directory):
    folder = edit(tiny_directory(), "generation_config.json", eos_token_id=[0, 7])
    assert facts(folder).eos_token_ids == (0, 7, 2)
    (folder / "generation_config.json").unlink()
    edit(folder, "config.json", eos_token_id=9)
    assert facts(folder).eos_token_ids == (9, 2)


def test_what_stands_beside_the_tokenizer_may_be_missing(tiny_directory):
    folder = tiny_directory()
    (folder / "tokenizer_config.json").unlink()
    found = facts(folder)
    assert (found.bos_token_id, found.pad_token_id, found.chat_template) == (None, None, None)
    assert found.eos_token_ids == (2,)


def test_a_template_of_its_own_file_comes_first(tiny_directory):
    folder = tiny_directory()
    several = [{"name": "rag", "template": "no"}, {"name": "default", "template": "yes"}]
    edit(folder, "tokenizer_config.json", chat_template=several)
    assert facts(folder).chat_template == "yes"
    assert facts(folder).named_templates == {"rag": "no"}
    (folder / "chat_template.jinja").write_text("own")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("tools")
    assert facts(folder).chat_template == "own"
    assert facts(folder).named_templates == {"tool_use": "tools"}


def test_a_token_may_be_an_object(tiny_directory):
    folder = edit(tiny_directory(), "tokenizer_config.json", eos_token={"content": "<|endoftext|>"})
    edit(folder, "generation_config.json", eos_token_id=None)
    assert facts(folder).eos_token_ids == (0,)


def test_a_template_puts_a_token_before_every_text(tiny_directory):
    processor = {
        "type": "Sequence",
        "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
            {
                "type": "TemplateProcessing",
                "single": [
                    {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                ],
                "pair": [],
                "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1]}},
            },
        ],
    }
    folder = edit(tiny_directory(), "tokenizer.json", post_processor=processor)
    assert (facts(folder).add_bos, facts(folder).bos_token_id) == (True, 1)
    edit(folder, "tokenizer_config.json", add_bos_token=False)
    with pytest.raises(UnsupportedModel, match=r"'add_bos_token' .* puts a token before a text"):
        facts(folder)


def replacing(pattern: dict[str, str], content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


DOUBLING = [replacing({"String": "a"}, "aa")] * 30
UNKNOWN = [
    (
        (),
        {"normalizer": {"type": "Rhyme"}},
        "'normalizer' .* has a step 'Rhyme'; supported are: NFC",
    ),
    (
        (),
        {"normalizer": {"type": "Sequence", "normalizers": DOUBLING}},
        "'normalizer' .* may make a text over 256 times as long",
    ),
    ((), {"normalizer": replacing({"String": ""}, "a")}, "may make a text over 256 times"),
    ((), {"normalizer": replacing({"Regex": "x*"}, "a" * 300)}, "may make a text over 256 times"),
    ((), {"normalizer": {"type": "Strip", "strip_left": 1}}, "'Strip' with strip_left 1"),
    ((), {"decoder": {"type": "CTC"}}, "'decoder' .* is CTC; supported are: ByteLevel"),
    ((), {"pre_tokenizer": {"type": "UnicodeScripts"}}, "has a step 'UnicodeScripts'; supported"),
    (("pre_tokenizer", "pretokenizers", 1), {"charm": True}, "'ByteLevel' with charm True"),
    ((), {"pre_tokenizer": {"type": "Split", "pattern": {"Word": 1}}}, "'Split' with pattern"),
    ((), {"post_processor": {"type": "Rhyme"}}, "Rhyme is not supported"),
    ((), {"post_processor": {"type": "TemplateProcessing"}}, "puts something else around a text"),
    (
        ("model",),
        {"type": "WordLevel"},
        "'model.type' .* is 'WordLevel'; supported are: BPE, WordPiece, Unigram",
    ),
    (("model",), {"dropout": 0.1}, "'model.dropout'"),
    (("model",), {"charm": 1}, "'model.charm' .* is not a known parameter"),
]


@pytest.mark.parametrize(("path", "members", "problem"), UNKNOWN)
def test_a_step_that_is_not_known_is_refused_by_name(tiny_directory, path, members, problem):
    folder = edit(tiny_directory(), "tokenizer.json", *path, **members)
    with pytest.raises(UnsupportedModel, match=problem.replace("|", r"\|")) as refused:
        facts(folder)
    assert refused.value.path == folder / "tokenizer.json"
    assert refused.value.offset is not None


def test_what_is_replaced_may_grow_as_published_models_have_it(tiny_directory):
    steps = [replacing({"Regex": " {2,}"}, "\u2581"), replacing({"String": " "}, "\u2581")]
    sequence = {"type": "Sequence", "normalizers": steps}
    found = facts(edit(tiny_directory(), "tokenizer.json", normalizer=sequence))
    assert [step.kind for step in found.normalisers] == ["replace", "replace"]


UNIGRAM = {
    "type": "Unigram",
    "unk_id": 0,
    "vocab": [["<unk>", 0.0], ["\u2581", -2.5], ["\u2581a", -1.5], ["a", -2.0], ["</s>", 0.0]],
}
METASPACE = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}


def unigram(folder: Path, **members: object) -> Path:
    for name in ("tokenizer_config.json", "generation_config.json"):
        (folder / name).unlink()
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    ending = {"id": 4, "content": "</s>", "special": True, **flags}
    return edit(
        folder,
        "tokenizer.json",
        model=UNIGRAM | members,
        added_tokens=[ending],
        pre_tokenizer=METASPACE,
        decoder=METASPACE,
    )


def test_unigram_pieces_give_the_ids_of_the_library(tiny_directory):
    folder = unigram(tiny_directory())
    found = Tokenizer(tokenizer_facts(facts(folder)))
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in ("a aa  a", "", "ab c", "a</s>a", "[PAD9] a", "\u2581a"):
        expected = library.encode(text, add_special_tokens=False).ids
        assert found.encode(text, special=True) == expected, text
    assert 4 not in found.encode("</s>", special=False)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"vocab": [["a", 0.1]]}, r"\[0\] has score 0.1, which is not exactly a float32"),
        ({"vocab": [["a", 0.0], ["a", 0.0]]}, "has a token twice"),
        ({"vocab": [["a"]]}, r"\[0\] is \['a'\], not a token and its score"),
        ({"unk_id": 5}, r"is 5, must be 0\.\.4"),
    ],
)
def test_unigram_pieces_that_are_wrong_are_refused(tiny_directory, members, problem):
    with pytest.raises(ModelFileError, match=problem):
        facts(unigram(tiny_directory(), **members))


WRONG = [
    ((), {"model": 1}, "'model' .* is not an object"),
    (("model",), {"vocab": {"a": "b"}}, "has 'a': 'b', not a token's id"),
    (("model",), {"vocab": {"a": 1, "b": 1}}, "an id of its own for every token"),
    (("model", "vocab"), {"Ġt": 320}, r"an id of its own for every token, of 0\.\.319"),
    (("model",), {"merges": ["q q"]}, r"\[0\] is 'q q', not two tokens"),
    (("model",), {"merges": [["a"]]}, r"\[0\] is \['a'\], not two tokens"),
    (("model",), {"merges": 5}, "is not an array"),
    ((), {"added_tokens": [{"id": 1}]}, "not a token and its id"),
    (("added_tokens", 0), {"id": 5}, "has '<|endoftext|>' as 5, the vocabulary as 0"),
]


@pytest.mark.parametrize(("path", "members", "problem"), WRONG)
def test_a_tokenizer_that_contradicts_itself_is_refused(tiny_directory, path, members, problem):
    folder = edit(tiny_directory(), "tokenizer.json", *path, **members)
    with pytest.raises(ModelFileError, match=problem.replace("|", r"\|")):
        facts(folder)


@pytest.mark.parametrize(
    ("name", "members", "problem"),
    [
        ("tokenizer_config.json", {"eos_token": "no such"}, "'no such', which is not in the vocab"),
        ("tokenizer_config.json", {"add_eos_token": True}, "puts no token after"),
        ("tokenizer_config.json", {"chat_template": ["x"]}, "has 'x', not an object with"),
        ("generation_config.json", {"eos_token_id": 320}, "is 320, must be 0..319"),
        ("generation_config.json", {"eos_token_id": [1, 400]}, r"spans 1\.\.400"),
        ("generation_config.json", {"eos_token_id": "two"}, "must be an array of whole numbers"),
    ],
)
def test_what_stands_beside_it_must_fit(tiny_directory, name, members, problem):
    folder = edit(tiny_directory(), name, **members)
    with pytest.raises(ModelFileError, match=problem):
        facts(folder)
