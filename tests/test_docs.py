"""What the documents show is what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflux.ir import frontend, passes

ROOT = Path(__file__).parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
ARCHITECTURES = ROOT / "ir" / "frontend" / "architectures"


def test_the_default_models_graph_stands_in_the_architecture_document(default_model: Path) -> None:
    graph = passes.run(frontend.build(frontend.open(default_model)), passes.PIPELINE, verify=True)
    text = str(graph)
    lines = text.splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 120
    assert f"```\n{text.strip()}\n```" in ARCHITECTURE.read_text()


def test_the_architecture_that_is_shown_is_the_one_that_is_built() -> None:
    shown = (ROOT / "docs" / "adding_an_architecture.md").read_text()
    assert (ARCHITECTURES / "olmo2.py").read_text().strip() in shown


@pytest.mark.parametrize("path", sorted(ARCHITECTURES.glob("*.py")), ids=lambda path: path.stem)
def test_an_architecture_is_a_short_file(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 120
