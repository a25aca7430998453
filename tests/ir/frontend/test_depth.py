"""However many layers a model has, its graph is one loop, and no longer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inferflux.ir import frontend, passes
from inferflux.ir.graph import Graph
from tiny import files, stored

_BY_LAYER = ("layer_types", "no_rope_layers")  # left out, a class has the same turns at any depth
_MOST_LINES = 250


@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma3-linear", "smollm3", "falcon-40b"])
def test_a_graph_does_not_grow_with_depth(tmp_path: Path, name: str) -> None:
    shallow, deep = (rolled(tmp_path / str(depth), name, depth) for depth in (12, 48))
    for graph in (shallow, deep):
        assert [node.op.name for node in graph.nodes].count("repeat") == 1
    lines = [len(str(graph).splitlines()) for graph in (shallow, deep)]
    assert lines[1] <= 1.2 * lines[0]
    assert lines[1] < _MOST_LINES


def rolled(folder: Path, name: str, depth: int) -> Graph:
    """Layers as the first of a model that is kept, so many of them."""
    kept = stored.load(name)
    config = json.loads(kept.config) | {"num_hidden_layers": depth}
    text = json.dumps({key: value for key, value in config.items() if key not in _BY_LAYER})
    names = {each: shape for each, shape in kept.shapes.items() if not re.search(r"\.[1-9]", each)}
    shapes = {
        each.replace(".0.", f".{layer}."): shape
        for each, shape in names.items()
        for layer in range(depth)
    }
    source = frontend.open(files.write_directory(folder, text, shapes))
    return passes.run(frontend.build(source), verify=True)
