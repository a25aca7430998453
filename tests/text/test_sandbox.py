"""A hostile template costs one process and one error, never the server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from inferflux.text import TemplateError
from inferflux.text.sandbox import Budget, TemplateSandbox

MESSAGES: Mapping[str, object] = {"messages": [{"role": "user", "content": "Hello"}]}
SMALL = Budget(fuel=200_000, max_output_bytes=1 << 20, memory_bytes=256 << 20, seconds=10.0)

HOSTILE = {
    "endless loop": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "endless range": "{% for i in range(10 ** 12) %}{% endfor %}",
    "endless recursion": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "giant string": "{{ 'x' * 10 ** 10 }}",
    "large output": "{{ 'x' * 10 ** 7 }}",
    "doubled string": "{% set ns = namespace(s='ab') %}{% for i in range(60) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}",
    "replaced string": "{% set s = 'x' * 10 ** 6 %}{{ s | replace('x', s) | length }}",
    "deep expression": "{{ " + "not " * 60_000 + "1 }}",
    "deep brackets": "{{ " + "[" * 60_000 + "]" * 60_000 + " }}",
    "attribute escape": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "attribute filter": "{{ (messages | attr('__class__')).__base__ }}",
    "namespace escape": "{{ namespace.__init__.__globals__ }}",
    "function escape": "{{ raise_exception.__globals__['sys'].modules }}",
    "callback escape": "{{ strftime_now.__globals__['sys'].exit() }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os.getcwd() }}",
    "giant format": "{{ strftime_now('x' * 10 ** 9) }}",
    "wrong syntax": "{% for %}",
    "unknown filter": "{{ 1 | system }}",
    "wrong call": "{{ messages | tojson(indent='a', nonsense=1) }}",
}


@pytest.fixture
def closing() -> Iterator[list[TemplateSandbox]]:
    sandboxes: list[TemplateSandbox] = []
    yield sandboxes
    for sandbox in sandboxes:
        sandbox.close()


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_templates_end_in_an_error(closing: list[TemplateSandbox], attack: str) -> None:
    sandbox = TemplateSandbox(HOSTILE[attack], SMALL)
    closing.append(sandbox)
    with pytest.raises(TemplateError, match="chat template") as caught:
        sandbox.render(MESSAGES)
    assert caught.value.code == "template_error"
    assert len(str(caught.value)) < 1000


def test_a_rendering_that_takes_too_long_is_killed(closing: list[TemplateSandbox]) -> None:
    slow = "{% for i in range(99999) %}{{ 'ab' * 1000 }}{% endfor %}"
    sandbox = TemplateSandbox(slow, Budget(fuel=10**9, memory_bytes=8 << 30, seconds=0.02))
    closing.append(sandbox)
    with pytest.raises(TemplateError, match=r"budget of 0.02 s"):
        sandbox.render(MESSAGES)


def test_a_sandbox_that_died_starts_again(closing: list[TemplateSandbox]) -> None:
    doubles = (
        "{% set ns = namespace(s='ab') %}{% for i in range(doublings) %}"
        "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}"
    )
    sandbox = TemplateSandbox(doubles, SMALL)
    closing.append(sandbox)
    assert sandbox.render({"doublings": 3}) == {"text": "16"}
    with pytest.raises(TemplateError):
        sandbox.render({"doublings": 60})
    assert sandbox.render({"doublings": 4}) == {"text": "32"}


def test_a_sandbox_that_was_killed_while_idle_is_not_missed(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    sandbox = TemplateSandbox("{{ value }}", SMALL)
    closing.append(sandbox)
    assert sandbox.render({"value": 1}) == {"text": "1"}
    started[0].kill()
    started[0].wait()
    assert sandbox.render({"value": 2}) == {"text": "2"}
    assert len(started) == 2


def test_an_interrupted_rendering_does_not_answer_the_next(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = TemplateSandbox("{{ value }}", SMALL)
    closing.append(sandbox)
    assert sandbox.render({"value": 1}) == {"text": "1"}

    class Interrupted:
        def readline(self) -> bytes:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # between question and answer
        patched.setattr(sandbox._child, "_answers", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            sandbox.render({"value": 2})
    assert sandbox.render({"value": 3}) == {"text": "3"}


def test_an_error_of_one_rendering_is_not_the_next_ones(closing: list[TemplateSandbox]) -> None:
    sandbox = TemplateSandbox("{{ value.text }}", SMALL)
    closing.append(sandbox)
    with pytest.raises(TemplateError, match="undefined value"):
        sandbox.render({})
    assert sandbox.render({"value": {"text": "é"}}) == {"text": "é"}


@pytest.mark.parametrize(("zone", "hours"), [("UTC-14", 14), ("UTC+12", -12)])  # POSIX's signs
def test_the_time_is_that_of_our_zone(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch, zone: str, hours: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    sandbox = TemplateSandbox("{{ strftime_now('%Y-%m-%d %H:%M') }}", SMALL)
    closing.append(sandbox)
    shown = datetime.strptime(sandbox.render({})["text"], "%Y-%m-%d %H:%M")
    here = datetime.now(timezone(timedelta(hours=hours))).replace(tzinfo=None)
    assert abs(here - shown) < timedelta(minutes=2)
