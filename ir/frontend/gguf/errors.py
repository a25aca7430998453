"""The one error of the GGUF reader."""

from __future__ import annotations

from inferflux.ir.frontend.source import ModelFileError


class GGUFError(ModelFileError):
    """The bytes are not a GGUF file that can be trusted: cut short, corrupt, or hostile."""
