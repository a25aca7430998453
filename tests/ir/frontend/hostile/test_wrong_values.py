"""Every key of every architecture with values that mean harm: refused by its name, or built.

``make oracle`` tries all of them, ``make test`` some.
"""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError
from tiny import files, stored
from tiny.cases import of_entries
from tiny.entries import Entry

NUM_SAMPLES = 6  # of each architecture and format
NEVER_RIGHT = (-1, 1e30, 1e300, math.nan, 10**9, 1 << 40, "x", [[]], [{}])
SOMETIMES_RIGHT = (0, 1, 7, 0.5, True, None, [], {}, [1])
GGUF_VALUES = (*(each for each in NEVER_RIGHT if not isinstance(each, list)), 0, 1, 7, 0.5, True)
SAYS_NOTHING = ("tokenizer.", "general.")  # of the formula

Refuse = Callable[..., ModelFileError | None]
Change = tuple[str, object]  # a key, by a dotted path, and the value that it gets


@of_entries(*stored.NAMES)
def test_some_wrong_values_in_a_config(refuse: Refuse, tmp_path: Path, entry: Entry) -> None:
    check_configs(refuse, tmp_path, entry, some)


@of_entries(*stored.NAMES, has_gguf=True)
def test_some_wrong_values_in_a_gguf(refuse: Refuse, tmp_path: Path, entry: Entry) -> None:
    check_ggufs(refuse, tmp_path, entry, some)


@pytest.mark.oracle
@of_entries(*stored.NAMES)
def test_all_wrong_values_in_a_config(refuse: Refuse, tmp_path: Path, entry: Entry) -> None:
    check_configs(refuse, tmp_path, entry, lambda changes, seed: changes)


@pytest.mark.oracle
@of_entries(*stored.NAMES, has_gguf=True)
def test_all_wrong_values_in_a_gguf(refuse: Refuse, tmp_path: Path, entry: Entry) -> None:
    check_ggufs(refuse, tmp_path, entry, lambda changes, seed: changes)


def some(changes: list[Change], seed: str) -> list[Change]:
    """The same ones every time."""
    return random.Random(zlib.crc32(seed.encode())).sample(changes, NUM_SAMPLES)


Choose = Callable[[list[Change], str], list[Change]]


def check_configs(refuse: Refuse, folder: Path, entry: Entry, choose: Choose) -> None:
    kept = stored.load(entry.name)
    config = json.loads(kept.config)
    model = files.write_directory(folder / "tiny", kept.config, kept.shapes)
    values = (*NEVER_RIGHT, *SOMETIMES_RIGHT)
    for key, value in choose([(key, each) for key in paths(config) for each in values], entry.name):
        (model / "config.json").write_text(json.dumps(changed(config, key, value)))
        check_names(refuse(model, build), key, value)


def check_ggufs(refuse: Refuse, folder: Path, entry: Entry, choose: Choose) -> None:
    kept = stored.load(entry.name)
    path = files.write_gguf(folder / "tiny.gguf", json.loads(kept.config), kept.shapes)
    source = frontend.open(path)
    keys = [key for key in source.metadata if not key.startswith(SAYS_NOTHING)]
    for key, value in choose([(key, each) for key in keys for each in GGUF_VALUES], entry.name):
        metadata = {**source.metadata, key: value}
        wrong = replace(source, metadata=metadata)
        check_names(refuse(path, lambda _, wrong=wrong: frontend.build(wrong)), key, value)


def build(path: Path) -> None:
    frontend.build(frontend.open(path))


def check_names(refused: ModelFileError | None, key: str, value: object) -> None:
    """What may be right may contradict another key or a tensor, which is then named."""
    if refused is not None and any(value is each for each in NEVER_RIGHT):
        assert key.rpartition(".")[2] in str(refused), f"{key}={value!r}: {refused}"


def paths(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")


def changed(config: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    key, _, inner = path.partition(".")
    return {**config, key: changed(config[key], inner, value) if inner else value}
