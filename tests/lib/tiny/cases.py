"""Entries as tests take them: what is expected of each, and which are not built yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import MODEL_ARCH_NAMES

from inferflux.ir.frontend import UnsupportedModel
from inferflux.ir.frontend.architectures.table import ARCHITECTURES, PUBLISHED
from tiny import files, steps
from tiny.entries import ENTRIES, NUM_TOKENS, VOCAB, Entry
from tiny.gguf_form import ARCHITECTURES as GGUF_ARCHITECTURES

Array = np.ndarray

TOLERANCE = 2e-4
NUM_GREEDY = 8
PROMPTS = tuple(
    np.random.default_rng(seed).integers(3, VOCAB, length).astype(np.int32)
    for seed, length in enumerate((NUM_TOKENS, 33, 17))
)
SCHEDULES: Mapping[str, list[steps.Step]] = {
    "whole": steps.whole(NUM_TOKENS),
    "chunked": steps.chunked(NUM_TOKENS, 7),
    "token by token": steps.chunked(NUM_TOKENS, 1),
    "batched": steps.batched([len(prompt) for prompt in PROMPTS], 9),
}


@dataclass(frozen=True, slots=True)
class Case:
    """What transformers wrote and computed."""

    entry: Entry
    folder: Path
    logits: tuple[Array, ...]  # (T, V) of each prompt
    greedy: tuple[list[int], ...]  # how it goes on from each

    @classmethod
    def write(cls, entry: Entry, folder: Path) -> Case:
        from tiny import published  # which imports torch

        model = published.write_published(entry, folder)
        files.write_tokenizer(folder)
        logits = tuple(published.logits(model, entry, prompt) for prompt in PROMPTS)
        greedy = tuple(published.greedy(model, entry, each, NUM_GREEDY) for each in PROMPTS)
        return cls(entry, folder, logits, greedy)

    @property
    def gguf(self) -> Path:
        """Written on first use: not every variation has one."""
        path = self.folder / "tiny.gguf"
        if not path.exists():
            config = json.loads((self.folder / "config.json").read_text())
            files.write_gguf(path, config, files.shapes(self.folder / "model.safetensors"))
        return path


def of_entries(
    *names: str, has_gguf: bool = False, is_in_peer: bool = False
) -> pytest.MarkDecorator:
    """Every entry or those named, those that have a GGUF, those that llama.cpp computes alike."""
    chosen = [
        entry
        for entry in ENTRIES.values()
        if entry.name in (names or ENTRIES)
        and (entry.has_gguf or not (has_gguf or is_in_peer))
        and not (is_in_peer and entry.not_in_peer)
    ]
    return pytest.mark.parametrize(
        "entry", [_parameter(each, has_gguf or is_in_peer) for each in chosen]
    )


def _parameter(entry: Entry, is_gguf: bool) -> Any:
    """An architecture that is not built is refused, and one that is built needs no mark."""
    marks = []
    name = MODEL_ARCH_NAMES[GGUF_ARCHITECTURES[entry.model_type]]
    if name not in ARCHITECTURES if is_gguf else entry.model_type not in PUBLISHED:
        marks = [pytest.mark.xfail(reason="is not built", raises=UnsupportedModel)]
    elif pending := entry.pending or (is_gguf and entry.pending_gguf):
        marks = [pytest.mark.xfail(reason=pending)]
    return pytest.param(entry, id=entry.name, marks=marks)
