"""How each weight is packed for kernels that stream rows of it in panels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op, Value
from inferflux.ir.ops.repeat import parts
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import substitute

PANEL = "panel16"  # 16 rows side by side
PAIRS = "panel16.pairs"  # the same, the two rows that rope turns together as neighbours

VECTOR_PAIRS = "pairs"  # a vector that is added to such rows: their order, not in panels

# Operands that are read in another order than the file's.  All others have none.
LAYOUTS: Mapping[Op, Mapping[str, str]] = {
    ops.embed: {"weight": PANEL},
    ops.linear: {"weight": PANEL},
    ops.linear_residual: {"weight": PANEL},
    ops.linear_then: {"weight": PANEL},
    ops.gate_up: {"w_gate": PANEL, "w_up": PANEL},
    ops.gate_up_quantise: {"w_gate": PANEL, "w_up": PANEL},
    ops.expert_gate_up: {"w_gate": PANEL, "w_up": PANEL},
    ops.expert_gate_up_quantise: {"w_gate": PANEL, "w_up": PANEL},
    ops.expert_linear: {"weight": PANEL},
    ops.linear_heads: {"weight": PANEL},
    ops.qkv_rope_append: {
        "wq": PAIRS,
        "wk": PAIRS,
        "wv": PANEL,
        "bq": VECTOR_PAIRS,
        "bk": VECTOR_PAIRS,
    },
}


def choose_layouts(graph: Graph, config: PassConfig) -> Graph:
    """w: q4_1[N, K]  ->  w: q4_1[N, K]@panel16

    Legal: a layout says how a weight lies in memory, not what it is.  All readers of one weight
    must want the same; where they do not, it stays row-major.
    """
    return _placed(graph)


def _placed(graph: Graph) -> Graph:
    layouts = _layouts(graph)
    replaced = {weight: _with_layout(weight, layouts[weight]) for weight in graph.weights}
    for node in graph.nodes:
        if node.bodies:
            inputs = [replaced.get(value, value) for value in node.inputs]
            bodies = tuple(_placed(body) for body in node.bodies)
            hints = [value.hint for value in node.results]
            placed = node.op.node(inputs, node.attrs, bodies, hints)
            replaced.update(zip(node.results, placed.results, strict=True))
    return substitute(graph, replaced)


def _layouts(graph: Graph) -> dict[Value, str]:
    """The layout of each weight: the one its readers want, none where they differ."""
    wanted: dict[Value, set[str]] = {weight: set() for weight in graph.weights}
    for node in graph.nodes:
        for value, layout in _reads(node):
            if value in wanted:
                wanted[value].add(layout)
    return {
        value: next(iter(layouts)) if len(layouts) == 1 else "" for value, layouts in wanted.items()
    }


def _reads(node: Node) -> Iterator[tuple[Value, str]]:
    """Each operand of a node with the layout the node reads it in; of a repeat, its bodies."""
    if not node.bodies:
        wanted = LAYOUTS.get(node.op, {})
        for name, value in node.operands.items():
            yield value, wanted.get(name, "")
        return
    split = parts(node)
    for value in (*split.carried, *split.invariants):
        yield value, ""
    for body, stacks in zip(node.bodies, split.weights, strict=True):
        layouts = _layouts(body)
        for weight, stack in zip(body.weights, stacks, strict=True):
            yield stack, layouts[weight]


def _with_layout(weight: Value, layout: str) -> Value:
    return replace(weight, type=replace(weight.type, layout=layout))
