"""The tokenizer of a GGUF file: its vocabulary and flags, and what its kind implies."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from inferflux.ir.frontend.chat_templates import of_gguf
from inferflux.ir.frontend.endings import as_control, ending_token_ids
from inferflux.ir.frontend.facts import TextStep, TokenFlags, TokenizerMetadata
from inferflux.ir.frontend.pretokenizers import PRE_TOKENIZERS, PreTokenizer
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields

_AT = "tokenizer.ggml"
_NORMAL, _UNKNOWN, _BYTE = 1, 2, 6


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a model of tokenizer is, and what holds where its file does not say."""

    name: str
    adds_bos: bool = False
    adds_last: bool = False  # a token after every text
    adds_space: bool = False
    bos: int | None = None
    eos: int | None = None
    spelling: str = "spaces"
    last: str = "eos_token_id"


# By GGUF's names, which are those of the first models that had them.
KINDS = {
    "gpt2": _Kind("bpe", spelling="byte_level"),
    "gemma4": _Kind("bpe"),
    "llama": _Kind("sentencepiece", adds_bos=True, adds_space=True, bos=1, eos=2),
    "t5": _Kind("unigram", adds_last=True, eos=1),
    "bert": _Kind("wordpiece", adds_bos=True, adds_last=True, bos=101, last="seperator_token_id"),
}


def read_tokenizer(source: ModelSource) -> TokenizerMetadata:
    """Read and check.  Raises UnsupportedModel for a kind or a pre-tokenizer not known."""
    fields = Fields.of(source)
    kind = _kind(fields)
    tokens = _tokens(fields)
    ids = dict(zip(tokens, range(len(tokens)), strict=True))
    types = _token_types(fields, len(tokens))
    stated = [_token_id(fields, f"{name}_token_id", len(tokens)) for name in ("eos", "eot", "eom")]
    stated[0] = kind.eos if stated[0] is None and kind.eos in ids.values() else stated[0]
    endings = ending_token_ids(ids, stated)
    templates = of_gguf(fields)
    types = as_control(types, endings)
    facts = TokenizerMetadata(
        kind=kind.name,
        pre=fields.text(f"{_AT}.pre", "default"),
        tokens=tokens,
        token_types=types,
        merges=(),
        bos_token_id=_bos(fields, kind, len(tokens)),
        eos_token_ids=endings,
        pad_token_id=_token_id(fields, "padding_token_id", len(tokens)),
        unknown_token_id=_unknown(fields, types),
        add_bos=fields.flag(f"{_AT}.add_bos_token", kind.adds_bos),
        add_space_prefix=fields.flag(f"{_AT}.add_space_prefix", kind.adds_space),
        chat_template=templates.default,
        named_templates=templates.named,
        spelling=kind.spelling,
        last_token_id=_last(fields, kind, len(tokens)),
        stripping=_stripping(fields, source.architecture, ids, types),
    )
    match kind.name:
        case "bpe":
            return _byte_pairs(fields, facts)
        case "wordpiece":
            return replace(facts, normalisers=(_bert_normaliser(fields),))
        case _:
            return replace(
                facts, scores=_scores(fields, len(tokens)), normalisers=_rewriting(fields)
            )


def _kind(fields: Fields) -> _Kind:
    name = fields.text(f"{_AT}.model")
    if name not in KINDS:
        problem = f"{name!r} is not supported; supported are: {', '.join(KINDS)}"
        raise fields.unsupported(f"{_AT}.model", problem)
    return KINDS[name]


def _byte_pairs(fields: Fields, facts: TokenizerMetadata) -> TokenizerMetadata:
    """A BPE with its merges, cutting texts as the kind of its pre-tokenizer does."""
    name = "gemma4" if fields.text(f"{_AT}.model") == "gemma4" else facts.pre
    pre = _pre_tokenizer(fields, name)
    return replace(
        facts,
        pre=name,
        merges=_merges(fields, facts.tokens),
        cuts=pre.cuts,
        normalisers=pre.normalisers,
        spelling=pre.spelling,
        ignore_merges=pre.ignore_merges,
        add_bos=fields.flag(f"{_AT}.add_bos_token", pre.adds_bos),
    )


def _pre_tokenizer(fields: Fields, name: str) -> PreTokenizer:
    if name not in PRE_TOKENIZERS:
        problem = f"{name!r} is not supported; supported are: {', '.join(sorted(PRE_TOKENIZERS))}"
        raise fields.unsupported(f"{_AT}.pre", problem)
    return PRE_TOKENIZERS[name]


def _bert_normaliser(fields: Fields) -> TextStep:
    lowercase = fields.flag(f"{_AT}.normalizer.lowercase", True)
    flags = {
        "clean": True,
        "chinese": True,
        "lowercase": lowercase,
        "strip_accents": fields.flag(f"{_AT}.normalizer.strip_accents", lowercase),
    }
    return TextStep("bert", flags=tuple(name for name, is_set in flags.items() if is_set))


def _rewriting(fields: Fields) -> tuple[TextStep, ...]:
    """What SentencePiece does to a text before it looks for tokens."""
    steps = []
    if fields.has(f"{_AT}.precompiled_charsmap"):
        charsmap = np.array(fields.wholes(f"{_AT}.precompiled_charsmap"), np.int16).astype(np.uint8)
        steps.append(TextStep("charsmap", b64encode(charsmap.tobytes()).decode()))
    if fields.flag(f"{_AT}.remove_extra_whitespaces", False):
        steps.append(TextStep("merge_spaces"))
    return tuple(steps)


def _tokens(fields: Fields) -> tuple[str, ...]:
    tokens = fields.texts(f"{_AT}.tokens")
    if not tokens:
        raise fields.wrong(f"{_AT}.tokens", "is empty")
    if len(set(tokens)) != len(tokens):
        twice, _ = Counter(tokens).most_common(1)[0]
        raise fields.wrong(f"{_AT}.tokens", f"has {twice!r} twice, so its id is ambiguous")
    return tokens


def _token_types(fields: Fields, num_tokens: int) -> tuple[int, ...]:
    key = f"{_AT}.token_type"
    if not fields.has(key):
        return (_NORMAL,) * num_tokens
    types = fields.wholes(key)
    if len(types) != num_tokens:
        raise fields.wrong(key, f"has {len(types)} entries for {num_tokens} tokens")
    if not _NORMAL <= min(types) <= max(types) <= _BYTE:
        raise fields.wrong(key, f"spans {min(types)}..{max(types)}, must be {_NORMAL}..{_BYTE}")
    return types


def _scores(fields: Fields, num_tokens: int) -> tuple[int, ...]:
    scores = fields.numbers(f"{_AT}.scores")
    if len(scores) != num_tokens:
        problem = f"has {len(scores)} entries for {num_tokens} tokens"
        raise fields.wrong(f"{_AT}.scores", problem)
    if not np.isfinite(scores).all():
        raise fields.wrong(f"{_AT}.scores", "has a number that is not finite")
    return tuple(scores.astype(np.float32).view(np.uint32).tolist())


def _merges(fields: Fields, tokens: tuple[str, ...]) -> tuple[str, ...]:
    merges = fields.texts(f"{_AT}.merges")
    known = set(tokens)
    for rank, merge in enumerate(merges):
        left, _, right = merge.partition(" ")
        if left not in known or right not in known or left + right not in known:
            problem = f"[{rank}] is {merge!r}, not two tokens that make a third"
            raise fields.wrong(f"{_AT}.merges", problem)
    return merges


def _token_id(fields: Fields, name: str, num_tokens: int) -> int | None:
    key = f"{_AT}.{name}"
    return fields.whole(key, 0, num_tokens - 1) if fields.has(key) else None


def _bos(fields: Fields, kind: _Kind, num_tokens: int) -> int | None:
    names = ("bos_token_id", "cls_token_id") if kind.name == "wordpiece" else ("bos_token_id",)
    stated = (_token_id(fields, name, num_tokens) for name in names)
    found = next((token for token in stated if token is not None), kind.bos)
    return found if found is not None and found < num_tokens else None


def _unknown(fields: Fields, types: tuple[int, ...]) -> int | None:
    stated = _token_id(fields, "unknown_token_id", len(types))
    return types.index(_UNKNOWN) if stated is None and _UNKNOWN in types else stated


def _last(fields: Fields, kind: _Kind, num_tokens: int) -> int | None:
    if not fields.flag(f"{_AT}.add_eos_token", kind.adds_last):
        return None
    last = _token_id(fields, kind.last, num_tokens)
    if last is None:
        raise fields.wrong(f"{_AT}.{kind.last}", "is missing, and is put after every text")
    return last


def _stripping(
    fields: Fields, architecture: str, ids: dict[str, int], types: tuple[int, ...]
) -> tuple[TokenFlags, ...]:
    """GGUF does not say which tokens take the spaces around them; these families' do."""
    if fields.has(key := "general.name") and "phi3" in fields.text(key).lower().replace("-", ""):
        whole = [at for at, kind in enumerate(types) if kind in (2, 3, 4)]
        keep = {ids.get(name) for name in ("<unk>", "<s>", "<|endoftext|>")}
        return tuple(TokenFlags(at, ("right",)) for at in whole if at not in keep)
    masks = fields.text(f"{_AT}.pre", "").startswith("jina-v2-")
    if (masks or architecture in ("nomic-bert-moe", "jina-bert-v3")) and "<mask>" in ids:
        return (TokenFlags(ids["<mask>"], ("left",)),)
    return ()
