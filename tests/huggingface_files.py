"""Writes safetensors files and small directories as people publish them, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Stored = tuple[str, tuple[int, ...], bytes]  # kind, shape, content

KINDS = {
    np.dtype(np.float32): "F32",
    np.dtype(np.float16): "F16",
    np.dtype(np.float64): "F64",
    np.dtype(np.int8): "I8",
    np.dtype(np.uint8): "U8",
    np.dtype(np.int32): "I32",
    np.dtype(np.int64): "I64",
}


def store(values: Array, kind: str | None = None) -> Stored:
    """An array as a file holds it; float32 goes to ``BF16`` and bytes to ``F8_E4M3`` if asked."""
    if kind == "BF16":
        return kind, values.shape, to_bf16(values).tobytes()
    if kind == "F16":
        return kind, values.shape, values.astype("<f2").tobytes()
    return kind or KINDS[values.dtype], values.shape, np.ascontiguousarray(values).tobytes()


def to_bf16(values: Array) -> Array:
    """Float32 to the upper halves of the nearest, halves to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def entries(tensors: Mapping[str, Stored]) -> dict[str, Any]:
    """The header of ``pack``, as an object."""
    header: dict[str, Any] = {}
    at = 0
    for name, (kind, shape, content) in tensors.items():
        header[name] = {
            "dtype": kind,
            "shape": list(shape),
            "data_offsets": [at, at + len(content)],
        }
        at += len(content)
    return header


def pack(tensors: Mapping[str, Stored], header: object = None, tail: bytes = b"") -> bytes:
    """A file of ``tensors``; under another header, which may lie, or with more at its end."""
    text = header if isinstance(header, bytes) else json.dumps(header or entries(tensors)).encode()
    text += b" " * (-len(text) % 8)
    content = b"".join(content for _, _, content in tensors.values())
    return len(text).to_bytes(8, "little") + text + content + tail
