"""Tiny models of every architecture, written by transformers: our logits are its own.

One of them: ``pytest -m oracle tests/oracle/test_architectures.py -k "gemma2 and not other"``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import MODEL_ARCH_NAMES as GGUF_NAMES

from inferflux.ir import frontend, passes
from inferflux.ir.frontend import ModelSource, UnsupportedArchitecture
from inferflux.ir.frontend.architectures.table import ARCHITECTURES, PUBLISHED
from tiny import files, steps
from tiny.entries import ENTRIES, NUM_TOKENS, VOCAB, Entry
from tiny.gguf_form import ARCHITECTURES as FORMS

pytestmark = pytest.mark.oracle

TOLERANCE = 2e-4
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
    expected: tuple[np.ndarray, ...]  # (T, V) of each prompt

    @property
    def gguf(self) -> Path:
        """Written on first use: not every variation has one."""
        path = self.folder / "tiny.gguf"
        if not path.exists():
            from tiny import published

            config = json.loads((self.folder / "config.json").read_text())
            files.write_gguf(path, config, published.shapes(self.folder / "model.safetensors"))
        return path


@pytest.fixture(scope="session")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Entry], Case]:
    cases: dict[str, Case] = {}

    def make(entry: Entry) -> Case:
        from tiny import published

        folder = tmp_path_factory.mktemp(entry.name) / "tiny"
        model = published.write_published(entry, folder)
        files.write_tokenizer(folder)
        expected = tuple(published.logits(model, entry, prompt) for prompt in PROMPTS)
        return Case(entry, folder, expected)

    def find(entry: Entry) -> Case:
        if entry.name not in cases:
            cases[entry.name] = make(entry)
        return cases[entry.name]

    return find


def of_entries(has_gguf: bool = False) -> pytest.MarkDecorator:
    """Every entry, or every one that has a GGUF; those that are not built are marked so."""
    chosen = [entry for entry in ENTRIES.values() if entry.has_gguf or not has_gguf]
    return pytest.mark.parametrize("entry", [_parameter(entry, has_gguf) for entry in chosen])


def _parameter(entry: Entry, is_gguf: bool) -> Any:
    """An architecture that is not built is refused, and one that is built needs no mark."""
    marks = []
    name = GGUF_NAMES[FORMS[entry.model_type]]
    if name not in ARCHITECTURES if is_gguf else entry.model_type not in PUBLISHED:
        marks = [pytest.mark.xfail(reason="is not built", raises=UnsupportedArchitecture)]
    elif pending := entry.pending or (is_gguf and entry.pending_gguf):
        marks = [pytest.mark.xfail(reason=pending)]
    return pytest.param(entry, id=entry.name, marks=marks)


@of_entries()
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_directory_computes_what_transformers_computes(
    case_of: Callable[[Entry], Case], entry: Entry, schedule: str
) -> None:
    case = case_of(entry)
    check(frontend.open(case.folder), SCHEDULES[schedule], case.expected)


@of_entries(has_gguf=True)
def test_a_gguf_computes_the_same(case_of: Callable[[Entry], Case], entry: Entry) -> None:
    case = case_of(entry)
    check(frontend.open(case.gguf), SCHEDULES["whole"], case.expected)


@of_entries()
def test_passes_keep_it(case_of: Callable[[Entry], Case], entry: Entry) -> None:
    case = case_of(entry)
    source = frontend.open(case.folder)
    check(source, SCHEDULES["batched"], case.expected, is_lowered=True)


def check(
    source: ModelSource,
    schedule: list[steps.Step],
    expected: tuple[np.ndarray, ...],
    is_lowered: bool = False,
) -> None:
    graph = frontend.build(source)
    if is_lowered:
        graph = passes.run(graph, numerics="float32", verify=True)
    tensors = {name: tensor.raw for name, tensor in source.tensors.items()}
    found = steps.Decoding(graph, tensors, PROMPTS).run(schedule)
    for logits, right in zip(found, expected, strict=True):
        if len(logits):
            np.testing.assert_allclose(logits, right, atol=TOLERANCE, rtol=0)
