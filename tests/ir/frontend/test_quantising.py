"""Quantised while it is read, a model is the one whose file was quantised before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inferflux.ir import frontend
from inferflux.ir.frontend import ModelFileError
from inferflux.ir.frontend.conversion import conversion_error
from inferflux.ir.frontend.quantising import QUANTISERS, matrices_that_stay, quantised
from inferflux.ir.quantised import dequantise, quantise
from inferflux.ir.types import BF16, F32, Q4_0, Q4_1, Q4_K, Q6_K, Q8_0

IN_BF16 = {"layer_types": ("bf16",), "embedding_type": "bf16"}
WIDE = {"hidden": 256, "intermediate": 512, "head_dim": 128}


def types(source, name):
    return {tensor.dtype for tensor in source.tensors.values() if name in tensor.name}


@pytest.mark.parametrize("dtype", QUANTISERS.values(), ids=str)
def test_every_matrix_is_quantised_from_its_values(tiny_gguf, dtype):
    source = frontend.open(tiny_gguf(**IN_BF16, **WIDE))
    made = quantised(source, dtype)
    assert types(made, "ffn_") == {dtype, F32}
    for name, tensor in made.tensors.items():
        if tensor.dtype == dtype:
            stored = source.tensors[name]
            values = dequantise(stored.raw, stored.dtype, stored.shape)
            np.testing.assert_array_equal(tensor.raw, quantise(values, dtype).reshape(-1))


@pytest.mark.parametrize(
    ("dtype", "head"), [(Q4_0, Q8_0), (Q4_1, Q8_0), (Q8_0, Q8_0), (Q4_K, Q6_K)]
)
@pytest.mark.parametrize("is_tied", [True, False])
def test_the_head_has_more_bits(tiny_gguf, dtype, head, is_tied):
    untied = {} if is_tied else {"head_type": "f16"}
    made = quantised(frontend.open(tiny_gguf(**IN_BF16, **WIDE, **untied)), dtype)
    name = "token_embd.weight" if is_tied else "output.weight"
    assert made.tensors[name].dtype == head
    if not is_tied:
        assert made.tensors["token_embd.weight"].dtype == dtype


def test_matrices_of_experts_are_quantised_and_routers_and_biases_are_not(tiny_gguf):
    source = frontend.open(tiny_gguf(**IN_BF16))
    matrix = source.tensors["blk.0.ffn_up.weight"]
    stored = {
        "blk.0.ffn_up_exps.weight": (4, 64, 64),
        "blk.0.ffn_up_exps.bias": (4, 64),
        "blk.0.ffn_gate_inp.weight": (4, 64),
    }
    zeros = {name: np.zeros(shape, np.uint16).view(np.uint8) for name, shape in stored.items()}
    tensors = {
        name: replace(matrix, name=name, shape=shape, read=zeros[name].reshape(-1).view)
        for name, shape in stored.items()
    }
    made = quantised(replace(source, tensors=tensors), Q8_0).tensors
    assert [made[name].dtype for name in stored] == [Q8_0, BF16, BF16]
    assert made["blk.0.ffn_up_exps.weight"].raw.size == 4 * 64 * 2 * 34


def test_rows_that_are_no_whole_blocks_stay_and_are_named(tiny_gguf):
    source = frontend.open(tiny_gguf(**IN_BF16))
    made = quantised(source, Q4_K)
    assert types(made, "weight") == types(source, "weight")
    assert len(matrices_that_stay(source, Q4_K)) == 8
    assert matrices_that_stay(source, Q4_0) == []


def test_what_has_no_more_bits_stays(tiny_gguf):
    source = frontend.open(tiny_gguf(layer_types=("q4_0", "q8_0"), embedding_type="q8_0"))
    made = quantised(source, Q4_1)
    assert types(made, "blk.0.ffn") == {Q4_0, F32}
    assert types(made, "blk.1.ffn") == {Q4_1, F32}
    assert types(made, "token_embd") == {Q8_0}


def test_a_converted_tensor_is_quantised_from_what_its_file_means(tiny_gguf):
    source = frontend.open(tiny_gguf(layer_types=("iq2_s",), embedding_type="f16", **WIDE))
    made, read = (each.tensors["blk.0.ffn_up.weight"] for each in (quantised(source, Q6_K), source))
    assert (made.origin.kind, made.dtype) == ("IQ2_S", Q6_K)
    values = np.concatenate([rows.values for rows in read.convert()])
    np.testing.assert_array_equal(made.raw, quantise(values, Q6_K).reshape(-1))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_without_a_scale_are_refused_with_their_place(tiny_gguf, value):
    bad = np.ones((64, 64), np.float32)
    bad[5, 6] = value
    source = frontend.open(tiny_gguf(tensors={"blk.0.attn_q.weight": bad}))
    with pytest.raises(ModelFileError, match=r"attn_q.weight' at byte \d+: holds .* quantised"):
        _ = quantised(source, Q8_0).tensors["blk.0.attn_q.weight"].raw


def test_the_default_models_weights_are_found_again_in_bf16(default_model):
    """It was made from BF16, in which a block's least and greatest value are what they were."""
    source = frontend.open(default_model)
    for name in ("blk.0.attn_q.weight", "blk.29.ffn_down.weight"):
        stored = source.tensors[name]
        values = dequantise(stored.raw, stored.dtype, stored.shape)
        bf16 = quantise(values, BF16).reshape(-1)
        tensor = replace(stored, dtype=BF16, read=lambda bf16=bf16: bf16)
        again = quantised(replace(source, tensors={name: tensor}), Q4_1).tensors[name]
        np.testing.assert_array_equal(again.raw, stored.raw)


def test_the_error_is_what_the_bytes_have(tiny_gguf):
    made = quantised(frontend.open(tiny_gguf(**IN_BF16)), Q4_0)
    error = conversion_error(made.tensors["blk.0.attn_q.weight"])
    assert 0.06 < error.rms < 0.12
