"""GPTQ: words of 4 or 8 bit along K, a scale and a packed zero for a group of K.

AutoGPTQ's layout, of a weight [N, K] and G groups: qweight (K * bits / 32, N), qzeros (G, N * bits
/ 32), scales (G, N), and g_idx (K), the group of each column.  w = scale * (q - zero).  The first
version of the format stores zeros one too small.
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

_KEYS = ("bits", "group_size", "checkpoint_format", "sym")
_APART = (  # how the weights were found, and what runs them elsewhere
    "backend",
    "batch_size",
    "block_name_to_quantize",
    "cache_block_outputs",
    "act_group_aware",
    "damp_auto_increment",
    "damp_percent",
    "dataset",
    "desc_act",
    "exllama_config",
    "lm_head",
    "max_input_length",
    "meta",
    "model_file_base_name",
    "model_name_or_path",
    "model_seqlen",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "mse",
    "pad_token_id",
    "quantizer",
    "static_groups",
    "tokenizer",
    "true_sequential",
    "use_cuda_fp16",
    "use_exllama",
)
_NEUTRAL = {
    "is_marlin_format": (False,),
    "method": ("gptq",),
    "pack_dtype": ("int32",),
    "quant_method": ("gptq",),
}
_BITS = (4, 8)


@dataclass(frozen=True, slots=True)
class Gptq:
    """What config.json says of all its layers."""

    bits: int
    group_size: int | None  # None: all of K
    zero_offset: int  # 1 in the first version
    is_symmetric: bool  # every zero is the middle

    parts = frozenset({"qweight", "qzeros", "scales", "g_idx"})

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        if "qweight" not in module.parts:
            return None
        return integer_tensor(
            name, self._matrix(module), module.origin("qweight", f"GPTQ int{self.bits}")
        )

    def _matrix(self, module: Module) -> IntegerMatrix:
        words = module.integers("qweight", ("I32",), 2)
        scales = module.floats("scales")
        width, rows = words.shape[0] * 32 // self.bits, words.shape[1]
        groups = self._groups(module, width)
        count = -(-width // (self.group_size or width))
        module.require_shape("scales", scales.shape, (count, rows))
        zeros = self._zeros(module, (count, rows))

        def q(start: int, stop: int) -> Array:
            numbers = unpack_words(np.ascontiguousarray(words[:, start:stop].T), self.bits)
            zeros = self._zeros(module, (count, rows))[:, start:stop]
            return np.asarray(numbers - zeros.T[:, groups])

        return IntegerMatrix(
            shape=(rows, width),
            least=-int(zeros.max()),
            greatest=(1 << self.bits) - 1 - int(zeros.min()),
            q=q,
            scales=lambda: module.floats("scales").T,
            groups=groups,
        )

    def _zeros(self, module: Module, shape: tuple[int, int]) -> Array:
        """(G, N).  Newer tools store a middle as it is, and still call that the first version."""
        words = module.integers("qzeros", ("I32",), 2)
        module.require_shape("qzeros", words.shape, (shape[0], shape[1] * self.bits // 32))
        stored = unpack_words(words, self.bits)
        if self.is_symmetric and (stored == 1 << self.bits - 1).all():
            return stored
        return np.asarray(stored + np.int16(self.zero_offset))

    def _groups(self, module: Module, width: int) -> Array:
        size = self.group_size or width
        if "g_idx" not in module.parts:
            return np.arange(width) // size
        return module.group_indices("g_idx", width, -(-width // size))


def read_gptq(config: Fields) -> Gptq:
    settings = Settings(config)
    version = settings.choice("checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    settings.require_known(_KEYS, _APART, {**_NEUTRAL, "format": (version,)})
    return Gptq(
        bits=settings.bits(_BITS),
        group_size=settings.group_size(),
        zero_offset=1 if version == "gptq" else 0,
        is_symmetric=settings.flag("sym", False),
    )
