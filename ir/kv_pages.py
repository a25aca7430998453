"""KV pages on NumPy: floats as they are, or int8 with an f16 scale for 32 elements of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from inferflux.ir.graph import Array
from inferflux.ir.types import I8PAGE


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedPages:
    """An i8page value: x = values * scales, a scale for 32 elements of a head, of one token."""

    values: Array  # int8 [N, L, K, D_h, P] or [N, L, K, P, D_h]
    scales: Array  # f16 [N, L, K, D_h / 32, P]

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.values.shape
        return shape

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes + self.scales.nbytes)

    def copy(self) -> QuantisedPages:
        return QuantisedPages(self.values.copy(), self.scales.copy())


Pages = Array | QuantisedPages
Place = tuple[Any, ...]  # which page, layer, heads, elements and token


def write_rows(pages: Pages, place: Place, scale_place: Place, rows: Array) -> None:
    """Store f32[T, K, D_h] where the two places say."""
    if isinstance(pages, QuantisedPages):
        pages.values[place], pages.scales[scale_place] = quantise_heads(rows)
    else:
        pages[place] = rows


def read_rows(pages: Pages, place: Place, scale_place: Place) -> Array:
    """f32[S, K, D_h] from where the two places say."""
    if isinstance(pages, QuantisedPages):
        scales = np.repeat(pages.scales[scale_place].astype(np.float32), I8PAGE.block, axis=-1)
        return np.asarray(pages.values[place].astype(np.float32) * scales)
    return pages[place].astype(np.float32)


def quantise_heads(x: Array) -> tuple[Array, Array]:
    """f32 [..., D_h] to int8 and f16 [..., D_h / 32]: scale = amax / 127, q = rint(x / scale).

    Values are rounded by the scale as it is stored.
    """
    blocks = x.reshape(*x.shape[:-1], -1, I8PAGE.block)
    scales = (np.abs(blocks).max(axis=-1) * np.float32(1 / 127)).astype(np.float16)
    wide = scales.astype(np.float32)
    inverse = np.divide(np.float32(1), wide, out=np.zeros_like(wide), where=wide > 0)
    values = np.clip(np.rint(blocks * inverse[..., None]), -127, 127).astype(np.int8)
    return values.reshape(x.shape), scales
