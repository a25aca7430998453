"""From an artifact on disk to a warm engine."""

from __future__ import annotations

import os

from inferflux.codegen import artifact as artifacts
from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.config import EngineConfig
from inferflux.engine.engine import Engine, ServedModel
from inferflux.engine.messages import Request, SamplingParams
from inferflux.engine.pages import divide
from inferflux.engine.runtime import make_runner
from inferflux.errors import InvalidArgument

WARM_TOKENS = 16  # more of them take longer and touch nothing else
_MIN_LOGIT_ROWS = 64  # a step of prompt logprobs has at most so many rows, or one per sequence


def load(config: EngineConfig) -> Engine:
    """Open, verify and warm an artifact.  Its weights are mapped, not copied."""
    artifact = artifacts.load(config.artifact, config.record_dir)
    target = artifacts.require_target(artifact, config.target, artifacts.machine_features())
    num_pages = divide(config.kv_bytes, target.kv_groups)
    if not all(num_pages):
        least = sum(group.page_bytes for group in target.kv_groups)
        raise InvalidArgument(
            f"kv_bytes is {config.kv_bytes}: one page of {PAGE_SIZE} tokens of this model takes"
            f" {least}"
        )
    runner = make_runner(
        artifact,
        target,
        num_workers=config.num_workers or _num_cores(),
        num_pages=num_pages,
        max_sequences=config.max_sequences,
        max_logit_rows=max(config.max_sequences, _MIN_LOGIT_ROWS),
    )
    model = ServedModel(artifact.digest, target.name, artifact.model.facts.context_length)
    engine = Engine(runner, model, config, num_pages)
    warm(engine, config.chunk_tokens)
    return engine


def warm(engine: Engine, chunk_tokens: int) -> None:
    """Run a step of a few tokens and one of a single token: code mapped, weights touched."""
    num_prompt_tokens = min(WARM_TOKENS, chunk_tokens, engine.max_request_tokens - 2)
    greedy = SamplingParams(temperature=0.0)
    engine.add(Request("warm", [0] * num_prompt_tokens, max_tokens=2, sampling=greedy))
    while engine.has_work:
        engine.step()


def _num_cores() -> int:
    """The cores this process may use, where the system can say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
