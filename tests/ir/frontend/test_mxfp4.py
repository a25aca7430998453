"""gpt-oss as OpenAI publishes it: experts in MXFP4, which are a GGUF's blocks in another order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import huggingface_files
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, UnsupportedModel
from inferflux.ir.types import MXFP4
from tiny import stored
from tiny.mxfp4 import Mxfp4Model

LAYER = "model.layers.1.mlp.experts.down_proj"
Change = Callable[..., Path]


@pytest.fixture(scope="module")
def model() -> Mxfp4Model:
    kept = stored.load("gpt-oss-yarn")
    return Mxfp4Model.of(kept.config, kept.shapes)


def test_its_tensors_are_those_of_the_gguf_to_the_bit(model: Mxfp4Model, tmp_path: Path) -> None:
    published = frontend.open(model.write_directory(tmp_path / "published"))
    same = frontend.open(model.write_gguf(tmp_path / "same.gguf"))
    frontend.build(published)
    assert published.tensors.keys() == same.tensors.keys()
    experts = [name for name in same.tensors if name.endswith("_exps.weight")]
    assert len(experts) == 9
    for name, tensor in same.tensors.items():
        found = published.tensors[name]
        assert found.type == tensor.type
        assert (found.dtype == MXFP4) == (name in experts)
        np.testing.assert_array_equal(found.raw, tensor.raw, err_msg=name)


@pytest.mark.parametrize(
    ("part", "shape", "kind", "problem"),
    [
        ("blocks", (4, 64, 2, 8), "U8", "_blocks' .* is [4, 64, 2, 8], the other parts ask"),
        ("blocks", (4, 64, 32), "U8", "_blocks' .* must have 4 dimensions"),
        ("blocks", (4, 64, 2, 16), "I8", "_blocks' .* is of I8, must be of U8"),
        ("scales", None, "U8", "down_proj_scales': is missing, and"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    model: Mxfp4Model,
    tmp_path: Path,
    part: str,
    shape: tuple[int, ...] | None,
    kind: str,
    problem: str,
) -> None:
    folder = model.write_directory(tmp_path / "published")
    name = f"{LAYER}_{part}"
    parts = {f"{LAYER}_{each}": ("U8", (4, 64, 2, 16)[: 4 - (each == "scales")]) for each in PARTS}
    parts.pop(name)
    if shape is not None:
        parts[name] = (kind, shape)
    content = {each: (*what, bytes(int(np.prod(what[1])))) for each, what in parts.items()}
    huggingface_files.write_weights(folder, content)
    with pytest.raises(ModelFileError, match=re.escape(problem).replace(r"\.\*", ".*")):
        frontend.open(folder)


PARTS = ("blocks", "scales")


def test_a_setting_that_is_not_known_is_refused(model: Mxfp4Model, tmp_path: Path) -> None:
    folder = model.write_directory(tmp_path / "published")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"quant_method"', '"charm": 1, "quant_method"'))
    with pytest.raises(UnsupportedModel, match=r"quantization_config\.charm"):
        frontend.open(folder)
