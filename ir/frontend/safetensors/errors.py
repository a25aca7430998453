"""The one error of the safetensors reader."""

from __future__ import annotations

from inferflux.ir.frontend.source import ModelFileError


class SafetensorsError(ModelFileError):
    """The bytes are not a safetensors file that can be trusted: cut short, corrupt, or hostile."""
