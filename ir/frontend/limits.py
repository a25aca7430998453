"""What the files of a model may hold: one table for every reader; all else is bounded by bytes.

The numbers leave room for every published model (a vocabulary of 256k tokens with 512k merges,
shards whose headers have 2 MB, tokenizers of 35 MB) and keep the memory that hostile files can make
us take below 64 MiB + 4 x their size.
"""

from __future__ import annotations

MAX_FILE_BYTES = 1 << 48  # no file is so long: products of sizes stay far within 64 bits
MAX_PARTS = 4_096  # of a model in GGUF files
MAX_SHARDS = 1_000  # of a model in safetensors files
MAX_SIZE = 1 << 20  # of any count or dimension that metadata states: far above every model

MAX_METADATA = 65_536  # keys of a GGUF file
MAX_KEY_BYTES = 65_535  # the format's own limit
MAX_STRINGS = 1 << 21  # of all arrays: a 2-byte string takes 64 bytes of memory and 10 of the file
MAX_TENSORS = 65_535
MAX_TENSOR_NAME_BYTES = 63  # ggml keeps 64 with the closing zero
MAX_RANK = 4
MAX_ALIGNMENT = 1 << 20
DEFAULT_ALIGNMENT = 32

MAX_HEADER_BYTES = 16 << 20  # of a safetensors file; the format itself allows 100 MB
MAX_STORED_TENSORS = 200_000
MAX_STORED_NAME_BYTES = 512
MAX_STORED_RANK = 8

MAX_TEXT_BYTES = 64 << 20  # of a JSON file, or a chat template
MAX_JSON_MEMORY = 64 << 20  # that values of JSON may take, besides 3 bytes for each of their text
MAX_TEXT_GROWTH = 256  # of a text by a tokenizer's replacements: published ones stay below 20
