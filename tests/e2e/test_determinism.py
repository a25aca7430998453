"""Batch invariance of compiled steps: the same bits alone and in any batch, in any chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from inferflux import codegen
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.codegen.targets import TARGETS
from inferflux.engine import Engine, EngineConfig
from inferflux.engine.determinism import Determinism
from inferflux.engine.engine import ServedModel
from inferflux.engine.messages import Request, SamplingParams, TokenOutput
from inferflux.engine.pages import divide
from inferflux.engine.runtime import make_runner
from inferflux.engine.step import Runner, StepInputs, StepOutputs
from inferflux.ir import frontend

CONTEXT = 1024
MAX_SEQUENCES = 8
KV_BYTES = 16 << 20
VOCAB = 320
LONG = 200  # tokens of a prompt that every target computes at once in its fastest arithmetic


@dataclass
class Recorder:
    """A runner that keeps all logits: by the seed that is a request's own, and by position."""

    runner: Runner
    logits: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return getattr(self.runner, name)

    def forward(self, inputs: StepInputs) -> StepOutputs:
        outputs = self.runner.forward(replace(inputs, wants_logits=True))
        assert outputs.logits is not None
        positions = inputs.positions[inputs.logit_rows].tolist()
        for seed, position, row in zip(
            inputs.sampling.seed.tolist(), positions, outputs.logits.copy(), strict=True
        ):
            self.logits[seed, position] = row
        return outputs


@dataclass(frozen=True)
class Compiled:
    """A tiny model on a target of this machine, from which engines are made."""

    path: Path
    target: str
    has_panels: bool
    runner: Runner
    num_pages: tuple[int, ...]

    def engine(self, chunk_tokens: int = 256) -> tuple[Engine, Recorder]:
        recorder = Recorder(self.runner)
        config = EngineConfig(self.path, max_sequences=MAX_SEQUENCES, chunk_tokens=chunk_tokens)
        model = ServedModel("", self.target, CONTEXT)
        return Engine(recorder, model, config, self.num_pages), recorder

    def logits_of(self, ids: list[int], chunk: int, determinism: Determinism) -> np.ndarray:
        """(n, V)"""
        engine, recorder = self.engine()
        engine.score(ids, chunk, determinism)
        return np.stack([recorder.logits[0, position] for position in range(len(ids))])


@pytest.fixture(scope="module")
def compiled(tiny_gguf: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    target = TARGETS[best_target()]
    source = tiny_gguf(layer_types=("q4_1", "q8_0"), context_length=CONTEXT)
    path = tmp_path_factory.mktemp("determinism") / "tiny.ifx"
    artifact.save(codegen.compile(frontend.open(source), targets=(target.name,)), path)
    loaded = artifact.load_target(path, target.name, artifact.machine_features())
    chosen = loaded.target
    num_pages = divide(KV_BYTES, chosen.kv_groups)
    runner = make_runner(
        loaded.facts,
        chosen,
        loaded.weights,
        num_workers=2,
        num_pages=num_pages,
        max_sequences=MAX_SEQUENCES,
        max_logit_rows=64,
    )
    return Compiled(path, target.name, target.panels is not None, runner, num_pages)


@st.composite
def requests(draw: st.DrawFn) -> tuple[int, Request]:
    """One request, with the step before which it arrives; its seed is set by its place."""
    length = draw(st.integers(1, 40) | st.integers(1, 600))
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    return draw(st.integers(0, 12)), Request(
        request_id="",
        prompt=noise.integers(3, VOCAB, length).tolist(),
        max_tokens=draw(st.integers(0, 12)),
        sampling=SamplingParams(temperature=draw(st.sampled_from([0.0, 1.0]))),
        prompt_logprobs=draw(st.sampled_from([None, 0])),
        determinism=draw(st.sampled_from(Determinism)),
    )


def named(request: Request, index: int) -> Request:
    sampling = structs.replace(request.sampling, seed=index)
    return structs.replace(request, request_id=str(index), sampling=sampling)


def run(engine: Engine, arrivals: list[tuple[int, Request]]) -> dict[str, list[int]]:
    """Step until all that arrives is answered; each request's output tokens."""
    waiting, tokens = sorted(arrivals, key=lambda arrival: arrival[0]), {}
    step = 0
    while waiting or engine.has_work:
        while waiting and waiting[0][0] <= step:
            request = waiting.pop(0)[1]
            tokens[request.request_id] = []
            engine.add(request)
        for output in engine.step() if engine.has_work else ():
            assert isinstance(output, TokenOutput)
            tokens[output.request_id] += output.tokens
        step += 1
    return tokens


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(batch=st.lists(requests(), min_size=1, max_size=8), chunk_tokens=st.integers(9, 256))
def test_logits_are_those_of_the_request_alone_token_by_token(
    compiled: Compiled, batch: list[tuple[int, Request]], chunk_tokens: int
) -> None:
    arrivals = [(step, named(request, index)) for index, (step, request) in enumerate(batch)]
    engine, recorder = compiled.engine(chunk_tokens)
    outputs = run(engine, arrivals)
    for index, (_, request) in enumerate(arrivals):
        if request.determinism is Determinism.DEFAULT:
            continue
        ids = request.prompt + outputs[request.request_id]
        alone = compiled.logits_of(ids, 1, Determinism.BATCH_INVARIANT)
        found = {at: row for (seed, at), row in recorder.logits.items() if seed == index}
        assert len(found) >= request.max_tokens
        for position, row in found.items():
            np.testing.assert_array_equal(row, alone[position], f"request {index}, at {position}")


def test_long_steps_are_computed_in_another_arithmetic_unless_it_is_asked_for(
    compiled: Compiled,
) -> None:
    if not compiled.has_panels:
        pytest.skip(f"{compiled.target} has one arithmetic")
    ids = np.random.default_rng(1).integers(3, VOCAB, LONG).tolist()
    alone = compiled.logits_of(ids, 1, Determinism.DEFAULT)
    at_once = compiled.logits_of(ids, LONG, Determinism.DEFAULT)
    invariant = compiled.logits_of(ids, LONG, Determinism.BATCH_INVARIANT)
    assert not np.array_equal(at_once, alone)
    np.testing.assert_array_equal(invariant, alone)
