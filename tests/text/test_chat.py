"""Chat templates render as transformers renders them, whatever shape they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import jinja2
import pytest

from conversations import CONVERSATIONS, Conversation
from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.text import (
    ChatExtras,
    ChatTemplate,
    MessagesRefused,
    NoChatTemplate,
    TemplateError,
)
from jinja_reference import by_jinja2, by_transformers, outcome

HERE = Path(__file__).parent
NewFacts = Callable[..., TokenizerFacts]
NewTemplate = Callable[..., ChatTemplate]
Messages = Sequence[Mapping[str, object]]
Render = Callable[[str, Conversation, bool], str]

SHORT: Messages = [{"role": "user", "content": "Hello"}]
TEMPLATES = {path.stem: path.read_text("utf-8") for path in (HERE / "templates").glob("*.jinja")}


@pytest.fixture(scope="module")
def template(new_facts: NewFacts) -> Iterator[NewTemplate]:
    """The ChatTemplate of a template's text, one for each text: they start slowly."""

    @cache
    def new(text: str | None, **named: str) -> ChatTemplate:
        facts = new_facts(chat_template=text, named_templates=named)
        opened.append(ChatTemplate(facts))
        return opened[-1]

    opened: list[ChatTemplate] = []
    yield new
    for each in opened:
        each.close()


def check_that_all_render_alike(ours: ChatTemplate, text: str, by: Render) -> None:
    kinds: Counter[str] = Counter()
    for (name, given), prompted in product(CONVERSATIONS.items(), (True, False)):
        expected = outcome(partial(by, text, given, prompted), jinja2.TemplateError)
        extras = ChatExtras(given.tools, given.documents, given.variables)
        render = partial(ours.render, given.messages, prompted, extras)
        assert outcome(render, MessagesRefused) == expected, name
        kinds[expected[0]] += 1
    assert kinds["text"] >= 6, "the shape must say something"


@pytest.mark.parametrize("shape", sorted(TEMPLATES))
def test_it_renders_refuses_or_fails_as_in_jinja2(template: NewTemplate, shape: str) -> None:
    check_that_all_render_alike(template(TEMPLATES[shape]), TEMPLATES[shape], by_jinja2)


@pytest.mark.oracle
@pytest.mark.parametrize("shape", sorted(TEMPLATES))
def test_it_renders_refuses_or_fails_as_in_transformers(template: NewTemplate, shape: str) -> None:
    check_that_all_render_alike(template(TEMPLATES[shape]), TEMPLATES[shape], by_transformers)


def test_the_default_models_template_renders_as_jinja2_does(smollm_facts: TokenizerFacts) -> None:
    ours = ChatTemplate(smollm_facts)
    conversation = CONVERSATIONS["system and turns"]
    assert smollm_facts.chat_template is not None
    expected = by_jinja2(smollm_facts.chat_template, conversation, True)
    assert ours.render(conversation.messages) == expected
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
        ours.render([{"role": "system", "content": "Be brief"}])
    assert caught.value.code == "invalid_argument"


def test_a_prepared_template_waits_in_its_process(
    new_facts: NewFacts, caplog: pytest.LogCaptureFixture
) -> None:
    for text, complaint in (("x", ""), (None, ""), ("{% for %}", "no chat can be served")):
        ours = ChatTemplate(new_facts(chat_template=text))
        ours.prepare()
        assert complaint in caplog.text
        assert bool(caplog.text) == bool(complaint)
        ours.close()
    with pytest.raises(TemplateError):
        ours.render(SHORT)


def test_a_model_without_a_template_points_to_completions(template: NewTemplate) -> None:
    with pytest.raises(NoChatTemplate, match="use completions"):
        template(None).render(SHORT)


@pytest.mark.parametrize(
    ("extras", "chosen"),
    [
        (ChatExtras(), "plain"),
        (ChatExtras(tools=[]), "with tools"),
        (ChatExtras(documents=[{}]), "plain"),
        (ChatExtras(template="rag"), "with documents"),
        (ChatExtras(tools=[], template="default"), "plain"),
    ],
)
def test_of_several_templates_one_is_chosen_as_transformers_does(
    template: NewTemplate, extras: ChatExtras, chosen: str
) -> None:
    ours = template("plain", tool_use="with tools", rag="with documents")
    assert ours.render(SHORT, extras=extras) == chosen


def test_a_template_that_there_is_not_is_refused_with_those_that_there_are(
    template: NewTemplate,
) -> None:
    with pytest.raises(NoChatTemplate, match="'agent'; it has default, rag"):
        template("plain", rag="x").render(SHORT, extras=ChatExtras(template="agent"))
    with pytest.raises(NoChatTemplate, match="'default'; it has rag"):
        template(None, rag="x").render(SHORT)


@pytest.mark.parametrize("name", ["messages", "tools", "documents", "add_generation_prompt"])
def test_a_variable_cannot_stand_for_what_is_passed_otherwise(
    template: NewTemplate, name: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"'{name}' is no variable"):
        template("x").render(SHORT, extras=ChatExtras(variables={name: None}))
