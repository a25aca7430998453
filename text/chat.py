"""Chat messages to the prompt the model was trained on, through the model's own template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.text.guard import ContentGuard, unused_marker
from inferflux.text.sandbox import Budget, TemplateError, TemplateSandbox
from inferflux.text.tokenizer import Tokenizer

MAX_TEMPLATE_BYTES: Final = 256 << 10
Message = Mapping[str, object]  # "role", "content", and what else the template reads; JSON's types


class NoChatTemplate(InvalidArgument):
    """The model's file has no chat template."""


class MessagesRefused(InvalidArgument):
    """The template raised an exception of its own, e.g. for roles that do not alternate."""


class ChatTemplate:
    """The model's template, with the variables and functions that transformers gives one."""

    def __init__(self, facts: TokenizerFacts, budget: Budget | None = None) -> None:
        self._tokens = _token_variables(facts)
        self._sandbox = _sandbox(facts.chat_template, budget or Budget())

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """The text of ``messages``.  Control tokens in it may be the template's or a user's.

        To tell them apart use ``ChatEncoder``.  Blocks for about a millisecond, and the first time
        until the sandbox has started.
        """
        if self._sandbox is None:
            raise NoChatTemplate(
                "the model has no chat template (tokenizer.chat_template); use completions instead"
            )
        conversation = {"messages": list(messages), "tools": None, "documents": None}
        prompt = {"add_generation_prompt": add_generation_prompt}
        answer = self._sandbox.render(self._tokens | conversation | prompt)
        if "refused" in answer:
            raise MessagesRefused(f"the model's chat template refuses: {answer['refused']}")
        return answer["text"]

    def close(self) -> None:
        """End the sandbox's process; the next rendering would start it again."""
        if self._sandbox is not None:
            self._sandbox.close()


class ChatEncoder:
    """Messages to token ids; no message can contain a control token, whatever it spells."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._guard = ContentGuard(tokenizer.special_tokens)

    def encode(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        marker = unused_marker(json.dumps(list(messages), ensure_ascii=False))
        protected = [self._guard.protect(message, marker) for message in messages]
        text = self._template.render(protected, add_generation_prompt)
        return self._tokenizer.encode(text, special=True, marker=marker)


def _sandbox(template: str | None, budget: Budget) -> TemplateSandbox | None:
    if template is None:
        return None
    if (size := len(template.encode())) > MAX_TEMPLATE_BYTES:
        raise TemplateError(
            f"the chat template has {size} bytes, at most {MAX_TEMPLATE_BYTES} are read"
        )
    return TemplateSandbox(template, budget)


def _token_variables(facts: TokenizerFacts) -> dict[str, object]:
    """``bos_token`` and so on: the texts of those tokens that the model has."""
    ids = {
        "bos_token": facts.bos_token_id,
        "eos_token": next(iter(facts.eos_token_ids), None),
        "pad_token": facts.pad_token_id,
        "unk_token": facts.unknown_token_id,
    }
    return {name: facts.tokens[token] for name, token in ids.items() if token is not None}
