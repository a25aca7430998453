"""From an artifact on disk to a warm engine."""

from __future__ import annotations

import os

from inferflux.codegen import artifact as artifacts
from inferflux.codegen.artifact.compiled import PAGE_SIZE, KVGroup
from inferflux.engine.config import EngineConfig
from inferflux.engine.engine import Engine, ServedModel
from inferflux.engine.messages import Request, SamplingParams
from inferflux.engine.pages import divide
from inferflux.engine.retention import Retention
from inferflux.engine.runtime import make_runner
from inferflux.errors import InvalidArgument

_MIN_LOGIT_ROWS = 64  # a step of prompt logprobs has at most so many rows, or one per sequence


def load(config: EngineConfig) -> Engine:
    """Open, verify and warm an artifact.  Its weights are mapped, not copied."""
    features = artifacts.machine_features()
    loaded = artifacts.load_target(config.artifact, config.target, features, config.record_dir)
    target = loaded.target
    num_pages = divide(
        config.kv_bytes,
        target.kv_groups,
        [_most_pages(group, loaded, config.max_sequences) for group in target.kv_groups],
    )
    if not all(num_pages):
        least = sum(group.page_bytes for group in target.kv_groups)
        raise InvalidArgument(
            f"kv_bytes is {config.kv_bytes}: one page of {PAGE_SIZE} tokens of this model takes"
            f" {least}"
        )
    runner = make_runner(
        loaded.facts,
        target,
        loaded.weights,
        num_workers=config.num_workers or _num_cores(),
        num_pages=num_pages,
        max_sequences=config.max_sequences,
        max_logit_rows=max(config.max_sequences, _MIN_LOGIT_ROWS),
    )
    model = ServedModel(loaded.digest, target.name, loaded.facts.context_length)
    engine = Engine(runner, model, config, num_pages)
    warm(engine)
    return engine


def _most_pages(group: KVGroup, loaded: artifacts.ServedTarget, max_sequences: int) -> int | None:
    """Of a group with a window: what all sequences that may run can ever hold."""
    if group.window is None:
        return None
    chunk_tokens = loaded.target.step.max_step_tokens
    return max_sequences * Retention(group.window).most_pages(
        loaded.facts.context_length, chunk_tokens
    )


def warm(engine: Engine) -> None:
    """Run a step of one token: it touches all weights, and a server waits for it."""
    greedy = SamplingParams(temperature=0.0)
    engine.add(Request("warm", [0], max_tokens=1, sampling=greedy))
    while engine.has_work:
        engine.step()


def _num_cores() -> int:
    """The cores this process may use, where the system can say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
