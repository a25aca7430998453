"""How text is cut before byte pairs are merged: one entry a kind, each known to be exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence

from inferflux.errors import InferFluxError


class UnsupportedTokenizer(InferFluxError):
    """The model's tokenizer is of a kind that InferFlux does not reproduce exactly."""

    code = "unsupported_tokenizer"


def gpt2() -> PreTokenizer:
    """Words with the space before them, contractions, runs of digits, of signs, of spaces."""
    return ByteLevel(add_prefix_space=False, use_regex=True)


def smollm() -> PreTokenizer:
    """As GPT-2, with every digit (Unicode's N: also Roman numerals and superscripts) on its own."""
    return Sequence([Digits(individual_digits=True), gpt2()])


PRE_TOKENIZERS: Mapping[str, Callable[[], PreTokenizer]] = MappingProxyType(
    {"gpt-2": gpt2, "smollm": smollm}
)


def pre_tokenizer(kind: str) -> PreTokenizer:
    """What GGUF calls ``kind``; a near miss would give wrong tokens in silence."""
    try:
        return PRE_TOKENIZERS[kind]()
    except KeyError:
        known = ", ".join(sorted(PRE_TOKENIZERS))
        raise UnsupportedTokenizer(
            f"pre-tokenizer {kind!r} (tokenizer.ggml.pre) is not supported; supported are: {known}"
        ) from None
