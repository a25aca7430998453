"""The Python API on an engine that says what it is told to: pieces, stops, turns, aborts."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import inferflux
from inferflux import LLM, CompletionStream, InvalidArgument
from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.completion import GenerationFailed, Timing
from inferflux.engine.determinism import Determinism
from inferflux.engine.messages import FinishReason, Request, TokenOutput
from inferflux.ir import frontend

LETTERS = "hello world, this is a test of pieces"


@dataclass
class ScriptedEngine:
    """Gives every request the same tokens, one a step, then ends it as told."""

    script: list[int]
    ending: FinishReason = FinishReason.LENGTH
    determinism: Determinism = Determinism.DEFAULT
    requests: dict[str, Request] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)

    def add(self, request: Request) -> None:
        self.requests[request.request_id] = request
        self.given[request.request_id] = 0

    def abort(self, request_id: str) -> None:
        self.aborted.append(request_id)
        del self.given[request_id]

    def step(self) -> list[TokenOutput]:
        return [self._next(request_id) for request_id in tuple(self.given)]

    def _next(self, request_id: str) -> TokenOutput:
        index = self.given[request_id]
        self.given[request_id] += 1
        limit = min(len(self.script), self.requests[request_id].max_tokens)
        if index + 1 < limit:
            return TokenOutput(request_id, [self.script[index]])
        del self.given[request_id]
        failed = self.ending is FinishReason.ERROR
        return TokenOutput(
            request_id,
            [] if failed else [self.script[index]],
            finish_reason=self.ending,
            error="the worker died" if failed else None,
        )


@pytest.fixture
def facts(tiny_gguf: Callable[..., Path]) -> TokenizerFacts:
    found = frontend.tokenizer(frontend.open(tiny_gguf()))
    return TokenizerFacts(**{name: getattr(found, name) for name in TokenizerFacts.__slots__})


@pytest.fixture
def engine(facts: TokenizerFacts) -> ScriptedEngine:
    tokens = {text: index for index, text in enumerate(facts.tokens)}
    return ScriptedEngine([tokens["Ġ" if letter == " " else letter] for letter in LETTERS])


@pytest.fixture
def llm(engine: ScriptedEngine, facts: TokenizerFacts) -> LLM:
    return LLM(engine, facts)  # type: ignore[arg-type]


def test_a_stream_gives_the_text_of_the_completion_in_pieces(llm: LLM) -> None:
    stream = llm.stream("once")
    pieces = list(stream)
    assert "".join(pieces) == LETTERS
    assert len(pieces) == len(LETTERS)
    assert stream.completion is not None
    assert stream.completion.text == LETTERS
    assert stream.completion.finish_reason is FinishReason.LENGTH


def test_a_stop_string_ends_the_request_and_is_not_in_the_text(
    llm: LLM, engine: ScriptedEngine
) -> None:
    completion = llm.generate("once", stop=["o w"])
    assert completion.text == "hell"
    assert completion.finish_reason is FinishReason.STOP
    assert engine.aborted == ["local-1"]  # its pages are free at once


def test_text_held_back_for_a_stop_string_is_given_in_the_end(llm: LLM) -> None:
    assert llm.generate("once", max_tokens=5, stop=["o world"]).text == "hello"


def test_streams_may_be_read_in_turns(llm: LLM) -> None:
    first, second = llm.stream("once"), llm.stream("twice")
    turns = [next(first) + next(second) for _ in LETTERS]
    assert turns == [letter * 2 for letter in LETTERS]


def test_a_stream_that_is_closed_aborts_its_request_alone(llm: LLM, engine: ScriptedEngine) -> None:
    left, kept = llm.stream("once"), llm.stream("twice")
    next(left), next(kept)
    left.close()
    assert engine.aborted == ["local-1"]
    assert kept.collect().text == LETTERS


def test_an_engine_error_is_raised_with_its_reason(llm: LLM, engine: ScriptedEngine) -> None:
    engine.ending = FinishReason.ERROR
    with pytest.raises(GenerationFailed, match="the worker died"):
        llm.generate("once")


def test_a_prompt_may_be_token_ids(llm: LLM, engine: ScriptedEngine) -> None:
    llm.generate([5, 6, 7])
    assert engine.requests["local-1"].prompt == [5, 6, 7]


def test_generation_is_greedy_and_ends_at_the_end_of_turn_unless_told_otherwise(
    llm: LLM, engine: ScriptedEngine, facts: TokenizerFacts
) -> None:
    llm.generate("once")
    request = engine.requests["local-1"]
    assert request.sampling.temperature == 0.0
    assert request.stop_token_ids == list(facts.eos_token_ids)


def test_a_chat_goes_through_the_template_of_the_model(
    llm: LLM, engine: ScriptedEngine, facts: TokenizerFacts
) -> None:
    with llm:
        llm.chat([{"role": "user", "content": "hi"}])
    prompt = engine.requests["local-1"].prompt
    assert prompt[0] == facts.tokens.index("<|im_start|>")
    text = llm.tokenizer.decode(prompt, skip_special=False)
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_what_is_said_in_a_chat_cannot_become_a_control_token(
    llm: LLM, engine: ScriptedEngine, facts: TokenizerFacts
) -> None:
    with llm:
        llm.chat([{"role": "user", "content": "<|im_end|>"}])
    prompt = engine.requests["local-1"].prompt
    assert prompt.count(facts.tokens.index("<|im_end|>")) == 1  # the template's own


@pytest.mark.parametrize("of_engine", Determinism)
@pytest.mark.parametrize("asked", Determinism)
def test_a_completion_says_which_determinism_ran(
    llm: LLM, engine: ScriptedEngine, of_engine: Determinism, asked: Determinism
) -> None:
    engine.determinism = of_engine
    expected = max(of_engine, asked, key=list(Determinism).index)
    assert llm.generate("once", determinism=asked).determinism == expected
    assert engine.requests["local-1"].determinism == expected


def test_a_determinism_that_there_is_not_is_refused_by_name(llm: LLM) -> None:
    with pytest.raises(InvalidArgument, match="'fast': it must be default or batch_invariant"):
        llm.generate("once", determinism="fast")


def test_speeds_are_those_of_the_metrics_page() -> None:
    timing = Timing(num_prompt_tokens=30, num_output_tokens=11, first_token=0.5, last_token=1.5)
    assert timing.prefill_speed == 60
    assert timing.decode_speed == 10
    assert Timing(30, 1, 0.5, 0.5).decode_speed is None


def test_a_stream_left_to_the_collector_aborts_its_request(
    llm: LLM, engine: ScriptedEngine
) -> None:
    stream: CompletionStream | None = llm.stream("once")
    assert stream is not None
    next(stream)
    stream = None
    gc.collect()
    assert engine.aborted == ["local-1"]


@pytest.mark.parametrize("name", [n for n in inferflux.__all__ if n != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(inferflux, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        inferflux.nonesuch  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys, inferflux; print([m for m in sys.modules if m.startswith('inferflux.')])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
