"""A model in several files is the model in one; a part that is missing or foreign is refused."""

from __future__ import annotations

import shutil

import gguf
import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import GGUFError
from inferflux.ir.frontend.source import digest_of_files

PARTS = 4  # of 20 tensors, six at a time


@pytest.fixture
def split(tiny_gguf, tmp_path):
    """A split model of its own files, which a test may damage: the paths of its parts."""
    first = tiny_gguf(tensors_per_file=6)
    parts = sorted(first.parent.glob("*-of-*.gguf"))
    assert len(parts) == PARTS
    return [tmp_path / shutil.copy(part, tmp_path) for part in parts]


def test_a_model_in_parts_is_the_model_in_one_file(tiny_gguf, split):
    whole, joined = frontend.open(tiny_gguf()), frontend.open(split[0])
    assert str(frontend.build(joined)) == str(frontend.build(whole))
    assert frontend.config(joined) == frontend.config(whole)
    assert joined.metadata.keys() == whole.metadata.keys()
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(joined.tensors[name].raw, tensor.raw)


def test_any_part_opens_the_model(split):
    first, *others = (frontend.open(part) for part in split)
    for other in others:
        assert other.path == first.path
        assert other.tensors.keys() == first.tensors.keys()
        assert other.digest() == first.digest()


def test_the_digest_is_that_of_all_parts(split):
    source = frontend.open(split[0])
    assert [file.name for file in source.files] == [part.name for part in split]
    digest = source.digest()
    assert digest == digest_of_files({file.name: file.digest() for file in source.files})
    with split[2].open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert frontend.open(split[0]).digest() != digest


def test_a_tensor_knows_the_file_it_is_in(split):
    source = frontend.open(split[1])
    tensor = source.tensors["output_norm.weight"]
    assert tensor.origin.path == split[3]
    raw = tensor.origin.path.read_bytes()
    assert raw[tensor.origin.offset :][: tensor.raw.size] == tensor.raw.tobytes()


def test_a_missing_part_is_named(split):
    split[2].unlink()
    with pytest.raises(GGUFError, match=r"00001-of-00004.gguf is a part of the same") as refused:
        frontend.open(split[0])
    assert refused.value.path == split[2]


def test_a_part_under_another_name_cannot_find_the_others(split):
    renamed = split[0].rename(split[0].with_name("model.gguf"))
    with pytest.raises(GGUFError, match=r"'split.count' at byte \d+: is 4, .*-of-00004") as refused:
        frontend.open(renamed)
    assert refused.value.path == renamed


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"split.no": np.uint16(2)}, "split.no"),
        ({"split.no": [1, 1]}, "split.no"),
        ({"split.count": np.uint16(5)}, "split.count"),
        ({"split.tensors.count": np.int32(21)}, "split.tensors.count"),
        ({"split.tensors.count": None}, "split.tensors.count"),
        ({"llama.block_count": np.uint32(3)}, "llama.block_count"),
        ({"general.name": "other"}, "general.name"),
    ],
)
def test_a_foreign_part_is_refused_by_its_key(split, changes, key):
    rewrite(split[1], changes)
    with pytest.raises(GGUFError) as refused:
        frontend.open(split[0])
    assert (refused.value.path, refused.value.field) == (split[1], f"metadata {key!r}")


def test_a_tensor_of_two_parts_is_refused(split):
    rewrite(split[1], {}, extra=("output_norm.weight", np.ones(64, np.float32)))
    with pytest.raises(GGUFError, match=r"'output_norm.weight' at byte \d+: is in .*-00002-of-"):
        frontend.open(split[0])


def test_all_tensors_must_be_there(split):
    rewrite(split[3], {}, drop="output_norm.weight")
    with pytest.raises(GGUFError, match="is 20, but the parts hold 19"):
        frontend.open(split[0])


@pytest.mark.parametrize("count", [5000, "4"])
def test_a_count_that_no_model_has_is_refused(tiny_gguf, count):
    stated = np.uint32(count) if isinstance(count, int) else count
    with pytest.raises(GGUFError, match=rf"is {count!r}, must be a whole number up to 4096"):
        frontend.open(tiny_gguf(metadata={"split.count": stated}))


def rewrite(path, changes, extra=None, drop=None):
    """Write a part anew with other keys, and with a tensor more or less."""
    reader = gguf.GGUFReader(path)
    stated = {
        "split.no": np.uint16(reader.get_field("split.no").contents()),
        "split.count": np.uint16(PARTS),
        "split.tensors.count": np.int32(20),
    }
    tensors = [(tensor.name, tensor.data.copy(), tensor.tensor_type) for tensor in reader.tensors]
    del reader
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in (stated | changes).items():
        if value is not None:
            writer.add_key_value(key, *typed(value))
    for name, data, kind in tensors:
        if name != drop:
            writer.add_tensor(name, data, raw_dtype=kind)
    if extra is not None:
        writer.add_tensor(*extra)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def typed(value):
    kinds = {np.uint16: "UINT16", np.uint32: "UINT32", np.int32: "INT32", str: "STRING"}
    if isinstance(value, list):
        return value, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT16
    plain = value if isinstance(value, str) else int(value)
    return plain, gguf.GGUFValueType[kinds[type(value)]]
