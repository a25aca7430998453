"""Jinja2's sandbox as transformers sets it up for chat templates, and the words of a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import jinja2
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from conversations import Conversation

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class GenerationTags(Extension):
    """As transformers': the block is rendered, and for training remembered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads it so

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


def by_jinja2(template: str, conversation: Conversation, prompted: bool) -> str:
    """What the template says of a Conversation, by Jinja2 alone."""
    return _compiled(template).render(variables(conversation, prompted))


def by_transformers(template: str, conversation: Conversation, prompted: bool) -> str:
    """What the template says, by transformers."""
    from transformers.utils.chat_template_utils import render_jinja_template

    rendered, _ = render_jinja_template(
        [[dict(message) for message in conversation.messages]],
        tools=conversation.tools if conversation.tools is None else list(conversation.tools),
        documents=conversation.documents,
        chat_template=template,
        add_generation_prompt=prompted,
        **SPECIAL_TOKENS,
        **conversation.variables,
    )
    return str(rendered[0])


def outcome(render: Callable[[], str], refusal: type[Exception]) -> tuple[str, str]:
    """The text, or the words of the template's own refusal, or that it failed."""
    try:
        return "text", render()
    except Exception as error:
        if type(error) is not refusal:
            return "failed", ""
        return "refused", str(error).rpartition("refuses: ")[2]


def variables(conversation: Conversation, prompted: bool) -> Mapping[str, object]:
    """As transformers passes them; reasoning stands under each of its names."""
    return {
        **SPECIAL_TOKENS,
        **conversation.variables,
        "messages": [
            {"thinking": message["reasoning_content"], **message}
            if "reasoning_content" in message
            else message
            for message in conversation.messages
        ],
        "tools": conversation.tools,
        "documents": conversation.documents,
        "add_generation_prompt": prompted,
    }


@cache
def _compiled(template: str) -> jinja2.Template:
    return _environment().from_string(template)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTags, "jinja2.ext.loopcontrols"],
    )

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda spelling: datetime.now().strftime(spelling)
    return environment
