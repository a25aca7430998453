"""What the documents show is what the code does."""

from __future__ import annotations

from pathlib import Path

from inferflux.ir import frontend, passes

ARCHITECTURE = Path(__file__).parent.parent / "docs" / "architecture.md"


def test_the_default_models_graph_stands_in_the_architecture_document(default_model: Path) -> None:
    graph = passes.run(frontend.build(frontend.open(default_model)), passes.PIPELINE, verify=True)
    text = str(graph)
    lines = text.splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 120
    assert f"```\n{text.strip()}\n```" in ARCHITECTURE.read_text()
