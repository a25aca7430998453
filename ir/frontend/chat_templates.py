"""The chat templates that a model states: most have one, some have others for other uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.typed import Fields

_DEFAULT = "default"
_KEY = "tokenizer.chat_template"  # GGUF's; a template with a name has it behind a dot


@dataclass(frozen=True, slots=True)
class ChatTemplates:
    """The template of every chat, and those that are chosen by name: "tool_use", "rag"."""

    default: str | None
    named: Mapping[str, str]


def of_gguf(fields: Fields) -> ChatTemplates:
    """``tokenizer.chat_template``, and ``tokenizer.chat_template.NAME``."""
    keys = [key for key in fields.values if key.startswith(f"{_KEY}.")]
    named = {key.removeprefix(f"{_KEY}."): fields.text(key) for key in keys}
    return ChatTemplates(fields.text(_KEY) if fields.has(_KEY) else None, named)


def of_directory(source: HuggingFaceModel, stated: Fields) -> ChatTemplates:
    """Files come before what tokenizer_config.json says: one text, or several with names."""
    default, named = source.chat_template_file(), source.named_template_files()
    if default is None and not named and stated.has("chat_template"):
        return _stated(stated)
    return ChatTemplates(default, named)


def _stated(stated: Fields) -> ChatTemplates:
    several = stated.values["chat_template"]
    if not isinstance(several, tuple):
        return ChatTemplates(stated.text("chat_template"), {})
    named = dict(_named(stated, each) for each in several)
    return ChatTemplates(named.pop(_DEFAULT, None), named)


def _named(stated: Fields, each: object) -> tuple[str, str]:
    match each:
        case {"name": str(name), "template": str(template)}:
            return name, template
        case _:
            problem = f"has {each!r:.80}, not an object with 'name' and 'template'"
            raise stated.wrong("chat_template", problem)
