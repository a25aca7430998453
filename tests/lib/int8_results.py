"""Rows of int8 as a step leaves them, with the sums that are kept for products with weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.kernels.storage import Int8Rows, SuperRows

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Blocks:
    """An i8x32 value."""

    values: Array
    scales: Array
    scaled_sums: Array
    corrections: Array
    half_corrections: tuple[Array, ...] | None  # where a reader wants them


@dataclass(frozen=True)
class SuperBlocks:
    """An i8x256 value."""

    values: Array
    scales: Array
    sums: Array  # of 32 columns
    half_sums: Array | None  # of 16, where a reader wants them


Result = Blocks | SuperBlocks


def read(place: Int8Rows | SuperRows, buffers: Mapping[str, Array], rows: int) -> Result:
    """What lies in so many rows."""

    def at(buffer: str, start: int, columns: int) -> Array:
        return buffers[buffer][start : start + rows * columns].reshape(rows, columns).copy()

    values = at("scratch_i8", place.values, place.columns)
    if isinstance(place, SuperRows):
        sums = at("scratch_i32", place.sums, place.columns // 64).view(np.int16)
        halves = place.half_sums
        return SuperBlocks(
            values,
            at("scratch_f32", place.scales, place.super_blocks),
            sums,
            None
            if halves is None
            else at("scratch_i32", halves, place.columns // 32).view(np.int16),
        )
    return Blocks(
        values,
        at("scratch_f32", place.scales, place.blocks),
        at("scratch_f32", place.scaled_sums, place.blocks),
        at("scratch_i32", place.corrections, place.blocks),
        place.half_corrections
        and tuple(at("scratch_i32", start, place.blocks) for start in place.half_corrections),
    )
