"""Tiny models of every architecture, compiled for this machine, decode as transformers does.

In float32 all of them.  AVX2 has the same graphs and other kernels, and default numerics take three
times as long to compile: both are of some.
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
from inferflux.codegen.artifact import machine_features
from inferflux.codegen.targets import TARGETS
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

NARROW = "cpu:avx2"
ON_NARROW = (  # every kind of attention and of feed-forward block
    "llama-llama3",
    "gemma2",
    "phi3-longrope",
    "gpt2",
    "falcon-rw-alibi",
    "qwen2-moe",
    "deepseek-v3-yarn",
    "gpt-oss-yarn",
)
MAX_DEFAULT_KL = 0.03  # of Q8_0 weights and int8 activations, which may choose other experts


@of_entries()
def test_float32_is_exact_in_any_steps(case_of: CaseOf, tmp_path: Path, entry: Entry) -> None:
    check_float32(case_of(entry), tmp_path / "float32.ifx", best_target())


@pytest.mark.skipif(
    not machine_features().issuperset(TARGETS[NARROW].features), reason=f"needs {NARROW}"
)
@of_entries(*ON_NARROW)
def test_float32_is_exact_on_avx2(case_of: CaseOf, tmp_path: Path, entry: Entry) -> None:
    check_float32(case_of(entry), tmp_path / "float32.ifx", NARROW)


@of_entries(*stored.NAMES)
def test_default_numerics_lose_little(case_of: CaseOf, tmp_path: Path, entry: Entry) -> None:
    case = case_of(entry)
    source = quantised(frontend.open(case.folder), QUANTISERS["q8_0"])
    loaded = load(source, tmp_path / "default.ifx", best_target(), "default")
    scores = loaded.score(PROMPTS[0].tolist(), 32)
    found = divergence.kl(log_softmax(case.logits[0]), scores)
    assert found.mean < MAX_DEFAULT_KL, found


def check_float32(case: Case, path: Path, target: str) -> None:
    loaded = load(frontend.open(case.folder), path, target, "float32")
    expected = log_softmax(case.logits[0])
    for chunk in (len(expected), 7, 1):
        scores = loaded.score(PROMPTS[0].tolist(), chunk)
        np.testing.assert_allclose(scores, expected, atol=TOLERANCE, rtol=0)
    scored, generated = decode_together(loaded)
    assert generated == list(case.greedy)
    for prompt, own, logits in zip(PROMPTS, scored, case.logits, strict=True):
        right = log_softmax(logits)[np.arange(len(prompt) - 1), prompt[1:]]
        np.testing.assert_allclose(own, right, atol=TOLERANCE, rtol=0)


def load(source: ModelSource, path: Path, target: str, numerics: str) -> Engine:
    artifact.save(codegen.compile(source, (target,), numerics=numerics), path)
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
