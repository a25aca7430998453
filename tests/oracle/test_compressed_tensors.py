"""Layers that compressed-tensors' own package packs, with the values that it unpacks them to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inferflux.ir import frontend

pytestmark = pytest.mark.oracle

LAYER = "model.layers.0.mlp.down_proj"
SCHEMES: dict[str, dict[str, Any]] = {
    "pack-quantized": {"num_bits": 4, "strategy": "group", "group_size": 32},
    "pack-quantized of 8 bits": {"num_bits": 8, "strategy": "channel"},
    "pack-quantized with zeros": {
        "num_bits": 4,
        "strategy": "group",
        "group_size": 32,
        "symmetric": False,
    },
    "int-quantized": {"num_bits": 8, "strategy": "channel"},
    "int-quantized with zeros": {"num_bits": 8, "strategy": "channel", "symmetric": False},
    "float-quantized": {"num_bits": 8, "type": "float", "strategy": "channel"},
}


@pytest.mark.parametrize("name", SCHEMES)
def test_values_are_those_that_the_package_unpacks(
    tiny_directory: Callable[..., Path], hf_files: ModuleType, name: str
) -> None:
    import torch

    package = pytest.importorskip("compressed_tensors")
    form = name.split(" ")[0]
    compressor = package.BaseCompressor.get_value_from_registry(form)
    arguments = package.quantization.QuantizationArgs(**SCHEMES[name])
    scheme = package.quantization.QuantizationScheme(targets=["Linear"], weights=arguments)
    torch.manual_seed(0)
    packed = compressor.compress(_calibrated(torch, torch.randn(64, 96), SCHEMES[name]), scheme)
    settings = {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": SCHEMES[name]}},
    }
    parts = {f"{LAYER}.{suffix}": _stored(hf_files, part) for suffix, part in packed.items()}
    whole = {} if f"{LAYER}.weight" in parts else {f"{LAYER}.weight": None}
    folder = tiny_directory(config={"quantization_config": settings}, tensors={**whole, **parts})
    tensor = frontend.open(folder).tensors["blk.0.ffn_down.weight"]
    found = np.concatenate([rows.values for rows in tensor.convert()])
    expected = compressor.decompress(packed, scheme)["weight"]
    np.testing.assert_array_equal(found, expected.to(torch.float32).numpy())


def _calibrated(torch: Any, weight: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """A weight, and scales and zeros for it that are not quite right, as a calibration's are."""
    groups = weight.reshape(64, -1, settings.get("group_size", 96))
    most = 448 if settings.get("type") == "float" else 2 ** (settings["num_bits"] - 1)
    scales = (groups.abs().amax(-1) / most).to(torch.bfloat16).to(torch.float32)
    state = {"weight": weight, "weight_scale": scales}
    if not settings.get("symmetric", True):
        state["weight_zero_point"] = torch.randint(-3, 4, scales.shape).to(torch.int8)
    return state


def _stored(hf_files: ModuleType, part: Any) -> Any:
    whole = part.contiguous()
    if whole.element_size() == 1 and whole.is_floating_point():
        return "F8_E4M3", tuple(whole.shape), bytes(whole.untyped_storage())
    return hf_files.store(whole.numpy())
