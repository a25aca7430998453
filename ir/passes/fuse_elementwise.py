"""Chains of elementwise ops become one formula, computed with the product they end, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Op, Value
from inferflux.ir.ops.computed import OPERANDS, PRODUCT
from inferflux.ir.ops.formula import is_elementwise, renamed, spelled
from inferflux.ir.passes.config import PassConfig
from inferflux.ir.rewrite import Uses, count_uses, substitute


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula and what its names stand for: ``a`` for the first operand, ``b``, ..."""

    text: str
    operands: tuple[Value, ...]


def fuse_elementwise(graph: Graph, config: PassConfig) -> Graph:
    """add(x, scale(linear(y, w), by=0.2))  ->  linear_then(y, w, x, formula="add(a, scale(...))")

    Legal: a formula means its ops.  What others read too stays a value of its own.  An op that is
    left alone becomes an ``elementwise`` as well: of all of them there is one kernel.
    """
    uses = count_uses(graph)
    formulas: dict[Value, Formula] = {}
    for node in graph.nodes:
        if is_elementwise(node.results[0]):
            formulas[node.results[0]] = _formula(node, formulas, uses)
    return substitute(graph, {value: _fused(value, each, uses) for value, each in formulas.items()})


def _formula(node: Node, formulas: Mapping[Value, Formula], uses: Uses) -> Formula:
    """Of a node, with the formulas that only it reads, unless these have too many operands."""
    alone = [Formula(OPERANDS[0], (value,)) for value in node.inputs]
    read = [
        formulas[value] if value in formulas and uses[value] == 1 else each
        for value, each in zip(node.inputs, alone, strict=True)
    ]
    parts = read if len(_operands(read)) <= len(OPERANDS) else alone
    operands = _operands(parts)
    names = dict(zip(operands, OPERANDS, strict=False))
    texts = [_named(part, names) for part in parts]
    return Formula(spelled(node.op, texts, node.attrs), operands)


def _fused(value: Value, formula: Formula, uses: Uses) -> Value:
    """``elementwise``, or ``linear_then`` where an operand is a product that nobody else reads."""
    products = [each for each in formula.operands if each.op is ops.linear and uses[each] == 1]
    if not products:
        return _only(ops.elementwise, formula.operands, formula.text, value)
    product = products[-1]  # in canonical order the longest way from the inputs
    others = [each for each in formula.operands if each is not product]
    text = _named(formula, {**dict(zip(others, OPERANDS, strict=False)), product: PRODUCT})
    return _only(ops.linear_then, (*product.args, *others), text, value)


def _operands(parts: Sequence[Formula]) -> tuple[Value, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(value for part in parts for value in part.operands))


def _named(formula: Formula, names: Mapping[Value, str]) -> str:
    """A formula's text with other names for its operands."""
    own = zip(OPERANDS, formula.operands, strict=False)
    return renamed(formula.text, {name: names[value] for name, value in own})


def _only(op: Op, operands: Sequence[Value], formula: str, old: Value) -> Value:
    """The one result of an op that computes a formula, called as the old value was."""
    return op.node(operands, {"formula": formula}, hints=(old.hint,)).results[0]
