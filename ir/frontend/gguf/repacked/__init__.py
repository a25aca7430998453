"""Tensor types of GGUF that no kernel reads: what they mean, and the type they become."""

from inferflux.ir.frontend.gguf.repacked.repacking import REPACKED, Repacking, repack, widen

__all__ = ["REPACKED", "Repacking", "repack", "widen"]
