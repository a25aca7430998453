"""The steps of a tokenizer.json around its merges: those that are known, as facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.huggingface.growth import grows_too_much
from inferflux.ir.frontend.limits import MAX_TEXT_GROWTH
from inferflux.ir.frontend.typed import Fields

_SPACE = "\u2581"


@dataclass(frozen=True, slots=True)
class _Unknown(ValueError):
    """A step, or a parameter of one, that has no fact."""

    what: str


def read_steps(fields: Fields, key: str) -> tuple[TextStep, ...]:
    """What ``normalizer`` or ``pre_tokenizer`` does.  Raises UnsupportedModel by a step's name."""
    known, several = _STEPS[key]
    steps = []
    for step in _flattened(fields.values.get(key), several):
        if _kind(step) is None:
            continue
        if _kind(step) not in known:
            problem = f"has a step {_kind(step)!r}; supported are: {', '.join(known)}"
            raise fields.unsupported(key, problem)
        try:
            steps.append(known[_kind(step)](dict(step)))
        except _Unknown as unknown:
            problem = f"has a step {_kind(step)!r} with {unknown.what}, which is not supported"
            raise fields.unsupported(key, problem) from None
    if grows_too_much(steps):
        problem = f"may make a text over {MAX_TEXT_GROWTH} times as long by what it replaces"
        raise fields.unsupported(key, problem)
    return tuple(steps)


def read_spelling(fields: Fields) -> tuple[str, bool]:
    """How tokens spell bytes, and whether a text's first space is not its own."""
    kinds = [_kind(step) for step in _flattened(fields.values.get("decoder"), "decoders")]
    match kinds:
        case ["ByteLevel"]:
            return "byte_level", False
        case ["Replace", "ByteFallback", "Fuse", *rest] if rest in ([], ["Strip"]):
            _check_replaces_spaces(fields)
            return "spaces", bool(rest)
        case ["Metaspace"] | ["Metaspace", "ByteFallback", "Fuse"]:
            return "spaces", True
        case ["WordPiece"]:
            return "spaces", True
        case _:
            found = " + ".join(map(str, kinds))
            known = "ByteLevel, Replace + ByteFallback + Fuse (+ Strip), Metaspace, WordPiece"
            raise fields.unsupported("decoder", f"is {found}; supported are: {known}")


def surrounding_tokens(fields: Fields) -> tuple[int | None, int | None]:
    """The token before every text and the one after it; None: none is."""
    around: tuple[int | None, int | None] = (None, None)
    for step in _flattened(fields.values.get("post_processor"), "processors"):
        match _kind(step):
            case "TemplateProcessing":
                around = _template(fields, step)
            case "BertProcessing" | "RobertaProcessing":
                around = _pair(fields, step)
            case "ByteLevel" | None:
                pass
            case kind:
                raise fields.unsupported("post_processor", f"{kind} is not supported")
    return around


def _template(fields: Fields, step: Any) -> tuple[int | None, int | None]:
    named = step.get("special_tokens")
    match step.get("single"):
        case [{"Sequence": _}]:
            return None, None
        case [before, {"Sequence": _}]:
            return _special_id(fields, before, named), None
        case [{"Sequence": _}, after]:
            return None, _special_id(fields, after, named)
        case [before, {"Sequence": _}, after]:
            return _special_id(fields, before, named), _special_id(fields, after, named)
    problem = "puts something else around a text than one token before it and one after it"
    raise fields.unsupported("post_processor", problem)


def _special_id(fields: Fields, piece: Any, named: Any) -> int:
    match piece:
        case {"SpecialToken": {"id": str(name)}} if isinstance(named, dict):
            match named.get(name):
                case {"ids": [int(token_id)]}:
                    return token_id
    raise fields.unsupported("post_processor", "has a special token that is not one token")


def _pair(fields: Fields, step: Any) -> tuple[int, int]:
    match step:
        case {"cls": [str(), int(first)], "sep": [str(), int(last)]}:
            return first, last
    raise fields.wrong("post_processor", "has no 'cls' and 'sep', each a token and its id")


def _check_replaces_spaces(fields: Fields) -> None:
    first, *_, last = _flattened(fields.values.get("decoder"), "decoders")
    if first.get("pattern") != {"String": _SPACE} or first.get("content") != " ":
        raise fields.unsupported("decoder", "replaces something else than U+2581 by a space")
    strip = (last.get("content"), last.get("start"), last.get("stop"))
    if _kind(last) == "Strip" and strip != (" ", 1, 0):
        raise fields.unsupported("decoder", f"strips {strip}, not one space at the start")


def _plain(kind: str, *without_effect: str) -> Callable[[dict[str, Any]], TextStep]:
    """A step without parameters."""

    def read(step: dict[str, Any]) -> TextStep:
        _take(step, *without_effect)
        _end(step)
        return TextStep(kind)

    return read


def _flagged(kind: str, **names: str) -> Callable[[dict[str, Any]], TextStep]:
    """A step whose parameters are switches, by our names for them."""

    def read(step: dict[str, Any]) -> TextStep:
        flags = tuple(ours for ours, theirs in names.items() if _switch(step, theirs))
        _end(step)
        return TextStep(kind, flags=flags)

    return read


def _replace(step: dict[str, Any]) -> TextStep:
    pattern, flags = _pattern(step)
    content = _word(step, "content")
    _end(step)
    return TextStep("replace", pattern, content, flags)


def _prepend(step: dict[str, Any]) -> TextStep:
    text = _word(step, "prepend")
    _end(step)
    return TextStep("prepend", text=text)


def _charsmap(step: dict[str, Any]) -> TextStep:
    charsmap = _word(step, "precompiled_charsmap")
    _end(step)
    return TextStep("charsmap", charsmap)


def _bert(step: dict[str, Any]) -> TextStep:
    lowercase = _switch(step, "lowercase")
    accents = step.pop("strip_accents", None)
    names = {
        "clean": _switch(step, "clean_text"),
        "chinese": _switch(step, "handle_chinese_chars"),
        "lowercase": lowercase,
        "strip_accents": lowercase if accents is None else accents is True,
    }
    _end(step)
    return TextStep("bert", flags=tuple(name for name, is_set in names.items() if is_set))


def _byte_level(step: dict[str, Any]) -> TextStep:
    step.setdefault("use_regex", True)
    _take(step, "trim_offsets")
    return _flagged("byte_level", prefix_space="add_prefix_space", regex="use_regex")(step)


_BEHAVIOURS = {
    "Isolated": "isolated",
    "Removed": "removed",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}


def _split(step: dict[str, Any]) -> TextStep:
    pattern, flags = _pattern(step)
    behaviour = _behaviour(step)
    if _switch(step, "invert"):
        flags = (*flags, "invert")
    _end(step)
    return TextStep("split", pattern, behaviour, flags)


def _punctuation(step: dict[str, Any]) -> TextStep:
    step.setdefault("behavior", "Isolated")
    behaviour = _behaviour(step)
    _end(step)
    return TextStep("punctuation", text=behaviour)


def _metaspace(step: dict[str, Any]) -> TextStep:
    """Older files say whether a space is put first, newer ones where."""
    is_put = step.pop("add_prefix_space", True)
    scheme = step.pop("prepend_scheme", "always" if is_put else "never")
    if scheme not in ("always", "first", "never"):
        raise _Unknown(f"prepend_scheme {scheme!r}")
    step.setdefault("split", True)
    replacement = _word(step, "replacement")
    _take(step, "str_rep")
    cuts = ("split",) if _switch(step, "split") else ()
    _end(step)
    return TextStep("metaspace", replacement, scheme, cuts)


_NORMALISERS: Mapping[Any, Callable[[dict[str, Any]], TextStep]] = MappingProxyType(
    {
        "NFC": _plain("nfc"),
        "NFD": _plain("nfd"),
        "NFKC": _plain("nfkc"),
        "NFKD": _plain("nfkd"),
        "Lowercase": _plain("lowercase"),
        "StripAccents": _plain("strip_accents"),
        "Strip": _flagged("strip", left="strip_left", right="strip_right"),
        "Prepend": _prepend,
        "Replace": _replace,
        "Precompiled": _charsmap,
        "BertNormalizer": _bert,
    }
)
_PRE_TOKENIZERS: Mapping[Any, Callable[[dict[str, Any]], TextStep]] = MappingProxyType(
    {
        "ByteLevel": _byte_level,
        "Split": _split,
        "Digits": _flagged("digits", individual="individual_digits"),
        "Punctuation": _punctuation,
        "Metaspace": _metaspace,
        "Whitespace": _plain("whitespace"),
        "WhitespaceSplit": _plain("whitespace_split"),
        "BertPreTokenizer": _plain("bert"),
    }
)
_STEPS = {
    "normalizer": (_NORMALISERS, "normalizers"),
    "pre_tokenizer": (_PRE_TOKENIZERS, "pretokenizers"),
}


def _pattern(step: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    match step.pop("pattern", None):
        case {"String": str(text), **rest} if not rest:
            return text, ()
        case {"Regex": str(expression), **rest} if not rest:
            return expression, ("regex",)
        case other:
            raise _Unknown(f"pattern {other!r}")


def _behaviour(step: dict[str, Any]) -> str:
    name = step.pop("behavior", None)
    if name not in _BEHAVIOURS:
        raise _Unknown(f"behavior {name!r}")
    return _BEHAVIOURS[name]


def _word(step: dict[str, Any], name: str) -> str:
    value = step.pop(name, None)
    if not isinstance(value, str):
        raise _Unknown(f"{name} {value!r}")
    return value


def _switch(step: dict[str, Any], name: str) -> bool:
    value = step.pop(name, None)
    if not isinstance(value, bool):
        raise _Unknown(f"{name} {value!r}")
    return value


def _take(step: dict[str, Any], *without_effect: str) -> None:
    for name in without_effect:
        step.pop(name, None)


def _end(step: dict[str, Any]) -> None:
    """Every parameter was understood."""
    for name in step.keys() - {"type"}:
        raise _Unknown(f"{name} {step[name]!r}")


def _flattened(value: object, several: str) -> list[Any]:
    """The parts of a sequence, of sequences in it too, or a part by itself."""
    if isinstance(value, dict) and _kind(value) == "Sequence":
        steps = value.get(several)
        if isinstance(steps, list):
            return [each for step in steps for each in _flattened(step, several)]
    return [value]


def _kind(value: object) -> Any:
    return value.get("type") if isinstance(value, dict) else value
