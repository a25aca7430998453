"""The words that phase bodies are written in: vector idioms as TIR expressions, per ISA.

A template says ``silu(gate0[lanes(0)])``; what that is in TIR, and which of it is one instruction
on the machine, is said here, a family of words a file. Everything is 16 lanes wide; LLVM splits it
where registers are narrower. Nothing calls libm, so that results are the same wherever an ISA's
code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from inferflux.codegen.targets.words.bfloats import Bfloats
from inferflux.codegen.targets.words.dots import Dots, FloatDots
from inferflux.codegen.targets.words.dots_avx2 import MaddDots
from inferflux.codegen.targets.words.dots_four import (
    SdotDots,
    UsdotDots,
    Vnni256Dots,
    Vnni512Dots,
)
from inferflux.codegen.targets.words.halves import ComputedHalves, NativeHalves
from inferflux.codegen.targets.words.lanes import Lanes
from inferflux.codegen.targets.words.loops import Loops
from inferflux.codegen.targets.words.memory import Memory
from inferflux.codegen.targets.words.numbers import Numbers
from inferflux.codegen.targets.words.stack import Stack
from inferflux.codegen.targets.words.tables import Pshufb256, Pshufb512, Tables, Tbl
from inferflux.codegen.targets.words.tiles import AmxTiles, Tiles
from inferflux.codegen.targets.words.tir import Expr
from inferflux.codegen.targets.words.workers import Workers

if TYPE_CHECKING:
    from inferflux.codegen.target import CpuTarget

DOTS: Mapping[str, type[Dots]] = {
    "float": FloatDots,
    "vpdpbusd.512": Vnni512Dots,
    "vpdpbusd.256": Vnni256Dots,
    "vpmaddubsw": MaddDots,
    "sdot": SdotDots,
    "usdot": UsdotDots,
}
TABLES: Mapping[str, type[Tables]] = {
    "": Tables,
    "vpshufb.512": Pshufb512,
    "vpshufb.256": Pshufb256,
    "tbl": Tbl,
}
TILES: dict[str, type[Tiles]] = {"": Tiles, "amx": AmxTiles}


def words(target: CpuTarget) -> Mapping[str, Any]:
    """Names for the text of a target's steps: ``T`` and the words.  Imports TVM."""
    from tvm.script import tirx

    halves = NativeHalves if target.native_half else ComputedHalves
    named: dict[str, Callable[..., Expr]] = {}
    isa = halves, DOTS[target.dots], TABLES[target.tables], Bfloats, TILES[target.tiles]
    for family in (Lanes, Loops, Memory, Numbers, *isa, Stack, Workers):
        words = family(tirx)
        named |= {name: getattr(words, name) for name in dir(words) if name[0].islower()}
    return {"T": tirx, **named}
