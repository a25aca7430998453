"""A hostile template costs one process and one error, never the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from inferflux.text import TemplateError
from inferflux.text.sandbox import PROGRAM, Budget, TemplateSandbox

MESSAGES: Mapping[str, object] = {"messages": [{"role": "user", "content": "Hello"}]}
SMALL = Budget(steps=100_000, max_output_bytes=1 << 20, memory_bytes=256 << 20)

# What each costs is stopped by a budget: the words of the error say by which.
STEPS, BYTES, MEMORY, OUTSIDE = "steps, its budget", "bytes, its budget", "more memory", "crashed"
COSTLY = {
    "nested loops": ("{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}", STEPS),
    "loop that filters all": (
        "{% for i in r %}{% for j in r if j < 0 %}{% endfor %}{% endfor %}",
        STEPS,
    ),
    "loop over text": ("{% for c in 'x' * 10 ** 6 %}{% endfor %}", STEPS),
    "loop that calls itself": ("{% for i in [r] recursive %}{{ loop([r, r]) }}{% endfor %}", ""),
    "recursion": ("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
    "two to the power of recursion": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
        "{{ m(60) }}",
        STEPS,
    ),
    "recursion of callers": (
        "{% macro m() %}{{ caller() if caller }}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}",
        "RecursionError",
    ),
    "range": ("{% for i in range(10 ** 12) %}{% endfor %}", "Range too big"),
    "chain of filters": (
        "{{ range(99999) | map('string') | map('upper') | list | sort | join }}",
        STEPS,
    ),
    "sum of lists": ("{{ r | map('list') | sum(start=[]) }}", ""),
    "sorting": ("{% for i in r %}{{ r | sort | first }}{% endfor %}", STEPS),
    "grouping": ("{% for i in r %}{{ r | groupby('real') | first }}{% endfor %}", ""),
    "searching": ("{% for i in r %}{{ r | select('in', r) | list }}{% endfor %}", STEPS),
    "unending slices": ("{{ r | slice(10 ** 9) | list | length }}", STEPS),
    "growing list": (
        "{% set ns = namespace(l=[]) %}{% for i in r %}{% set ns.l = ns.l + [i] %}{% endfor %}",
        STEPS,
    ),
    "power": ("{{ 10 ** (10 ** 8) }}", "power of over"),
    "powers of powers": (
        "{% set ns = namespace(x=3) %}{% for i in r %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "",
    ),
    "large output": ("{{ 'x' * 10 ** 7 }}", BYTES),
    "output in parts": ("{% for i in r %}{{ 'x' * 10 ** 4 }}{% endfor %}", BYTES),
    "repeated text": ("{{ 'x' * 10 ** 10 }}", MEMORY),
    "repeated list": ("{{ [1] * 10 ** 10 }}", MEMORY),
    "doubled text": (
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}"
        "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}",
        MEMORY,
    ),
    "doubled list": (
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}"
        "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
        "",
    ),
    "doubled sum": (
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}"
        "{% set ns.l = ns.l + ns.l %}{% endfor %}",
        STEPS,
    ),
    "replaced text": ("{% set s = 'x' * 10 ** 6 %}{{ s | replace('x', s) | length }}", MEMORY),
    "replaced by a method": ("{% set s = 'x' * 10 ** 6 %}{{ s.replace('x', s) }}", MEMORY),
    "joined text": ("{{ ('x' * 10 ** 6).join(r | map('string')) | length }}", ""),
    "padded text": ("{{ 'x'.ljust(10 ** 10) }}", MEMORY),
    "centred text": ("{{ 'x' | center(10 ** 10) }}", MEMORY),
    "tabs": ("{{ ('\t' * 1000).expandtabs(10 ** 8) }}", MEMORY),
    "zeros": ("{{ '7'.zfill(10 ** 10) }}", MEMORY),
    "indented text": ("{{ ('x\n' * 10 ** 4) | indent(10 ** 6) | length }}", MEMORY),
    "indented JSON": ("{{ [[1]] | tojson(indent=10 ** 10) }}", MEMORY),
    "width of a format": ("{{ '%10000000000d' % 1 }}", MEMORY),
    "width of a format filter": ("{{ '%0*d' | format(10 ** 9, 1) }}", MEMORY),
    "width of a format method": ("{{ '{:>10000000000}'.format(1) }}", MEMORY),
    "date": ("{{ strftime_now('%c' * 10 ** 8) }}", ""),
    "line breaks": ("{{ 'x ' * 10 ** 6 | wordwrap(1) }}", ""),
}

# What would reach past the sandbox finds nothing there.
ESCAPES = {
    "class": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "class by subscript": "{{ messages['__class__']['__base__'] }}",
    "class by filter": "{{ (messages | attr('__class__')).__base__ }}",
    "class by map": "{{ (messages | map(attribute='__class__') | first).__base__ }}",
    "class by sort": "{{ (messages | groupby('__class__') | first).grouper.__base__ }}",
    "format": "{{ '{0.__class__.__base__}'.format(messages) }}",
    "format map": "{{ '{m.__class__.__base__}'.format_map({'m': messages}) }}",
    "format by filter": "{{ ('{0.__class__.__base__}' | attr('format'))(messages) }}",
    "format by map": "{{ (['{0.__class__.a}'] | map(attribute='format') | first)(messages) }}",
    "function": "{{ raise_exception.__globals__['sys'].modules }}",
    "clock": "{{ strftime_now.__globals__['sys'].exit() }}",
    "dict": "{{ dict.__call__.__globals__ }}",
    "namespace": "{{ namespace.__init__.__globals__ }}",
    "name in a namespace": "{% set ns = namespace(__class__=1) %}",
    "name set in a namespace": "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner": "{{ joiner.__init__.__globals__.os }}",
    "lipsum": "{{ lipsum.__globals__.os }}",
    "macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "loop": "{% for i in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "generator": "{{ (messages | map('list')).gi_frame.f_globals }}",
    "self": "{{ self._TemplateReference__context.environment }}",
    "undefined": "{{ nothing.__class__.__init__.__globals__ }}",
    "changed list": "{{ messages.append(1) }}",
    "changed mapping": "{{ messages[0].update({'role': 'system'}) }}",
    "changed by type": "{{ dict.update(messages[0], {'role': 'system'}) }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os.getcwd() }}",
    "from": "{% from 'os' import getcwd %}{{ getcwd() }}",
    "extends": "{% extends 'base' %}",
    "wrong call": "{{ messages | tojson(indent='a', nonsense=1) }}",
}

UNREADABLE = {
    "deep expression": "{{ " + "not " * 60_000 + "1 }}",
    "deep brackets": "{{ " + "[" * 60_000 + "]" * 60_000 + " }}",
    "long sum": "{{ " + "1+" * 60_000 + "1 }}",
    "deep blocks": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "deep loops": "{% for i in r %}" * 30 + "{% endfor %}" * 30,
    "deep attributes": "{{ a" + ".a" * 60_000 + " }}",
    "wrong syntax": "{% for %}",
    "unclosed": "{% if 1 %}",
    "unknown filter": "{{ 1 | system }}",
    "unknown test": "{{ 1 is system }}",
    "unknown tag": "{% system %}",
    "debug tag": "{% debug %}",
    "do tag": "{% do messages.append(1) %}",
}


@pytest.fixture
def closing() -> Iterator[list[TemplateSandbox]]:
    sandboxes: list[TemplateSandbox] = []
    yield sandboxes
    for sandbox in sandboxes:
        sandbox.close()


@pytest.fixture(scope="module")
def hostile() -> Iterator[TemplateSandbox]:
    """All attacks in one template, so that each starts where the one before it ended."""
    attacks = {name: template for name, (template, _) in COSTLY.items()} | ESCAPES
    chosen = (f"{{% elif attack == '{name}' %}}{attacks[name]}" for name in attacks)
    text = "{% set r = range(9999) %}{% if not attack %}fine" + "".join(chosen) + "{% endif %}"
    sandbox = TemplateSandbox(text, SMALL)
    yield sandbox
    sandbox.close()


def stopped(hostile: TemplateSandbox, attack: str) -> str:
    """The words that an attack ends in; the next rendering works."""
    with pytest.raises(TemplateError, match="chat template") as caught:
        hostile.render({**MESSAGES, "attack": attack})
    assert hostile.render({**MESSAGES, "attack": ""}) == {"text": "fine"}
    return str(caught.value)


@pytest.mark.parametrize("attack", COSTLY)
def test_what_costs_too_much_is_stopped(hostile: TemplateSandbox, attack: str) -> None:
    words = stopped(hostile, attack)
    assert COSTLY[attack][1] in words
    assert len(words) < 600


@pytest.mark.parametrize("attack", ESCAPES)
def test_nothing_is_reached_past_the_sandbox(hostile: TemplateSandbox, attack: str) -> None:
    assert len(stopped(hostile, attack)) < 600


@pytest.mark.parametrize("template", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_compiled_is_an_error_every_time(
    closing: list[TemplateSandbox], template: str
) -> None:
    sandbox = TemplateSandbox(template, SMALL)
    closing.append(sandbox)
    for _ in range(2):
        with pytest.raises(TemplateError, match="chat template") as caught:
            sandbox.render(MESSAGES)
        assert len(str(caught.value)) < 600


def test_steps_are_the_same_number_every_time(closing: list[TemplateSandbox]) -> None:
    template = "{% for i in range(n) if i is odd %}{{ i | string }},{% else %}none{% endfor %}"
    steps = 91

    def render(budget: int) -> Mapping[str, str]:
        closing.append(TemplateSandbox(template, Budget(steps=budget)))
        return closing[-1].render({"n": 20})

    assert render(steps) == {"text": "1,3,5,7,9,11,13,15,17,19,"}
    with pytest.raises(TemplateError, match=f"more than {steps - 1} steps"):
        render(steps - 1)


def test_a_rendering_has_all_its_steps_again(closing: list[TemplateSandbox]) -> None:
    sandbox = TemplateSandbox("{% for i in range(9) %}{{ i }}{% endfor %}", Budget(steps=60))
    closing.append(sandbox)
    assert {sandbox.render({})["text"] for _ in range(5)} == {"012345678"}


def test_a_rendering_that_takes_too_long_is_killed(closing: list[TemplateSandbox]) -> None:
    slow = "{% for i in range(99999) %}{{ i in [1] * 99999 }}{% endfor %}"
    sandbox = TemplateSandbox(slow, Budget(steps=10**12, memory_bytes=8 << 30, seconds=0.02))
    closing.append(sandbox)
    with pytest.raises(TemplateError, match=r"budget of 0.02 s"):
        sandbox.render(MESSAGES)


def test_the_process_can_open_nothing() -> None:
    """Should a template ever get out of Jinja2's sandbox, it finds no file and no socket."""
    import_child = "import runpy, sys, socket; child = runpy.run_path(sys.argv[1])"
    tries = (
        f"{import_child}; child['confine'](1 << 30)\n"
        "for make in (lambda: open('/etc/hostname'), socket.socket, __import__('os').pipe):\n"
        "    try: make()\n"
        "    except OSError: print('refused')"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", tries, PROGRAM], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["refused"] * 3, run.stderr


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


def test_a_prepared_sandbox_starts_no_second_process(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = TemplateSandbox("{{ value }}", SMALL)
    closing.append(sandbox)
    sandbox.prepare()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started another"))
    assert sandbox.render({"value": 1}) == {"text": "1"}


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
    with pytest.raises(TemplateError, match="'value' is undefined"):
        sandbox.render({})
    assert sandbox.render({"value": {"text": "é"}}) == {"text": "é"}


@pytest.mark.parametrize(("zone", "hours"), [("UTC-14", 14), ("UTC+12", -12)])  # POSIX's signs
def test_the_time_is_that_of_our_zone(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch, zone: str, hours: int
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "TZ": zone})  # and not of this process
    sandbox = TemplateSandbox("{{ strftime_now('%Y-%m-%d %H:%M') }}", SMALL)
    closing.append(sandbox)
    shown = datetime.strptime(sandbox.render({})["text"], "%Y-%m-%d %H:%M")
    here = datetime.now(timezone(timedelta(hours=hours))).replace(tzinfo=None)
    assert abs(here - shown) < timedelta(minutes=2)


def test_a_template_that_cannot_be_compiled_costs_one_process(
    closing: list[TemplateSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = TemplateSandbox("{% for %}", SMALL)
    closing.append(sandbox)
    with pytest.raises(TemplateError, match="TemplateSyntaxError") as first:
        sandbox.prepare()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started another"))
    with pytest.raises(TemplateError) as second:
        sandbox.render({})
    assert str(first.value) == str(second.value)
