"""Model files with random weights, in the shapes of real models."""

from inferflux.bench.synth.shapes import SHAPES, Mixture, Shape, shape_named
from inferflux.bench.synth.write import TYPES, Types, write_model

__all__ = ["SHAPES", "TYPES", "Mixture", "Shape", "Types", "shape_named", "write_model"]
