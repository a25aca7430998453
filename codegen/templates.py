"""Rendering kernel templates: one environment, in which a missing parameter is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, FunctionLoader, StrictUndefined
from jinja2.meta import find_referenced_templates


def _read(package: str, name: str) -> str | None:
    path = files(package).joinpath(name)
    return path.read_text() if path.is_file() else None


_ENVIRONMENT = Environment(
    loader=ChoiceLoader(
        [
            FunctionLoader(lambda name: _read("inferflux.kernels", name)),
            FunctionLoader(lambda name: _read("inferflux.codegen", name)),
        ]
    ),
    undefined=StrictUndefined,  # a missing parameter is an error, not an empty string
    trim_blocks=True,
    lstrip_blocks=True,  # block tags leave no trace in the output
    keep_trailing_newline=True,
    autoescape=False,
)


def render(template: str, parameters: Mapping[str, object]) -> str:
    """Fill a template of ``kernels/`` or ``codegen/``."""
    return _ENVIRONMENT.get_template(template).render(parameters)


@cache
def template_text(template: str) -> str:
    """The template as written and, once each, all that it imports or includes: for keys."""
    return text_with_imports(template, _source)


def source_text(name: str) -> str:
    """A file of ``kernels/`` or ``codegen/`` as written."""
    return _source(name)


def package_text(package: str) -> str:
    """The modules of a package as written, in the order of their names."""
    modules = [path for path in files(package).iterdir() if path.name.endswith(".py")]
    return "".join(path.read_text() for path in sorted(modules, key=lambda path: path.name))


def text_with_imports(template: str, source: Callable[[str], str]) -> str:
    """As ``template_text``, of templates that ``source`` gives by name."""
    found: dict[str, str] = {}
    waiting = [template]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = source(name)
            waiting.extend(_referenced(name, found[name]))
    return "".join(f"{{# {name} #}}\n{text}" for name, text in found.items())


def _referenced(name: str, text: str) -> Iterator[str]:
    for other in find_referenced_templates(_ENVIRONMENT.parse(text)):
        assert other is not None, f"{name} imports a template whose name is computed"
        yield other


def _source(name: str) -> str:
    assert _ENVIRONMENT.loader, "the environment reads kernels/ and codegen/"
    return _ENVIRONMENT.loader.get_source(_ENVIRONMENT, name)[0]
