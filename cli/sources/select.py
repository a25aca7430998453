"""Which files of a place are a model: one GGUF with all its parts, or what safetensors need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

from inferflux.cli.sources.source import PullFailed, WrongContent

MOST_PARTS: Final = 1000
_PART: Final = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf")
_BESIDE_WEIGHTS: Final = (  # never code, and never anything that is unpickled
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "quantize_config.json",
    "quant_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "chat_template*",
)
_OLDER_TOKENIZERS: Final = ("tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json")
_CHAT_TEMPLATE_ENDINGS: Final = (".json", ".jinja", ".jinja2", ".txt")


def select(names: Iterable[str], wanted: str | None, place: str) -> tuple[str, ...]:
    """The names, out of those at ``place``, of the one model there or of the one ``wanted``.

    Names may have folders in front, as a hub's and a wheel's do.  The first is what is opened.
    """
    names = sorted(names)
    models = {group[0]: group for group in _ggufs(names)}
    if wanted is not None:
        return _wanted(models, wanted, place)
    if len(models) > 1:
        listed = ", ".join(models)
        raise PullFailed(f"{place} has {len(models)} GGUF models; name one of them: {listed}")
    for group in models.values():
        return _whole(group, names, place)
    return _safetensors(names, place)


def split_parts(name: str) -> tuple[str, ...]:
    """The names of all parts of a split GGUF, in order; of a file that is not split its own."""
    match = _PART.fullmatch(name)
    if match is None:
        return (name,)
    parts = int(match["parts"])
    if not 0 < parts <= MOST_PARTS:
        raise PullFailed(f"{name} is one of {parts} parts; a model has 1 to {MOST_PARTS}")
    stem = match["stem"]
    return tuple(f"{stem}-{part:05}-of-{parts:05}.gguf" for part in range(1, parts + 1))


def require_model_file(path: Path) -> None:
    """Refuse what only has the name of a model file, e.g. a page that asks to log in."""
    with path.open("rb") as file:
        begins = file.read(9)
    if path.suffix == ".gguf" and begins[:4] != b"GGUF":
        raise WrongContent(f"{path.name} is no GGUF file: it begins with {begins!r}")
    if path.suffix == ".safetensors" and begins[8:] != b"{":
        raise WrongContent(f"{path.name} is no safetensors file: it begins with {begins!r}")


def require_file_name(name: str) -> str:
    """The last part of a name, as a file of the store is called; refuses what is no plain name."""
    last = PurePosixPath(name).name
    if not last.isprintable() or last.startswith(".") or not 0 < len(last.encode()) <= 200:
        raise PullFailed(f"{name!r} is no name for a file of a model; rename it at its source")
    return last


def _ggufs(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Models, each as the names of all its parts, known by the first."""
    ggufs = [name for name in names if name.endswith(".gguf")]
    yield from sorted({split_parts(name) for name in ggufs})


def _wanted(models: dict[str, tuple[str, ...]], wanted: str, place: str) -> tuple[str, ...]:
    for group in models.values():
        if wanted in group:
            return group
    listed = ", ".join(models) or "none"
    raise PullFailed(f"{place} has no GGUF model {wanted!r}; it has: {listed}")


def _whole(group: tuple[str, ...], names: list[str], place: str) -> tuple[str, ...]:
    absent = [name for name in group if name not in names]
    if absent:
        raise PullFailed(f"{place} has not all parts of {group[0]}: {absent[0]} is not there")
    return group


def _safetensors(names: list[str], place: str) -> tuple[str, ...]:
    """The weights in the folder itself, and the files that say how they are to be read."""
    own = [name for name in names if "/" not in name]
    weights = [name for name in own if name.endswith(".safetensors")]
    # Some publish a second copy of all weights beside these, under another naming of tensors.
    weights = [name for name in weights if name.startswith("model")] or weights
    if not weights or "config.json" not in own:
        raise PullFailed(
            f"{place} has no model: neither a .gguf file nor .safetensors files with a config.json"
        )
    tokenizer = () if "tokenizer.json" in own else _OLDER_TOKENIZERS
    beside = (name for name in own if _is_beside_weights(name) or name in tokenizer)
    return ("config.json", *weights, *beside)


def _is_beside_weights(name: str) -> bool:
    if name.startswith("chat_template"):
        return name.endswith(_CHAT_TEMPLATE_ENDINGS)
    return name != "config.json" and any(fnmatchcase(name, kind) for kind in _BESIDE_WEIGHTS)
