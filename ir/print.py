"""Graphs as text: stable, complete, diffable, within 120 columns, and parsed back by ir.parse.

    graph NAME(%input: type, ...) weights(%weight: type = "tensor in the file", ...):
      %result, ... = op(%operand, ..., attribute=value) : type, ...
      %result, ... = repeat(kinds=(...), stacked=(...))
          carry(%name = %start, ...) with(%invariant, ...):
        kind 0(%weight, ...):
          ...
          yield %result, ...
      return %result, ...

Attributes at their default are left out.  The bodies of a repeat are scopes of their own: they see
the names in ``carry``, in ``with`` and their kind's weights; ``%x`` there is short for ``%x = %x``.
Types are left out where they follow: a body's weight is one layer of the stack it is bound to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.literals import attr_pieces, sources_pieces

WIDTH = 120
Names = dict[Value, str]


def graph_text(graph: Graph) -> str:
    """The text of ``graph``, ending in a newline."""
    names = _name(graph)
    title = "graph" if graph.name == "graph" else f"graph {_title(graph.name)}"
    lines = _header(graph, names, title)
    lines += _body(graph, names, "  ", "return")
    return "\n".join(lines) + "\n"


def _header(graph: Graph, names: Names, title: str) -> list[str]:
    inputs = [f"%{names[value]}: {value.type}" for value in graph.inputs]
    weights = [_weight(value, names) for value in graph.weights]
    flat = f"{title}({', '.join(inputs)}):"
    if not weights and len(flat) <= WIDTH:
        return [flat]
    lines = [f"{title}(", *_fill(_commas(inputs), "  ")]
    if weights:
        lines.append(") weights(")
        for index, pieces in enumerate(weights):
            comma = "," if index + 1 < len(weights) else ""
            lines += _fill([*pieces[:-1], pieces[-1] + comma], "  ")
    return [*lines, "):"]


def _weight(weight: Value, names: Names) -> list[str]:
    declared = f"%{names[weight]}: {weight.type}"
    return [declared, "=", *sources_pieces(weight.sources)] if weight.sources else [declared]


def _body(graph: Graph, names: Names, indent: str, last: str) -> Iterator[str]:
    for node in graph.nodes:
        yield from _repeat(node, names, indent) if node.bodies else _plain(node, names, indent)
    outputs = _commas(f"%{names[value]}" for value in graph.outputs)
    yield from _fill([last, *outputs], indent)


def _plain(node: Node, names: Names, indent: str) -> list[str]:
    operands = [[f"%{names[value]}"] for value in node.inputs]
    arguments = _commas_between([*operands, *_attrs(node)])
    types = _commas(str(result.type) for result in node.results)
    call = _enclosed(f"{node.op.name}(", arguments, ")")
    return _fill([*_results(node, names), "=", *call, ":", *types], indent)


def _repeat(node: Node, names: Names, indent: str) -> Iterator[str]:
    num_carried, num_inputs = len(node.bodies[0].outputs), len(node.bodies[0].inputs)
    bodies = _name_bodies(node.bodies)
    bound = [
        _bind(bodies[0][inner], names[outer])
        for inner, outer in zip(node.bodies[0].inputs, node.inputs, strict=False)
    ]
    call = _enclosed(f"{node.op.name}(", _commas_between(_attrs(node)), ")")
    yield from _fill([*_results(node, names), "=", *call], indent)
    carry = _enclosed("carry(", _commas(bound[:num_carried]), ")")
    within = _enclosed("with(", _commas(bound[num_carried:]), "):")
    yield from _fill([*carry, *within], indent + "    ")
    stacks = iter(node.inputs[num_inputs:])
    for kind, (body, inner) in enumerate(zip(node.bodies, bodies, strict=True)):
        weights = [_bind(inner[weight], names[next(stacks)]) for weight in body.weights]
        yield from _fill(_enclosed(f"kind {kind}(", _commas(weights), "):"), indent + "  ")
        yield from _body(body, inner, indent + "    ", "yield")


def _bind(inner: str, outer: str) -> str:
    return f"%{inner}" if inner == outer else f"%{inner} = %{outer}"


def _results(node: Node, names: Names) -> list[str]:
    return _commas(f"%{names[result]}" for result in node.results)


def _attrs(node: Node) -> list[list[str]]:
    """``name=value`` of what is not at its default: as the op declares them, then by name."""
    order = [*node.op.attributes, *sorted(set(node.attrs) - set(node.op.attributes))]
    defaults = node.op.defaults
    return [
        attr_pieces(name, node.attrs[name])
        for name in order
        if name not in defaults or node.attrs[name] != defaults[name]
    ]


def _name(graph: Graph) -> Names:
    """A name for each value: its hint, made unique; a number where it has none."""
    results = (result for node in graph.nodes for result in node.results)
    return _unique([*graph.inputs, *graph.weights, *results], {})


def _name_bodies(bodies: Sequence[Graph]) -> list[Names]:
    """The bodies share the names of their inputs, as they share one ``carry`` and ``with``."""
    first = _unique(bodies[0].inputs, {})
    named: list[Names] = []
    for body in bodies:
        inputs = dict(zip(body.inputs, first.values(), strict=True))
        results = (result for node in body.nodes for result in node.results)
        named.append(_unique([*body.weights, *results], inputs))
    return named


def _unique(values: Iterable[Value], named: Names) -> Names:
    names = dict(named)
    taken = set(names.values())
    for value in values:
        hint = _clean(value.hint)
        name, number = hint or "0", 0
        while name in taken:
            number += 1
            name = f"{hint}_{number}" if hint else str(number)
        names[value] = name
        taken.add(name)
    return names


def _clean(hint: str) -> str:
    """What the parser takes as a name; hints may come from a file, which may say anything."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", hint)


def _title(name: str) -> str:
    cleaned = _clean(name)
    return cleaned if re.match("[A-Za-z_]", cleaned) else f"_{cleaned}"


def _commas(items: Iterable[str]) -> list[str]:
    return _commas_between([[item] for item in items])


def _commas_between(items: Sequence[Sequence[str]]) -> list[str]:
    """Pieces of items, one list, with a comma behind each item but the last."""
    pieces: list[str] = []
    for index, item in enumerate(items):
        comma = "," if index + 1 < len(items) else ""
        pieces += [*item[:-1], item[-1] + comma]
    return pieces


def _enclosed(opening: str, pieces: Sequence[str], closing: str) -> list[str]:
    if not pieces:
        return [opening + closing]
    return _closed([opening + pieces[0], *pieces[1:]], closing)


def _closed(pieces: Sequence[str], closing: str) -> list[str]:
    return [*pieces[:-1], pieces[-1] + closing]


def _fill(pieces: Sequence[str], indent: str) -> list[str]:
    """Lines of pieces a space apart, broken only between pieces; what follows is indented more."""
    lines = [indent + pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"{indent}    {piece}")
    return lines
