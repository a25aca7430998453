"""What a model computes: an immutable graph, its ops, and the passes over it."""

from inferflux.ir.graph import Graph, Node, Op, Stacked, Value
from inferflux.ir.types import DType, TensorType

__all__ = ["DType", "Graph", "Node", "Op", "Stacked", "TensorType", "Value"]
