"""What imports torch, which only tests marked ``oracle`` may."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from tiny.cases import Case
from tiny.entries import Entry


@pytest.fixture(scope="session", name="decoders")
def decoder_module() -> ModuleType:
    """transformers' own models on the weights of a GGUF."""
    import decoders

    return decoders


@pytest.fixture(scope="session")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Entry], Case]:
    """A tiny model that transformers wrote: ``case_of(entry)``; each is written once."""
    cases: dict[str, Case] = {}

    def find(entry: Entry) -> Case:
        if entry.name not in cases:
            folder = tmp_path_factory.mktemp(entry.name) / "tiny"
            cases[entry.name] = Case.write(entry, folder)
        return cases[entry.name]

    return find
