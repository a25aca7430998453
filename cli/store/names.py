"""Names of models: what a person types, and a folder of the store; so no more than a plain word."""

from __future__ import annotations

import re
from typing import Final

from inferflux.cli.model_argument import ARTIFACT_SUFFIX
from inferflux.errors import InvalidArgument

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TAKEN_FOR_FILES: Final = (ARTIFACT_SUFFIX, ".gguf", ".safetensors")


def is_name(text: str) -> bool:
    """Whether a text may be the name of a model."""
    return _NAME.fullmatch(text) is not None and not text.endswith(_TAKEN_FOR_FILES)


def require_name(name: str) -> str:
    """Refuse a name that could be a path, an option, or the file of a model."""
    if not is_name(name):
        raise InvalidArgument(
            f"{name!r} is no name for a model: up to 64 of a-z, 0-9, '.', '_' and '-', the first a "
            f"letter or digit, and not ending in {', '.join(_TAKEN_FOR_FILES)}"
        )
    return name


def name_from(text: str) -> str:
    """A name made of what a source calls its model: `Llama-3.2-1B-GGUF` is `llama-3.2-1b`."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower())
    plain = re.sub(r"-\d{5}-of-\d{5}$", "", plain).removesuffix("-gguf").strip("._-")[:64]
    if not plain:
        raise InvalidArgument(f"{text!r} gives no name for the model; choose one with --as NAME")
    return require_name(plain)
