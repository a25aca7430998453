"""A projection, or a sum of experts, adds straight onto the residual stream."""

from __future__ import annotations

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Replacement, Uses, apply, rewrites


def fuse_residual(graph: Graph, config: PassConfig) -> Graph:
    return apply(graph, (linear_then_add, combine_then_add))


@rewrites(ops.add)
def linear_then_add(total: Node, uses: Uses) -> Replacement | None:
    """add(residual, linear(x, w))  ->  linear_residual(x, w, residual)

    Legal: it is the same sum.  The product must have no other reader, or it would be computed
    twice.
    """
    match total.inputs:
        case (residual, Value(op=ops.linear, args=(x, weight)) as product) if uses[product] == 1:
            return {total.results[0]: ops.linear_residual(x, weight, residual)}
        case _:
            return None


@rewrites(ops.add)
def combine_then_add(total: Node, uses: Uses) -> Replacement | None:
    """add(residual, combine(products, shares))  ->  combine_residual(products, shares, residual)

    Legal: it is the same sum.
    """
    match total.inputs:
        case (residual, Value(op=ops.combine, args=(products, shares)) as sum_) if uses[sum_] == 1:
            return {total.results[0]: ops.combine_residual(products, shares, residual)}
        case _:
            return None
