"""Tiny models of every architecture, against logits of transformers that are kept: no torch here.

``make oracle`` compares many more (tests/oracle/test_architectures.py) and how these were made.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource
from tiny import files, steps, stored
from tiny.cases import PROMPTS, SCHEDULES, TOLERANCE, of_entries
from tiny.entries import Entry


@of_entries(*stored.NAMES)
def test_a_directory_decodes_in_a_batch_as_transformers_does(tmp_path: Path, entry: Entry) -> None:
    kept = stored.load(entry.name)
    source = frontend.open(files.write_directory(tmp_path / "tiny", kept.config, kept.shapes))
    lengths = [len(prompt) for prompt in PROMPTS[:2]]
    check(source, steps.batched(lengths, 17), kept.logits)


@of_entries(*stored.NAMES, has_gguf=True)
def test_a_gguf_computes_the_same(tmp_path: Path, entry: Entry) -> None:
    kept = stored.load(entry.name)
    path = files.write_gguf(tmp_path / "tiny.gguf", json.loads(kept.config), kept.shapes)
    check(frontend.open(path), SCHEDULES["whole"], kept.logits)


def check(source: ModelSource, schedule: list[steps.Step], expected: np.ndarray) -> None:
    decoding = steps.Decoding(frontend.build(source), source.tensors, PROMPTS[:2])
    found = stored.rows(tuple(decoding.run(schedule)))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
