"""The reader agrees with the format's own package, copies nothing, and is quick."""

from __future__ import annotations

import hashlib
import os
import time
import tracemalloc

import gguf
import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend.gguf.kinds import SUPPORTED
from inferflux.ir.frontend.gguf.repacked import REPACKED
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import F32

NUMBERS = ("F64", "I8", "I16", "I32", "I64")  # no types of weights
MAX_SECONDS = 0.3  # to open the default model; 0.04 measured


def same(ours: object, theirs: object) -> bool:
    return np.array_equal(ours, theirs) if isinstance(ours, np.ndarray | tuple) else ours == theirs


def assert_as_the_oracle_reads_it(path) -> None:
    source, oracle = frontend.open(path), gguf.GGUFReader(path)
    fields = {key: f for key, f in oracle.fields.items() if not key.startswith("GGUF.")}
    assert list(source.metadata) == list(fields)
    for key, field in fields.items():
        assert same(source.metadata[key], field.contents()), key
    assert list(source.tensors) == [tensor.name for tensor in oracle.tensors]
    for theirs in oracle.tensors:
        ours = source.tensors[theirs.name]
        assert ours.origin.kind == theirs.tensor_type.name
        assert ours.shape == tuple(reversed(theirs.shape.tolist()))
        assert ours.origin.offset == theirs.data_offset
        if ours.convert is None:
            assert ours.dtype.name == theirs.tensor_type.name.lower()
            assert np.array_equal(ours.raw, theirs.data.view(np.uint8).reshape(-1))
        else:
            values = gguf.quants.dequantize(theirs.data, theirs.tensor_type)
            ours = dequantise(ours.raw, ours.dtype, values.shape)
            np.testing.assert_allclose(ours, values, rtol=2**-11)


def test_default_model_is_read_as_the_oracle_reads_it(default_model):
    assert_as_the_oracle_reads_it(default_model)


def test_every_type_is_read_as_the_oracle_reads_it(tiny_gguf):
    names = [name for name in (*SUPPORTED, *REPACKED) if name not in NUMBERS]
    path = tiny_gguf(layer_types=tuple(names), hidden=256, intermediate=256, head_dim=128)
    assert_as_the_oracle_reads_it(path)
    assert {tensor.origin.kind for tensor in frontend.open(path).tensors.values()} == {*names}


def test_vectors_of_every_float_are_read_as_f32(tmp_path):
    path = tmp_path / "vectors.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    numbers = np.arange(-3, 5) / 4
    for dtype in (np.float16, np.float32, np.float64):
        writer.add_tensor(dtype.__name__, numbers.astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for tensor in frontend.open(path).tensors.values():
        assert tensor.dtype == F32
        np.testing.assert_array_equal(tensor.raw.view("<f4"), numbers)


def test_every_value_type_is_read_as_the_oracle_reads_it(tmp_path):
    path = tmp_path / "values.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for kind, value in (
        ("uint8", 255),
        ("int8", -128),
        ("uint16", 65535),
        ("int16", -32768),
        ("uint32", 2**32 - 1),
        ("int32", -(2**31)),
        ("uint64", 2**64 - 1),
        ("int64", -(2**63)),
        ("float32", 0.1),
        ("float64", 0.1),
        ("bool", True),
        ("string", "Größe 素"),
    ):
        getattr(writer, f"add_{kind}")(f"test.{kind}", value)
    for name, values in {
        "ints": [1, -2, 3],
        "floats": [0.5, -1.5],
        "bools": [True, False, True],
        "strings": ["", "a", "素"],
    }.items():
        writer.add_array(f"test.array.{name}", values)
    writer.add_custom_alignment(64)
    writer.add_tensor("a", np.arange(3, dtype=np.float32))
    writer.add_tensor("b", np.arange(12, dtype=np.float16).reshape(3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert_as_the_oracle_reads_it(path)


def test_a_place_is_where_the_file_has_it(tiny_gguf):
    path = tiny_gguf()
    source, raw = frontend.open(path), path.read_bytes()
    at = source.offsets["llama.block_count"]
    assert raw[at - 17 : at + 8] == b"llama.block_count" + bytes([4, 0, 0, 0, 2, 0, 0, 0])
    tensor = source.tensors["output_norm.weight"]
    assert raw[tensor.origin.entry_offset + 8 :].startswith(b"output_norm.weight")
    assert (
        raw[tensor.origin.offset : tensor.origin.offset + tensor.raw.size] == tensor.raw.tobytes()
    )


def test_tensors_are_read_only_views_of_the_file(tiny_gguf):
    for tensor in frontend.open(tiny_gguf()).tensors.values():
        assert not tensor.raw.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            tensor.raw[0] = 1


def test_opening_reads_no_tensor(tmp_path):
    """A terabyte of weights that no disk holds: a hole in the file, opened at once."""
    path = tmp_path / "huge.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor_info("huge", (1 << 20, 1 << 18), np.dtype(np.float32), 1 << 40)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, path.stat().st_size + (1 << 40) + 32)
    tracemalloc.start()
    try:
        assert frontend.open(path).tensors["huge"].raw.size == 1 << 40
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_digest_is_that_of_the_file(tiny_gguf):
    path = tiny_gguf()
    assert frontend.open(path).digest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_default_model_opens_quickly(default_model):
    def seconds() -> float:
        start = time.perf_counter()
        frontend.open(default_model)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < MAX_SECONDS
