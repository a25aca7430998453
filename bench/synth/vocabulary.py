"""A byte-level BPE of any size: every byte is a token, the rest are short made-up words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from inferflux.errors import InvalidArgument

SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzĠ"  # the last stands for a space
_LONGEST: Final = 4  # letters of a word: 551,853 of them, more than any vocabulary has
_NUM_BYTES: Final = 256
_CONTROL, _NORMAL = 3, 1
_CHATML: Final = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id, and the merges that make the longer ones."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]

    def metadata(self) -> Mapping[str, object]:
        """What a GGUF file says of it."""
        num_words = len(self.tokens) - len(SPECIAL)
        return {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.tokens": list(self.tokens),
            "tokenizer.ggml.token_type": [_CONTROL] * len(SPECIAL) + [_NORMAL] * num_words,
            "tokenizer.ggml.merges": list(self.merges),
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.padding_token_id": 2,
            "tokenizer.ggml.add_bos_token": False,
            "tokenizer.ggml.add_space_prefix": False,
            "tokenizer.chat_template": _CHATML,
        }


def make_vocabulary(size: int) -> Vocabulary:
    """``size`` tokens; a word is made of the word without its last letter, and that letter."""
    num_merged = size - len(SPECIAL) - _NUM_BYTES
    if num_merged < 0:
        least = len(SPECIAL) + _NUM_BYTES
        raise InvalidArgument(f"a vocabulary of {size} tokens is too small: {least} at least")
    words = tuple(itertools.islice(_words(), num_merged))
    if len(words) < num_merged:
        raise InvalidArgument(f"a vocabulary of {size} tokens is larger than can be made up")
    merges = tuple(f"{word[:-1]} {word[-1]}" for word in words)
    return Vocabulary((*SPECIAL, *_byte_letters(), *words), merges)


def _words() -> Iterator[str]:
    """Every word of two letters, then of three, then of four."""
    for length in range(2, _LONGEST + 1):
        yield from map("".join, itertools.product(_LETTERS, repeat=length))


def _byte_letters() -> tuple[str, ...]:
    """The printable stand-in of each byte, as GPT-2 chose it: itself, or a letter from 256 on."""
    visible = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), 256),
    }
    hidden = (byte for byte in range(_NUM_BYTES) if byte not in visible)
    stand_ins = {byte: _NUM_BYTES + index for index, byte in enumerate(hidden)}
    return tuple(chr(stand_ins.get(byte, byte)) for byte in range(_NUM_BYTES))
