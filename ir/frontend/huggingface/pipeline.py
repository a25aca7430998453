"""The steps of a tokenizer.json around its merges: those that are known to be exact, by name."""

from __future__ import annotations

from typing import Any

from inferflux.ir.frontend.typed import Fields

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
_PRE_TOKENIZERS = {  # what cuts a text before its merges, by GGUF's names
    "gpt-2": [_BYTE_LEVEL],
    "smollm": [_DIGITS, _BYTE_LEVEL],
}
_WITHOUT_EFFECT = ("trim_offsets",)  # on ids


def read_pre_tokenizer(fields: Fields) -> str:
    """The name of the pre-tokenizer.  Raises UnsupportedModel where any step is another."""
    _require_kind(fields, "normalizer", None)
    _require_kind(fields, "decoder", "ByteLevel")
    steps = _steps(fields.values.get("pre_tokenizer"), "pretokenizers")
    for name, known in _PRE_TOKENIZERS.items():
        if [_complete(step) for step in steps] == known:
            return name
    if not fields.has("pre_tokenizer"):
        raise fields.unsupported("pre_tokenizer", "is missing; texts are not cut without one")
    kinds = " + ".join(str(_kind(step)) for step in steps)
    problem = f"cuts text by {kinds}, not as one of {', '.join(_PRE_TOKENIZERS)} does"
    raise fields.unsupported("pre_tokenizer", problem)


def prefix_token(fields: Fields) -> int | None:
    """The token that is put before every text; None: none is."""
    prefix = None
    for step in _steps(fields.values.get("post_processor"), "processors"):
        if _kind(step) == "TemplateProcessing":
            prefix = _template_prefix(fields, step)
        elif _kind(step) not in ("ByteLevel", None):
            raise fields.unsupported("post_processor", f"{_kind(step)} is not supported")
    return prefix


def _template_prefix(fields: Fields, step: Any) -> int | None:
    match step.get("single"):
        case [{"Sequence": _}]:
            return None
        case [{"SpecialToken": {"id": str(name)}}, {"Sequence": _}]:
            match step.get("special_tokens"):
                case {**tokens} if name in tokens:
                    match tokens[name]:
                        case {"ids": [int(token_id)]}:
                            return token_id
    problem = "puts something else around a text than one token before it"
    raise fields.unsupported("post_processor", problem)


def _require_kind(fields: Fields, key: str, kind: str | None) -> None:
    found = _kind(fields.values.get(key))
    if found != kind:
        wanted = "none" if kind is None else repr(kind)
        is_what = f"is {found!r}" if fields.has(key) else "is missing"
        raise fields.unsupported(key, f"{is_what}, only {wanted} is supported")


def _steps(value: object, several: str) -> list[Any]:
    """The parts of a sequence, or a part by itself."""
    if isinstance(value, dict) and _kind(value) == "Sequence":
        steps = value.get(several)
        return steps if isinstance(steps, list) else [value]
    return [value]


def _complete(step: Any) -> Any:
    """A step without what has no effect and with what is left out; another as it is."""
    if not isinstance(step, dict):
        return step
    kept = {key: value for key, value in step.items() if key not in _WITHOUT_EFFECT}
    return {"use_regex": True, **kept} if _kind(step) == "ByteLevel" else kept


def _kind(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else value
