"""Chat messages to the prompt the model was trained on, through the model's own template."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.text.guard import ContentGuard, unused_marker
from inferflux.text.sandbox import Budget, TemplateError, TemplateSandbox
from inferflux.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

MAX_TEMPLATE_BYTES: Final = 256 << 10
Message = Mapping[str, object]  # "role", "content", and what else the template reads; JSON's types

_DEFAULT: Final = "default"
_WITH_TOOLS: Final = "tool_use"  # the template for chats with tools, of models that have several
_OURS: Final = ("messages", "tools", "documents", "add_generation_prompt")
_REASONING: Final = ("reasoning_content", "thinking", "reasoning")  # names for one thing


class NoChatTemplate(InvalidArgument):
    """The model's file has no chat template, or none of the name that was asked for."""


class MessagesRefused(InvalidArgument):
    """The template raised an exception of its own, e.g. for roles that do not alternate."""


@dataclass(frozen=True, slots=True)
class ChatExtras:
    """What a template may read beside messages; of JSON's types."""

    tools: Sequence[Mapping[str, object]] | None = None  # functions as JSON schemas
    documents: Sequence[Mapping[str, object]] | None = None  # with "title" and "text"
    variables: Mapping[str, object] = field(default_factory=dict)  # its own: enable_thinking
    template: str | None = None  # the name of one, where the model has several


NO_EXTRAS: Final = ChatExtras()


class ChatTemplate:
    """The model's templates, with the variables and functions that transformers gives them."""

    def __init__(self, facts: TokenizerFacts, budget: Budget | None = None) -> None:
        self._tokens = _token_variables(facts)
        default = {} if facts.chat_template is None else {_DEFAULT: facts.chat_template}
        templates = {**facts.named_templates, **default}
        self._sandboxes = {
            name: _sandbox(text, budget or Budget()) for name, text in templates.items()
        }

    def prepare(self) -> None:
        """Start the default template's sandbox, so that the first chat need not wait for it."""
        if _DEFAULT not in self._sandboxes:
            return
        try:
            self._sandboxes[_DEFAULT].prepare()
        except TemplateError as error:
            log.warning("no chat can be served: %s", error)

    def render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        extras: ChatExtras = NO_EXTRAS,
    ) -> str:
        """The text of ``messages``.  Control tokens in it may be the template's or a user's.

        To tell them apart use ``ChatEncoder``.  Blocks for about a millisecond, and the first time
        until the sandbox has started.
        """
        sandbox = self._sandboxes[self._name(extras)]
        conversation = {
            "messages": [_with_reasoning(message) for message in messages],
            "tools": extras.tools,
            "documents": extras.documents,
            "add_generation_prompt": add_generation_prompt,
        }
        answer = sandbox.render(self._tokens | _own_variables(extras) | conversation)
        if "refused" in answer:
            raise MessagesRefused(f"the model's chat template refuses: {answer['refused']}")
        return answer["text"]

    def close(self) -> None:
        """End the sandboxes' processes; the next rendering would start one again."""
        for sandbox in self._sandboxes.values():
            sandbox.close()

    def _name(self, extras: ChatExtras) -> str:
        """As transformers chooses: by name, else by whether there are tools."""
        has_own = extras.tools is not None and _WITH_TOOLS in self._sandboxes
        name = extras.template or (_WITH_TOOLS if has_own else _DEFAULT)
        if name in self._sandboxes:
            return name
        if not self._sandboxes:
            raise NoChatTemplate(
                "the model has no chat template (tokenizer.chat_template); use completions instead"
            )
        named = ", ".join(sorted(self._sandboxes))
        raise NoChatTemplate(f"the model has no chat template {name!r}; it has {named}")


class ChatEncoder:
    """Messages to token ids; no message can contain a control token, whatever it spells."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._guard = ContentGuard(tokenizer.special_tokens)

    def encode(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        extras: ChatExtras = NO_EXTRAS,
    ) -> list[int]:
        written = [list(messages), extras.tools, extras.documents, extras.variables]
        spelled = json.dumps(written, ensure_ascii=False)
        if len(spelled) > self._tokenizer.max_text_bytes:
            raise InvalidArgument(
                f"the chat has {len(spelled)} characters, at most "
                f"{self._tokenizer.max_text_bytes} are read; send less"
            )
        marker = unused_marker(spelled)
        protected = [self._guard.protect(message, marker) for message in messages]
        text = self._template.render(protected, add_generation_prompt, self._safe(extras, marker))
        return self._tokenizer.encode(text, special=True, marker=marker)

    def _safe(self, extras: ChatExtras, marker: str) -> ChatExtras:
        tools, documents = (
            None if each is None else [self._guard.protect(item, marker) for item in each]
            for each in (extras.tools, extras.documents)
        )
        variables = self._guard.protect(extras.variables, marker)
        return replace(extras, tools=tools, documents=documents, variables=variables)


def _sandbox(template: str, budget: Budget) -> TemplateSandbox:
    if (size := len(template.encode(errors="surrogatepass"))) > MAX_TEMPLATE_BYTES:
        raise TemplateError(
            f"the chat template has {size} bytes, at most {MAX_TEMPLATE_BYTES} are read"
        )
    return TemplateSandbox(template, budget)


def _own_variables(extras: ChatExtras) -> dict[str, object]:
    for name in _OURS:
        if name in extras.variables:
            raise InvalidArgument(f"{name!r} is no variable of the template's own; pass it as such")
    return dict(extras.variables)


def _with_reasoning(message: Message) -> Message:
    """Reasoning under the names by which templates ask for it."""
    reasoning = next((message[name] for name in _REASONING if message.get(name) is not None), None)
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _token_variables(facts: TokenizerFacts) -> dict[str, object]:
    """``bos_token`` and so on: the texts of those tokens that the model has."""
    ids = {
        "bos_token": facts.bos_token_id,
        "eos_token": next(iter(facts.eos_token_ids), None),
        "pad_token": facts.pad_token_id,
        "unk_token": facts.unknown_token_id,
    }
    return {name: facts.tokens[token] for name, token in ids.items() if token is not None}
