"""What a GGUF file may hold, in one table; everything else is bounded by the bytes of the file.

The numbers leave room for every published model (a vocabulary of 256k tokens with 512k merges)
and keep the memory that a hostile file can make us take below 64 MiB + 4 x its size.
"""

from __future__ import annotations

MAX_METADATA = 65_536  # keys
MAX_KEY_BYTES = 65_535  # the format's own limit
MAX_STRINGS = 1 << 21  # of all arrays: a 2-byte string takes 64 bytes of memory and 10 of the file
MAX_TENSORS = 65_535
MAX_PARTS = 4_096  # files of one model
MAX_TENSOR_NAME_BYTES = 63  # ggml keeps 64 with the closing zero
MAX_RANK = 4
MAX_ALIGNMENT = 1 << 20
DEFAULT_ALIGNMENT = 32
