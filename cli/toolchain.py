"""Everything installed here that decides the bytes of a compiled artifact, as one key factor."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

from inferflux.codegen.keys import lines

# Libraries that generate code or pack weights, and our own packages that do.
_LIBRARIES = ("apache-tvm", "apache-tvm-ffi", "numpy")
_PACKAGES = ("inferflux.autotune_cache", "inferflux.codegen", "inferflux.ir", "inferflux.kernels")
_SOURCES = {".py", ".j2", ".ll", ".json"}


def toolchain() -> str:
    """A line per library and package: an edited kernel is never served from the cache."""
    versions = {name: _version(name) for name in _LIBRARIES}
    return lines(versions | {package: _text_digest(_folder(package)) for package in _PACKAGES})


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations, f"{package} is no package"
    return Path(spec.submodule_search_locations[0])


def _text_digest(folder: Path) -> str:
    """The first half of sha256 over names and contents of the folder's sources."""
    digest = hashlib.sha256()
    sources = (path for path in folder.rglob("*") if path.suffix in _SOURCES)
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in sources):
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]
