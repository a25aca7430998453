"""Chat templates render as transformers renders them, whatever shape they have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.text import ChatTemplate, MessagesRefused, NoChatTemplate, TemplateError

HERE = Path(__file__).parent
NewFacts = Callable[..., TokenizerFacts]
Messages = Sequence[Mapping[str, object]]

SHORT: Messages = [{"role": "user", "content": "Hello"}]
LONG: Messages = [
    {"role": "system", "content": "Be brief. "},
    {"role": "user", "content": "  What is 'é' < \"b\" & 🙂?\n"},
    {"role": "assistant", "content": "A letter.", "reasoning_content": "Think\nhard"},
    {"role": "user", "content": "Thanks"},
]
PARTS: Messages = [
    {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "f", "arguments": {"b": [1, 2.5, None], "a": True}}}],
    },
]

TEMPLATES = {path.stem: path.read_text("utf-8") for path in (HERE / "templates").glob("*.jinja")}


class GenerationTags(Extension):
    """As transformers': the block is rendered, and for training remembered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads it so

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


@pytest.fixture(scope="session")
def transformers_renders() -> Callable[[str, Mapping[str, object]], str]:
    """jinja2 as transformers sets it up for chat templates."""
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

    def render(template: str, variables: Mapping[str, object]) -> str:
        return environment.from_string(template).render(**variables)

    return render


@pytest.fixture(scope="module")
def template(new_facts: NewFacts) -> Iterator[Callable[[str | None], ChatTemplate]]:
    """The ChatTemplate of a template's text, one for each text: they start slowly."""

    @cache
    def new(text: str | None) -> ChatTemplate:
        opened.append(ChatTemplate(new_facts(chat_template=text)))
        return opened[-1]

    opened: list[ChatTemplate] = []
    yield new
    for each in opened:
        each.close()


NewTemplate = Callable[[str | None], ChatTemplate]


def rendered(render: Callable[[], str]) -> str | None:
    """The text, or None where the template fails."""
    try:
        return render()
    except (jinja2.TemplateError, TypeError, TemplateError, MessagesRefused):
        return None


@pytest.mark.parametrize("prompted", [True, False])
@pytest.mark.parametrize("messages", [SHORT, LONG, PARTS], ids=["short", "long", "parts"])
@pytest.mark.parametrize("shape", sorted(TEMPLATES))
def test_it_renders_or_fails_as_in_transformers(
    template: NewTemplate,
    transformers_renders: Callable[..., str],
    shape: str,
    messages: Messages,
    prompted: bool,
) -> None:
    ours = template(TEMPLATES[shape])
    variables = {
        "messages": messages,
        "tools": None,
        "documents": None,
        "add_generation_prompt": prompted,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    expected = rendered(lambda: transformers_renders(TEMPLATES[shape], variables))
    assert rendered(lambda: ours.render(messages, add_generation_prompt=prompted)) == expected
    assert expected is not None or messages is not SHORT, "the shape must say something"


def test_the_default_models_template_renders_as_transformers_does(
    smollm_facts: TokenizerFacts, transformers_renders: Callable[..., str]
) -> None:
    ours = ChatTemplate(smollm_facts)
    variables = {"messages": LONG, "add_generation_prompt": True}
    assert ours.render(LONG) == transformers_renders(smollm_facts.chat_template, variables)
    assert ours.render(SHORT) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    ours.close()


def test_what_a_template_refuses_is_the_callers_to_mend(template: NewTemplate) -> None:
    ours = template(
        "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
    )
    assert ours.render(SHORT) == ""
    with pytest.raises(MessagesRefused, match="user first") as caught:
        ours.render(LONG)
    assert caught.value.code == "invalid_argument"


def test_a_model_without_a_template_points_to_completions(template: NewTemplate) -> None:
    with pytest.raises(NoChatTemplate, match="use completions"):
        template(None).render(SHORT)
