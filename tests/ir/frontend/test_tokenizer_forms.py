"""Directories without a tokenizer.json: SentencePiece's own file, or vocab.json and merges.txt."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece

import strings
from inferflux.codegen.facts import tokenizer_facts
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, UnsupportedModel
from inferflux.text import Tokenizer

FORMS = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
LINES = (
    "the tokens of a text",
    "hello world, here are 12 tokens",
    "a tokenizer's text 日本 é ...",
) * 9


def trained(kind: str, **options: object) -> bytes:
    """A small SentencePiece model, as SentencePiece itself writes it."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=written,
        model_type=kind,
        vocab_size=310 if kind == "bpe" else 60,
        byte_fallback=kind == "bpe",
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return written.getvalue()


@pytest.fixture(scope="session")
def pieces() -> bytes:
    return trained("bpe", user_defined_symbols=["<tool>"])


@pytest.fixture
def directory(tiny_directory) -> Callable[..., Path]:
    """A model whose tokenizer is the files that are given: ``directory({name: content})``."""

    def write(files: dict[str, object]) -> Path:
        folder = tiny_directory()
        for name in (*FORMS, "tokenizer_config.json", "generation_config.json"):
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(raw)
        return folder

    return write


@pytest.fixture
def merge_files(tiny_directory) -> dict[str, object]:
    model = json.loads((tiny_directory() / "tokenizer.json").read_text("utf-8"))["model"]
    lines = ["#version: 0.2", *map(" ".join, model["merges"]), ""]
    return {"vocab.json": model["vocab"], "merges.txt": "\n".join(lines).encode()}


def facts(folder: Path):
    return frontend.tokenizer(frontend.open(folder))


def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(tokenizer_facts(facts(folder)))


def added(text: str, **flags: bool) -> dict[str, object]:
    return {"content": text, "special": True, "normalized": False, **flags}


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_give_the_ids_of_sentencepiece(directory, kind):
    raw = trained(kind)
    found = tokenizer(directory({"tokenizer.model": raw}))
    library = sentencepiece.SentencePieceProcessor(model_proto=raw)
    for text in strings.strings(300, seed=7):
        assert found.encode(text, special=False) == [1, *library.encode(text)], ascii(text)


def test_pieces_keep_what_the_file_says_of_them(directory, pieces):
    stated = {"tokenizer_class": "LlamaTokenizer", "add_eos_token": True, "pad_token": "</s>"}
    found = facts(directory({"tokenizer.model": pieces, "tokenizer_config.json": stated}))
    assert (found.kind, found.add_bos, found.add_space_prefix) == ("sentencepiece", True, True)
    assert (found.bos_token_id, found.last_token_id, found.pad_token_id) == (1, 2, 2)
    assert found.tokens[:4] == ("<unk>", "<s>", "</s>", "<tool>")
    assert found.token_types[:5] == (2, 3, 3, 4, 6)
    assert [step.kind for step in found.normalisers] == ["charsmap", "merge_spaces", "prefix_space"]
    assert len(found.scores) == len(found.tokens)


@pytest.mark.parametrize(("legacy", "expected"), [(True, " b"), (False, "b")])
def test_a_space_is_put_after_a_whole_token_where_the_file_is_of_the_old_kind(
    directory, pieces, legacy, expected
):
    files = {"tokenizer.model": pieces, "tokenizer_config.json": {"legacy": legacy}}
    found = tokenizer(directory(files))
    ids = found.encode("a<tool>b", special=False)
    assert found.decode(ids) == f"a<tool>{expected}"


def test_added_tokens_stand_beside_the_pieces(directory, pieces):
    decoder = {"319": added("<|end|>"), "318": added("<>", special=False, rstrip=True)}
    stated = {"added_tokens_decoder": decoder, "eos_token": "<|end|>", "add_bos_token": False}
    found = tokenizer(directory({"tokenizer.model": pieces, "tokenizer_config.json": stated}))
    assert found.eos_token_ids[-1] == 319
    assert found.encode("<|end|>", special=True) == [319]
    assert 319 not in found.encode("<|end|>", special=False)
    assert found.decode(found.encode("a <>  b", special=False)) == "a<>b"


@pytest.mark.parametrize(
    ("name", "cuts"),
    [("GPT2Tokenizer", "byte_level"), ("Qwen2TokenizerFast", "nfc split byte_level")],
)
def test_merge_files_are_cut_as_their_class_says(directory, merge_files, name, cuts):
    vocab = merge_files["vocab.json"]
    *_, last = vocab
    vocab["Ġ1"] = vocab.pop(last)  # so digits were not cut off before
    merge_files["merges.txt"] = b"#version: 0.2"
    found = facts(directory(merge_files | {"tokenizer_config.json": {"tokenizer_class": name}}))
    assert " ".join(step.kind for step in (*found.normalisers, *found.cuts)) == cuts


def test_digits_are_cut_where_no_token_joins_them_to_anything(directory, merge_files, tiny_gguf):
    found = facts(directory(merge_files))
    stated = frontend.tokenizer(frontend.open(tiny_gguf()))
    assert (found.tokens, found.merges, found.cuts) == (stated.tokens, stated.merges, stated.cuts)


def test_older_files_say_which_tokens_are_special(directory, merge_files):
    merge_files |= {
        "added_tokens.json": {"<|im_end|>": 2},
        "special_tokens_map.json": {"eos_token": {"content": "<|im_end|>", "lstrip": False}},
    }
    found = facts(directory(merge_files))
    assert found.token_types[2] == 3
    assert found.eos_token_ids == (2,)


def test_a_tokenizer_json_wins(directory, tiny_directory, pieces):
    document = (tiny_directory() / "tokenizer.json").read_bytes()
    folder = directory({"tokenizer.json": document, "tokenizer.model": pieces})
    assert facts(folder).kind == "bpe"
    assert all(file.name != "tokenizer.model" for file in frontend.open(folder).files)


def test_a_directory_without_a_tokenizer_is_told_the_forms(directory):
    forms = r"tokenizer.json, or tokenizer.model, or vocab.json \+ merges.txt"
    with pytest.raises(ModelFileError, match=forms):
        frontend.open(directory({"vocab.json": {}}))


REFUSED = [
    ("tokenizer_class", "XLMRobertaTokenizer", "is 'XLMRobertaTokenizer'; supported with"),
    ("add_bos_token", 1, "must be a bool"),
    ("bos_token", "<none>", "'<none>', which is not in the vocabulary"),
    ("added_tokens_decoder", {"x": added("<x>")}, "has 'x': .*, not an id and its token"),
    ("added_tokens_decoder", {"9": added("<s>")}, "has '<s>' as 9, the vocabulary as 1"),
    ("added_tokens_decoder", {"999": added("<x>")}, "an id of its own for every token"),
]


@pytest.mark.parametrize(("key", "value", "problem"), REFUSED)
def test_what_contradicts_the_pieces_is_refused(directory, pieces, key, value, problem):
    folder = directory({"tokenizer.model": pieces, "tokenizer_config.json": {key: value}})
    with pytest.raises(ModelFileError, match=problem):
        facts(folder)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model_type": "word"}, "trainer_spec.model_type .* is of words; supported are"),
        ({"treat_whitespace_as_suffix": True}, "a space is put after words"),
    ],
)
def test_a_model_of_another_kind_is_refused_by_name(directory, options, problem):
    raw = trained(
        options.get("model_type", "bpe"),
        **{key: value for key, value in options.items() if key != "model_type"},
    )
    with pytest.raises(UnsupportedModel, match=problem):
        facts(directory({"tokenizer.model": raw}))


def test_damaged_pieces_are_read_or_refused_with_file_and_field(directory, pieces):
    folder, chance = directory({"tokenizer.model": pieces}), random.Random(3)
    refusals = []
    for _ in range(60):
        mutant = bytearray(pieces)
        for _ in range(4):
            mutant[chance.randrange(4000)] ^= 1 << chance.randrange(8)
        (folder / "tokenizer.model").write_bytes(mutant)
        try:
            facts(folder)
        except ModelFileError as error:
            refusals.append(error)
    assert len(refusals) > 20
    assert {error.path.name for error in refusals} == {"tokenizer.model"}
    assert all(error.field for error in refusals)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"Zz Qq", "line 2 at byte 14: is 'Zz Qq', not two tokens"),
        (b"\xff\xfe", "line 2 at byte 14"),
    ],
)
def test_a_line_that_is_no_merge_is_named(directory, merge_files, line, problem):
    merge_files["merges.txt"] = b"#version: 0.2\n" + line + b"\n"
    with pytest.raises(ModelFileError, match=problem):
        facts(directory(merge_files))
