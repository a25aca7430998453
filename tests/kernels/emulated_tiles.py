"""AMX for machines that have none: a target whose tile registers are memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.targets.words import TILES
from inferflux.codegen.targets.words.tiles import AmxTiles
from inferflux.codegen.targets.words.tir import Buffer, Expr


class EmulatedTiles(AmxTiles):
    """The same words, spelled as calls of emulated_tiles.ll."""

    DEFINITIONS = Path(__file__).with_suffix(".ll").read_text()

    def tiles_configured(self, config: Buffer) -> Expr:
        return self._emulate("configure", self._t.address_of(config[0]))

    def tiles_released(self) -> Expr:
        return self._emulate("release")

    def tile_zero(self, tile: int) -> Expr:
        return self._emulate("zero", tile)

    def tile_load(self, tile: int, buffer: Buffer, at: Expr, stride: int) -> Expr:
        return self._emulate("load", tile, self._t.address_of(buffer[at]), self._t.int64(stride))

    def tile_store(self, tile: int, buffer: Buffer, at: Expr, stride: int) -> Expr:
        return self._emulate("store", tile, self._t.address_of(buffer[at]), self._t.int64(stride))

    def tile_dot_bf16(self, total: int, rows: int, columns: int) -> Expr:
        return self._emulate("dot_bf16", total, rows, columns)

    def tile_dot_int8(self, total: int, rows: int, columns: int) -> Expr:
        return self._emulate("dot_int8", total, rows, columns)

    def _emulate(self, name: str, *args: Expr) -> Expr:
        return self._t.call_extern("void", f"emulated_{name}", *args)


def emulated_amx() -> CpuTarget:
    """cpu:avx512-amx on a machine that has AVX512-BF16."""
    TILES["emulated"] = EmulatedTiles
    bf16 = TARGETS["cpu:avx512-bf16"]
    return replace(
        TARGETS["cpu:avx512-amx"],
        name="emulated-amx",
        tiles="emulated",
        features=bf16.features,
        machines=bf16.machines,
    )
