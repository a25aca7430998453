"""Which tokens end an output, where a file names only some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_CONTROL = 3
# Tokens that end a turn, a message or a text in the models that have them: as llama.cpp knows them.
_ENDINGS = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
)
_PADDING = ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]")
_REPOSITORY = ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>")
_FILE = ("<|file_sep|>",)


def ending_token_ids(ids: Mapping[str, int], stated: Iterable[int | None]) -> tuple[int, ...]:
    """The stated ones first; then those that a model of this vocabulary means by their names."""
    named = [ids[name] for name in _ENDINGS if name in ids]
    code = [_first(ids, names) for names in (_PADDING, _REPOSITORY, _FILE)]
    every = dict.fromkeys(token for token in (*stated, *named, *code) if token is not None)
    no_endings = _no_endings(ids)
    return tuple(token for token in every if token not in no_endings)


def as_control(types: tuple[int, ...], endings: tuple[int, ...]) -> tuple[int, ...]:
    """What ends an output no user may write, also where a file calls such a token text."""
    changed = list(types)
    for token in endings:
        changed[token] = _CONTROL
    return tuple(changed)


def _no_endings(ids: Mapping[str, int]) -> set[int]:
    """<|end|> ends one message of several in harmony; </s> is text in Gemma 4 and PLaMo."""
    names = []
    if _has(ids, "<|return|>", "<|call|>") or _has(ids, "<|flush|>", "<|calls|>"):
        names.append("<|end|>")
    if _has(ids, "<|tool_response>") or _has(ids, "<|plamo:eos|>"):
        names.append("</s>")
    return {ids[name] for name in names if name in ids}


def _has(ids: Mapping[str, int], *names: str) -> bool:
    return all(name in ids for name in names)


def _first(ids: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((ids[name] for name in names if name in ids), None)
