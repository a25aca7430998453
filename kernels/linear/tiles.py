"""The shapes that products give to tile registers."""

from __future__ import annotations

TILE_ROWS = 16  # of activations, at most; fewer rows go through vectors

# By arithmetic, for each register: rows, bytes of a row. Sums, rows of activations, weights:
# of bf16 two of activations and two of weights make four sums; of int8 one block of 32 columns,
# half a register of each, makes one, and three blocks are on their way.
TILE_SHAPES = {
    "bf16": ((16, 64),) * 8,
    "i8x32": ((16, 64),) * 4 + ((16, 32), (8, 64)),
    "f32": (),
}
