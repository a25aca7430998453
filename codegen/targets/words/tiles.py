"""Matrices in the tile registers of AMX: what is loaded, multiplied and stored, tile by tile.

Registers are configured by a worker at the start of a step whose phases use them, and released at
its end. See Intel's Architecture Instruction Set Extensions Programming Reference, chapter 3.
"""

from __future__ import annotations

from inferflux.codegen.targets.words.tir import Buffer, Expr, Words


class Tiles(Words):
    """The tiles of a machine that has none: no phase is spelled with them."""

    DEFINITIONS = ""  # functions in LLVM's language that the words call


class AmxTiles(Tiles):
    """AMX-TILE, AMX-BF16 and AMX-INT8.  ``tile`` is a register's number, 0 to 7."""

    def tiles_configured(self, config: Buffer) -> Expr:
        """Give the registers the shapes that 64 bytes say."""
        return self._run("ldtilecfg", self._t.address_of(config[0]))

    def tiles_released(self) -> Expr:
        return self._run("tilerelease")

    def tile_zero(self, tile: int) -> Expr:
        return self._run("tilezero", self._t.int8(tile))

    def tile_load(self, tile: int, buffer: Buffer, at: Expr, stride: int) -> Expr:
        """Rows that begin ``stride`` bytes apart, the first at element ``at``."""
        where = self._t.address_of(buffer[at])
        return self._run("tileloadd64", self._t.int8(tile), where, self._t.int64(stride))

    def tile_store(self, tile: int, buffer: Buffer, at: Expr, stride: int) -> Expr:
        where = self._t.address_of(buffer[at])
        return self._run("tilestored64", self._t.int8(tile), where, self._t.int64(stride))

    def tile_dot_bf16(self, total: int, rows: int, columns: int) -> Expr:
        """total (16 x 16 f32) += rows (16 x 16 pairs) @ columns (16 pairs x 16)."""
        return self._run("tdpbf16ps", *map(self._t.int8, (total, rows, columns)))

    def tile_dot_int8(self, total: int, rows: int, columns: int) -> Expr:
        """total (16 x 16 i32) += rows (16 x 8 fours of i8) @ columns (8 fours of u8 x 16)."""
        return self._run("tdpbsud", *map(self._t.int8, (total, rows, columns)))

    def _run(self, name: str, *args: Expr) -> Expr:
        intrinsic = self._t.llvm_lookup_intrinsic_id(f"llvm.x86.{name}")
        return self._t.call_llvm_intrin("void", intrinsic, *args)
