"""Stages: nodes that need nothing of one another, whose pieces workers claim without a wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from inferflux.ir.graph import Graph, Node, Value


def stages(graph: Graph) -> Iterator[Sequence[Node]]:
    """Every node, each as early as its operands allow; within a stage in the graph's order.

    Barriers stand between stages alone.  A loop of layers, which has its own, is one by itself.
    """
    earliest: dict[Value, int] = {}
    found: defaultdict[int, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        number = max((earliest[value] for value in node.inputs if value in earliest), default=0)
        found[number].append(node)
        earliest.update(dict.fromkeys(node.results, number + 1))
    for number in sorted(found):
        loops = [node for node in found[number] if node.bodies]
        if beside := [node for node in found[number] if not node.bodies]:
            yield beside
        yield from ([loop] for loop in loops)
