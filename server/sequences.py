"""A call's prompts and parameters as the sequences that the engine runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from inferflux.engine.errors import ContextLengthExceeded
from inferflux.engine.messages import Request, SamplingParams
from inferflux.server.calls import Call, Sampling
from inferflux.server.echo import Echo, EchoedPrompt
from inferflux.server.generation import OpenSequence
from inferflux.server.model import ServedModel
from inferflux.server.sequence import SequenceText

_SEED_BITS: Final = 64
_SEED_STRIDE: Final = 0x9E3779B97F4A7C15  # odd: the sequences of a call never share a seed


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids, with its echo if one was asked for."""

    ids: list[int]
    echoed: EchoedPrompt | None


def encode(call: Call, model: ServedModel) -> list[EncodedPrompt]:
    """The call's prompts.  Takes time in proportion to their length: not for the event loop."""
    return [_encoded(model.encode(prompt), call, model) for prompt in call.prompts]


def _encoded(ids: list[int], call: Call, model: ServedModel) -> EncodedPrompt:
    if not call.echo:
        return EncodedPrompt(ids, None)
    has_logprobs = call.sampling.logprobs is not None
    return EncodedPrompt(ids, EchoedPrompt.of(ids, model.tokenizer, has_logprobs=has_logprobs))


def open_sequences(
    call_id: str,
    call: Call,
    prompts: Sequence[EncodedPrompt],
    model: ServedModel,
    context_length: int,
) -> list[OpenSequence]:
    """``n`` sequences of each prompt, in the order in which their choices are numbered."""
    rooms = [_room(prompt.ids, call.sampling.max_tokens, context_length) for prompt in prompts]
    seeds = _seeds(call.sampling.seed)
    deadline = time.time() + call.timeout_seconds
    return [
        OpenSequence(
            Request(
                request_id=f"{call_id}-{index}",
                prompt=prompts[index // call.sampling.n].ids,
                max_tokens=rooms[index // call.sampling.n],
                sampling=_sampling_params(call.sampling, next(seeds)),
                stop_token_ids=list(model.stop_token_ids),
                prompt_logprobs=call.sampling.logprobs if call.echo else None,
                deadline=deadline,
                determinism=call.determinism,
            ),
            _sequence_text(index, call, prompts[index // call.sampling.n], model),
        )
        for index in range(len(prompts) * call.sampling.n)
    ]


def _room(prompt: Sequence[int], max_tokens: int | None, context_length: int) -> int:
    """Tokens the sequence may grow by: as many as asked, but never past the context."""
    room = context_length - len(prompt)
    if room < 0 or (room == 0 and max_tokens != 0):
        raise ContextLengthExceeded(
            f"the prompt has {len(prompt)} tokens and the context {context_length}; "
            f"shorten it by at least {1 - room} tokens"
        )
    return room if max_tokens is None else min(max_tokens, room)


def _seeds(seed: int | None) -> Iterator[int]:
    """A seed per sequence; the first is the call's own, so ``n`` does not change choice 0."""
    first = secrets.randbits(_SEED_BITS) if seed is None else seed
    index = 0
    while True:
        yield (first + index * _SEED_STRIDE) % (1 << _SEED_BITS)
        index += 1


def _sampling_params(sampling: Sampling, seed: int) -> SamplingParams:
    return SamplingParams(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        seed=seed,
        logprobs=sampling.logprobs,
    )


def _sequence_text(
    index: int, call: Call, prompt: EncodedPrompt, model: ServedModel
) -> SequenceText:
    return SequenceText(
        index,
        model.tokenizer,
        stops=call.sampling.stop,
        stop_token_ids=model.stop_token_ids,
        echo=None if prompt.echoed is None else Echo(prompt.echoed),
    )
