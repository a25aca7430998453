"""Tiny models of as many layers as a test asks for: more like those that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiny import files, stored

LAYER = re.compile(r"(.*\.(?:layers|h)\.)(\d+)(\..*)")


def write_deep(folder: Path, kept: stored.Stored, num_layers: int) -> Path:
    """A directory of the same architecture."""
    config = deepened(json.loads(kept.config), num_layers)
    shapes = repeated(kept.shapes, num_layers)
    return files.write_directory(folder, json.dumps(config), shapes)


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
