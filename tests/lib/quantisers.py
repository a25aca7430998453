"""Quantises a matrix as the tools do that people use: its tensors, and what they stand for.

Written from the formats' descriptions with plain loops over bits, as unlike the reader as may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Stored = tuple[str, tuple[int, ...], bytes]  # kind, shape, content


@dataclass(frozen=True, slots=True)
class Quantised:
    """The tensors of one layer by what follows its name, and the values that they stand for."""

    parts: Mapping[str, Stored]
    values: Array  # (N, K) float32


@dataclass(frozen=True, slots=True)
class Method:
    """``config`` is quantization_config; ``compiled_to`` what a matrix becomes."""

    config: Mapping[str, Any]
    quantise: Callable[[Array], Quantised]
    compiled_to: str


def gptq(
    weight: Array,
    *,
    bits: int = 4,
    group: int = 32,
    symmetric: bool = True,
    version: int = 1,
    order: Array | None = None,
) -> Quantised:
    """``order`` permutes the columns before they are grouped, as desc_act does."""
    width = weight.shape[1]
    g_idx = np.empty(width, np.int32)
    g_idx[np.arange(width) if order is None else order] = np.arange(width) // group
    scales, zeros, q = _rounded(weight, g_idx, bits, symmetric)
    offset = 1 if version == 1 else 0
    parts = {
        "qweight": _store(_words(q.T, bits, axis=0)),
        "qzeros": _store(_words(zeros.T - offset, bits, axis=1)),
        "scales": _store(scales.T.astype(np.float16)),
        "g_idx": _store(g_idx),
    }
    return Quantised(parts, scales[:, g_idx] * (q - zeros[:, g_idx]).astype(np.float32))


def awq(weight: Array, *, group: int = 32) -> Quantised:
    g_idx = np.arange(weight.shape[1]) // group
    scales, zeros, q = _rounded(weight, g_idx, 4, symmetric=False)
    order = [0, 2, 4, 6, 1, 3, 5, 7]  # which of eight columns each nibble holds, lowest first

    def words(numbers: Array) -> Array:
        eights = numbers.reshape(len(numbers), -1, 8)[:, :, order]
        return _words(eights.reshape(numbers.shape), 4, axis=1)

    parts = {
        "qweight": _store(words(q.T)),
        "qzeros": _store(words(zeros.T)),
        "scales": _store(scales.T.astype(np.float16)),
    }
    return Quantised(parts, scales[:, g_idx] * (q - zeros[:, g_idx]).astype(np.float32))


def fp8(weight: Array, *, tile: tuple[int, int] | None, suffix: str = "weight_scale") -> Quantised:
    """``tile``: rows and columns of a scale; None: one for all."""
    rows, width = weight.shape
    down, across = tile or (rows, width)
    shape = (-(-rows // down), -(-width // across))
    scales = np.empty(shape, np.float32)
    for i, j in np.ndindex(shape):
        part = weight[i * down : (i + 1) * down, j * across : (j + 1) * across]
        scales[i, j] = np.abs(part).max() / 448
    spread = scales.repeat(down, axis=0)[:rows].repeat(across, axis=1)[:, :width]
    table = _e4m3_table()
    codes = np.abs((weight / spread)[..., None] - table).argmin(axis=-1)
    codes = np.arange(254)[codes]
    codes = np.where(codes >= 127, codes + 1, codes).astype(np.uint8)  # past the nan at 0x7f
    values = spread * table[np.where(codes >= 127, codes - 1, codes)]
    stored = scales if tile else scales.reshape(())
    return Quantised(
        {"weight": ("F8_E4M3", weight.shape, codes.tobytes()), suffix: _store(stored)},
        values.astype(np.float32),
    )


def int8(weight: Array, *, symmetric: bool = True) -> Quantised:
    """compressed-tensors' int-quantized, a scale for a row, in BF16."""
    g_idx = np.zeros(weight.shape[1], np.int64)
    scales, zeros, q = _rounded(weight, g_idx, 8, symmetric, bf16=True)
    parts = {
        "weight": _store((q - 128).astype(np.int8)),
        "weight_scale": ("BF16", scales.shape, _bf16(scales)),
    }
    if not symmetric:
        parts["weight_zero_point"] = _store((zeros - 128).astype(np.int8))
    return Quantised(parts, scales[:, g_idx] * (q - zeros[:, g_idx]).astype(np.float32))


def packed(weight: Array, *, bits: int = 4, group: int = 32, symmetric: bool = True) -> Quantised:
    """compressed-tensors' pack-quantized, scales in BF16."""
    g_idx = np.arange(weight.shape[1]) // group
    scales, zeros, q = _rounded(weight, g_idx, bits, symmetric, bf16=True)
    parts = {
        "weight_packed": _store(_words(q, bits, axis=1)),
        "weight_scale": ("BF16", scales.shape, _bf16(scales)),
        "weight_shape": _store(np.array(weight.shape, np.int64)),
    }
    if not symmetric:
        parts["weight_zero_point"] = _store(_words(zeros, bits, axis=0))
    return Quantised(parts, scales[:, g_idx] * (q - zeros[:, g_idx]).astype(np.float32))


def _rounded(
    weight: Array, g_idx: Array, bits: int, symmetric: bool, bf16: bool = False
) -> tuple[Array, Array, Array]:
    """Scales (N, G) that a half (or BF16) holds, zeros (N, G) and q (N, K), unsigned."""
    groups, most = int(g_idx.max()) + 1, (1 << bits) - 1
    scales = np.empty((len(weight), groups), np.float32)
    zeros = np.full((len(weight), groups), 1 << bits - 1, np.int64)
    q = np.empty(weight.shape, np.int64)
    for group in range(groups):
        own = g_idx == group
        part = weight[:, own]
        if symmetric:
            scale = np.abs(part).max(axis=1) / (1 << bits - 1)
        else:
            scale = (part.max(axis=1).clip(0) - part.min(axis=1).clip(None, 0)) / most
        scales[:, group] = _round_bf16(scale) if bf16 else scale.astype(np.float16)
        if not symmetric:
            lowest = part.min(axis=1).clip(None, 0)
            zeros[:, group] = np.rint(-lowest / scales[:, group]).clip(1, most)
        rounded = np.rint(part / scales[:, group, None]) + zeros[:, group, None]
        q[:, own] = rounded.clip(0, most)
    return scales, zeros, q


def _words(numbers: Array, bits: int, axis: int) -> Array:
    """Words of 32 bits along ``axis``, the first number in the lowest bits."""
    per_word = 32 // bits
    along = np.moveaxis(numbers.astype(np.int64), axis, -1)
    along = np.pad(along, [(0, 0)] * (along.ndim - 1) + [(0, -along.shape[-1] % per_word)])
    words = np.zeros((*along.shape[:-1], along.shape[-1] // per_word), np.uint32)
    for place in range(per_word):
        words |= ((along[..., place::per_word] & (1 << bits) - 1) << place * bits).astype(np.uint32)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32)


def _e4m3_table() -> Array:
    """The 254 finite values, in order of their codes."""
    values = []
    for code in (*range(127), *range(128, 255)):
        exponent, mantissa = code >> 3 & 15, code & 7
        size = (
            mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        )
        values.append(-size if code & 128 else size)
    return np.array(values, np.float32)


def _round_bf16(values: Array) -> Array:
    return (np.frombuffer(_bf16(values), np.uint16).astype(np.uint32) << 16).view(np.float32)


def _bf16(values: Array) -> bytes:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def _store(values: Array) -> Stored:
    kinds = {"float32": "F32", "float16": "F16", "int8": "I8", "int32": "I32", "int64": "I64"}
    return kinds[values.dtype.name], values.shape, np.ascontiguousarray(values).tobytes()


def _compressed(form: str, **weights: object) -> dict[str, Any]:
    group = {
        "targets": ["Linear"],
        "input_activations": None,
        "weights": {"type": "int", "symmetric": True, "dynamic": False, **weights},
    }
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
    }


_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
_AWQ_OF_GPTQMODEL = _AWQ | {
    "checkpoint_format": "gemm",
    "desc_act": False,
    "format": "gemm",
    "lm_head": False,
    "meta": {"quantizer": ["gptqmodel:7.6.0"]},
    "method": "awq",
    "pack_dtype": "int32",
}
_FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
_SHUFFLED = np.random.default_rng(5).permutation(4096)


def _shuffled(weight: Array) -> Quantised:
    return gptq(weight, order=_SHUFFLED[weight.shape[1] > _SHUFFLED])


METHODS: Mapping[str, Method] = {
    "gptq": Method(_GPTQ, gptq, "q4_0"),
    "gptq of groups of 64": Method(_GPTQ | {"group_size": 64}, lambda w: gptq(w, group=64), "q4_0"),
    "gptq of whole rows": Method(
        _GPTQ | {"group_size": -1}, lambda w: gptq(w, group=w.shape[1]), "q4_0"
    ),
    "gptq with zeros": Method(_GPTQ | {"sym": False}, lambda w: gptq(w, symmetric=False), "q5_0"),
    "gptq of the second version": Method(
        _GPTQ | {"checkpoint_format": "gptq_v2", "format": "gptq_v2"},
        lambda w: gptq(w, version=2),
        "q4_0",
    ),
    "gptq in another order": Method(_GPTQ | {"desc_act": True}, _shuffled, "f16"),
    "gptq of 8 bits": Method(_GPTQ | {"bits": 8}, lambda w: gptq(w, bits=8), "q8_0"),
    "awq": Method(_AWQ, awq, "q5_0"),
    "awq by GPTQModel": Method(_AWQ_OF_GPTQMODEL, awq, "q5_0"),
    "fp8 of a tensor": Method(_FP8, lambda w: fp8(w, tile=None), "f16"),
    "fp8 of rows": Method(
        {"quant_method": "fbgemm_fp8"}, lambda w: fp8(w, tile=(1, w.shape[1])), "f16"
    ),
    "fp8 of tiles": Method(
        _FP8 | {"weight_block_size": [48, 32]},
        lambda w: fp8(w, tile=(48, 32), suffix="weight_scale_inv"),
        "f16",
    ),
    "compressed int8": Method(
        _compressed("int-quantized", num_bits=8, strategy="channel"), int8, "q8_0"
    ),
    "compressed int8 with zeros": Method(
        _compressed("int-quantized", num_bits=8, strategy="channel", symmetric=False),
        lambda w: int8(w, symmetric=False),
        "f16",
    ),
    "compressed int4": Method(
        _compressed("pack-quantized", num_bits=4, strategy="group", group_size=32), packed, "q4_0"
    ),
    "compressed int4 with zeros": Method(
        _compressed("pack-quantized", num_bits=4, strategy="group", group_size=32, symmetric=False),
        lambda w: packed(w, symmetric=False),
        "q5_0",
    ),
    "compressed packed int8": Method(
        _compressed("pack-quantized", num_bits=8, strategy="group", group_size=32),
        lambda w: packed(w, bits=8),
        "q8_0",
    ),
    "compressed fp8": Method(
        _compressed("float-quantized", num_bits=8, type="float", strategy="channel"),
        lambda w: fp8(w, tile=(1, w.shape[1])),
        "f16",
    ),
}
