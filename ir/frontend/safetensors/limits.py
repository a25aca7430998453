"""What a safetensors file may hold; all else is bounded by the bytes of the file.

The format itself allows headers of 100 MB; those of published shards have less than 2 MB.
"""

from __future__ import annotations

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 200_000
MAX_NAME_BYTES = 512
MAX_RANK = 8
