"""Views: the rows, the form and the bytes that a graph reads, whatever a file holds them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inferflux.ir.frontend import ModelConfig, ModelFileError, UnsupportedModel
from inferflux.ir.frontend.conversion import converted
from inferflux.ir.frontend.source import ConvertedRows, Origin, SourceTensor
from inferflux.ir.frontend.tensor_views import flattened, plus_one, rows_of, transposed
from inferflux.ir.frontend.views import FUSED_GATE_UP, FUSED_QKV, QKV_BY_HEAD, Joined
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import F16, F32, Q4_0, Q8_0, DType

ORIGIN = Origin(Path("model"), "its.own.name", "F32", 100, 10)
CONFIG = ModelConfig(
    name="tiny",
    architecture="llama",
    vocab_size=8,
    context_length=16,
    hidden_size=32,
    intermediate_size=6,
    num_layers=1,
    num_query_heads=4,
    num_kv_heads=2,
    head_dim=2,
    epsilon=1e-5,
    is_tied=True,
    windows=(None,),
)


def matrix(rows: int, dtype: DType = F32, name: str = "blk.0.attn_qkv.weight") -> SourceTensor:
    values = np.random.default_rng(0).normal(size=(rows, 32)).astype(np.float32)
    raw = quantise(values, dtype).reshape(-1)
    return SourceTensor(name, dtype, (rows, 32), lambda: raw, ORIGIN)


def values(tensor: SourceTensor) -> np.ndarray:
    return dequantise(tensor.raw, tensor.dtype, tensor.shape)


@pytest.mark.parametrize("dtype", [F32, F16, Q4_0], ids=str)
def test_fused_rows_are_those_of_queries_then_keys_then_values(dtype):
    fused = matrix(16, dtype)
    split = FUSED_QKV({fused.name: fused}, CONFIG)
    assert list(split) == [f"blk.0.attn_{each}.weight" for each in "qkv"]
    assert [tensor.shape for tensor in split.values()] == [(8, 32), (4, 32), (4, 32)]
    parts = [values(tensor) for tensor in split.values()]
    np.testing.assert_array_equal(np.concatenate(parts), values(fused))


def test_rows_that_follow_each_other_are_not_copied():
    fused = matrix(16, Q4_0)
    (query, *_) = FUSED_QKV({fused.name: fused}, CONFIG).values()
    assert np.shares_memory(query.raw, fused.raw)


def test_interleaved_rows_are_gathered_by_kv_head():
    """Of each of two KV heads: two query heads of two rows, a key's rows, a value's rows."""
    fused = matrix(16)
    query, key, value = (
        values(tensor) for tensor in QKV_BY_HEAD({fused.name: fused}, CONFIG).values()
    )
    whole = values(fused)
    np.testing.assert_array_equal(query, whole[[0, 1, 2, 3, 8, 9, 10, 11]])
    np.testing.assert_array_equal(key, whole[[4, 5, 12, 13]])
    np.testing.assert_array_equal(value, whole[[6, 7, 14, 15]])


def test_a_bias_is_split_as_its_weight():
    numbers = np.arange(16, dtype=np.float32)
    name = "blk.3.attn_qkv.bias"
    fused = SourceTensor(name, F32, (16,), lambda: numbers.view(np.uint8), ORIGIN)
    split = QKV_BY_HEAD({name: fused}, CONFIG)
    assert split["blk.3.attn_k.bias"].raw.view(np.float32).tolist() == [4, 5, 12, 13]


def test_a_module_that_is_whole_by_itself_is_left():
    own, fused = matrix(6, name="blk.0.ffn_up.weight"), matrix(12, name="blk.1.ffn_up.weight")
    split = FUSED_GATE_UP({own.name: own, fused.name: fused}, CONFIG)
    assert split["blk.0.ffn_up.weight"] is own
    np.testing.assert_array_equal(values(split["blk.1.ffn_gate.weight"]), values(fused)[:6])
    np.testing.assert_array_equal(values(split["blk.1.ffn_up.weight"]), values(fused)[6:])


def test_rows_that_do_not_add_up_are_refused_by_the_tensor_of_the_file():
    fused = matrix(15)
    with pytest.raises(ModelFileError, match="asks for 16 rows") as refused:
        FUSED_QKV({fused.name: fused}, CONFIG)
    assert refused.value.field == "tensor 'its.own.name'.shape"


def test_what_has_no_rows_is_no_fused_tensor():
    scalar = SourceTensor("blk.0.attn_qkv.weight", F32, (), lambda: np.zeros(4, np.uint8), ORIGIN)
    assert FUSED_QKV({scalar.name: scalar}, CONFIG) == {scalar.name: scalar}
    numbered = replace(scalar, name="model.layers.0.norms.0.weight")
    with pytest.raises(UnsupportedModel, match=r"'its\.own\.name' .* vectors are read as f32 only"):
        Joined("norms", "attn_q_norm")({numbered.name: numbered}, CONFIG)


def test_a_converted_tensor_is_converted_once_for_each_part():
    source = matrix(64, Q8_0)

    def convert() -> Iterator[ConvertedRows]:
        for start in (0, 32):
            raw = source.raw.reshape(64, -1)[start : start + 32]
            yield ConvertedRows(raw.reshape(-1), values(source)[start : start + 32])

    tensor = converted("x", Q8_0, source.shape, ORIGIN, convert)
    rows = np.array([1, 31, 32, 63])
    part = rows_of(tensor, "y", rows)
    np.testing.assert_array_equal(values(part), values(source)[rows])
    assert part.convert is not None
    (chunk,) = part.convert()
    np.testing.assert_array_equal(chunk.values, values(source)[rows])


def test_a_transposed_matrix_has_the_columns_as_rows():
    whole = matrix(16, F16)
    turned = transposed(whole)
    assert turned.shape == (32, 16)
    np.testing.assert_array_equal(values(turned), values(whole).T)
    with pytest.raises(UnsupportedModel, match="only floats are transposed"):
        transposed(matrix(16, Q4_0))


def test_a_norm_that_is_stored_less_one_is_read_whole():
    stored = np.array([-0.5, 0.0, 2.0], np.float32)
    norm = SourceTensor("n", F32, (3,), lambda: stored.view(np.uint8), ORIGIN)
    assert plus_one(norm).raw.view(np.float32).tolist() == [0.5, 1.0, 3.0]
    assert stored.tolist() == [-0.5, 0.0, 2.0]


def test_norms_of_heads_become_one_vector():
    norms = matrix(4, F16)
    flat = flattened(norms)
    assert (flat.dtype, flat.shape) == (F32, (128,))
    np.testing.assert_array_equal(values(flat), values(norms).reshape(-1))


def test_numbered_vectors_are_joined_in_the_order_of_their_numbers():
    def vector(number: int) -> SourceTensor:
        name = f"model.layers.7.self_attn.q_layernorm.norms.{number}.weight"
        raw = np.full(2, number, np.float32).view(np.uint8)
        return SourceTensor(name, F32, (2,), lambda: raw, ORIGIN)

    every = [vector(number) for number in (10, 0, 2, 1)]
    joined = Joined("self_attn.q_layernorm.norms", "attn_q_norm")
    found = joined({tensor.name: tensor for tensor in every}, CONFIG)
    (whole,) = found.values()
    assert whole.name == "blk.7.attn_q_norm.weight"
    assert whole.raw.view(np.float32).tolist() == [0, 0, 1, 1, 2, 2, 10, 10]
