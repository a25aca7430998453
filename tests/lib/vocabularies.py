"""Small vocabularies of the kinds that are not byte-level, as GGUF files state them."""

from __future__ import annotations

import struct
from dataclasses import replace

from inferflux.codegen.artifact.compiled import TextStep, TokenizerFacts

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-()é日"
# In the order in which they were learned.  Some are their own beginning and end: aaa, ana.
_PIECES = (
    "▁▁ ▁t he ▁a in re on ▁the ll aa er ▁▁▁▁ an lo ▁he aaa ana or ▁hello ▁w ▁wor ld ▁world aaaa na"
    " ing ▁tokens 12 00 ▁日 日日"
)
PIECES = tuple(_PIECES.split())
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def sentencepiece() -> TokenizerFacts:
    """BPE by scores, with bytes for what has no piece and a space before every text."""
    named = ("<unk>", "<s>", "</s>")
    tokens = (*named, *BYTES, "<tool>", *PIECES, "▁", *LETTERS)
    ranks = range(len(PIECES) + 1 + len(LETTERS))
    scores = (0.0,) * (len(named) + len(BYTES) + 1) + tuple(-float(rank) for rank in ranks)
    types = (UNKNOWN, CONTROL, CONTROL, *(BYTE,) * 256, USER_DEFINED, *(NORMAL,) * len(ranks))
    return TokenizerFacts(
        kind="sentencepiece",
        pre="default",
        tokens=tokens,
        token_types=types,
        merges=(),
        bos_token_id=1,
        eos_token_ids=(2,),
        pad_token_id=None,
        unknown_token_id=0,
        add_bos=True,
        add_space_prefix=True,
        chat_template=None,
        scores=bits(scores),
        spelling="spaces",
    )


def unigram() -> TokenizerFacts:
    """Pieces with probabilities; runs of spaces count as one, and no byte has a token."""
    named = ("<pad>", "</s>", "<unk>")
    pieces = (*PIECES, "▁", *LETTERS)
    scores = (0.0,) * 3 + tuple(-2.0 - 0.25 * (rank % 23) for rank in range(len(pieces)))
    return replace(
        sentencepiece(),
        kind="unigram",
        tokens=(*named, *pieces),
        token_types=(CONTROL, CONTROL, UNKNOWN, *(NORMAL,) * len(pieces)),
        bos_token_id=None,
        eos_token_ids=(1,),
        unknown_token_id=2,
        add_bos=False,
        scores=bits(scores),
        normalisers=(TextStep("merge_spaces"),),
        last_token_id=1,
    )


def wordpiece() -> TokenizerFacts:
    """Words of lower case and what continues them, between [CLS] and [SEP]."""
    named = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    starts = (*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-()日", "the", "hello", "world", "token")
    goes_on = (*"abcdefghijklmnopqrstuvwxyz0123456789", "s", "ing", "ll", "er")
    pieces = dict.fromkeys((*(f"▁{start}" for start in starts), *goes_on))
    return replace(
        sentencepiece(),
        kind="wordpiece",
        tokens=(*named, *pieces),
        token_types=(CONTROL,) * 4 + (NORMAL,) * len(pieces),
        bos_token_id=2,
        eos_token_ids=(),
        unknown_token_id=1,
        add_space_prefix=False,
        scores=(),
        normalisers=(TextStep("bert", flags=("clean", "chinese", "lowercase", "strip_accents")),),
        last_token_id=3,
    )


def bits(scores: tuple[float, ...]) -> tuple[int, ...]:
    """The bits of float32."""
    return struct.unpack(f"<{len(scores)}I", struct.pack(f"<{len(scores)}f", *scores))
