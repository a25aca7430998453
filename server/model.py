"""The model a server offers: its names, its facts, and how a prompt becomes token ids."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from inferflux.codegen.artifact.compiled import ModelFacts, TokenizerFacts
from inferflux.errors import InferFluxError
from inferflux.server.calls import Conversation, InvalidField, Prompt, Text, Tokens
from inferflux.text import ChatEncoder, ChatTemplate, Tokenizer


class ModelNotFound(InferFluxError):
    """The model a request names is not the one that is served."""

    code = "model_not_found"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model under its names.  Immutable, so the tokenizer's threads may share it."""

    name: str
    aliases: frozenset[str]
    facts: ModelFacts
    artifact_digest: str
    tokenizer: Tokenizer
    template: ChatTemplate
    chat: ChatEncoder
    stop_token_ids: tuple[int, ...]
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(
        cls, facts: ModelFacts, tokenizer: TokenizerFacts, digest: str, name: str | None = None
    ) -> ServedModel:
        """The model an artifact holds, served as ``name`` and as what its file calls it.

        Its tokenizer is prepared by the first text, if nobody does before.
        """
        text, template = Tokenizer(tokenizer, is_prepared=False), ChatTemplate(tokenizer)
        return cls(
            name=name or facts.name,
            aliases=frozenset({facts.name}),
            facts=facts,
            artifact_digest=digest,
            tokenizer=text,
            template=template,
            chat=ChatEncoder(text, template),
            stop_token_ids=tokenizer.eos_token_ids,
        )

    def check_name(self, name: str) -> None:
        if name != self.name and name not in self.aliases:
            raise ModelNotFound(f"model {name!r} is not served here; {self.name!r} is")

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's token ids.  Takes time in proportion to its length: not for the loop."""
        ids = self._encode(prompt)
        if not ids:
            raise InvalidField("prompt", "prompt: it is empty; send at least one token")
        return ids

    def close(self) -> None:
        """End the template's sandbox."""
        self.template.close()

    def _encode(self, prompt: Prompt) -> list[int]:
        match prompt:
            case Text(text):
                return self.tokenizer.encode(text, special=True)  # the client wrote all of it
            case Tokens(ids):
                return self._checked(ids)
            case Conversation(messages, extras):
                turns = [
                    {**turn.fields, "role": turn.role, "content": turn.content} for turn in messages
                ]
                return self.chat.encode(turns, extras=extras)

    def _checked(self, ids: Sequence[int]) -> list[int]:
        size = self.facts.vocab_size
        for token in ids:
            if not 0 <= token < size:
                raise InvalidField(
                    "prompt", f"prompt: token id {token} is not in the vocabulary of {size}"
                )
        return list(ids)
