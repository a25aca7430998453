"""InferFlux: compile a language model once, prove it, serve it anywhere."""

__version__ = "0.1.0"
