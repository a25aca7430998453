"""Rendering kernel templates: one environment, in which a missing parameter is an error."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, FunctionLoader, StrictUndefined


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


def template_text(template: str) -> str:
    """The template as written, for keys."""
    text = _read("inferflux.kernels", template) or _read("inferflux.codegen", template)
    assert text is not None, f"no template {template}"
    return text
