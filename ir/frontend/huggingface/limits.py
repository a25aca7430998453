"""What the texts of a model's directory may hold."""

from __future__ import annotations

MAX_TEXT_BYTES = 64 << 20  # of one file: the longest tokenizers take 35 MB
MAX_JSON_MEMORY = 64 << 20  # that values may take, besides 3 bytes for each of their text
MAX_SHARDS = 1000
