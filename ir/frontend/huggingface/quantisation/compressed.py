"""compressed-tensors: int4 and int8, in words or as they are, and FP8, with scales in any float.

pack-quantized, of a weight [N, K] and G groups: weight_packed (N, K * bits / 32), numbers 2 **
(bits - 1) too large, the lowest bits first; weight_scale (N, G); weight_zero_point, packed along
N; weight_g_idx (K), the group of each column.  int-quantized: weight is int8 (N, K).
w = scale * (q - zero).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.huggingface.quantisation.fp8 import Fp8
from inferflux.ir.frontend.huggingface.quantisation.integers import IntegerMatrix, integer_tensor
from inferflux.ir.frontend.huggingface.quantisation.module import Module
from inferflux.ir.frontend.huggingface.quantisation.packed import unpack_words
from inferflux.ir.frontend.huggingface.quantisation.settings import Settings
from inferflux.ir.frontend.source import SourceTensor
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.graph import Array

_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")
_APART = (
    "config_groups",
    "global_compression_ratio",
    "ignore",
    "quantization_status",
    "run_compressed",
    "version",
)
_NEUTRAL = {"quant_method": ("compressed-tensors",), "sparsity_config.format": ("dense",)}
_GROUP_APART = ("targets", "input_activations", "output_activations")  # roundings elsewhere
_WEIGHT_KEYS = ("num_bits", "type", "strategy", "group_size", "block_structure")
_WEIGHT_APART = (
    "actorder",
    "dynamic",
    "observer",
    "observer_kwargs",
    "scale_dtype",
    "symmetric",
    "zp_dtype",
)
_STRATEGIES = ("tensor", "channel", "group", "block")


@dataclass(frozen=True, slots=True)
class Compressed:
    """What config.json says of the layers of its one group, where they hold integers."""

    bits: int
    group_size: int | None  # None: all of K

    parts = frozenset(
        {
            "input_scale",
            "input_zero_point",
            "weight",
            "weight_g_idx",
            "weight_packed",
            "weight_scale",
            "weight_shape",
            "weight_zero_point",
        }
    )

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        if "weight_packed" in module.parts:
            matrix, main = self._packed(module), "weight_packed"
        elif "weight_scale" in module.parts:
            matrix, main = self._plain(module), "weight"
        else:
            return None
        origin = module.origin(main, f"compressed int{self.bits}")
        return integer_tensor(name, matrix, origin)

    def _packed(self, module: Module) -> IntegerMatrix:
        words = module.integers("weight_packed", ("I32",), 2)
        shape = module.integers("weight_shape", ("I64", "I32"), 1)
        module.require_shape("weight_shape", shape.shape, (2,))
        rows, width = shape.tolist()
        module.require_shape("weight_packed", words.shape, (rows, -(-width * self.bits // 32)))

        def unsigned(start: int, stop: int) -> Array:
            return unpack_words(words[start:stop], self.bits)[:, :width]

        def zeros() -> Array:
            packed = module.integers("weight_zero_point", ("I32",), 2)
            count = self._scales(module, (rows, width)).shape[1]
            module.require_shape(
                "weight_zero_point", packed.shape, (-(-rows * self.bits // 32), count)
            )
            return unpack_words(np.ascontiguousarray(packed.T), self.bits).T[:rows]

        half = np.full((rows, 1), 1 << self.bits - 1, np.int16)
        return self._matrix(module, (rows, width), unsigned, zeros, half)

    def _plain(self, module: Module) -> IntegerMatrix:
        numbers = module.integers("weight", ("I8",), 2)
        rows, width = numbers.shape

        def zeros() -> Array:
            points = module.integers("weight_zero_point", ("I8",), 2)
            count = self._scales(module, (rows, width)).shape[1]
            module.require_shape("weight_zero_point", points.shape, (rows, count))
            return points.astype(np.int16)

        none = np.zeros((rows, 1), np.int16)
        return self._matrix(
            module, (rows, width), lambda a, b: numbers[a:b].astype(np.int16), zeros, none
        )

    def _matrix(
        self,
        module: Module,
        shape: tuple[int, int],
        numbers: Callable[[int, int], Array],
        stated_zeros: Callable[[], Array],
        middle: Array,
    ) -> IntegerMatrix:
        """``numbers`` are those of the file; ``middle`` (N, 1) is 0 unless a zero is stated."""
        groups = self._groups(module, shape[1])
        is_stated = "weight_zero_point" in module.parts

        def zeros() -> Array:
            return stated_zeros() if is_stated else middle

        def q(start: int, stop: int) -> Array:
            own = zeros()[start:stop]
            return np.asarray(numbers(start, stop) - (own[:, groups] if is_stated else own))

        lowest = 0 if "weight_packed" in module.parts else -128
        return IntegerMatrix(
            shape=shape,
            least=lowest - int(zeros().max()),
            greatest=lowest + (1 << self.bits) - 1 - int(zeros().min()),
            q=q,
            scales=lambda: self._scales(module, shape),
            groups=groups,
        )

    def _scales(self, module: Module, shape: tuple[int, int]) -> Array:
        """(N, G), of one scale for the whole tensor too."""
        rows, width = shape
        scales = module.floats("weight_scale")
        if scales.size == 1 and self.group_size is None:
            return np.broadcast_to(scales.reshape(1, 1), (rows, 1))
        count = -(-width // (self.group_size or width))
        module.require_shape("weight_scale", scales.shape, (rows, count))
        return scales

    def _groups(self, module: Module, width: int) -> Array:
        size = self.group_size or width
        if "weight_g_idx" not in module.parts:
            return np.arange(width) // size
        return module.group_indices("weight_g_idx", width, -(-width // size))


def read_compressed(config: Fields) -> Compressed | Fp8:
    """Raises UnsupportedModel unless all quantised layers are of one group."""
    settings = Settings(config)
    settings.require_known(("format",), _APART, _NEUTRAL)
    form = settings.choice("format", _FORMATS)
    group = settings.only_member("config_groups")
    Settings(config, f"{group}.").require_known((), (*_GROUP_APART, "weights"), {"format": (form,)})
    weights = Settings(config, f"{group}.weights.")
    weights.require_known(_WEIGHT_KEYS, _WEIGHT_APART)
    strategy = weights.choice("strategy", _STRATEGIES)
    if weights.choice("type", ("int", "float"), "int") == "float":
        weights.bits((8,), "num_bits")
        return Fp8(weights.tile("block_structure") if strategy == "block" else None)
    bits = weights.bits((4, 8) if form == "pack-quantized" else (8,), "num_bits")
    return Compressed(bits, weights.group_size() if strategy == "group" else None)
