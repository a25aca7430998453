"""Immutable SSA graphs: values, the nodes that make them, and the ops the nodes apply."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from inferflux.errors import InferFluxError
from inferflux.ir.types import TensorType

Array = np.ndarray[Any, np.dtype[Any]]
Meaning = Callable[..., Any]
TypeRule = Callable[..., TensorType | tuple[TensorType, ...]]


class TypeRuleError(InferFluxError):
    """The operands or attributes of an op break its type rule."""

    code = "invalid_graph"


@dataclass(frozen=True, slots=True)
class Stacked:
    """An attribute that differs by layer; ``repeat`` holds its values, one per layer.  ``@name``"""

    name: str

    def __str__(self) -> str:
        return f"@{self.name}"


Attr: TypeAlias = "int | float | str | bool | Stacked | tuple[Attr, ...] | None"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One SSA value: a graph's input or weight (no producer), or a result of a node."""

    type: TensorType
    hint: str = ""
    producer: Node | None = None
    index: int = 0  # which result of the producer
    sources: tuple[str, ...] = ()  # of a weight: its tensors in the file, stacked if several

    def __repr__(self) -> str:  # not all it is made of: that would be most of the graph
        return f"%{self.hint}: {self.type}"

    @property
    def op(self) -> Op | None:
        return self.producer.op if self.producer else None

    @property
    def args(self) -> tuple[Value, ...]:
        return self.producer.inputs if self.producer else ()

    @property
    def updated(self) -> Value | None:
        """The value this one is the next state of: of appended pages, the pages before."""
        if not self.producer or not self.producer.op.updates:
            return None
        op = self.producer.op
        operand = op.updates.get(op.results[self.index])
        return self.args[op.parameters.index(operand)] if operand else None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One application of an op.  ``bodies`` is empty but for ``repeat``, which has one per kind."""

    op: Op
    inputs: tuple[Value, ...]
    attrs: Mapping[str, Attr]
    bodies: tuple[Graph, ...] = ()
    results: tuple[Value, ...] = field(init=False, default=())

    @property
    def operands(self) -> Mapping[str, Value]:
        """Inputs by the rule's names; an optional operand that was not given has no entry."""
        return dict(zip(self.op.parameters, self.inputs, strict=False))

    def __repr__(self) -> str:
        return f"{list(self.results)} = {self.op}{self.inputs}"


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """A named function from operand types to result types, with its NumPy meaning beside it."""

    name: str
    rule: TypeRule
    # Operand names, in order.  The last ones are optional where the rule has a default for them,
    # and one with "*" takes the rest.
    parameters: tuple[str, ...]
    attributes: tuple[str, ...]
    defaults: Mapping[str, Attr]  # of the attributes that may be left out
    results: tuple[str, ...]  # what its results are called where nobody names them
    updates: Mapping[str, str]  # result -> the operand it is the next state of, its buffer's heir
    stackable: frozenset[str]  # attributes that may be ``Stacked``: the rule's annotation says so
    doc: str
    _meaning: list[Meaning] = field(default_factory=list)

    def meaning(self, function: Meaning) -> Meaning:
        """Decorator: state what the op computes, on NumPy arrays, with the rule's own signature."""
        assert not self._meaning, f"{self.name} has a meaning already"
        self._meaning.append(function)
        return function

    @property
    def numpy(self) -> Meaning:
        assert self._meaning, f"{self.name} has no meaning"
        return self._meaning[0]

    def __call__(self, *inputs: Value, hint: str = "", **attrs: Any) -> Any:
        """Build a node; gives its value, or a tuple where the rule gives several."""
        results = self.node(inputs, attrs, hints=(hint,) if hint else ()).results
        return results[0] if len(results) == 1 else results

    def node(
        self,
        inputs: Sequence[Value],
        attrs: Mapping[str, Attr],
        bodies: tuple[Graph, ...] = (),
        hints: Sequence[str] = (),
    ) -> Node:
        """Build a node, left-out attributes filled in; ``hints`` name its results."""
        complete = {**self.defaults, **attrs}
        types = self.result_types(inputs, complete, bodies)
        return applied(self, inputs, complete, bodies, types, tuple(hints) or self.results)

    def result_types(
        self, inputs: Sequence[Value], attrs: Mapping[str, Attr], bodies: tuple[Graph, ...] = ()
    ) -> tuple[TensorType, ...]:
        """Run the type rule; whatever breaks it is a TypeRuleError that names the op."""
        extra = {"bodies": bodies} if bodies else {}
        try:
            types = self.rule(*(value.type for value in inputs), **attrs, **extra)
        except TypeRuleError as error:
            raise TypeRuleError(f"{self.name}: {error}") from None
        except TypeError as error:  # a wrong number of operands, an unknown attribute
            raise TypeRuleError(f"{self.name}: {error}") from None
        return (types,) if isinstance(types, TensorType) else types

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<op {self.name}>"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A function: inputs (given at every step) and weights (given once) to outputs."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    weights: tuple[Value, ...] = ()
    name: str = "graph"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node the outputs need, each after the producers of its inputs."""
        return tuple(_walk(self.outputs))

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.nodes)} nodes>"

    def __str__(self) -> str:
        from inferflux.ir.print import graph_text  # print needs Graph: the one import cycle, cut

        return graph_text(self)


def applied(
    op: Op,
    inputs: Sequence[Value],
    attrs: Mapping[str, Attr],
    bodies: tuple[Graph, ...],
    types: Sequence[TensorType],
    hints: Sequence[str],
) -> Node:
    """An application whose types are known; results beyond ``hints`` have no name."""
    node = Node(op, tuple(inputs), attrs, bodies)
    results = tuple(
        Value(type_, hints[i] if i < len(hints) else "", node, i) for i, type_ in enumerate(types)
    )
    object.__setattr__(node, "results", results)
    return node


OPS: dict[str, Op] = {}


def op(rule: TypeRule) -> Op:
    """Turn a type rule into an op.  Its docstring is the formula, then the shapes."""
    return gives(rule.__name__)(rule)


def gives(*results: str, updates: Mapping[str, str] | None = None) -> Callable[[TypeRule], Op]:
    """As ``op``, for an op whose results have names of their own, which printing uses.

    ``updates`` says which result is the next state of which operand, by their names.
    """

    def register(rule: TypeRule) -> Op:
        made = _op(rule, results, updates or {})
        assert made.name not in OPS, f"two ops are named {made.name}"
        OPS[made.name] = made
        return made

    return register


def require(claim: object, message: str) -> None:
    """Raise TypeRuleError with ``message`` unless ``claim`` holds.  For use in type rules."""
    if not claim:
        raise TypeRuleError(message)


def _walk(outputs: Sequence[Value]) -> Iterator[Node]:
    """Depth first without recursion: a model of a thousand layers is deeper than Python's stack."""
    done: set[int] = set()
    stack: list[tuple[Node, bool]] = [(v.producer, False) for v in reversed(outputs) if v.producer]
    while stack:
        node, expanded = stack.pop()
        if id(node) in done:
            continue
        if expanded:
            done.add(id(node))
            yield node
            continue
        stack.append((node, True))
        stack.extend((v.producer, False) for v in reversed(node.inputs) if v.producer)


def _op(rule: TypeRule, results: tuple[str, ...], updates: Mapping[str, str]) -> Op:
    parameters = inspect.signature(rule).parameters.values()
    operands = tuple(
        f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    )
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "bodies"]
    defaults = {p.name: p.default for p in keywords if p.default is not p.empty}
    return Op(
        name=rule.__name__,
        rule=rule,
        parameters=operands,
        attributes=tuple(p.name for p in keywords),
        defaults=defaults,
        results=results,
        updates=updates,
        stackable=frozenset(p.name for p in keywords if "Stacked" in str(p.annotation)),
        doc=inspect.getdoc(rule) or "",
    )
