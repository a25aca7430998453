"""Quantised weights of safetensors: each kind unpacked into a type that kernels read."""

from inferflux.ir.frontend.huggingface.quantisation.scheme import Scheme, read_scheme

__all__ = ["Scheme", "read_scheme"]
