"""Writes GGUF files, and the tokenizer that all small models of the suite have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Array = np.ndarray[Any, Any]
Stored = tuple[Array, gguf.GGMLQuantizationType]  # as the file holds it

VOCAB = 320  # 3 special tokens, 256 bytes, 61 merges
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_PAIRS = (  # left part - right part
    "Ġ-t Ġ-a i-n h-e Ġ-Ġ r-e o-n e-r Ġt-he a-t Ġ-s Ġ-o e-n Ġ-c e-s Ġ-w n-d i-t o-r i-s a-l Ġ-p "
    "in-g Ġ-f a-n e-d Ġ-b o-u a-r Ġ-in Ġo-f Ġ-m Ġa-nd i-on i-c Ġ-d Ġt-o ĠĠ-ĠĠ l-e r-o a-s en-t "
    "Ġ-h Ġt-h c-t Ġ-e Ġ-re e-l o-m i-l s-t Ġ-l Ġ-n e-t i-m v-e o-l at-ion Ġ-g i-d Ġ-T"
)
MERGES = tuple(pair.replace("-", " ") for pair in _PAIRS.split())
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_gguf(
    path: Path,
    architecture: str,
    metadata: Mapping[str, object],
    tensors: Mapping[str, Stored],
    tensors_per_file: int = 0,
) -> Path:
    """``metadata`` by whole keys.  Gives the file, or the first of several."""
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors_per_file)
    for key, value in metadata.items():
        _add(writer, key, value)
    for name, (values, type_) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return min(path.parent.glob(f"{path.stem}*"))


def tokenizer() -> dict[str, Any]:
    """A byte-level BPE as GPT-2's: every byte is a token, so any text has one."""
    tokens = [*SPECIAL, *_byte_characters(), *(merge.replace(" ", "") for merge in MERGES)]
    assert len(tokens) == len(set(tokens)) == VOCAB
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (VOCAB - len(SPECIAL)),
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": np.uint32(1),
        "tokenizer.ggml.eos_token_id": np.uint32(2),
        "tokenizer.ggml.unknown_token_id": np.uint32(0),
        "tokenizer.ggml.padding_token_id": np.uint32(2),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": CHATML,
    }


def _byte_characters() -> Sequence[str]:
    """The printable stand-in of each byte 0..255: itself, or a letter from 256 on."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(174, 256)}
    hidden = (byte for byte in range(256) if byte not in visible)
    stand_ins = {byte: 256 + index for index, byte in enumerate(hidden)}
    return [chr(stand_ins.get(byte, byte)) for byte in range(256)]


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case str():
            writer.add_string(key, value)
        case list():
            writer.add_array(key, value)
        case np.float32():
            writer.add_float32(key, float(value))
        case np.uint32():
            writer.add_uint32(key, int(value))
        case np.int32():
            writer.add_int32(key, int(value))
        case _:
            raise TypeError(f"{key}: no GGUF type is chosen for {value!r}")
