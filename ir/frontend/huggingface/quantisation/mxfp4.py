"""MXFP4 as gpt-oss has it: 32 columns of an expert's row share a power of two (OCP MX 1.0, 5.3.3).

Of experts [E, N, K]: blocks (E, N, K / 32, 16), of each byte the lower 4 bits are the earlier
column; scales (E, N, K / 32), e stands for 2 ** (e - 127).  GGUF's blocks of the same values have
the scale before their bytes, and in the upper 4 bits the column 16 later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.huggingface.quantisation.module import Module
from inferflux.ir.frontend.huggingface.quantisation.settings import Settings
from inferflux.ir.frontend.source import Bytes, SourceTensor
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.graph import Array
from inferflux.ir.types import MXFP4

_BYTES = 16  # of a block, without its scale
_APART = ("dequantize", "modules_to_not_convert")  # how it is run, and what is left as it is
_NEUTRAL = {"quant_method": ("mxfp4",)}


@dataclass(frozen=True, slots=True)
class Mxfp4:
    """It has no parameters."""

    parts = frozenset({"blocks", "scales"})

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        if "blocks" not in module.parts:
            return None
        blocks = module.integers("blocks", ("U8",), 4)
        scales = module.integers("scales", ("U8",), 3)
        module.require_shape("blocks", blocks.shape, (*scales.shape, _BYTES))
        num_experts, num_rows, groups = scales.shape

        def read() -> Bytes:
            return np.concatenate([scales[..., None], _halves_apart(blocks)], axis=-1).reshape(-1)

        shape = (num_experts, num_rows, groups * MXFP4.block)
        return SourceTensor(name, MXFP4, shape, read, module.origin("blocks", "MXFP4"))


def _halves_apart(blocks: Array) -> Array:
    """Bytes of columns (0, 1), (2, 3), ... as those of (0, 16), (1, 17), ...: (..., 16)"""
    first, second = blocks[..., : _BYTES // 2], blocks[..., _BYTES // 2 :]
    even = first & 15 | second << 4
    odd = first >> 4 | second & 240
    return np.stack([even, odd], axis=-1).reshape(blocks.shape)


def read_mxfp4(config: Fields) -> Mxfp4:
    Settings(config).require_known((), _APART, _NEUTRAL)
    return Mxfp4()
