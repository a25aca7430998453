"""Tiny models of every architecture, compiled for this machine, decode as transformers does.

A model takes seconds to compile, so these are the entries whose logits are kept, not all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import divergence
from inferflux import codegen, engine
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.engine import Engine
from inferflux.engine.config import EngineConfig
from inferflux.engine.messages import Request, SamplingParams
from inferflux.engine.score import log_softmax
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource
from inferflux.ir.frontend.quantising import QUANTISERS, quantised
from tiny import stored
from tiny.cases import NUM_GREEDY, PROMPTS, TOLERANCE, Case, of_entries
from tiny.entries import Entry

pytestmark = pytest.mark.oracle

CaseOf = Callable[[Entry], Case]

MAX_DEFAULT_KL = 0.03  # of Q8_0 weights and int8 activations, which may choose other experts


@of_entries(*stored.NAMES)
def test_float32_is_exact_in_any_steps(case_of: CaseOf, tmp_path: Path, entry: Entry) -> None:
    case = case_of(entry)
    loaded = load(frontend.open(case.folder), tmp_path / "float32.ifx", "float32")
    expected = log_softmax(case.logits[0])
    for chunk in (len(expected), 7, 1):
        scores = loaded.score(PROMPTS[0].tolist(), chunk)
        np.testing.assert_allclose(scores, expected, atol=TOLERANCE, rtol=0)
    scored, generated = decode_together(loaded)
    assert generated == list(case.greedy)
    for prompt, own, logits in zip(PROMPTS, scored, case.logits, strict=True):
        right = log_softmax(logits)[np.arange(len(prompt) - 1), prompt[1:]]
        np.testing.assert_allclose(own, right, atol=TOLERANCE, rtol=0)


@of_entries(*stored.NAMES)
def test_default_numerics_lose_little(case_of: CaseOf, tmp_path: Path, entry: Entry) -> None:
    case = case_of(entry)
    source = quantised(frontend.open(case.folder), QUANTISERS["q8_0"])
    loaded = load(source, tmp_path / "default.ifx", "default")
    scores = loaded.score(PROMPTS[0].tolist(), 32)
    found = divergence.kl(log_softmax(case.logits[0]), scores)
    assert found.mean < MAX_DEFAULT_KL, found


def load(source: ModelSource, path: Path, numerics: str) -> Engine:
    artifact.save(codegen.compile(source, (best_target(),), numerics=numerics), path)
    config = EngineConfig(path, kv_bytes=16 << 20, max_sequences=4, chunk_tokens=11)
    return engine.load(config)


def decode_together(loaded: Engine) -> tuple[list[list[float]], list[list[int]]]:
    """Log-probabilities of each prompt's tokens but the first, and the tokens that follow."""
    names = [str(index) for index in range(len(PROMPTS))]
    for name, prompt in zip(names, PROMPTS, strict=True):
        sampling = SamplingParams(temperature=0.0)
        loaded.add(Request(name, prompt.tolist(), NUM_GREEDY, sampling, prompt_logprobs=0))
    scored: dict[str, list[float]] = {name: [] for name in names}
    generated: dict[str, list[int]] = {name: [] for name in names}
    while loaded.has_work:
        for output in loaded.step():
            assert output.error is None, output.error
            scored[output.request_id] += [each.logprob for each in output.prompt_logprobs or ()]
            generated[output.request_id] += output.tokens
    return [scored[name] for name in names], [generated[name] for name in names]
