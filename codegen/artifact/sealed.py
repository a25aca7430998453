"""An artifact's file, open: nothing of it is believed before its digest has been seen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from inferflux.codegen.artifact.checks import check
from inferflux.codegen.artifact.chunks import chunk_span, in_threads, sha256
from inferflux.codegen.artifact.compiled import Bytes
from inferflux.codegen.artifact.errors import ArtifactError
from inferflux.codegen.artifact.layout import HEADER_BYTES, Placed, place, unpack_header
from inferflux.codegen.artifact.manifest import Manifest, artifact_digest, read_manifest

_LONGEST_MESSAGE = 500  # a damaged file may name things at any length


@dataclass(frozen=True, slots=True)
class SealedFile:
    """Header, manifest, size and padding are verified; parts are as they are read."""

    file: FileIO
    identity: tuple[int, ...]
    digest: str
    manifest: Manifest
    placed: Mapping[str, Placed]  # by part name

    def read(self, name: str) -> bytes:
        """A whole part, verified."""
        return b"".join(self._chunk(name, index) for index in self._chunks(name))

    def map(self, name: str) -> Bytes:
        """A whole part as a read-only view of the file.  Verifying it is up to the caller."""
        import numpy as np

        placed = self.placed[name]
        return np.memmap(self.file, np.uint8, "r", placed.offset, (placed.part.length,))

    def verify(self, names: Sequence[str]) -> None:
        """Digest every chunk of these parts and keep none."""
        chunks = ((name, index) for name in names for index in self._chunks(name))
        in_threads(self._verify_chunk, chunks)
        if _identity(self.file) != self.identity:
            raise _damaged("the file changed while it was read")

    def _chunks(self, name: str) -> range:
        return range(len(self.placed[name].part.chunks))

    def _verify_chunk(self, chunk: tuple[str, int]) -> None:
        self._chunk(*chunk)

    def _chunk(self, name: str, index: int) -> bytes:
        placed = self.placed[name]
        start, end = chunk_span(placed.part.length, index)
        # Not through the mapping: pages that were only digested would count as the process's.
        content = _read(self.file, placed.offset + start, placed.offset + end, f"part {name}")
        if sha256(content) != placed.part.chunks[index]:
            raise _damaged(
                f"part {name}, chunk {index} (its bytes {start}..{end} of {placed.part.length}) "
                "does not match its digest"
            )
        return content


@contextmanager
def open_sealed(path: Path) -> Iterator[SealedFile]:
    """Open the artifact at ``path``.  Every ArtifactError raised in the block names the path."""
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            yield _sealed(file)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ArtifactError as error:
        complaint = str(error)[:_LONGEST_MESSAGE]
        raise ArtifactError(f"{path}: {complaint}") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe would wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _sealed(file: FileIO) -> SealedFile:
    identity = _identity(file)
    header = unpack_header(os.pread(file.fileno(), HEADER_BYTES, 0))
    manifest_end = HEADER_BYTES + header.manifest_bytes
    encoded = _read(file, HEADER_BYTES, manifest_end, "the manifest")
    digest = artifact_digest(encoded)
    if digest != header.manifest_digest.hex():
        raise _damaged("the manifest does not match its digest in the header")
    manifest = read_manifest(encoded)
    check(manifest)
    placed = tuple(place(manifest.parts, header.manifest_bytes))
    _check_extent(file, placed)
    return SealedFile(file, identity, digest, manifest, {p.part.name: p for p in placed})


def _check_extent(file: FileIO, placed: Sequence[Placed]) -> None:
    """Every byte of the file belongs to something: no gap but zeros, nothing missing or left."""
    size = os.fstat(file.fileno()).st_size
    for part in placed:
        _check_present(size, part.offset, part.end, f"part {part.part.name}")
    if size != placed[-1].end:
        raise _damaged(f"{size - placed[-1].end} bytes follow the last part")
    for part in placed:
        padding = _read(file, part.offset - part.padding, part.offset, "padding")
        if padding != bytes(part.padding):
            raise _damaged(f"the padding before part {part.part.name} is not zero")


def _read(file: FileIO, start: int, end: int, what: str) -> bytes:
    """Bytes ``start..end`` of the file; checked against its size before memory is taken."""
    _check_present(os.fstat(file.fileno()).st_size, start, end, what)
    content = os.pread(file.fileno(), end - start, start)
    _check_present(start + len(content), start, end, what)
    return content


def _check_present(size: int, start: int, end: int, what: str) -> None:
    if end > size:
        raise _damaged(f"truncated: {what} is bytes {start}..{end}, and the file ends at {size}")


def _damaged(complaint: str) -> ArtifactError:
    return ArtifactError(f"{complaint}; copy the file again")


def _identity(file: FileIO) -> tuple[int, ...]:
    """What changes when the file's contents do, or when another file takes its name."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError("not a regular file")
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
