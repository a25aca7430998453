"""The one file that reads ``INFERFLUX_*`` variables.

| variable          | meaning                                        | default                     |
|-------------------|------------------------------------------------|-----------------------------|
| `INFERFLUX_CACHE` | folder of pulled models and compiled artifacts | `inferflux` below the XDG   |
|                   |                                                | cache, or below `~/.cache`  |

None of them changes what is compiled, so none is part of a cache key.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where models and artifacts are kept; it need not exist yet."""
    chosen = os.environ.get("INFERFLUX_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache"
    return base / "inferflux"


def record_dir() -> Path:
    """Where it is kept which artifacts were verified whole; it need not exist yet."""
    return cache_dir() / "verified"
