"""GGUF model files."""

from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.gguf.reader import open_model

__all__ = ["GGUFError", "open_model"]
