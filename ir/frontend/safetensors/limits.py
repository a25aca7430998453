"""What a safetensors file and the JSON beside it may hold; all else is bounded by their bytes.

The format itself allows headers of 100 MB; those of published shards have less than 2 MB.
"""

from __future__ import annotations

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 200_000
MAX_NAME_BYTES = 512
MAX_RANK = 8
MAX_JSON_BYTES = 64 << 20  # of one file beside the weights: the longest tokenizers take 35 MB
MAX_JSON_MEMORY = 64 << 20  # that values may take, besides 3 bytes for each of their text
MAX_SHARDS = 1000
