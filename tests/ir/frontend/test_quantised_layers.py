"""GPTQ, AWQ, FP8 and compressed-tensors: the values that they mean, in a type with kernels."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError, UnsupportedModel
from inferflux.ir.frontend.conversion import conversion_error
from inferflux.ir.quantised import dequantise

LAYER = "model.layers.0.mlp.down_proj"  # [64, 96] in the tiny decoder
NAMES = (
    "gptq",
    "gptq of groups of 64",
    "gptq of whole rows",
    "gptq with zeros",
    "gptq of the second version",
    "gptq in another order",
    "gptq of 8 bits",
    "awq",
    "awq by GPTQModel",
    "fp8 of a tensor",
    "fp8 of rows",
    "fp8 of tiles",
    "compressed int8",
    "compressed int8 with zeros",
    "compressed int4",
    "compressed int4 with zeros",
    "compressed packed int8",
    "compressed fp8",
)


@pytest.fixture
def write(tiny_directory, quantisers):
    """A tiny decoder, one layer of it quantised: ``write(method, parts, config) -> source``."""

    def make(name, change=None, **config):
        method = quantisers.METHODS[name]
        layer = method.quantise(WEIGHT)
        parts = {f"{LAYER}.{suffix}": part for suffix, part in layer.parts.items()}
        parts |= {f"{LAYER}.{suffix}": part for suffix, part in (change or {}).items()}
        whole = {} if f"{LAYER}.weight" in parts else {f"{LAYER}.weight": None}
        settings = {**method.config, **config}
        folder = tiny_directory(
            config={"quantization_config": settings}, tensors={**whole, **parts}
        )
        return frontend.open(folder), layer.values

    return make


WEIGHT = np.random.default_rng(3).normal(0, 0.3, (64, 96)).astype(np.float32)


def test_every_method_is_tried(quantisers):
    assert tuple(quantisers.METHODS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_the_format(write, quantisers, name):
    source, values = write(name)
    frontend.build(source)
    tensor = source.tensors["blk.0.ffn_down.weight"]
    assert tensor.dtype.name == quantisers.METHODS[name].compiled_to
    found = np.concatenate([rows.values for rows in tensor.convert()])
    np.testing.assert_array_equal(found, values)
    kept = dequantise(tensor.raw, tensor.dtype, tensor.shape)
    if tensor.dtype.is_quantised:
        np.testing.assert_array_equal(kept, values)
        assert conversion_error(tensor).greatest == 0
    else:
        assert 0 < conversion_error(tensor).rms < 2**-11
    assert np.abs(values - WEIGHT).mean() < 0.05  # the test's own quantiser loses no more
    assert tensor.origin.name.startswith(LAYER)


@pytest.mark.parametrize("name", NAMES)
def test_under_float32_nothing_is_rounded(write, quantisers, name):
    source, values = write(name)
    tensor = frontend.as_computed(source, "float32").tensors["blk.0.ffn_down.weight"]
    stays = source.tensors["blk.0.ffn_down.weight"].dtype.is_quantised
    assert tensor.dtype.name == (quantisers.METHODS[name].compiled_to if stays else "f32")
    np.testing.assert_array_equal(dequantise(tensor.raw, tensor.dtype, tensor.shape), values)
    assert frontend.as_computed(source, "default") is source


def test_rows_are_converted_some_at_a_time(write, monkeypatch):
    """Also where rows of a word are cut between two pieces."""
    from inferflux.ir.frontend import conversion

    monkeypatch.setattr(conversion, "_CHUNK_VALUES", 1)
    for name in NAMES:
        source, values = write(name)
        pieces = list(source.tensors["blk.0.ffn_down.weight"].convert())
        assert len(pieces) == 2
        np.testing.assert_array_equal(np.concatenate([rows.values for rows in pieces]), values)


def test_a_middle_that_is_stored_as_it_is_makes_no_offset(write, quantisers):
    """Symmetric, of the first version by its config, and with the zeros of the second."""
    layer = quantisers.gptq(WEIGHT, version=2)
    source, _ = write("gptq", layer.parts)
    tensor = source.tensors["blk.0.ffn_down.weight"]
    kept = dequantise(tensor.raw, tensor.dtype, tensor.shape)
    np.testing.assert_array_equal(kept, layer.values)
    source, _ = write("gptq with zeros", layer.parts)
    tensor = source.tensors["blk.0.ffn_down.weight"]
    kept = dequantise(tensor.raw, tensor.dtype, tensor.shape)
    assert not np.array_equal(kept, layer.values)


def test_scales_that_no_half_holds_make_floats(write, quantisers):
    layer = quantisers.int8(WEIGHT * 1e-6)
    source, _ = write("compressed int8", layer.parts)
    tensor = source.tensors["blk.0.ffn_down.weight"]
    assert tensor.dtype.name == "bf16"
    np.testing.assert_array_equal(
        np.concatenate([rows.values for rows in tensor.convert()]), layer.values
    )


def test_fp8_without_a_scale_is_exact(tiny_directory, quantisers):
    layer = quantisers.fp8(WEIGHT, tile=None)
    scale = np.frombuffer(layer.parts["weight_scale"][2], np.float32)
    source = frontend.open(tiny_directory(tensors={f"{LAYER}.weight": layer.parts["weight"]}))
    tensor = source.tensors["blk.0.ffn_down.weight"]
    kept = dequantise(tensor.raw, tensor.dtype, tensor.shape)
    np.testing.assert_array_equal(kept * scale, layer.values)
    assert conversion_error(tensor).greatest == 0


def test_zeros_beside_a_layer_add_nothing(write, hf_files):
    nothing = hf_files.store(np.zeros(64, np.float32), "F16")
    source, _ = write("gptq", {"bias": nothing})
    frontend.build(source)
    source, _ = write("gptq", {"bias": hf_files.store(np.ones(64, np.float32), "F16")})
    with pytest.raises(UnsupportedModel, match=r"down_proj.bias' .* has no use in a llama"):
        frontend.build(source)


@pytest.mark.parametrize(
    ("name", "config", "key"),
    [
        ("gptq", {"quant_method": "hqq"}, "quant_method"),
        ("gptq", {"bits": 3}, "bits"),
        ("gptq", {"checkpoint_format": "marlin"}, "checkpoint_format"),
        ("gptq", {"dynamic": {"layer": {"bits": 8}}}, "dynamic.layer.bits"),
        ("awq", {"version": "gemv"}, "version"),
        ("awq", {"bits": 8}, "bits"),
        ("awq", {"zero_point": False}, "zero_point"),
        ("awq", {"format": "gemv"}, "format"),
        ("gptq", {"format": "gptq_v2"}, "format"),
        ("fp8 of tiles", {"fmt": "e5m2"}, "fmt"),
        ("fp8 of tiles", {"charm": 1}, "charm"),
        ("compressed int8", {"format": "nvfp4-pack-quantized"}, "format"),
        ("compressed int8", {"sparsity_config": {"format": "sparse-24"}}, "sparsity_config.format"),
        ("compressed int8", {"transform_config": {"a": 1}}, "transform_config.a"),
        ("compressed int8", {"kv_cache_scheme": {"num_bits": 8}}, "kv_cache_scheme.num_bits"),
        ("compressed int8", {"config_groups": {"a": {"x": 1}, "b": {"x": 1}}}, "config_groups"),
        ("compressed int8", {"config_groups": {"a": {"x": 1}}}, "config_groups.a.x"),
    ],
)
def test_a_setting_that_is_not_known_is_refused_by_name(write, name, config, key):
    with pytest.raises(UnsupportedModel) as refused:
        write(name, **config)
    assert refused.value.field == f"key 'quantization_config.{key}'"


def words(*shape):
    return "I32", shape, bytes(4 * int(np.prod(shape)))


@pytest.mark.parametrize(
    ("name", "parts", "problem"),
    [
        ("gptq", {"scales": None}, "down_proj.scales': is missing, and"),
        (
            "gptq",
            {"qzeros": words(3, 7)},
            r"qzeros' .* is \[3, 7\], the other parts ask for \[3, 8\]",
        ),
        ("gptq", {"qweight": words(12)}, r"qweight' .* must have 2 dimensions"),
        ("gptq", {"qweight": words(0, 64)}, r"qweight' .* must have 2 dimensions above 0"),
        ("gptq", {"g_idx": words(95)}, r"g_idx' .* is \[95\]"),
        (
            "gptq",
            {"g_idx": ("I32", (96,), b"\x03\0\0\0" * 96)},
            r"g_idx' .* spans 3\.\.3, of 3 gro",
        ),
        ("gptq", {"g_idx": ("I32", (96,), b"\xff" * 384)}, r"g_idx' .* spans -1\.\.-1"),
        ("gptq", {"scales": words(3, 64)}, "scales' .* is of I32, must be of F32 or"),
        ("awq", {"scales": ("F16", (3, 63), bytes(378))}, r"scales' .* is \[3, 63\]"),
        (
            "fp8 of tiles",
            {"weight_scale_inv": ("F32", (1, 1), bytes(4))},
            r"is \[1, 1\], the other",
        ),
        ("fp8 of rows", {"weight_scale": ("F32", (7,), bytes(28))}, r"is \[7\], neither of the"),
        (
            "compressed int4",
            {"weight_shape": ("I64", (2,), bytes(16))},
            "weight_packed' .* the other",
        ),
        ("compressed int4", {"weight_shape": ("I64", (1,), bytes(8))}, "weight_shape"),
        ("compressed int4", {"weight_scale": ("F32", (64, 2), bytes(512))}, r"is \[64, 2\], the"),
    ],
)
def test_parts_that_do_not_fit_are_refused(write, name, parts, problem):
    with pytest.raises(ModelFileError, match=problem):
        write(name, parts)


def test_quantised_parts_need_a_config_that_says_so(tiny_directory, quantisers):
    parts = {f"{LAYER}.{suffix}": part for suffix, part in quantisers.gptq(WEIGHT).parts.items()}
    with pytest.raises(UnsupportedModel, match=r"qweight'.dtype .* not part of a known quantisa"):
        frontend.open(tiny_directory(tensors={f"{LAYER}.weight": None, **parts}))
