"""Token for token: a tokenizer.json as its library has it, llama.cpp's vocabularies as it does."""

from __future__ import annotations

import base64
import json
import random
import re
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tokenizers

import strings
import vocabularies
from inferflux.codegen.artifact.compiled import TextStep, TokenizerFacts
from inferflux.codegen.facts import tokenizer_facts
from inferflux.ir import frontend
from inferflux.ir.frontend import gguf
from inferflux.ir.frontend.pretokenizers import PRE_TOKENIZERS
from inferflux.text import Tokenizer
from inferflux.text.alphabet import token_bytes

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3000)]

NUM_STRINGS = 10_000
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = BYTES | {"use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}


def split(expression: str) -> dict[str, Any]:
    pattern = {"Regex": expression}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": [*steps]}


def named(name: str) -> dict[str, Any]:
    """The expressions of a pre-tokenizer, as its tokenizer.json has them."""
    cuts = [step for step in PRE_TOKENIZERS[name].cuts if step.kind == "split"]
    return sequence(*(split(step.pattern) for step in cuts), BYTES)


FALCON = sequence(
    {"type": "Punctuation", "behavior": "Contiguous"},
    GPT2,
    {"type": "Digits", "individual_digits": False},
    split("[0-9][0-9][0-9]"),
)
BYTE_LEVEL = {  # what a tokenizer.json of the family has in place of SmolLM's
    "llama-3": {"pre_tokenizer": named("llama3"), "model.ignore_merges": True},
    "qwen-2": {"pre_tokenizer": named("qwen2"), "normalizer": {"type": "NFC"}},
    "gpt-2": {"pre_tokenizer": GPT2},
    "gpt-neox": {"pre_tokenizer": GPT2, "normalizer": {"type": "NFC"}},
    "falcon": {"pre_tokenizer": FALCON},
    "starcoder": {"pre_tokenizer": sequence(DIGITS, GPT2)},
    "deepseek-v3": {"pre_tokenizer": named("deepseek-v3")},
    "gpt-oss": {"pre_tokenizer": named("gpt-4o")},
    "tekken": {"pre_tokenizer": named("tekken"), "model.ignore_merges": True},
}


@pytest.mark.parametrize("family", BYTE_LEVEL)
def test_byte_level_ids_are_the_librarys(hf_files, default_model, tmp_path, family):
    hf_files.write_texts(tmp_path, hf_files.Gguf(default_model))
    hf_files.write_weights(tmp_path, {})
    document = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    for key, value in BYTE_LEVEL[family].items():
        outer, _, inner = key.partition(".")
        if inner:
            document[outer][inner] = value
        else:
            document[outer] = value
    assert_equal_to_library(tmp_path, document)


SPACES_TO_TEXT = [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
TO_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Prepend", "prepend": "▁"}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
MERGED = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}
SPACED = {
    "llama-2": {"normalizer": {"type": "Sequence", "normalizers": [PREPEND, TO_SPACES]}},
    "mistral": {"pre_tokenizer": METASPACE},
    "gemma": {"normalizer": TO_SPACES, "pre_tokenizer": MERGED},
}


@pytest.mark.parametrize("family", SPACED)
def test_ids_of_text_with_spelled_spaces_are_the_librarys(hf_files, tiny_directory, family):
    steps = [*SPACES_TO_TEXT, STRIP] if family != "gemma" else SPACES_TO_TEXT
    document = {
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), TOOL],
        "model": byte_fallback_model(),
        "decoder": {"type": "Sequence", "decoders": steps},
        **SPACED[family],
    }
    assert_equal_to_library(tiny_directory(), document)


def test_ids_of_word_pieces_are_the_librarys(tiny_directory):
    facts = vocabularies.wordpiece()
    pieces = {
        token if at < 4 else token[1:] if token.startswith("▁") else f"##{token}": at
        for at, token in enumerate(facts.tokens)
    }
    document = {
        "added_tokens": [added(at, facts.tokens[at]) for at in range(4)],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": pieces,
        },
    }
    assert_equal_to_library(tiny_directory(), document)


def added(token_id: int, text: str, **flags: bool) -> dict[str, Any]:
    rest = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": text, "special": True, **rest, **flags}


TOOL = added(259, "<tool>", special=False, rstrip=True)


def byte_fallback_model() -> dict[str, Any]:
    """The pieces of the small vocabulary, with every pair that makes one as a merge."""
    tokens = vocabularies.sentencepiece().tokens
    ids = {token: at for at, token in enumerate(tokens)}
    ids["\n"] = len(ids)
    merges = [
        [piece[:at], piece[at:]]
        for piece in vocabularies.PIECES
        for at in range(1, len(piece))
        if piece[:at] in ids and piece[at:] in ids
    ]
    flags = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    return {"type": "BPE", "vocab": ids, "merges": merges, **flags}


def assert_equal_to_library(folder: Path, document: dict[str, Any]) -> None:
    whole = {"version": "1.0", "normalizer": None, "pre_tokenizer": None, "post_processor": None}
    text = json.dumps(whole | document)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"vocab_size": max(500, config["vocab_size"]), "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(tokenizer_facts(frontend.tokenizer(frontend.open(folder))))
    special = [each["content"] for each in document["added_tokens"]]
    for string in strings.strings(NUM_STRINGS, seed=5, special=special):
        ids = library.encode(string, add_special_tokens=False).ids
        assert tokenizer.encode(string, special=True) == ids, ascii(string)


# Strings on which llama.cpp is not the model's own tokenizer, by the reason; ours is the model's.
DEVIATIONS = {
    "composes no characters": lambda text, facts, ours, theirs: (
        {"nfc"} <= {step.kind for step in facts.normalisers}
        and unicodedata.normalize("NFC", text) != text
    ),
    "merges nothing over a byte without a token": lambda text, facts, ours, theirs: (
        facts.kind == "bpe"
        and facts.spelling == "byte_level"
        and not set(text.encode()) <= _bytes_with_tokens(facts)
    ),
    "takes spaces that are not ASCII for others": lambda text, facts, ours, theirs: (
        facts.pre.startswith("deepseek") and any(c.isspace() and ord(c) > 127 for c in text)
    ),
    "knows other spaces, marks and signs, and no Hangul": lambda text, facts, ours, theirs: (
        facts.kind == "wordpiece" and any(map(_is_known_otherwise, text))
    ),
    "takes no spaces that are not ASCII with a token": lambda text, facts, ours, theirs: any(
        _touches_other_space(text, facts.tokens[each.token_id], each.flags)
        for each in facts.stripping
    ),
    "chooses another of two equally probable cuts": lambda text, facts, ours, theirs: (
        facts.kind == "unigram" and sorted(ours) == sorted(theirs)
    ),
    "knows words of more than 100 characters": lambda text, facts, ours, theirs: (
        facts.kind == "wordpiece" and max(map(len, text.split()), default=0) > 100
    ),
}


def _bytes_with_tokens(facts: TokenizerFacts) -> set[int]:
    return {token_bytes(token)[0] for token in facts.tokens if len(token_bytes(token)) == 1}


def _touches_other_space(text: str, token: str, flags: tuple[str, ...]) -> bool:
    """llama.cpp strips by isspace() of the C locale, which knows ASCII's spaces alone."""
    spelled, other = re.escape(token), r"[^\S\x00-\x7f]"
    after, before = rf"{spelled}\s*{other}", rf"{other}\s*{spelled}"
    return bool(
        ("right" in flags and re.search(after, text))
        or ("left" in flags and re.search(before, text))
    )


_NEWER = ("Cf", "Cn", "Mn", "Pd", "Pe", "Po", "Ps", "Lo")


def _is_known_otherwise(character: str) -> bool:
    """llama.cpp's preprocess() of WordPiece: its spaces, marks, punctuation and decomposition.

    Lines end at vertical tabs, form feeds and U+0085, which BERT's own takes out; spacing and
    enclosing marks are accents, which BERT's keeps; Hangul is not decomposed; and its tables are of
    a Unicode newer than those of the tokenizer that the model was trained with.
    """
    return character in "\v\f\x85" or any(
        unicodedata.category(each) in ("Mc", "Me")
        or "\u1100" <= each < "\u1200"
        or (unicodedata.category(each) in _NEWER and unicodedata.ucd_3_2_0.category(each) == "Cn")
        for each in unicodedata.normalize("NFD", character)
    )


# A megabyte of each must take less than a second of one core, on a machine that is otherwise idle;
# of letters at random, where nothing is seen twice, less than two.
MEGABYTE = 1 << 20
UNITS = ("a", "1", " ", "\n", "\t", "!", "=", "🙂", "\u0301", "\0", "\u2581", "\xff")


def hostile_texts() -> Iterator[tuple[str, int]]:
    """Texts, and the seconds that they may take."""
    yield from ((unit * (MEGABYTE // len(unit.encode())), 1) for unit in UNITS)
    yield base64.b64encode(random.Random(3).randbytes(MEGABYTE * 3 // 4)).decode(), 2


def assert_takes_less_than_a_second(tokenizer: Tokenizer) -> None:
    tokenizer.prepare()
    for text, seconds in hostile_texts():
        start = time.process_time()
        tokenizer.encode(text, special=False)
        assert time.process_time() - start < seconds, ascii(text[:8])


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_a_hostile_megabyte_takes_less_than_a_second(default_model, name):
    facts = tokenizer_facts(frontend.tokenizer(gguf.open_model(default_model)))
    kind = PRE_TOKENIZERS[name]
    if kind.spelling != "byte_level":
        pytest.skip("its vocabulary spells spaces: gemma-4 among the vocabularies is of this kind")
    cuts = tuple(TextStep(each.kind, each.pattern, each.text, each.flags) for each in kind.cuts)
    assert_takes_less_than_a_second(Tokenizer(replace(facts, cuts=cuts)))


def test_a_hostile_megabyte_takes_less_than_a_second_in_a_vocabulary(vocabulary):
    facts = tokenizer_facts(frontend.tokenizer(gguf.open_model(vocabulary)))
    assert_takes_less_than_a_second(Tokenizer(facts))


def vocabulary_files(config: pytest.Config) -> list[Path]:
    folder = config.getoption("--vocabularies")
    return sorted(folder.glob("ggml-vocab-*.gguf")) if folder else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vocabulary" in metafunc.fixturenames:
        files = vocabulary_files(metafunc.config)
        missing = pytest.param(None, marks=pytest.mark.skip("--vocabularies FOLDER is not given"))
        metafunc.parametrize("vocabulary", files or [missing], ids=lambda path: path and path.stem)


def test_ids_are_those_of_llama_cpp(vocabulary, record_property):
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    facts = tokenizer_facts(frontend.tokenizer(gguf.open_model(vocabulary)))
    tokenizer = Tokenizer(facts)
    special = [*tokenizer.special_tokens][:30]
    texts = strings.strings(NUM_STRINGS, seed=6, special=special)
    apart: dict[str, int] = {}
    for text, is_special, theirs in llama_ids(llama_cpp, vocabulary, texts):
        ours, theirs = tokenizer.encode(text, special=is_special), without_doubles(theirs, facts)
        if ours == theirs:
            continue
        reasons = (why for why, holds in DEVIATIONS.items() if holds(text, facts, ours, theirs))
        reason = next(reasons, None)
        assert reason, f"{text!a} special={is_special}"
        apart[reason] = apart.get(reason, 0) + 1
    record_property("apart", apart)
    print(vocabulary.stem, apart)  # noqa: T201  the figures that the documentation states


def llama_ids(
    llama_cpp: Any, vocabulary: Path, texts: list[str]
) -> Iterator[tuple[str, bool, list[int]]]:
    model = llama_cpp.Llama(str(vocabulary), vocab_only=True, verbose=False)
    for text in texts:
        for is_special in (False, True):
            yield text, is_special, model.tokenize(text.encode(), special=is_special)


def without_doubles(ids: list[int], facts: TokenizerFacts) -> list[int]:
    """llama.cpp puts a BOS before one that the text spells; a prompt has one."""
    if facts.add_bos and ids[:2] == [facts.bos_token_id] * 2:
        ids = ids[1:]
    doubled = facts.last_token_id is not None and ids[-2:] == [facts.last_token_id] * 2
    return ids[:-1] if doubled else ids
