"""FP8 e4m3: a byte a weight, times a scale of the tensor, of the row, or of a tile of both.

w = e4m3 * weight_scale; DeepSeek and Qwen publish tiles of 128 x 128 and call theirs
weight_scale_inv, which multiplies too.  Format: OCP OFP8, e4m3fn (no infinity).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferflux.ir.frontend.huggingface.quantisation.floats import choose_float, float_tensor
from inferflux.ir.frontend.huggingface.quantisation.module import Module
from inferflux.ir.frontend.huggingface.quantisation.settings import Settings
from inferflux.ir.frontend.safetensors import StoredTensor
from inferflux.ir.frontend.source import Origin, SourceTensor
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.graph import Array
from inferflux.ir.types import BF16

_KIND = "F8_E4M3"
_SCALES = ("weight_scale", "weight_scale_inv")
_APART = (  # which layers are left as they are, and how activations are rounded elsewhere
    "activation_scale_ub",
    "activation_scheme",
    "ignored_layers",
    "modules_to_not_convert",
    "scale_fmt",
)
_NEUTRAL = {"quant_method": ("fp8", "fbgemm_fp8"), "fmt": ("e4m3",)}


def _e4m3() -> Array:
    """What each of the 256 bytes stands for; 0x7f and 0xff are nan."""
    codes = np.arange(256)
    exponents, mantissas = codes >> 3 & 15, codes & 7
    magnitudes = np.where(
        exponents > 0,
        np.ldexp(8.0 + mantissas, exponents - 10),
        np.ldexp(0.0 + mantissas, -9),
    )
    magnitudes[codes & 127 == 127] = np.nan
    return np.asarray(np.where(codes < 128, magnitudes, -magnitudes), np.float32)


E4M3 = _e4m3()


@dataclass(frozen=True, slots=True)
class Fp8:
    """What config.json says of all its layers."""

    tile: tuple[int, int] | None  # rows and columns that share a scale; None: rows, or all

    parts = frozenset({"weight", *_SCALES, "input_scale"})

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        stored = module.parts.get("weight")
        if stored is None or stored.kind != _KIND:
            return None
        codes = stored.raw.reshape(stored.shape)
        if codes.ndim != 2:
            raise module.wrong("weight", f"is {list(codes.shape)}, must have 2 dimensions")
        rows, width = codes.shape
        suffix = next((each for each in _SCALES if each in module.parts), _SCALES[0])
        tile = self._tile(module, suffix, (rows, width))

        def values(start: int, stop: int) -> Array:
            scales = module.floats(suffix).reshape(-1, -(-width // tile[1]))
            own = scales[np.arange(start, stop) // tile[0]]  # (rows, K / tile)
            return np.asarray(E4M3[codes[start:stop]] * own.repeat(tile[1], axis=1)[:, :width])

        dtype = choose_float(E4M3[np.isfinite(E4M3)], module.floats(suffix))
        return float_tensor(name, (rows, width), dtype, values, module.origin("weight", "FP8 e4m3"))

    def _tile(self, module: Module, suffix: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns that share a scale, by the shape that the scales have."""
        rows, width = shape
        scales = module.floats(suffix).shape
        if self.tile is not None:
            wanted = (-(-rows // self.tile[0]), -(-width // self.tile[1]))
            module.require_shape(suffix, scales, wanted)
            return self.tile
        if scales in ((rows, 1), (rows,)):
            return 1, width
        if scales not in ((), (1,), (1, 1)):
            problem = f"is {list(scales)}, neither of the tensor nor of its {rows} rows"
            raise module.wrong(suffix, problem)
        return rows, width


def unscaled(stored: StoredTensor, name: str, origin: Origin) -> SourceTensor:
    """A matrix of e4m3 and no scale, which BF16 holds exactly."""
    codes = stored.raw.reshape(stored.shape)
    shape = codes.shape[0], codes.shape[1]
    return float_tensor(name, shape, BF16, lambda start, stop: E4M3[codes[start:stop]], origin)


def read_fp8(config: Fields) -> Fp8:
    settings = Settings(config)
    settings.require_known(("weight_block_size",), _APART, _NEUTRAL)
    return Fp8(settings.tile("weight_block_size"))
