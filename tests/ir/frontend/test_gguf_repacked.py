"""Types without kernels become types with them, and lose nothing that is not said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inferflux.ir.frontend.conversion import conversion_error
from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TENSOR_KINDS
from inferflux.ir.frontend.gguf.repacked import REPACKED, repack, widen
from inferflux.ir.frontend.source import ModelFileError, Origin
from inferflux.ir.quantised import dequantise
from inferflux.ir.types import BF16, F16, F32, Q4_0, Q6_K

KINDS = {kind.name: kind for kind in TENSOR_KINDS.values()}
NUMBERS = {"F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
BECOMES = {
    Q4_0: ("TQ1_0", "TQ2_0"),
    Q6_K: ("IQ1_S", "IQ1_M", "IQ3_XXS", "IQ3_S"),
    BF16: ("NVFP4", "I8"),
    F16: ("IQ2_XXS", "IQ2_XS", "IQ2_S"),
    F32: ("F64", "I16", "I32", "I64"),
}
EXACT = [name for dtype in (Q4_0, Q6_K, BF16) for name in BECOMES[dtype]]


def finite_blocks(name, num_blocks):
    """Random bytes whose halves are all between -2 and 2, and normal."""
    kind = KINDS[name]
    raw = np.random.default_rng(5).integers(0, 256, (num_blocks, kind.block_bytes), np.uint8)
    if name == "IQ1_M":  # the half is spread over four words
        raw[:, 55] = raw[:, 55] & 0xBF | 0x20
    elif name not in NUMBERS and name != "NVFP4":
        raw = raw & 0xBF | 0x20
    return raw


def tensor_of(name, blocks, rows):
    kind = KINDS[name]
    shape = (rows, len(blocks) * kind.block // rows)
    return repack("w", kind, shape, blocks.reshape(-1), Origin(Path("m.gguf"), "w", name, 7, 1))


@pytest.mark.parametrize("name", REPACKED)
def test_the_table_says_what_a_type_becomes(name):
    numbers = np.arange(6, dtype=NUMBERS.get(name)).reshape(-1, 1).view(np.uint8)
    tensor = tensor_of(name, numbers if name in NUMBERS else finite_blocks(name, 6), rows=2)
    assert name in BECOMES[tensor.dtype]
    assert tensor.raw.size == tensor.type.nbytes


@pytest.mark.parametrize("name", EXACT)
def test_types_that_another_holds_keep_every_bit(name):
    blocks = finite_blocks(name, 300)
    tensor = tensor_of(name, blocks, rows=4)
    ours = dequantise(tensor.raw, tensor.dtype, tensor.shape)
    expected = REPACKED[name].values(blocks).astype(np.float32).reshape(tensor.shape)
    np.testing.assert_array_equal(ours.view(np.uint32), expected.view(np.uint32))
    assert conversion_error(tensor).greatest == 0


@pytest.mark.parametrize("name", BECOMES[F16])
def test_types_that_none_holds_have_the_error_of_a_half_and_say_so(name):
    tensor = tensor_of(name, finite_blocks(name, 300), rows=4)
    error = conversion_error(tensor)
    assert 0 < error.rms < 2**-11
    assert 0 < error.greatest < 2**-11


def test_a_factor_too_small_for_a_half_costs_what_is_said():
    blocks = finite_blocks("IQ1_S", 4)
    blocks[:, 0], blocks[:, 1] = 3, 0  # a subnormal half, of which an eighth is none
    assert conversion_error(tensor_of("IQ1_S", blocks, rows=1)).rms > 0.01


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_become_floats(name):
    numbers = np.array([[-7, 0, 5, 127], [1, 2, -128, 3]]).astype(NUMBERS[name])
    tensor = tensor_of(name, numbers.reshape(-1, 1).view(np.uint8), rows=2)
    np.testing.assert_array_equal(dequantise(tensor.raw, tensor.dtype, (2, 4)), numbers)


def test_doubles_are_rounded_to_floats_and_the_error_is_theirs():
    numbers = np.random.default_rng(2).standard_normal((8, 8))
    error = conversion_error(tensor_of("F64", numbers.reshape(-1, 1).view(np.uint8), rows=8))
    assert 0 < error.greatest < 2**-24


@pytest.mark.parametrize(("name", "value"), [("F64", 1e39), ("IQ2_S", 60000.0)])
def test_values_beyond_the_new_type_are_refused_with_their_place(name, value):
    blocks = np.full((1, KINDS[name].block_bytes), 0xFF, np.uint8)
    number = np.array([value], NUMBERS.get(name, "<f2")).view(np.uint8)
    blocks[0, : number.size] = number
    with pytest.raises(ModelFileError, match=r"tensor 'w' at byte 7: holds .*, more than f"):
        _ = tensor_of(name, blocks, rows=1).raw


@pytest.mark.parametrize("name", [*SUPPORTED, *REPACKED])
def test_vectors_of_every_type_become_f32(name):
    kind = KINDS[name]
    raw = np.full((2, kind.block_bytes), 0x11, np.uint8)
    origin = Origin(Path("m.gguf"), "w", name, 7, 1)
    vector = widen("w", kind, (2 * kind.block,), raw.reshape(-1), origin)
    expected = (
        dequantise(raw, SUPPORTED[name], (2, kind.block))
        if name in SUPPORTED
        else REPACKED[name].values(raw)
    )
    assert vector.dtype == F32
    np.testing.assert_array_equal(vector.raw.view("<f4"), expected.reshape(-1).astype(np.float32))
