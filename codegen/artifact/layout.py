"""Where the bytes of an artifact lie: header, manifest, then the parts in the manifest's order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from inferflux.codegen.artifact.errors import ArtifactError
from inferflux.codegen.artifact.manifest import Part

# As in PNG: a byte that is no ASCII, both line ends, end-of-file: a transfer as text shows.
MAGIC = b"\x89IFX\r\n\x1a\n"
SCHEMA_VERSION = 2  # of which a tokenizer is every step of a text to its tokens
MAX_MANIFEST_BYTES = 4 << 20  # lists the chunks of 240 GB of weights

PAGE_BYTES = 4096
HUGE_PAGE_BYTES = 2 << 20

_HEADER = struct.Struct("<8sI4xQ32s8x")  # magic, schema version, manifest's length, its sha256
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Header:
    manifest_bytes: int
    manifest_digest: bytes

    def pack(self) -> bytes:
        return _HEADER.pack(MAGIC, SCHEMA_VERSION, self.manifest_bytes, self.manifest_digest)


@dataclass(frozen=True, slots=True)
class Placed:
    """A part and where it begins; ``padding`` zero bytes lie before it."""

    part: Part
    offset: int
    padding: int

    @property
    def end(self) -> int:
        return self.offset + self.part.length


def unpack_header(encoded: bytes) -> Header:
    """The header in the first bytes of a file, or ArtifactError."""
    if encoded[: len(MAGIC)] != MAGIC:
        raise ArtifactError(f"not an artifact: it begins with {encoded[: len(MAGIC)]!r}")
    if len(encoded) < HEADER_BYTES:
        raise ArtifactError(f"truncated: the header has {HEADER_BYTES} bytes, {len(encoded)} found")
    _, version, manifest_bytes, digest = _HEADER.unpack(encoded)
    if version != SCHEMA_VERSION:
        raise ArtifactError(
            f"schema version {version} found, {SCHEMA_VERSION} supported: "
            + ("upgrade InferFlux" if version > SCHEMA_VERSION else "compile the model again")
        )
    header = Header(manifest_bytes, digest)
    if header.pack() != encoded:
        raise ArtifactError("the header's reserved bytes are not zero")
    if manifest_bytes > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"a manifest of {manifest_bytes} bytes, over {MAX_MANIFEST_BYTES}")
    return header


def place(parts: tuple[Part, ...], manifest_bytes: int) -> Iterator[Placed]:
    """Give each part its offset.  It follows from lengths alone: no file can lie about it."""
    end = HEADER_BYTES + manifest_bytes
    for part in parts:
        offset = -(-end // alignment(part)) * alignment(part)
        yield Placed(part, offset, padding=offset - end)
        end = offset + part.length


def alignment(part: Part) -> int:
    """A page, so that a part can be mapped by itself and begins on a cache line.

    Weights that fill a huge page begin on one: the kernel maps a file by huge pages only where
    file offset and address agree modulo 2 MiB.
    """
    is_huge = part.kind == "weights" and part.length >= HUGE_PAGE_BYTES
    return HUGE_PAGE_BYTES if is_huge else PAGE_BYTES
