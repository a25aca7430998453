"""A kernel's text for its key is its template and everything that template draws on."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from jinja2 import UndefinedError

from inferflux.codegen.build import WORDS
from inferflux.codegen.templates import package_text, render, template_text, text_with_imports
from inferflux.kernels import KERNELS

TEMPLATES = {
    "a.j2": '{% import "b.j2" as b %}{% from "c.j2" import d with context %}a',
    "b.j2": '{% include "c.j2" %}b',
    "c.j2": '{% import "b.j2" as b %}c',  # a circle
    "other.j2": "other",
}


@pytest.mark.parametrize("changed", ["a.j2", "b.j2", "c.j2"])
def test_a_change_in_what_is_imported_changes_the_text(changed):
    before = text_with_imports("a.j2", TEMPLATES.__getitem__)
    after = text_with_imports("a.j2", {**TEMPLATES, changed: TEMPLATES[changed] + "!"}.__getitem__)
    assert before != after


def test_a_change_elsewhere_does_not():
    before = text_with_imports("a.j2", TEMPLATES.__getitem__)
    after = text_with_imports("a.j2", {**TEMPLATES, "other.j2": "changed"}.__getitem__)
    assert before == after


def test_each_template_counts_once_under_its_name():
    text = text_with_imports("a.j2", TEMPLATES.__getitem__)
    headers = [line for line in text.replace("{# ", "\n{# ").splitlines() if line.startswith("{#")]
    assert headers == ["{# a.j2 #}", "{# b.j2 #}", "{# c.j2 #}"]


@pytest.mark.parametrize(
    ("op", "imported"),
    [
        ("linear", {"linear/dot.j2"}),
        ("gate_up_quantise", {"linear/dot.j2", "norm/quantise.j2"}),
        ("attention_quantise", {"norm/quantise.j2"}),
        ("sample", {"sample/row.j2", "sample/philox.j2"}),
    ],
)
def test_a_kernels_text_holds_what_its_template_imports(op, imported):
    text = template_text(KERNELS[op].template)
    assert all(f"{{# {name} #}}\n" in text for name in imported)


def test_a_missing_parameter_is_an_error():
    with pytest.raises(UndefinedError, match="pieces"):
        render("phase.j2", {"signature": "", "symbol": "f", "buffers": {}, "numbers": {}})


def test_a_packages_text_holds_every_module_of_it():
    text = package_text(WORDS)
    for module in pkgutil.iter_modules(importlib.import_module(WORDS).__path__):
        assert inspect.getsource(importlib.import_module(f"{WORDS}.{module.name}")) in text
