"""A runner whose tokens show every paging mistake: a token is a hash of what its pages hold."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path

import numpy as np

from inferflux.codegen.artifact.compiled import PAGE_SIZE, KVGroup, KVStream
from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import Determinism
from inferflux.engine.engine import Engine, ServedModel
from inferflux.engine.messages import MAX_LOGPROBS
from inferflux.engine.step import StepInputs, StepOutputs
from inferflux.errors import InferFluxError

VOCAB_SIZE = 50
CONTEXT_LENGTH = 128
LONG = 20_000  # tokens of context where a stream must outlast every delay of a busy machine
POISON = 49  # a process whose runner is given a prompt that begins with this dies


def logits_after(context: np.ndarray) -> np.ndarray:
    """What the fake model thinks follows ``context``: noise from a hash of all of it.  (V,)"""
    noise = np.random.default_rng(zlib.crc32(context.astype("<i4").tobytes()))
    return noise.standard_normal(VOCAB_SIZE).astype(np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max()
    return (shifted - np.log(np.exp(shifted).sum())).astype(np.float32)


def sampled(logits: np.ndarray, temperature: float, seed: int, position: int) -> int:
    if temperature == 0:
        return int(np.argmax(logits))
    noise = np.random.default_rng([seed, position]).gumbel(size=VOCAB_SIZE)
    return int(np.argmax(logits / temperature + noise))


def generated(prompt: list[int], count: int, temperature: float = 0.0, seed: int = 0) -> list[int]:
    """What the engine must produce: computed from tokens alone, with no page anywhere."""
    tokens = list(prompt)
    for _ in range(count):
        logits = logits_after(np.array(tokens))
        tokens.append(sampled(logits, temperature, seed, len(tokens) - 1))
    return tokens[len(prompt) :]


class FakeRunner:
    """Keeps token ids where a model keeps K and V, and reads its context back through the pages."""

    def __init__(
        self,
        num_pages: int = 64,
        num_groups: int = 1,
        max_step_tokens: int = 64,
        max_logit_rows: int = 16,
        windows: tuple[int | None, ...] | None = None,
    ) -> None:
        """The first group has no window: what the model thinks depends on the whole context."""
        streams = (KVStream("k", "int32", (PAGE_SIZE,)),)
        self.kv_groups = tuple(
            KVGroup((0,), window, streams) for window in windows or (None,) * num_groups
        )
        self.vocab_size = VOCAB_SIZE
        self.max_step_tokens = max_step_tokens
        self.max_logit_rows = max_logit_rows
        self.pools = [np.full(num_pages * PAGE_SIZE, -1, np.int32) for _ in self.kv_groups]
        self.steps: list[StepInputs] = []
        self.error: BaseException | None = None
        self.is_mortal = False

    def forward(self, inputs: StepInputs) -> StepOutputs:
        self._check(inputs)
        self.steps.append(inputs)
        if self.error is not None:
            raise self.error
        if self.is_mortal and POISON in inputs.tokens[inputs.positions == 0]:
            os.kill(os.getpid(), signal.SIGKILL)
        for pool, slots in zip(self.pools, inputs.slot_mapping, strict=True):
            pool[slots] = inputs.tokens
        logits = [self._logits(inputs, int(row)) for row in inputs.logit_rows]
        return self._outputs(inputs, np.array(logits).reshape(-1, VOCAB_SIZE))

    def _check(self, inputs: StepInputs) -> None:
        """A compiled step has neither bounds checks nor conversions."""
        count = len(inputs.tokens)
        assert 1 <= count <= self.max_step_tokens
        assert len(inputs.logit_rows) <= self.max_logit_rows
        assert inputs.sequence_starts[0] == 0
        assert inputs.sequence_starts[-1] == count
        for slots, pool in zip(inputs.slot_mapping, self.pools, strict=True):
            assert len(set(slots.tolist())) == count, "two tokens write to one slot"
            assert slots.min() >= 0
            assert slots.max() < len(pool)
        arrays = (inputs.tokens, inputs.positions, inputs.sequence_starts, inputs.logit_rows)
        for array in (*arrays, *inputs.slot_mapping, *inputs.page_tables):
            assert array.dtype == np.int32
            assert array.flags.c_contiguous

    def _logits(self, inputs: StepInputs, row: int) -> np.ndarray:
        sequence = int(np.searchsorted(inputs.sequence_starts, row, side="right")) - 1
        end = int(inputs.positions[row]) + 1
        contexts = []
        for group, pool, table in zip(self.kv_groups, self.pools, inputs.page_tables, strict=True):
            seen = np.arange(max(0, end - (group.window or end)), end)
            slots = table[sequence][seen // PAGE_SIZE] * PAGE_SIZE + seen % PAGE_SIZE
            contexts.append(pool[slots])
        whole = contexts[0]
        for seen in contexts:
            assert (seen == whole[len(whole) - len(seen) :]).all(), "groups differ"
        return logits_after(whole)

    def _outputs(self, inputs: StepInputs, logits: np.ndarray) -> StepOutputs:
        count, sampling = len(logits), inputs.sampling
        tokens = np.zeros(count, np.int32)
        logprobs = np.zeros(count, np.float32)
        top_tokens = np.zeros((count, MAX_LOGPROBS), np.int32)
        top_logprobs = np.zeros((count, MAX_LOGPROBS), np.float32)
        for row in range(count):
            tokens[row] = self._token(inputs, logits[row], row)
            all_logprobs = log_softmax(logits[row])
            logprobs[row] = all_logprobs[tokens[row]]
            best = np.argsort(-all_logprobs, kind="stable")[: sampling.num_logprobs[row]]
            top_tokens[row, : len(best)] = best
            top_logprobs[row, : len(best)] = all_logprobs[best]
        wanted = logits if inputs.wants_logits else None
        return StepOutputs(tokens, logprobs, top_tokens, top_logprobs, wanted)

    def _token(self, inputs: StepInputs, logits: np.ndarray, row: int) -> int:
        sampling = inputs.sampling
        if sampling.forced[row] < VOCAB_SIZE:
            return int(sampling.forced[row])
        position = int(inputs.positions[inputs.logit_rows[row]])
        return sampled(logits, float(sampling.temperature[row]), int(sampling.seed[row]), position)


def engine(
    runner: FakeRunner | None = None,
    *,
    clock=None,
    max_sequences: int = 8,
    max_waiting: int = 128,
    chunk_tokens: int = 32,
    context_length: int = CONTEXT_LENGTH,
    determinism: Determinism = Determinism.DEFAULT,
) -> Engine:
    """An engine on a fake runner."""
    runner = runner or FakeRunner()
    config = EngineConfig(
        Path("fake.ifx"),
        max_sequences=max_sequences,
        max_waiting=max_waiting,
        chunk_tokens=chunk_tokens,
        determinism=determinism,
    )
    model = ServedModel("fake", "fake:numpy", context_length)
    num_pages = [len(pool) // PAGE_SIZE for pool in runner.pools]
    return Engine(runner, model, config, num_pages, **({"clock": clock} if clock else {}))


def long_engine() -> Engine:
    """An engine whose streams run for seconds, unless they are ended."""
    return engine(FakeRunner(num_pages=LONG // PAGE_SIZE), context_length=LONG)


class CannotLoad(InferFluxError):
    code = "cannot_load"


def load(config: EngineConfig) -> Engine:
    """What a worker is told to load in tests."""
    if config.artifact.name == "broken.ifx":
        raise CannotLoad("broken.ifx: segment weights, chunk 3 is not what was signed")
    if config.artifact.name == "long.ifx":
        return long_engine()
    runner = FakeRunner()
    runner.is_mortal = True
    return engine(
        runner,
        max_sequences=config.max_sequences,
        max_waiting=config.max_waiting,
        chunk_tokens=config.chunk_tokens,
    )
