"""Graphs do not grow with depth: 48 layers print hardly more lines than 12, and none is long."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from inferflux.ir import frontend, passes
from tiny import files, stored
from tiny.cases import of_entries
from tiny.entries import Entry

MAX_LINES = 250
MAX_GROWTH = 1.2  # of lists of layers that take turns, in lines of their own
SHAPES = (  # every way in which layers take turns
    "llama",
    "qwen2-window",
    "qwen3-moe",
    "smollm3",
    "gemma2",
    "gemma3-linear",
    "gpt-oss-yarn",
    "deepseek-v3-yarn",
)
LAYER = re.compile(r"(.*\.(?:layers|h)\.)(\d+)(\..*)")


@of_entries(*SHAPES)
def test_graphs_of_any_depth_are_as_long(tmp_path: Path, entry: Entry) -> None:
    check(entry, tmp_path)


@pytest.mark.oracle
@of_entries(*sorted({*stored.NAMES} - {*SHAPES}))
def test_graphs_of_any_depth_are_as_long_of_all_others(tmp_path: Path, entry: Entry) -> None:
    check(entry, tmp_path)


def check(entry: Entry, folder: Path) -> None:
    kept = stored.load(entry.name)
    shallow, deep = (num_lines(kept, count, folder / str(count)) for count in (12, 48))
    assert deep <= MAX_GROWTH * shallow
    assert deep <= MAX_LINES


def num_lines(kept: stored.Stored, num_layers: int, folder: Path) -> int:
    config = deepened(json.loads(kept.config), num_layers)
    shapes = repeated(kept.shapes, num_layers)
    source = frontend.open(files.write_directory(folder, json.dumps(config), shapes))
    return len(str(passes.run(frontend.build(source))).splitlines())


def deepened(config: Mapping[str, Any], num_layers: int) -> dict[str, Any]:
    """Its lists by layer go on as they began."""
    if "text_config" in config:
        return {**config, "text_config": deepened(config["text_config"], num_layers)}
    key = "n_layer" if "n_layer" in config else "num_hidden_layers"
    lists = {
        name: [turns[each % period(turns)] for each in range(num_layers)]
        for name in ("layer_types", "no_rope_layers")
        if (turns := config.get(name))
    }
    return {**config, key: num_layers, **lists}


def period(turns: Sequence[object]) -> int:
    """After how many layers they begin anew."""
    return next(
        count
        for count in range(1, len(turns) + 1)
        if all(turn == turns[each % count] for each, turn in enumerate(turns))
    )


def repeated(shapes: Mapping[str, list[int]], num_layers: int) -> dict[str, list[int]]:
    """Layers beyond the last are like the last."""
    layers: dict[int, dict[str, list[int]]] = {}
    top = {}
    for name, shape in shapes.items():
        if found := LAYER.fullmatch(name):
            layers.setdefault(int(found[2]), {})[f"{found[1]}{{}}{found[3]}"] = shape
        else:
            top[name] = shape
    deep = {
        name.format(number): shape
        for number in range(num_layers)
        for name, shape in layers[min(number, max(layers))].items()
    }
    return top | deep
