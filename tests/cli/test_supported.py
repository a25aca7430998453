"""The support table says what the code does, and every entry names a test that tries it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inferflux.cli.inferflux import app
from inferflux.cli.support import DOCUMENT_COMMAND, Entry, Evidence, Section, document, rows
from inferflux.cli.support_table import sections
from inferflux.ir.frontend.architectures.table import ARCHITECTURES, PUBLISHED
from tiny import stored
from tiny.entries import ENTRIES

ROOT = Path(__file__).parents[2]
ALL = [(section, entry) for section in sections() for entry in section.entries]


def test_the_document_is_what_the_code_says() -> None:
    stands = (ROOT / "docs" / "supported.md").read_text("utf-8")
    assert stands == document(sections()), f"write it again: {DOCUMENT_COMMAND}"


@pytest.mark.parametrize(
    ("section", "entry"), ALL, ids=[f"{section.title}-{entry.name}" for section, entry in ALL]
)
def test_every_entry_names_a_test_that_tries_it(section: Section, entry: Entry) -> None:
    assert entry.tested, "say what it was tested against"
    for tested in entry.tested:
        assert_it_tries(tested, entry.name)


def assert_it_tries(tested: Evidence, name: str) -> None:
    path, _, test = tested.by.partition("::")
    text = (ROOT / path).read_text("utf-8")
    assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), tested.by
    beside = ROOT / path.rpartition("/")[0] / "conftest.py"
    anywhere = text + (beside.read_text("utf-8") if beside.exists() else "")
    assert (tested.tries or name.lower()) in (anywhere if tested.tries else anywhere.lower())


def test_an_evidence_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError):
        assert_it_tries(Evidence("x", "tests/cli/test_supported.py::test_nothing"), "x")
    with pytest.raises(AssertionError):
        assert_it_tries(
            Evidence("x", "tests/ir/frontend/test_quantised_layers.py::test_every_method_is_tried"),
            "hqq2",
        )


@pytest.mark.parametrize("model_type", PUBLISHED)
def test_every_model_type_has_a_tiny_model_beside_transformers(model_type: str) -> None:
    tried = [each for each in ENTRIES.values() if each.model_type == model_type]
    assert any(not each.pending for each in tried), f"add one to tests/lib/tiny: {model_type}"
    assert any(each.name in stored.NAMES for each in tried), f"keep logits of one: {model_type}"


def test_every_scaling_has_a_tiny_model_beside_transformers() -> None:
    (scalings,) = (each.entries for each in sections() if each.title == "scaled rotations")
    tried = set(re.findall(r"'rope_type': '(\w+)'", str(ENTRIES)))
    assert {entry.name for entry in scalings} <= tried


def test_every_chat_feature_has_a_template_that_lives_on_it() -> None:
    (features,) = (each.entries for each in sections() if each.title == "chat templates")
    assert all((ROOT / entry.facts["for example"]).exists() for entry in features)


def test_the_command_says_it_in_three_ways() -> None:
    def said(*options: str) -> str:
        result = CliRunner().invoke(app(), ["inspect", "--supported", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(said("--json")) == rows(sections())
    assert said("--markdown") == document(sections())
    assert all(name in said() for name in ARCHITECTURES)


def test_inspect_wants_a_model_or_the_table() -> None:
    result = CliRunner().invoke(app(), ["inspect"])
    assert result.exit_code == 2
    assert "--supported" in result.output
