"""Experts that a directory stores one by one, or fused, become one weight each, lazily."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inferflux.ir.frontend.source import ModelFileError, Origin, SourceTensor, UnsupportedModel
from inferflux.ir.frontend.stacks import FusedExperts, StackedExperts
from inferflux.ir.types import BF16, F32, Q8_0, TensorType

ORIGIN = Origin(Path("model.safetensors"), "stored", "F32", 0, 7)
VIEW = StackedExperts("mlp.experts")


def tensor(name, values, dtype=F32):
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    return SourceTensor(name, dtype, values.shape, lambda: raw, ORIGIN)


def expert(index, values, dtype=F32):
    return tensor(f"model.layers.2.mlp.experts.{index}.up_proj.weight", values, dtype)


def view(*tensors, by=VIEW):
    return by({each.name: each for each in tensors}, None)


def test_experts_stored_one_by_one_are_stacked_in_order():
    matrices = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)
    found = view(*(expert(index, matrices[index]) for index in (2, 0, 1)))
    (stack,) = found.values()
    assert (stack.name, stack.shape) == ("blk.2.ffn_up_exps.weight", (3, 2, 4))
    np.testing.assert_array_equal(stack.raw.view(np.float32).reshape(3, 2, 4), matrices)


def test_a_missing_expert_is_named():
    with pytest.raises(ModelFileError, match="'stored' at byte 7: is expert 2, and there is no 1"):
        view(*(expert(index, np.zeros((2, 4), np.float32)) for index in (0, 2)))


def test_experts_of_two_types_are_refused():
    plain, narrow = np.zeros((2, 4), np.float32), np.zeros((2, 4), np.uint16)
    with pytest.raises(ModelFileError, match=r"is bf16\[2, 4\], but 'stored' is f32\[2, 4\]"):
        view(expert(0, plain), expert(1, narrow, BF16))


FUSED = FusedExperts(
    "ffn_gate_up_exps",
    {
        "ffn_gate_exps.weight": lambda values: values[:, ::2],
        "ffn_up_exps.weight": lambda values: values[:, 1::2],
    },
)


def test_a_fused_tensor_is_read_in_its_parts():
    values = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    found = view(tensor("blk.0.ffn_gate_up_exps.weight", values), by=FUSED)
    for start, name in enumerate(("blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight")):
        part = found[name]
        assert part.shape == (2, 2, 3)
        np.testing.assert_array_equal(
            part.raw.view(np.float32).reshape(2, 2, 3), values[:, start::2]
        )


def test_a_part_that_is_a_vector_for_each_expert_is_widened():
    biases = np.array([[1, 2, 3, 4]], np.float32)
    stored = (biases.view(np.uint32) >> 16).astype(np.uint16)
    part = view(tensor("blk.0.ffn_gate_up_exps.weight", stored, BF16), by=FUSED)
    gate = part["blk.0.ffn_gate_exps.weight"]
    assert gate.type == TensorType(F32, (1, 2))
    np.testing.assert_array_equal(gate.raw.view(np.float32).reshape(-1), [1, 3])


def test_blocks_are_taken_apart_by_rows():
    raw = np.arange(2 * 4 * Q8_0.block_bytes, dtype=np.uint8)
    blocks = SourceTensor("blk.0.ffn_gate_up_exps.weight", Q8_0, (2, 4, 32), lambda: raw, ORIGIN)
    up = view(blocks, by=FUSED)["blk.0.ffn_up_exps.weight"]
    assert up.type == TensorType(Q8_0, (2, 2, 32))
    np.testing.assert_array_equal(up.raw, raw.reshape(2, 4, -1)[:, 1::2].reshape(-1))


def test_what_is_converted_is_not_taken_apart():
    converted = replace(tensor("blk.0.ffn_gate_up_exps.weight", np.zeros((1, 2, 4))), convert=iter)
    with pytest.raises(UnsupportedModel, match=r"is \[1, 2, 4\] of F32, not taken apart by rows"):
        view(converted, by=FUSED)
