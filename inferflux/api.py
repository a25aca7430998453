"""The Python API: compile a model, load it into this process, generate, score."""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Generator, Sequence
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import numpy as np

from inferflux import engine
from inferflux.cli import environment
from inferflux.cli.build import BuildOptions, Silent, artifact_for, compile_to
from inferflux.codegen import artifact
from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.completion import Completion, CompletionStream
from inferflux.engine.config import EngineConfig
from inferflux.engine.determinism import determinism_named, in_force
from inferflux.engine.messages import Request, SamplingParams, TokenOutput
from inferflux.text import (
    ChatEncoder,
    ChatTemplate,
    Detokeniser,
    Message,
    StopStrings,
    Tokenizer,
)
from inferflux.text.chat import NO_EXTRAS, ChatExtras

Prompt = str | Sequence[int]
Scores = np.ndarray[Any, np.dtype[np.float32]]


class GenerateOptions(TypedDict, total=False):
    """How to generate; what is left out is greedy and at most 256 tokens."""

    max_tokens: int
    temperature: float  # 0 is greedy
    top_p: float
    top_k: int | None
    min_p: float
    seed: int
    stop: Sequence[str]  # text that ends the completion and is not part of it
    logprobs: int | None  # alternatives to report per token
    determinism: str  # default, or batch_invariant: see docs/determinism.md


def compile(
    model: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    targets: Sequence[str] = (),
    numerics: str = "default",
    quantize: str | None = None,
) -> Path:
    """Compile a model name or path; gives the artifact, in the cache if no ``output`` is named.

    ``quantize`` is a type to give to matrices of more bits: q4_0, q4_1, q8_0, q4_k or q6_k.
    """
    options = BuildOptions(tuple(targets), numerics, quantise=quantize or "")
    if output is None:
        return artifact_for(fspath(model), options, Silent())
    return compile_to(fspath(model), Path(output), options, Silent()).path


def load(
    model: str | PathLike[str],
    *,
    target: str | None = None,
    numerics: str = "default",
    threads: int | None = None,
    kv_bytes: int = 256 << 20,
    max_sequences: int = 16,
    determinism: str = "default",
) -> LLM:
    """Load a model name, a path or an artifact into this process, compiling on first use."""
    options = BuildOptions((target,) if target else (), numerics)
    path = artifact_for(fspath(model), options, Silent())
    config = EngineConfig(
        artifact=path,
        target=target,
        num_workers=threads,
        kv_bytes=kv_bytes,
        max_sequences=max_sequences,
        determinism=determinism_named(determinism),
        record_dir=environment.record_dir(),
    )
    return LLM(engine.load(config), artifact.load_text(path).tokenizer)


class LLM:
    """A model in this process.  Streams may be read in turns, but from one thread only."""

    def __init__(self, loaded: engine.Engine, facts: TokenizerFacts) -> None:
        self.tokenizer = Tokenizer(facts)
        self._template = ChatTemplate(facts)
        self._chat = ChatEncoder(self.tokenizer, self._template)
        self._engine = loaded
        self._inboxes: dict[str, deque[TokenOutput]] = {}
        self._request_ids = itertools.count(1)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Completion:
        """Continue ``prompt``, which is text or token ids."""
        return self.stream(prompt, **options).collect()

    def stream(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> CompletionStream:
        """Continue ``prompt``, giving text as it comes."""
        if isinstance(prompt, str):
            prompt = self.tokenizer.encode(prompt, special=True)  # the caller wrote all of it
        return self._stream(list(prompt), options)

    def chat(
        self,
        messages: Sequence[Message],
        extras: ChatExtras = NO_EXTRAS,
        **options: Unpack[GenerateOptions],
    ) -> Completion:
        """Answer a chat in the model's own template, which may read tools, too.

        The answer is text: calls of tools are as the model spells them.
        """
        return self.stream_chat(messages, extras, **options).collect()

    def stream_chat(
        self,
        messages: Sequence[Message],
        extras: ChatExtras = NO_EXTRAS,
        **options: Unpack[GenerateOptions],
    ) -> CompletionStream:
        """Answer a chat, giving text as it comes."""
        return self._stream(self._chat.encode(messages, extras=extras), options)

    def score(
        self, ids: Sequence[int], chunk: int | None = None, determinism: str = "default"
    ) -> Scores:
        """Log-probs of every token after each prefix of ``ids``.  -> (len(ids), V)

        ``chunk`` tokens are computed at a time; 1 forces them one by one, as decoding does.
        """
        asked = determinism_named(determinism)
        return self._engine.score(list(ids), chunk or len(ids), asked)

    def close(self) -> None:
        """End the process that renders chat templates; memory goes with the object."""
        self._template.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _stream(self, prompt: list[int], options: GenerateOptions) -> CompletionStream:
        stops = StopStrings(options.get("stop", ()))
        asked = determinism_named(options.get("determinism", "default"))
        determinism = in_force(self._engine.determinism, asked)
        request = Request(
            request_id=f"local-{next(self._request_ids)}",
            prompt=prompt,
            max_tokens=options.get("max_tokens", 256),
            sampling=_sampling(options),
            stop_token_ids=list(self.tokenizer.eos_token_ids),
            determinism=determinism,
        )
        outputs, detokeniser = self._outputs(request), Detokeniser(self.tokenizer)
        return CompletionStream(outputs, len(prompt), detokeniser, stops, determinism)

    def _outputs(self, request: Request) -> Generator[TokenOutput]:
        """The request's outputs; a step runs when one is wanted, and all streams gain by it."""
        inbox = self._inboxes[request.request_id] = deque()
        finished = False
        self._engine.add(request)
        try:
            while not finished:
                while not inbox:
                    self._step()
                output = inbox.popleft()
                finished = output.finish_reason is not None
                yield output
        finally:
            del self._inboxes[request.request_id]
            if not finished:
                self._engine.abort(request.request_id)

    def _step(self) -> None:
        for output in self._engine.step():
            inbox = self._inboxes.get(output.request_id)
            if inbox is not None:  # None: an aborted stream's last word
                inbox.append(output)


def _sampling(options: GenerateOptions) -> SamplingParams:
    return SamplingParams(
        temperature=options.get("temperature", 0.0),
        top_k=options.get("top_k"),
        top_p=options.get("top_p", 1.0),
        min_p=options.get("min_p", 0.0),
        seed=options.get("seed", secrets.randbits(64)),
        logprobs=options.get("logprobs"),
    )
