"""What every form of a directory's tokenizer gives, and the tokens it is told of by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.huggingface.directory import SPECIAL_TOKENS, TOKENIZER_CONFIG
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class StatedTokenizer:
    """Tokens and the steps around them; ``first`` and ``last`` are put around every text."""

    vocabulary: Vocabulary
    normalisers: tuple[TextStep, ...]
    cuts: tuple[TextStep, ...]
    spelling: str
    puts_space: bool  # before a text, and it is not the text's own
    first: int | None
    last: int | None
    bos: int | None = None  # where no file beside it names one
    eos: int | None = None


def named_token(source: HuggingFaceModel, name: str, ids: Mapping[str, int]) -> int | None:
    """The id of a token that is stated as text, or as an object with its text."""
    for file in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
        stated = source.fields(file)
        key = f"{name}.content" if stated.has(f"{name}.content") else name
        if not stated.has(key):
            continue
        token = stated.text(key)
        if token not in ids:
            raise stated.wrong(key, f"is {token!r}, which is not in the vocabulary")
        return ids[token]
    return None


def around(
    source: HuggingFaceModel,
    bos: int | None,
    eos: int | None,
    *,
    adds_bos: bool = False,
    adds_eos: bool = False,
) -> tuple[int | None, int | None]:
    """What tokenizer_config.json has put before every text and after it."""
    stated = source.fields(TOKENIZER_CONFIG)
    found = []
    for key, token, default in (
        ("add_bos_token", bos, adds_bos),
        ("add_eos_token", eos, adds_eos),
    ):
        is_put = stated.flag(key, default and token is not None)
        if is_put and token is None:
            raise stated.wrong(key, "is set, and no such token is stated")
        found.append(token if is_put else None)
    return found[0], found[1]
