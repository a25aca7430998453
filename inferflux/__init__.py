"""InferFlux: compile a language model once, prove it, serve it anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflux.api import LLM, compile, load
    from inferflux.completion import Completion, CompletionStream
    from inferflux.errors import InferFluxError, InvalidArgument
    from inferflux.text.chat import ChatExtras

__version__ = "0.1.0"

# Public names and where they live; each is imported when it is first asked for.
_HOMES = {
    "ChatExtras": "inferflux.text.chat",
    "LLM": "inferflux.api",
    "compile": "inferflux.api",
    "load": "inferflux.api",
    "Completion": "inferflux.completion",
    "CompletionStream": "inferflux.completion",
    "InferFluxError": "inferflux.errors",
    "InvalidArgument": "inferflux.errors",
}

__all__ = [
    "LLM",
    "ChatExtras",
    "Completion",
    "CompletionStream",
    "InferFluxError",
    "InvalidArgument",
    "__version__",
    "compile",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import inferflux` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'inferflux' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
