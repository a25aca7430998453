"""AWQ: words of 8 x 4 bit along N in an order of their own, a scale and a zero for a group of K.

AutoAWQ's layout (version "gemm"), of a weight [N, K] and G groups: qweight (K, N / 8), qzeros (G,
N / 8), scales (G, N).  w = scale * (q - zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.huggingface.quantisation.integers import IntegerMatrix, integer_tensor
from inferflux.ir.frontend.huggingface.quantisation.module import Module
from inferflux.ir.frontend.huggingface.quantisation.packed import unpack_words
from inferflux.ir.frontend.huggingface.quantisation.settings import Settings
from inferflux.ir.frontend.source import SourceTensor
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.graph import Array

_KEYS = ("bits", "group_size")
_APART = (
    "backend",
    "do_fuse",
    "exllama_config",
    "fuse_max_seq_len",
    "meta",
    "modules_to_fuse",
    "modules_to_not_convert",
)
_NEUTRAL = {
    "checkpoint_format": ("gemm",),
    "desc_act": (False,),
    "format": ("gemm",),
    "lm_head": (False,),
    "method": ("awq",),
    "pack_dtype": ("int32",),
    "quant_method": ("awq",),
    "version": ("gemm",),
    "zero_point": (True,),
}
_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # places of the eight numbers in their word
_BITS = 4


@dataclass(frozen=True, slots=True)
class Awq:
    """What config.json says of all its layers."""

    group_size: int | None  # None: all of K

    parts = frozenset({"qweight", "qzeros", "scales"})

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        if "qweight" not in module.parts:
            return None
        return integer_tensor(name, self._matrix(module), module.origin("qweight", "AWQ int4"))

    def _matrix(self, module: Module) -> IntegerMatrix:
        words = module.integers("qweight", ("I32",), 2)
        width, rows = words.shape[0], words.shape[1] * 8
        count = -(-width // (self.group_size or width))
        packed_zeros = module.integers("qzeros", ("I32",), 2)
        module.require_shape("qzeros", packed_zeros.shape, (count, rows // 8))
        module.require_shape("scales", module.floats("scales").shape, (count, rows))
        zeros = unpack_words(packed_zeros, _BITS, _ORDER)
        groups = np.arange(width) // (self.group_size or width)

        def q(start: int, stop: int) -> Array:
            first = start // 8  # of the words that hold these rows
            numbers = unpack_words(words[:, first : -(-stop // 8)], _BITS, _ORDER)
            own = numbers[:, start - first * 8 : stop - first * 8]
            zeros = unpack_words(packed_zeros, _BITS, _ORDER)[:, start:stop]
            return np.asarray((own - zeros[groups]).T)

        return IntegerMatrix(
            shape=(rows, width),
            least=-int(zeros.max()),
            greatest=15 - int(zeros.min()),
            q=q,
            scales=lambda: module.floats("scales").T,
            groups=groups,
        )


def read_awq(config: Fields) -> Awq:
    settings = Settings(config)
    settings.require_known(_KEYS, _APART, _NEUTRAL)
    settings.bits((_BITS,))
    return Awq(settings.group_size())
